/* SPDX-License-Identifier: Apache-2.0 */
/* What create, run and restore share: a container in the making. Contract of the whole:
 * container/container.h. */
#pragma once

#include "container/container.h"
#include "container/init.h"
#include "container/rdt.h"
#include "container/systemd.h"

/* All that a creation holds; create_done() lets go of it. */
struct create {
    const struct container_runtime *rt;
    const struct container_create *c;
    struct spec spec;
    struct state state;
    struct cgroup groups;
    struct seccomp_filter filter;
    struct init init;
    struct systemd_scope scope; /* of the systemd manager; inner "": there is none */
    struct dbus bus;
    const char *rdt_root; /* NULL: no linux.intelRdt */
    struct rdt rdt;
    struct state_place at; /* its lock is ours */
    int wire, master, notify;
    pid_t pid;
    bool waits;   /* for a start: the program may be missing until then */
    char *config; /* the text, config_len long */
    size_t config_len;
    struct err *err;
};

void create_init(struct create *m, const struct container_runtime *rt,
                 const struct container_create *c, struct err *err);
/* The configuration read and checked, the id claimed, the plan written down. After a failure
 * *ret_claimed says whether there is something to undo. */
int must_use create_begin(struct create *m, bool *ret_claimed);
/* Undoes everything, as delete --force would. */
void create_undo(struct create *m);
void create_done(struct create *m);
/* systemd's scope with a process in it, and the group for the next one. */
int must_use create_enter_scope(void *arg, pid_t pid, int *ret_group, struct err *err);
/* Version 1 groups, limits, devices; without a process that waits for them. */
int must_use create_limit(struct create *m);
int must_use create_run_hooks(struct create *m, const char *status);
int must_use create_poststart(struct create *m);
int must_use create_finish(struct create *m);
