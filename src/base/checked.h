/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on numbers from outside. Each returns true when the exact result does not fit *ret
 * (which then holds the wrapped value); names and order of arguments are C23's <stdckdint.h>.
 *     if (ckd_mul(&bytes, count, size)) return -EINVAL;
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ckd_add(ret, a, b) __builtin_add_overflow((a), (b), (ret))
#define ckd_sub(ret, a, b) __builtin_sub_overflow((a), (b), (ret))
#define ckd_mul(ret, a, b) __builtin_mul_overflow((a), (b), (ret))

/* True when [start, start + len) lies inside [0, limit); never overflows. */
static inline bool range_within(uint64_t start, uint64_t len, uint64_t limit)
{
    return len <= limit && start <= limit - len;
}

/* a + b, or the largest value when that does not fit. */
static inline uint64_t add_saturate(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return ckd_add(&sum, a, b) ? UINT64_MAX : sum;
}
