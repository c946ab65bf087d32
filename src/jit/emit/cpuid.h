/* SPDX-License-Identifier: Apache-2.0 */
/* What __builtin_cpu_supports() of clang 14 does not know. AMD64 manual vol. 3, appendix D. */
#pragma once

#include <cpuid.h>
#include <stdbool.h>

static inline bool cpuid_has_lzcnt(void)
{
    unsigned a, b, c = 0, d;

    return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 5; /* ABM */
}
