/* SPDX-License-Identifier: Apache-2.0 */
/* The host's SSE control register in the guest's terms. Intel SDM vol. 1, 10.2.3. */
#pragma once

#include "ir/ir.h"
#include <immintrin.h>

/* MXCSR.RC for a rounding mode; RMM, which SSE lacks, runs as nearest and is never generated. */
static inline unsigned mxcsr_rounding(unsigned rounding)
{
    static const unsigned rc[] = {_MM_ROUND_NEAREST, _MM_ROUND_TOWARD_ZERO, _MM_ROUND_DOWN,
                                  _MM_ROUND_UP, _MM_ROUND_NEAREST};

    return rc[rounding];
}

/* Every exception masked, no flags, denormals kept, rounding as asked. */
static inline unsigned mxcsr_guest(unsigned rounding)
{
    return _MM_MASK_MASK | mxcsr_rounding(rounding);
}

/* The sticky flags collected since the last call, as enum ir_fp_flag; clears them. */
static inline uint32_t mxcsr_take_flags(void)
{
    unsigned csr = _mm_getcsr(), e = csr & _MM_EXCEPT_MASK;

    if (!e)
        return 0;
    _mm_setcsr(csr & ~(unsigned)_MM_EXCEPT_MASK);
    return (e & _MM_EXCEPT_INVALID ? IR_FP_NV : 0u) | (e & _MM_EXCEPT_DIV_ZERO ? IR_FP_DZ : 0u) |
           (e & _MM_EXCEPT_OVERFLOW ? IR_FP_OF : 0u) | (e & _MM_EXCEPT_UNDERFLOW ? IR_FP_UF : 0u) |
           (e & _MM_EXCEPT_INEXACT ? IR_FP_NX : 0u);
}
