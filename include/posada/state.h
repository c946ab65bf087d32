/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State as a table of fields: one table saves, loads, dumps and fuzzes an object. The saved form
 * names every field, so it survives reordering and says what is missing. Loading is two passes:
 * all of it is checked, then all of it is committed; a refused load leaves the object untouched.
 * Outputs (interrupt levels, timers) are never fields: settle() derives them again afterwards.
 * Format and functions: src/state/state.h.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

enum state_type {
    STATE_TYPE_END = 0,
    STATE_TYPE_BOOL,
    STATE_TYPE_U8,
    STATE_TYPE_U16,
    STATE_TYPE_U32,
    STATE_TYPE_U64,
};

struct state_field {
    const char *name;
    enum state_type type;
    uint32_t offset; /* bytes from the start of the object */
    uint32_t count;  /* elements; 1 for a scalar */
    uint64_t max;    /* largest legal value of an element; a larger one refuses the whole load */
};

/* Refuses at compile time a field whose C type is not T. */
#define STATE_TYPE_CHECK(S, f, T)                                                                  \
    (sizeof(char[__builtin_types_compatible_p(__typeof__(((S *)0)->f), T) ? 1 : -1]) * 0)
#define STATE_FIELD(S, f, T, tag, n, limit)                                                        \
    {                                                                                              \
        .name = #f, .type = (tag), .count = (n), .max = (limit),                                   \
        .offset = (uint32_t)(offsetof(S, f) + STATE_TYPE_CHECK(S, f, T))                           \
    }

#define STATE_BOOL(S, f) STATE_FIELD(S, f, bool, STATE_TYPE_BOOL, 1, 1)
#define STATE_U8(S, f)   STATE_FIELD(S, f, uint8_t, STATE_TYPE_U8, 1, UINT8_MAX)
#define STATE_U16(S, f)  STATE_FIELD(S, f, uint16_t, STATE_TYPE_U16, 1, UINT16_MAX)
#define STATE_U32(S, f)  STATE_FIELD(S, f, uint32_t, STATE_TYPE_U32, 1, UINT32_MAX)
#define STATE_U64(S, f)  STATE_FIELD(S, f, uint64_t, STATE_TYPE_U64, 1, UINT64_MAX)

/* The same with the largest legal value: an index into an array, a queue size, a mode. */
#define STATE_U8_MAX(S, f, m)  STATE_FIELD(S, f, uint8_t, STATE_TYPE_U8, 1, m)
#define STATE_U16_MAX(S, f, m) STATE_FIELD(S, f, uint16_t, STATE_TYPE_U16, 1, m)
#define STATE_U32_MAX(S, f, m) STATE_FIELD(S, f, uint32_t, STATE_TYPE_U32, 1, m)

/* Whole arrays; n must be the array's length. */
#define STATE_BYTES(S, f, n)      STATE_FIELD(S, f, uint8_t[n], STATE_TYPE_U8, n, UINT8_MAX)
#define STATE_BOOL_ARRAY(S, f, n) STATE_FIELD(S, f, bool[n], STATE_TYPE_BOOL, n, 1)
#define STATE_U32_ARRAY(S, f, n)  STATE_FIELD(S, f, uint32_t[n], STATE_TYPE_U32, n, UINT32_MAX)
#define STATE_U64_ARRAY(S, f, n)  STATE_FIELD(S, f, uint64_t[n], STATE_TYPE_U64, n, UINT64_MAX)
#define STATE_END                                                                                  \
    {                                                                                              \
        .type = STATE_TYPE_END                                                                     \
    }
