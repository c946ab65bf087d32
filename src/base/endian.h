/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little- and big-endian integers in byte buffers of any alignment: the only code that knows the
 * host's byte order. Guest memory, packets and files are read into a buffer once and decoded here.
 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define ENDIAN_PAIR(order, bits)                                                                   \
    static inline uint##bits##_t ld_##order##bits(const void *p)                                   \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
                                                                                                   \
        memcpy(&v, p, sizeof(v));                                                                  \
        return order##bits##toh(v);                                                                \
    }                                                                                              \
    static inline void st_##order##bits(void *p, uint##bits##_t v)                                 \
    {                                                                                              \
        v = hto##order##bits(v);                                                                   \
        memcpy(p, &v, sizeof(v));                                                                  \
    }

ENDIAN_PAIR(le, 16)
ENDIAN_PAIR(le, 32)
ENDIAN_PAIR(le, 64)
ENDIAN_PAIR(be, 16)
ENDIAN_PAIR(be, 32)
ENDIAN_PAIR(be, 64)
#undef ENDIAN_PAIR
