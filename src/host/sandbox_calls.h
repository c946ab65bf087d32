/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of a sandboxed monitor: one table says which of its threads make which, and
 * under what condition. The process's filter knows those of all threads; each thread has a filter
 * of its own above it (sandbox_thread.h).
 */
#pragma once

#include "host/sandbox_thread.h"
#include <seccomp.h>

/* A set of threads whose calls one filter lets through. */
enum {
    CALLS_MAIN = 1 << SANDBOX_MAIN,
    CALLS_VCPU = 1 << SANDBOX_VCPU,
    CALLS_WORKER = 1 << SANDBOX_WORKER,
    CALLS_BIRTH =
        1 << SANDBOX_THREADS, /* of threads that are made, before they lock themselves in */
    CALLS_ALL = (1 << (SANDBOX_THREADS + 1)) - 1,
};

/* A filter without rules: what it is not told of is refused, and told of (sandbox_refusal.h).
 * NULL: out of memory. The caller's, by seccomp_release(). */
scmp_filter_ctx sandbox_calls_filter(void);
/* Lets through what `threads` may do, ioctl() with the requests of a 0-terminated list (NULL:
 * none). -errno. */
int must_use sandbox_calls_add(scmp_filter_ctx ctx, unsigned threads, const uint32_t *ioctls);
/* How many different calls these are, of those that this architecture has. */
unsigned sandbox_calls_count(unsigned threads);
