/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host offers, each found by trying it, not by asking for versions. Nothing is changed:
 * trials run in children or on files that are removed again.
 */
#pragma once

#include <posada/err.h>

enum fact_result { FACT_OK, FACT_DEGRADED, FACT_NO };

struct fact {
    const char *name;
    enum fact_result result;
    char detail[240]; /* what was measured */
    char fix[200];    /* what would make it better; empty: nothing to do */
};

/* Facts of the kernel; how many were written. */
unsigned facts_kernel(struct fact *facts, unsigned room);
/* Facts of a directory: room, what it costs to make a write durable, direct I/O, cheap copies. */
void facts_storage(const char *name, const char *path, uint64_t wanted_bytes, struct fact *ret);

void fact_set(struct fact *fact, enum fact_result result, const char *fmt, ...) printf_fn(3, 4);
void fact_fix(struct fact *fact, const char *fmt, ...) printf_fn(2, 3);
