/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control group below which containers get theirs: for root the host's root group; for an
 * ordinary user a group of version 2 that is his, as systemd delegates them to user sessions
 * (cgroup-v2.rst, "Delegation"), found above the one that he stands in.
 */
#pragma once

#include <posada/err.h>
#include <posada/vm.h>

enum ctr_group_means {
    CTR_GROUP_FREEZES = 1, /* pause */
    CTR_GROUP_MEMORY = 2,
    CTR_GROUP_CPU = 4,
    CTR_GROUP_PIDS = 8,
    CTR_GROUP_MARKS = 16, /* memory.low, memory.high (ctr/pressure.h) */
};

struct ctr_group {
    char path[1024]; /* in its hierarchy: "" for the root */
    unsigned means;  /* 0: no groups for containers */
};

/* Of the calling process, before it enters a user namespace. */
void ctr_group_find(struct ctr_group *ret);
/* Refuses limits that it has no means for, with the option's name. */
int must_use ctr_group_check(const struct ctr_group *group, const struct vm_config *config,
                             struct err *err);
