/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The high mark of a container's memory, moved by pressure: `--memory-high auto`. A container whose
 * tasks wait for memory gets a higher mark, at once and in growing steps, up to its limit; of one
 * that does not the mark follows what it uses down in small steps, so that what it has not touched
 * for long is the others', until a little pressure shows that the rest is in use.
 *
 * Kernel: Documentation/admin-guide/cgroup-v2.rst (memory.high, memory.low, memory.pressure) and
 * Documentation/accounting/psi.rst. Version 1 groups have neither marks nor pressure of their own.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

/* No mark: the file says "max". */
#define CTR_MARK_NONE UINT64_MAX

struct ctr_marks {
    uint64_t low, max;       /* never below and above these; max CTR_MARK_NONE: the host's memory */
    uint64_t high;           /* bytes */
    unsigned raises;         /* one after the other: the steps grow */
    unsigned rest, patience; /* looks until it may sink again, and how many after the next raise */
};

struct ctr_look {
    uint64_t current;                 /* bytes in use */
    uint64_t stalled_us, interval_us; /* some task waited, since the last look */
};

/* What high ought to be now; true: it is another than before. */
bool ctr_marks_move(struct ctr_marks *m, const struct ctr_look *look);

struct ctr_pressure {
    struct loop *loop; /* NULL: not watched */
    struct loop_timer *timer;
    int group_fd, trigger_fd;
    uint64_t stalled_us, when_ns;
    struct ctr_marks marks;
};

/* The version 2 group of a process, as far as one named group: its directory. -ENOENT: none. */
int must_use ctr_group_open(pid_t pid, const char *group, int *ret_fd);
/* A number in it, "max" CTR_MARK_NONE; -errno. */
int must_use ctr_group_number(int group_fd, const char *file, uint64_t *ret);
/* Microseconds in which some task of it has waited for memory. */
int must_use ctr_group_stalled(int group_fd, uint64_t *ret_us);

/* From now on. Takes group_fd over, also when it fails. The mark that is there is where it begins.
 */
int must_use ctr_pressure_watch(struct ctr_pressure *p, struct loop *loop, int group_fd,
                                uint64_t low, uint64_t max, struct err *err);
/* The mark stays as it is. Fine when it is not watched. */
void ctr_pressure_end(struct ctr_pressure *p);
