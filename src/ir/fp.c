/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point on the host's SSE unit. Its MXCSR holds sticky flags in another order and the
 * rounding mode; between guest operations it is the C default (all masked, to nearest) but for
 * stale flags. A flag is stale unless the guest's flags have it too, so the register is only
 * rewritten (slow) for the first operation that raises something new or for a static rounding
 * mode. Tininess after rounding, and invalid, match IEEE as RISC-V reads it, with one exception:
 * infinity * 0 + quiet NaN is invalid in RISC-V and not on FMA units.
 *
 * The empty asm statements keep the compiler from moving an operation across MXCSR accesses.
 */
#include "ir/fp.h"

#include <math.h>
#include <string.h>
#include <xmmintrin.h>

enum { MXCSR_DEFAULT = 0x1f80, MXCSR_FLAGS = 0x3f, MXCSR_ROUND_SHIFT = 13 };

static const uint8_t fp_mxcsr_round[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2};

/* IE, (denormal), ZE, OE, UE, PE are bits 0..5: the guest's order backwards. */
static uint32_t fp_guest_flags(uint32_t mxcsr)
{
    return (mxcsr & 1) << 4 | (mxcsr & 4) << 1 | (mxcsr & 8) >> 1 | (mxcsr & 0x10) >> 3 |
           (mxcsr & 0x20) >> 5;
}

static inline void fp_open(enum ir_round rm, uint32_t flags)
{
    uint32_t want = MXCSR_DEFAULT | (uint32_t)fp_mxcsr_round[rm] << MXCSR_ROUND_SHIFT;
    uint32_t now = _mm_getcsr();

    if ((now & ~(uint32_t)MXCSR_FLAGS) != want ||
        (now & MXCSR_FLAGS && fp_guest_flags(now) & ~flags))
        _mm_setcsr(want);
}

static inline void fp_close(enum ir_round rm, uint32_t *flags)
{
    *flags |= fp_guest_flags(_mm_getcsr());
    if (rm != IR_RNE)
        _mm_setcsr(MXCSR_DEFAULT);
}

#define FP_PIN(v) __asm__ volatile("" : "+x"(v) : : "memory")

static double fp_f64(uint64_t v)
{
    double d;

    memcpy(&d, &v, sizeof(d));
    return d;
}

static uint64_t fp_bits64(double d)
{
    uint64_t v;

    memcpy(&v, &d, sizeof(v));
    return fp_is_nan(IR_F64, v) ? IR_F64_NAN : v;
}

static float fp_f32(uint64_t v)
{
    uint32_t low = (uint32_t)v;
    float f;

    memcpy(&f, &low, sizeof(f));
    return f;
}

static uint64_t fp_bits32(float f)
{
    uint32_t v;

    memcpy(&v, &f, sizeof(v));
    return fp_is_nan(IR_F32, v) ? IR_F32_NAN : v;
}

static uint64_t fp_arith64(const struct ir_insn *op, uint64_t av, uint64_t bv, uint32_t *flags)
{
    double a = fp_f64(av), b = fp_f64(bv), r;

    fp_open(op->aux, *flags);
    FP_PIN(a);
    FP_PIN(b);
    switch (op->op) {
    case IR_FADD: r = a + b; break;
    case IR_FSUB: r = a - b; break;
    case IR_FMUL: r = a * b; break;
    case IR_FDIV: r = a / b; break;
    default: r = __builtin_sqrt(a); break;
    }
    FP_PIN(r);
    fp_close(op->aux, flags);
    return fp_bits64(r);
}

static uint64_t fp_arith32(const struct ir_insn *op, uint64_t av, uint64_t bv, uint32_t *flags)
{
    float a = fp_f32(av), b = fp_f32(bv), r;

    fp_open(op->aux, *flags);
    FP_PIN(a);
    FP_PIN(b);
    switch (op->op) {
    case IR_FADD: r = a + b; break;
    case IR_FSUB: r = a - b; break;
    case IR_FMUL: r = a * b; break;
    case IR_FDIV: r = a / b; break;
    default: r = __builtin_sqrtf(a); break;
    }
    FP_PIN(r);
    fp_close(op->aux, flags);
    return fp_bits32(r);
}

static uint64_t fp_arith(const struct ir_insn *op, uint64_t a, uint64_t b, uint32_t *flags)
{
    if (op->aux == IR_RMM)
        return fp_soft(op, a, b, 0, flags);
    return op->width == IR_F64 ? fp_arith64(op, a, b, flags) : fp_arith32(op, a, b, flags);
}

static bool fp_any_nan(enum ir_width w, uint64_t a, uint64_t b, uint64_t c)
{
    return fp_is_nan(w, a) || fp_is_nan(w, b) || fp_is_nan(w, c);
}

static uint64_t fp_fma64(const struct ir_insn *op, uint64_t av, uint64_t bv, uint64_t cv,
                         uint32_t *flags)
{
    double a = fp_f64(op->imm & 1 ? av ^ UINT64_C(1) << 63 : av), b = fp_f64(bv);
    double c = fp_f64(op->imm & 2 ? cv ^ UINT64_C(1) << 63 : cv), r;

    fp_open(op->aux, *flags);
    FP_PIN(a);
    FP_PIN(b);
    FP_PIN(c);
    r = fma(a, b, c);
    FP_PIN(r);
    fp_close(op->aux, flags);
    return fp_bits64(r);
}

