/* SPDX-License-Identifier: Apache-2.0 */
/* Bits and alignment of unsigned integers. Alignments are powers of two, bit counts below 64. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BIT(n) (UINT64_C(1) << (n))

/* The n lowest bits set; n may be 0 to 64. */
static inline uint64_t bits_mask(unsigned n)
{
    return n >= 64 ? UINT64_MAX : BIT(n) - 1;
}

/* The field of `len` bits that starts at bit `low`. */
static inline uint64_t bits_get(uint64_t v, unsigned low, unsigned len)
{
    return (v >> low) & bits_mask(len);
}

/* v with that field replaced by the low bits of `field`. */
static inline uint64_t bits_set(uint64_t v, unsigned low, unsigned len, uint64_t field)
{
    uint64_t mask = bits_mask(len) << low;

    return (v & ~mask) | ((field << low) & mask);
}

/* The low `len` bits (1 to 64) of v as a signed number, widened to 64 bits. */
static inline uint64_t sign_extend(uint64_t v, unsigned len)
{
    uint64_t sign = BIT(len - 1);

    return ((v & bits_mask(len)) ^ sign) - sign;
}

static inline uint64_t u64_from(uint64_t high, uint64_t low)
{
    return high << 32 | (uint32_t)low;
}

static inline bool is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

static inline uint64_t align_down(uint64_t v, uint64_t alignment)
{
    return v & ~(alignment - 1);
}

/* Wraps to 0 past the last multiple: check outside input first. */
static inline uint64_t align_up(uint64_t v, uint64_t alignment)
{
    return align_down(v + alignment - 1, alignment);
}

static inline bool is_aligned(uint64_t v, uint64_t alignment)
{
    return !(v & (alignment - 1));
}
