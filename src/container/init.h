/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that becomes the container, from its birth in fresh namespaces to exec, and the
 * runtime's act of making it. The order of things is in init_main().
 */
#pragma once

#include "container/become.h"
#include "container/cgroup.h"
#include "container/mounts.h"

struct init {
    const struct spec *spec;
    const char *id, *bundle, *rootfs;
    const char *state_text; /* for hooks inside, with pid 0 replaced once known */
    struct mounts mounts;
    struct cgroup *cgroup;
    struct become become;
    int group; /* version 2 cgroup to be born in, -1: none */
    /* Where somebody else makes the groups, and wants a process for it: called in the runtime with
     * an intermediate process, which then makes ours. *ret_group as above. */
    int (*enter)(void *arg, pid_t pid, int *ret_group, struct err *err);
    void *enter_arg;
    bool groups;    /* version 1 groups come by WIRE_GROUPS */
    int wire, peer; /* our end; the other one, which we close */
    int start;      /* listening socket of a created container, -1: starts at once */
    int console;    /* socket that wants the terminal's master, -1: goes to the runtime */
    const char *notify_dir,
        *notify_mount; /* a directory of ours with a socket, and where to show it */
    int ours[2];   /* descriptors of the runtime that must not live on here: its lock above all */
    int joins[8];  /* namespaces[i].path, opened by the runtime; -1 */
    bool new_user; /* a user namespace is made (maps come by WIRE_MAPS) */
    int proc;
    bool joined_groups;
    struct err err;
};

/* Opens what namespaces[].path name. */
int must_use init_open_namespaces(struct init *in, struct err *err);
/* Makes the process. *ret_pid in the runtime's pid namespace; *ret_wire the runtime's end. With a
 * new user namespace its maps have been written. */
int must_use init_spawn(struct init *in, pid_t *ret_pid, int *ret_wire, struct err *err);
/* In the new process. */
noreturn_fn void init_main(struct init *in);