static uint64_t fp_fma32(const struct ir_insn *op, uint64_t av, uint64_t bv, uint64_t cv,
                         uint32_t *flags)
{
    float a = fp_f32(op->imm & 1 ? av ^ UINT32_C(1) << 31 : av), b = fp_f32(bv);
    float c = fp_f32(op->imm & 2 ? cv ^ UINT32_C(1) << 31 : cv), r;

    fp_open(op->aux, *flags);
    FP_PIN(a);
    FP_PIN(b);
    FP_PIN(c);
    r = fmaf(a, b, c);
    FP_PIN(r);
    fp_close(op->aux, flags);
    return fp_bits32(r);
}

/* libm's fma() uses the host's FMA unit; without one its flags are not promised, so integers do
 * the work there. */
static uint64_t fp_fma(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c,
                       uint32_t *flags)
{
    if (op->aux == IR_RMM || !__builtin_cpu_supports("fma") || fp_any_nan(op->width, a, b, c))
        return fp_soft(op, a, b, c, flags);
    return op->width == IR_F64 ? fp_fma64(op, a, b, c, flags) : fp_fma32(op, a, b, c, flags);
}

/* Maps a float that is not NaN to an integer in the same order; -0 comes just before +0. */
static int64_t fp_order(enum ir_width w, uint64_t v)
{
    int64_t s = w == IR_F64 ? (int64_t)v : (int64_t)(v << 32);

    return s < 0 ? INT64_MIN - s - 1 : s;
}

static uint64_t fp_min_max(const struct ir_insn *op, uint64_t a, uint64_t b, uint32_t *flags)
{
    enum ir_width w = op->width;
    bool a_nan = fp_is_nan(w, a), b_nan = fp_is_nan(w, b);
    bool a_less;

    if (w == IR_F32) {
        a = (uint32_t)a;
        b = (uint32_t)b;
    }
    if (fp_is_signaling(w, a) || fp_is_signaling(w, b))
        *flags |= IR_FP_NV;
    if (a_nan && b_nan)
        return fp_nan(w);
    if (a_nan || b_nan)
        return a_nan ? b : a;
    a_less = fp_order(w, a) < fp_order(w, b);
    return a_less == (op->op == IR_FMIN) ? a : b;
}

static uint64_t fp_compare(const struct ir_insn *op, uint64_t a, uint64_t b, uint32_t *flags)
{
    enum ir_width w = op->width;
    uint64_t magnitude = w == IR_F64 ? INT64_MAX : INT32_MAX;
    bool equal, less;

    if (fp_is_nan(w, a) || fp_is_nan(w, b)) {
        if (op->aux != IR_FEQ || fp_is_signaling(w, a) || fp_is_signaling(w, b))
            *flags |= IR_FP_NV;
        return 0;
    }
    equal = !((a | b) & magnitude) || fp_order(w, a) == fp_order(w, b); /* -0 == +0 */
    less = !equal && fp_order(w, a) < fp_order(w, b);
    switch (op->aux) {
    case IR_FEQ: return equal;
    case IR_FLT: return less;
    default: return less || equal;
    }
}

/* RISC-V's ten classes: -inf -normal -subnormal -0 +0 +subnormal +normal +inf sNaN qNaN. */
static uint64_t fp_class(enum ir_width w, uint64_t v)
{
    bool sign = w == IR_F64 ? v >> 63 : v >> 31 & 1;
    uint64_t magnitude = v & (w == IR_F64 ? INT64_MAX : INT32_MAX);
    uint64_t inf = w == IR_F64 ? UINT64_C(0x7ff0000000000000) : 0x7f800000;
    uint64_t normal = w == IR_F64 ? UINT64_C(1) << 52 : 1u << 23;

    if (magnitude > inf)
        return fp_is_signaling(w, v) ? 1 << 8 : 1 << 9;
    if (magnitude == inf)
        return sign ? 1 << 0 : 1 << 7;
    if (magnitude >= normal)
        return sign ? 1 << 1 : 1 << 6;
    if (magnitude)
        return sign ? 1 << 2 : 1 << 5;
    return sign ? 1 << 3 : 1 << 4;
}

static uint64_t fp_narrow(const struct ir_insn *op, uint64_t v, uint32_t *flags)
{
    double a = fp_f64(v);
    float r;

    if (op->aux == IR_RMM)
        return fp_soft(op, v, 0, 0, flags);
    fp_open(op->aux, *flags);
    FP_PIN(a);
    r = (float)a;
    FP_PIN(r);
    fp_close(op->aux, flags);
    return fp_bits32(r);
}

uint64_t fp_eval(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c, uint32_t *flags)
{
    switch (op->op) {
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
    case IR_FSQRT: return fp_arith(op, a, b, flags);
    case IR_FMA: return fp_fma(op, a, b, c, flags);
    case IR_FMIN:
    case IR_FMAX: return fp_min_max(op, a, b, flags);
    case IR_FCMP: return fp_compare(op, a, b, flags);
    case IR_FCLASS: return fp_class(op->width, a);
    case IR_FCVT_FF:
        return op->width == IR_F64 ? fp_narrow(op, a, flags) : fp_soft(op, a, 0, 0, flags);
    default: return fp_soft(op, a, b, c, flags); /* conversions from and to integers */
    }
}
