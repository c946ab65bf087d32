/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of a container: version 1 with any number of hierarchies, version 2, both at once
 * ("hybrid"), or none. Kernel documentation: admin-guide/cgroup-v1/, cgroup-v2.rst; conversions
 * between the two worlds: runtime-spec config-linux.md.
 *
 * One path below every hierarchy. Joining is what costs: moving another process waits for an RCU
 * grace period (7 ms on an idle host), so nobody is ever moved. A version 2 group is entered by
 * clone3(CLONE_INTO_CGROUP); into a version 1 group the new process writes "0" to `tasks`, which
 * for a single-threaded process is the same as cgroup.procs and takes no global lock
 * (kernel/cgroup/cgroup.c, cgroup_procs_write_start).
 */
#pragma once

#include "container/spec.h"

enum { CGROUP_HIERARCHIES = 24 };

struct cgroup_hierarchy {
    const char *dir;         /* where it is mounted */
    const char *controllers; /* version 1: ",cpu,cpuacct," or ",name=systemd,"; version 2: "" */
    bool v2;
};

struct cgroup {
    struct arena *arena;
    struct cgroup_hierarchy at[CGROUP_HIERARCHIES];
    unsigned count;
    const char *path; /* below each: "/a/b"; NULL: no groups at all */
    unsigned made;    /* how many of path's last parts we made */
    bool rootless;    /* without rights a missing group is no failure */
    unsigned joined;  /* bit per hierarchy that has the group */
};

/* Which hierarchies this process sees (/proc/self/mountinfo). */
int must_use cgroup_find(struct arena *arena, struct cgroup *ret, struct err *err);
bool cgroup_has_v1(const struct cgroup *g);
/* The version 2 hierarchy, or NULL. */
const struct cgroup_hierarchy *cgroup_unified(const struct cgroup *g);

/* Decides the path: wanted may be NULL, absolute or relative. Refuses "..". */
int must_use cgroup_choose(struct cgroup *g, const char *wanted, const char *id, struct err *err);
/* Makes the version 2 group, and opens it for CLONE_INTO_CGROUP; *ret_fd -1: there is none. */
int must_use cgroup_make_v2(struct cgroup *g, int *ret_fd, struct err *err);
/* Below a version 2 group that another manager made: the last part of the path alone. */
int must_use cgroup_make_inner(struct cgroup *g, int *ret_fd, struct err *err);
/* Passes on the controllers of the group above, which must have no processes of its own. */
void cgroup_delegate(const struct cgroup *g);
int must_use cgroup_make_v1(struct cgroup *g, struct err *err);
/* The `tasks` files of all version 1 groups: how many were opened. */
int must_use cgroup_open_tasks(const struct cgroup *g, int *fds, unsigned room, struct err *err);
/* In the new process, which has one thread: enters them, and closes the descriptors. */
int must_use cgroup_join(const int *fds, unsigned count);

int must_use cgroup_limit(const struct cgroup *g, const struct spec_resources *resources,
                          bool updating, struct err *err);
/* Device rules; containers get the runtime-spec's default devices on top. */
int must_use cgroup_devices(const struct cgroup *g, const struct spec_resources *resources,
                            struct err *err);

/* fn is called for every process in the group and below. */
int must_use cgroup_each_process(const struct cgroup *g, int (*fn)(void *arg, pid_t pid),
                                 void *arg);
int must_use cgroup_freeze(const struct cgroup *g, bool frozen, struct err *err);
/* Thaws the version 1 group that holds a process now, wherever somebody has moved it: frozen, it
 * would not even die. */
void cgroup_thaw_process(const struct cgroup *g, pid_t pid);
bool cgroup_is_frozen(const struct cgroup *g);
/* Kills all in it until nobody is left, thawing first. -ETIMEDOUT after 10 s. */
int must_use cgroup_kill(const struct cgroup *g, struct err *err);
/* Removes the groups where that works at once; false: somebody is in one. */
bool must_use cgroup_remove_quick(const struct cgroup *g);
/* Removes the groups and those made above them, when empty. */
int must_use cgroup_remove(const struct cgroup *g, struct err *err);

/* For the parts in files of their own. */
/* Whether a list of words, as cgroup.controllers has it, names one. */
bool cgroup_lists(const char *list, const char *name);
const struct cgroup_hierarchy *cgroup_controller(const struct cgroup *g, const char *name);
int must_use cgroup_open(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                         int flags); /* a descriptor or -errno */
int must_use cgroup_write(const struct cgroup *g, const struct cgroup_hierarchy *h,
                          const char *file, const char *text);
/* The file's text, cut at size. -errno. */
int must_use cgroup_read(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                         char *buf, size_t size);
int must_use cgroup_set(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                        const char *text, struct err *err);
/* Hybrid hosts: limits of controllers that only the version 2 hierarchy has; all others, "unified"
 * too, are version 1's to set or to refuse. ret_v2->given: there are some. */
void cgroup_split(const struct cgroup *g, const struct spec_resources *all,
                  struct spec_resources *ret_v1, struct spec_resources *ret_v2);
int must_use cgroup_limit_v1(const struct cgroup *g, const struct spec_resources *resources,
                             bool updating, struct err *err);
int must_use cgroup_limit_v2(const struct cgroup *g, const struct spec_resources *resources,
                             struct err *err);
int must_use cgroup_devices_v1(const struct cgroup *g, const struct spec_resources *resources,
                               struct err *err);
/* 2 to 262144 shares, 1024 being normal, as a weight of 1 to 10000 with 100 being normal. */
int64_t cgroup_weight_of_shares(int64_t shares);
/* A line of rdma.max, the same in both versions. */
void cgroup_rdma_line(const struct spec_rdma *r, char *buf, size_t size);
int must_use devbpf_attach(int group, const struct spec_resources *resources, struct err *err);
/* The rules every container has (config-linux.md "Default Devices"). */
extern const struct spec_device_rule cgroup_default_rules[];
extern const unsigned cgroup_default_rule_count;
