/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a guest that exists, and staying with it or leaving it alone: run, start, up. */
#pragma once

#include "vm/store.h"
#include <posada/vm.h>

struct started {
    struct guest guest; /* not locked: for looking at it */
    int owner_fd;       /* closing it before start_detach() ends the guest; -1: none */
    pid_t keeper;       /* 0: a container, which has none */
};

#define STARTED_NONE ((struct started){.guest = GUEST_NONE, .owner_fd = -1})

/* Starts the processes of a guest that the caller has locked, and waits until its machine is built
 * or cannot be (then they are gone when this returns). locked stays the caller's. */
int must_use start_guest(const struct guest *locked, struct started *ret, struct err *err);
/* Lets it run on its own. */
int must_use start_detach(struct started *started, struct err *err);

struct start_attach {
    const char *keys; /* detach keys, NULL: the setting */
    bool command;     /* the guest has a command; else its console is shown */
    bool tty, input, quiet;
};
/* Stays with it to its end, or until the detach keys; the exit code, everything said. */
int start_attach(struct started *started, const struct start_attach *how);
void started_done(struct started *started);
