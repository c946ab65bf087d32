/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words every layer shares: guest addresses as types of their own, and the few macros the house
 * allows itself. A guest-physical, a guest-virtual address and a frame number cannot be mixed up
 * by accident: each is a one-member struct (same machine code as a bare integer at -O2).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t v;
} gpa_t; /* guest-physical address, bytes */

typedef struct {
    uint64_t v;
} gva_t; /* guest-virtual address, bytes */

typedef struct {
    uint64_t v;
} gfn_t; /* guest frame number: gpa / GUEST_PAGE_SIZE */

enum { GUEST_PAGE_SHIFT = 12, GUEST_PAGE_SIZE = 1 << GUEST_PAGE_SHIFT };

#define GPA(x) ((gpa_t){(x)})
#define GVA(x) ((gva_t){(x)})

static inline gfn_t gpa_frame(gpa_t a)
{
    return (gfn_t){a.v >> GUEST_PAGE_SHIFT};
}

#define must_use           __attribute__((warn_unused_result))
#define noreturn_fn        __attribute__((noreturn))
#define printf_fn(fmt, va) __attribute__((format(printf, fmt, va)))
#define likely(x)          __builtin_expect(!!(x), 1)
#define unlikely(x)        __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))

/* The object of TYPE whose MEMBER is at PTR. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Local that is released by cleanup_NAME() on every way out; TAKE() hands it over instead. */
#define CLEANUP(name) __attribute__((cleanup(cleanup_##name)))
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = (__typeof__(p))0;                                                                    \
        taken_;                                                                                    \
    })
