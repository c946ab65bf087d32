/* SPDX-License-Identifier: Apache-2.0 */
/* Names that configurations use for numbers of the kernel: signals, capabilities, limits,
 * namespaces, mount options, schedulers. */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

struct name_value {
    const char *name; /* NULL ends a table */
    uint64_t value;
};

/* True and *ret on a match. */
bool name_find(const struct name_value *table, const char *name, uint64_t *ret);

extern const struct name_value name_rlimits[];     /* RLIMIT_* */
extern const struct name_value name_namespaces[];  /* CLONE_NEW* by the runtime-spec's type */
extern const struct name_value name_schedulers[];  /* SCHED_* */
extern const struct name_value name_sched_flags[]; /* SCHED_FLAG_* */
extern const struct name_value name_personalities[];

/* "SIGTERM", "TERM", "15"; -1 when unknown. */
int name_signal(const char *text);

/* "CAP_KILL" in any case to its number, -1 when unknown. */
int name_capability(const char *name);
const char *name_of_capability(unsigned number); /* NULL behind the last known one */

/* What a mount option of the runtime-spec stands for. */
struct name_mount_option {
    const char *name;
    uint64_t set, clear;         /* MS_* of mount(2) */
    uint64_t propagation;        /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, with MS_REC */
    uint64_t rec_set, rec_clear; /* MOUNT_ATTR_* of mount_setattr(2), with AT_RECURSIVE */
    unsigned extra;              /* NAME_MOUNT_* */
};
enum {
    NAME_MOUNT_TMPCOPYUP = 1,
    NAME_MOUNT_IDMAP = 2,
    NAME_MOUNT_RIDMAP = 4,
    NAME_MOUNT_SRC_NOFOLLOW = 8,
    NAME_MOUNT_DEST_NOFOLLOW = 16,
    NAME_MOUNT_COPY_SYMLINK = 32,
};
extern const struct name_mount_option name_mount_options[]; /* sorted; NULL name ends */
const struct name_mount_option *name_mount_option(const char *name);
