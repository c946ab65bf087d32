/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helper processes that a running guest has lost: its keeper starts others, for the monitor is in
 * its sandbox and starts nothing. The monitor says which one by a byte (MONITOR_LOST + number), and
 * gets the ends of its links by the same socket: a message of that number, with descriptors.
 *
 * A guest that can make its helpers die must gain nothing by it: the new ones are as much in their
 * boxes as the old, and soon there is a minute between two.
 */
#pragma once

#include "vm/store.h"

enum {
    HELPER_NET = 0, /* + the network's place in the configuration */
    HELPER_VSOCK = HELPER_NET + VM_NETS_MAX,
    HELPER_SHARE = HELPER_VSOCK + 1, /* + the share's */
    HELPERS = HELPER_SHARE + VM_SHARES_MAX,
    HELPER_FDS_MAX = 2,
};

struct helper_slot {
    pid_t pid; /* of the one we started; 0: none */
    bool lost;
    unsigned tries; /* in a row */
    uint64_t started_ms, due_ms;
};

struct helpers {
    struct helper_slot slot[HELPERS];
};

/* The monitor has lost that one; numbers that mean nothing are ignored. */
void helpers_lost(struct helpers *h, unsigned number);
/* How long poll(2) may wait before helpers_run() is due; -1: for ever. */
int helpers_timeout_ms(const struct helpers *h);
/* Starts those that are due and hands them over by link_fd. */
void helpers_run(struct helpers *h, const struct guest *guest, int link_fd);
/* After the monitor's end: none of ours is left. */
void helpers_end(struct helpers *h);
