/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates in the helpers of containers' networks. They stand in a file of the container's run
 * directory, which the monitor writes and a helper has mapped: so a change needs no connection
 * between the two and survives either. Frames wait where they are, as in net/limit.h: the
 * container's in its interface, those for it with the sender.
 */
#pragma once

#include "net/rate.h"

struct net_live_rates; /* as mapped */

struct net_gate {
    const struct net_live_rates *live; /* NULL: no limits ever */
    struct net_bucket to_guest, from_guest;
    bool to_open, from_open; /* a frame may pass this way now, as of the last look */
};

/* The monitor: from now on, for helpers that have mapped the file already, too. */
int must_use net_gate_publish(int dir_fd, const struct net_rates *rates, struct err *err);
/* What a helper gets. */
int must_use net_gate_open(int dir_fd, int *ret_fd, struct err *err);

/* In the helper, before it enters its box. Closes fd. */
int must_use net_gate_init(struct net_gate *gate, int fd, struct err *err);
/* Before each poll: follows the rates. Milliseconds until something can have changed, -1: never by
 * itself. */
int net_gate_look(struct net_gate *gate);
