/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's processes. The keeper (root's rights, no hostile input) waits for the monitor, writes
 * down how it ended, removes what it left; the monitor builds the machine, locks itself into its
 * sandbox and runs it. Both hold the guest's lock. The command line starts them and may die.
 */
#pragma once

#include "vm/store.h"

struct networks;

enum { MONITOR_OWNER_FD = 3, MONITOR_LOCK_FD, MONITOR_DIR_FD }; /* what the program finds open */
/* To the keeper, beside enum event_action: the machine could be built; a helper process is gone
 * (vm/helpers.h: + its number). */
enum { MONITOR_BUILT = 0xff, MONITOR_LOST = 0x80 };

/* Starts the guest's processes; guest must be locked by the caller, who may close it afterwards.
 * ret_owner_fd: a connection to the control protocol (vm/control.h) whose first line tells
 * whether the machine could be built. Closing it before or, unless "detach" was said, after that
 * ends the guest. ret_pid: the keeper, a child of the caller for as long as both live. */
int must_use monitor_spawn(const struct guest *guest, int *ret_owner_fd, pid_t *ret_pid,
                           struct err *err);

/* The started program's main: keeper, then monitor in a child. The exit code. */
int keeper_main(void);

/* The child: returns the exit code. owner_fd: -1 when nobody waits for this run, which then begins
 * at once. event_fd: takes a byte for what happens (enum event_action, MONITOR_BUILT...) and brings
 * new helpers, -1: nobody listens. net: with the places the keeper took. */
int monitor_main(struct guest *guest, int owner_fd, int event_fd, const struct networks *net);
