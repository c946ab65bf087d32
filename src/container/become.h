/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps of a process that turns into the container's program, shared by create, run and
 * exec: limits, user, capabilities, filter, exec. Everything here runs inside the container and
 * reports through err; what it opens is close-on-exec.
 */
#pragma once

#include "container/seccomp.h"
#include "container/spec.h"

struct become {
    struct arena *arena;
    const struct spec_process *process;
    const struct seccomp_filter *filter;
    const char *id;
    int root;                  /* the container's root directory */
    unsigned keep_fds;         /* descriptors 3 .. 3 + keep_fds - 1 stay open */
    unsigned listen_fds;       /* the first of them come by socket activation (LISTEN_FDS) */
    int proc;                  /* the runtime's own /proc: the container's may be forged */
    int label_fd;              /* from label_open(); -1: no label is wanted */
    const char *notify_path;   /* NOTIFY_SOCKET inside; NULL: none */
    int seccomp_socket;        /* gets the notify descriptor; -1: none */
    const char *seccomp_state; /* sent with it */
    bool keyring, in_userns, setgroups_denied, keep_groups;
    const char **env; /* filled in by become_find: the final one */
    const char *file; /* filled in by become_find: what will be executed */
    struct err *err;
};

/* Limits, scheduling and the like, with the rights of before (become_limits.c). */
int must_use become_limit(struct become *b);
/* A list of CPUs "0-3,7" for this process. */
int must_use become_affinity(const char *list, struct err *err);

/* Looks for the program before anything is given up: -ENOENT, -EACCES with the usual words. */
int must_use become_find(struct become *b);
/* Never returns 0: the program runs, or the reason why not. */
int must_use become_exec(struct become *b);
