/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of cache and memory bandwidth on CPUs that have them (runtime-spec config-linux.md
 * "IntelRdt"; kernel arch/x86/resctrl.rst): a group is a directory of a resctrl file system, with
 * the files tasks and schemata. root: where that is mounted.
 */
#pragma once

#include "container/spec.h"

struct rdt {
    const char *group;               /* closID, or the container's id; "/": the root group */
    const char *l3, *mb, **schemata; /* NULL: not given */
    bool named, monitoring;          /* named: by closID, so not ours to remove */
};

/* Where the host has it mounted, NULL: nowhere. */
const char *rdt_find(struct arena *arena);
/* linux.intelRdt as checked values. */
int must_use rdt_parse(struct arena *arena, const struct json *at, const char *id, struct rdt *ret,
                       struct err *err);
/* The group as the rules of the specification have it, with the process in it. */
int must_use rdt_apply(const char *root, const struct rdt *rdt, const char *id, pid_t pid,
                       struct err *err);
/* Takes away what rdt_apply() made for this container, as far as it is there. */
void rdt_remove(const char *root, const struct rdt *rdt, const char *id);
