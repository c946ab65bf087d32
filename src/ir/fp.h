/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meaning of the floating-point operations: IEEE 754-2019 binary32 and binary64, results that are
 * NaN are the canonical NaN, tininess is detected after rounding (RISC-V, x86; an arm64 lift must
 * tell when that matters). Values travel as bit patterns; f32 in the low half.
 */
#pragma once

#include "ir/ir.h"

/* The value of a float op (ir_op_info.is_float); *flags collects enum ir_fp_flag. The host's
 * floating-point unit computes; what it cannot (RMM) is computed with integers. */
uint64_t fp_eval(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c, uint32_t *flags);

/* The same with integers only: arithmetic and conversions in every rounding mode. The reference
 * for the tests, and the way for modes and hosts that the FPU does not serve. */
uint64_t fp_soft(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c, uint32_t *flags);

/* --- Bit patterns --- */
static inline bool fp_is_nan(enum ir_width w, uint64_t v)
{
    return w == IR_F64 ? (v & INT64_MAX) > UINT64_C(0x7ff0000000000000)
                       : ((uint32_t)v & INT32_MAX) > 0x7f800000;
}

static inline bool fp_is_signaling(enum ir_width w, uint64_t v)
{
    return fp_is_nan(w, v) && !(w == IR_F64 ? v >> 51 & 1 : v >> 22 & 1);
}

static inline uint64_t fp_nan(enum ir_width w)
{
    return w == IR_F64 ? IR_F64_NAN : IR_F32_NAN;
}
