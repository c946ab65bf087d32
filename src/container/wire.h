/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime and the process that becomes the container say to each other before that
 * process is the container: fixed records over a SOCK_SEQPACKET pair, with descriptors where
 * needed. The end of the connection says "exec happened", for every end is close-on-exec.
 */
#pragma once

#include <posada/err.h>

enum wire_kind {
    WIRE_NONE,   /* the other end is gone */
    WIRE_FAILED, /* err says why; the sender ends */
    WIRE_PID,    /* an intermediate process names the one it made: number */
    WIRE_MAPS,   /* runtime: the user namespace has its maps */
    WIRE_GROUP,  /* runtime to an intermediate process: it has been moved, and the version 2 group
                    for the one it makes is the descriptor, if any */
    WIRE_GROUPS, /* runtime: here are `tasks` files of the cgroups (descriptors), join */
    WIRE_MADE,   /* container: namespaces are there, mounts come next (hooks before pivot_root) */
    WIRE_GO_ON,  /* runtime: hooks are done */
    WIRE_START,  /* runtime: nothing more from here, exec when ready */
    WIRE_MASTER, /* container: the terminal's master (one descriptor) */
};

enum { WIRE_FDS = 24 };

struct wire_message {
    enum wire_kind kind;
    int number;
    struct err err;
};

/* -EPIPE when nobody is there. */
int must_use wire_send(int socket, enum wire_kind kind, int number, const struct err *err,
                       const int *fds, unsigned count);
/* Descriptors are the caller's; *ret_count of them. WIRE_NONE at the end of the connection. */
int must_use wire_receive(int socket, struct wire_message *ret, int *ret_fds, unsigned *ret_count);
/* Receives one and wants that kind: a failure of the other side becomes ours. */
int must_use wire_expect(int socket, enum wire_kind kind, int *ret_fds, unsigned *ret_count,
                         struct err *err);
/* One descriptor with some text to any stream socket (console and seccomp listeners). */
int must_use wire_pass_fd(int socket, int fd, const void *text, size_t len);
