/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point with integers only, after the definitions of IEEE 754-2019 (clauses 4, 5, 7).
 * A number is unpacked to a 64-bit significand with its leading one in bit 63 and an unbounded
 * exponent; an operation yields such a number with every lost bit ORed into bit 0 ("jammed"), and
 * soft_pack() rounds once. 64 bits leave at least 11 below the last kept one, so a jammed bit
 * never reaches the rounding position.
 */
#include "ir/fp.h"

struct soft_format {
    int mantissa; /* stored bits */
    int bias;
    unsigned sign; /* bit number */
};

static const struct soft_format soft_f64 = {52, 1023, 63}, soft_f32 = {23, 127, 31};

enum soft_kind { SOFT_ZERO, SOFT_FINITE, SOFT_INF, SOFT_NAN };

struct soft {
    enum soft_kind kind;
    bool sign;
    int exp;      /* of the leading bit */
    uint64_t sig; /* SOFT_FINITE: bit 63 set */
};

typedef unsigned __int128 soft_wide;

static const struct soft_format *soft_format(enum ir_width w)
{
    return w == IR_F64 ? &soft_f64 : &soft_f32;
}

static struct soft soft_unpack(const struct soft_format *f, uint64_t v)
{
    uint64_t frac = v & ((UINT64_C(1) << f->mantissa) - 1);
    int exp = (int)(v >> f->mantissa & (uint64_t)(2 * f->bias + 1));
    struct soft s = {.sign = v >> f->sign & 1};
    int up;

    if (exp == 2 * f->bias + 1) {
        s.kind = frac ? SOFT_NAN : SOFT_INF;
        return s;
    }
    if (!exp && !frac)
        return s;
    s.kind = SOFT_FINITE;
    s.sig = exp ? frac | UINT64_C(1) << f->mantissa : frac;
    up = __builtin_clzll(s.sig);
    s.sig <<= up;
    s.exp = (exp ? exp : 1) - f->bias + 63 - f->mantissa - up;
    return s;
}

static uint64_t soft_shift_jam(uint64_t v, int n)
{
    if (n <= 0)
        return v;
    if (n > 63)
        return v != 0;
    return v >> n | ((v & ((UINT64_C(1) << n) - 1)) != 0);
}

static soft_wide soft_wide_shift_jam(soft_wide v, int n)
{
    if (n <= 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | ((v & (((soft_wide)1 << n) - 1)) != 0);
}

/* True when dropping the bits `rest` (of `count`) below `kept` rounds away from zero. */
static bool soft_rounds_up(enum ir_round rm, bool sign, uint64_t kept, uint64_t rest, int count)
{
    uint64_t half = UINT64_C(1) << (count - 1);

    switch (rm) {
    case IR_RNE: return rest > half || (rest == half && kept & 1);
    case IR_RMM: return rest >= half;
    case IR_RDN: return sign && rest;
    case IR_RUP: return !sign && rest;
    case IR_RTZ: return false;
    }
    return false;
}

static uint64_t soft_zero(const struct soft_format *f, bool sign)
{
    return sign ? UINT64_C(1) << f->sign : 0;
}

static uint64_t soft_inf(const struct soft_format *f, bool sign)
{
    return soft_zero(f, sign) | (uint64_t)(2 * f->bias + 1) << f->mantissa;
}

static uint64_t soft_overflow(const struct soft_format *f, bool sign, enum ir_round rm,
                              uint32_t *flags)
{
    bool to_inf = rm == IR_RNE || rm == IR_RMM || rm == (sign ? IR_RDN : IR_RUP);

    *flags |= IR_FP_OF | IR_FP_NX;
    return soft_inf(f, sign) - (to_inf ? 0 : 1);
}

/* Rounds a finite number to the format. */
static uint64_t soft_pack(const struct soft_format *f, bool sign, int exp, uint64_t sig,
                          enum ir_round rm, uint32_t *flags)
{
    const int drop = 63 - f->mantissa;
    const uint64_t low = (UINT64_C(1) << drop) - 1, top = UINT64_C(1) << f->mantissa;
    int e = exp + f->bias;
    bool tiny = false;
    uint64_t kept, bits;

    if (e <= 0) {
        /* Tiny unless rounding with an unbounded exponent reaches the smallest normal number. */
        kept = sig >> drop;
        tiny = e < 0 || kept + soft_rounds_up(rm, sign, kept, sig & low, drop) < 2 * top;
        sig = soft_shift_jam(sig, 1 - e);
    }
    kept = sig >> drop;
    if (sig & low)
        *flags |= tiny ? IR_FP_NX | IR_FP_UF : IR_FP_NX;
    kept += soft_rounds_up(rm, sign, kept, sig & low, drop);
    /* A carry out of the mantissa moves into the exponent by itself. */
    bits = e > 0 ? ((uint64_t)(unsigned)(e - 1) << f->mantissa) + kept : kept;
    if (e >= 2 * f->bias + 1 || bits >= soft_inf(f, false))
        return soft_overflow(f, sign, rm, flags);
    return soft_zero(f, sign) | bits;
}

/* The same for a 128-bit significand, not normalised; 0 is an exact zero of the given sign. The
 * value is sig * 2^(exp - 127). */
static uint64_t soft_pack_wide(const struct soft_format *f, bool sign, int exp, soft_wide sig,
                               enum ir_round rm, uint32_t *flags)
{
    uint64_t high = (uint64_t)(sig >> 64);
    int up;

    if (!sig)
        return soft_zero(f, sign);
    up = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sig);
    sig <<= up;
    return soft_pack(f, sign, exp - up, (uint64_t)(sig >> 64) | ((uint64_t)sig != 0), rm, flags);
}

/* a + b, both not NaN, as wide significands with bit 126 the highest that may be set. */
static uint64_t soft_sum(const struct soft_format *f, const struct soft *a, soft_wide asig,
                         const struct soft *b, soft_wide bsig, enum ir_round rm, uint32_t *flags)
{
    int exp = a->exp > b->exp ? a->exp : b->exp;

    asig = soft_wide_shift_jam(asig, exp - a->exp);
    bsig = soft_wide_shift_jam(bsig, exp - b->exp);
    if (a->sign == b->sign)
        return soft_pack_wide(f, a->sign, exp + 1, asig + bsig, rm, flags);
    if (asig == bsig)
        return soft_zero(f, rm == IR_RDN);
    if (asig > bsig)
        return soft_pack_wide(f, a->sign, exp + 1, asig - bsig, rm, flags);
    return soft_pack_wide(f, b->sign, exp + 1, bsig - asig, rm, flags);
}

static uint64_t soft_add(enum ir_width w, uint64_t av, uint64_t bv, bool subtract, enum ir_round rm,
                         uint32_t *flags)
{
    const struct soft_format *f = soft_format(w);
    struct soft a = soft_unpack(f, av), b = soft_unpack(f, bv);

    b.sign ^= subtract;
    if (a.kind == SOFT_INF && b.kind == SOFT_INF && a.sign != b.sign) {
        *flags |= IR_FP_NV;
        return fp_nan(w);
    }
    if (a.kind == SOFT_INF || b.kind == SOFT_INF)
        return soft_inf(f, a.kind == SOFT_INF ? a.sign : b.sign);
    if (a.kind == SOFT_ZERO && b.kind == SOFT_ZERO)
        return soft_zero(f, a.sign == b.sign ? a.sign : rm == IR_RDN);
    if (a.kind == SOFT_ZERO)
        a.exp = b.exp;
    if (b.kind == SOFT_ZERO)
        b.exp = a.exp;
    return soft_sum(f, &a, (soft_wide)a.sig << 63, &b, (soft_wide)b.sig << 63, rm, flags);
}

static uint64_t soft_mul(enum ir_width w, uint64_t av, uint64_t bv, enum ir_round rm,
                         uint32_t *flags)
{
    const struct soft_format *f = soft_format(w);
    struct soft a = soft_unpack(f, av), b = soft_unpack(f, bv);
    bool sign = a.sign ^ b.sign;

    if (a.kind == SOFT_INF || b.kind == SOFT_INF) {
        if (a.kind != SOFT_ZERO && b.kind != SOFT_ZERO)
            return soft_inf(f, sign);
        *flags |= IR_FP_NV;
        return fp_nan(w);
    }
    return soft_pack_wide(f, sign, a.exp + b.exp + 1, (soft_wide)a.sig * b.sig, rm, flags);
}

static uint64_t soft_div(enum ir_width w, uint64_t av, uint64_t bv, enum ir_round rm,
                         uint32_t *flags)
{
    const struct soft_format *f = soft_format(w);
    struct soft a = soft_unpack(f, av), b = soft_unpack(f, bv);
    bool sign = a.sign ^ b.sign;
    soft_wide dividend = (soft_wide)a.sig << 63;

    if (a.kind == b.kind && a.kind != SOFT_FINITE) { /* 0/0, inf/inf */
        *flags |= IR_FP_NV;
        return fp_nan(w);
    }
    if (a.kind == SOFT_INF)
        return soft_inf(f, sign);
    if (b.kind == SOFT_INF || a.kind == SOFT_ZERO)
        return soft_zero(f, sign);
    if (b.kind == SOFT_ZERO) {
        *flags |= IR_FP_DZ;
        return soft_inf(f, sign);
    }
    return soft_pack_wide(f, sign, a.exp - b.exp, dividend / b.sig << 64 | (dividend % b.sig != 0),
                          rm, flags);
}

/* The largest r with r * r <= v, bit by bit. */
static uint64_t soft_root(soft_wide v)
{
    uint64_t r = 0;

    for (int bit = 63; bit >= 0; bit--) {
        uint64_t t = r | UINT64_C(1) << bit;

        if ((soft_wide)t * t <= v)
            r = t;
    }
    return r;
}

static uint64_t soft_sqrt(enum ir_width w, uint64_t av, enum ir_round rm, uint32_t *flags)
{
    const struct soft_format *f = soft_format(w);
    struct soft a = soft_unpack(f, av);
    bool odd = a.exp & 1;
    soft_wide v = (soft_wide)a.sig << (odd ? 64 : 63);
    uint64_t root;

    if (a.kind == SOFT_ZERO)
        return av;
    if (a.sign) {
        *flags |= IR_FP_NV;
        return fp_nan(w);
    }
    if (a.kind == SOFT_INF)
        return av;
    root = soft_root(v);
    return soft_pack_wide(f, false, (a.exp - odd) / 2,
                          (soft_wide)root << 64 | ((soft_wide)root * root != v), rm, flags);
}

static uint64_t soft_fma(const struct ir_insn *op, uint64_t av, uint64_t bv, uint64_t cv,
                         uint32_t *flags)
{
    const struct soft_format *f = soft_format(op->width);
    struct soft a = soft_unpack(f, av), b = soft_unpack(f, bv), c = soft_unpack(f, cv);
    struct soft p = {.sign = a.sign ^ b.sign ^ (op->imm & 1), .exp = a.exp + b.exp + 1};
    bool infinite = a.kind == SOFT_INF || b.kind == SOFT_INF;
    bool zero = a.kind == SOFT_ZERO || b.kind == SOFT_ZERO;

    c.sign ^= op->imm >> 1 & 1;
    if ((infinite && zero) || (infinite && c.kind == SOFT_INF && c.sign != p.sign)) {
        *flags |= IR_FP_NV;
        return fp_nan(op->width);
    }
    if (infinite || c.kind == SOFT_INF)
        return soft_inf(f, infinite ? p.sign : c.sign);
    if (zero && c.kind == SOFT_ZERO)
        return soft_zero(f, p.sign == c.sign ? p.sign : op->aux == IR_RDN);
    if (zero)
        p.exp = c.exp;
    if (c.kind == SOFT_ZERO)
        c.exp = p.exp;
    /* The product's 22 low bits are zero, so halving it loses nothing. */
    return soft_sum(f, &p, zero ? 0 : (soft_wide)a.sig * b.sig >> 1, &c, (soft_wide)c.sig << 63,
                    op->aux, flags);
}

static uint64_t soft_convert(const struct ir_insn *op, uint64_t av, uint32_t *flags)
{
    const struct soft_format *to = soft_format(op->width == IR_F64 ? IR_F32 : IR_F64);
    struct soft a = soft_unpack(soft_format(op->width), av);

    switch (a.kind) {
    case SOFT_ZERO: return soft_zero(to, a.sign);
    case SOFT_INF: return soft_inf(to, a.sign);
    case SOFT_NAN: return fp_nan(op->width == IR_F64 ? IR_F32 : IR_F64);
    default: return soft_pack(to, a.sign, a.exp, a.sig, op->aux, flags);
    }
}

static uint64_t soft_from_int(const struct ir_insn *op, uint64_t v, uint32_t *flags)
{
    bool narrow = op->imm == IR_I32 || op->imm == IR_U32;
    bool is_signed = op->imm == IR_I32 || op->imm == IR_I64;
    bool sign = is_signed && v >> (narrow ? 31 : 63) & 1;
    int up;

    if (narrow)
        v = sign ? (uint64_t)(int64_t)(int32_t)v : (uint32_t)v;
    if (sign)
        v = -v;
    if (!v)
        return 0;
    up = __builtin_clzll(v);
    return soft_pack(soft_format(op->width), sign, 63 - up, v << up, op->aux, flags);
}

/* What a value out of range becomes: RISC-V unprivileged specification, table "Domains of
 * float-to-integer conversions". NaN counts as a large positive number. */
static uint64_t soft_saturate(enum ir_int kind, bool negative, uint32_t *flags)
{
    *flags |= IR_FP_NV;
    switch (kind) {
    case IR_I32: return negative ? (uint64_t)(int64_t)INT32_MIN : INT32_MAX;
    case IR_U32: return negative ? 0 : UINT64_MAX;
    case IR_I64: return negative ? (uint64_t)INT64_MIN : INT64_MAX;
    default: return negative ? 0 : UINT64_MAX;
    }
}

/* The largest magnitude that fits. */
static uint64_t soft_int_limit(enum ir_int kind, bool negative)
{
    switch (kind) {
    case IR_I32: return negative ? UINT64_C(1) << 31 : INT32_MAX;
    case IR_U32: return negative ? 0 : UINT32_MAX;
    case IR_I64: return negative ? UINT64_C(1) << 63 : INT64_MAX;
    default: return negative ? 0 : UINT64_MAX;
    }
}

static uint64_t soft_to_int(const struct ir_insn *op, uint64_t av, uint32_t *flags)
{
    struct soft a = soft_unpack(soft_format(op->width), av);
    enum ir_int kind = (enum ir_int)op->imm;
    soft_wide fixed; /* 64 bits of fraction below the point */
    uint64_t v, rest;

    if (a.kind == SOFT_ZERO)
        return 0;
    if (a.kind != SOFT_FINITE || a.exp > 63)
        return soft_saturate(kind, a.kind != SOFT_NAN && a.sign, flags);
    fixed = soft_wide_shift_jam((soft_wide)a.sig << 64, 63 - a.exp);
    v = (uint64_t)(fixed >> 64);
    rest = (uint64_t)fixed;
    if (soft_rounds_up(op->aux, a.sign, v, rest, 64) && !++v)
        return soft_saturate(kind, a.sign, flags);
    if (v > soft_int_limit(kind, a.sign))
        return soft_saturate(kind, a.sign, flags);
    if (rest)
        *flags |= IR_FP_NX;
    v = a.sign ? -v : v;
    return kind == IR_I32 || kind == IR_U32 ? (uint64_t)(int64_t)(int32_t)v : v;
}

/* True when an operand is NaN: the result is then the canonical one, whatever the others are,
 * except that infinity times zero is invalid even when the addend is a quiet NaN. */
static bool soft_nan_operand(const struct ir_insn *op, const uint64_t v[3], uint32_t *flags)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const bool used[3] = {true, info->has_b, info->has_c};
    bool nan = false;

    for (unsigned i = 0; i < 3; i++) {
        if (!used[i] || !fp_is_nan(op->width, v[i]))
            continue;
        nan = true;
        if (fp_is_signaling(op->width, v[i]))
            *flags |= IR_FP_NV;
    }
    if (nan && op->op == IR_FMA) {
        enum soft_kind a = soft_unpack(soft_format(op->width), v[0]).kind;
        enum soft_kind b = soft_unpack(soft_format(op->width), v[1]).kind;

        if ((a == SOFT_INF && b == SOFT_ZERO) || (a == SOFT_ZERO && b == SOFT_INF))
            *flags |= IR_FP_NV;
    }
    return nan;
}

uint64_t fp_soft(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c, uint32_t *flags)
{
    enum ir_width w = op->width;
    enum ir_round rm = op->aux;

    if (op->op == IR_FCVT_IF)
        return soft_from_int(op, a, flags);
    if (w == IR_F32) {
        a = (uint32_t)a;
        b = (uint32_t)b;
        c = (uint32_t)c;
    }
    if (op->op == IR_FCVT_FI)
        return soft_to_int(op, a, flags);
    if (soft_nan_operand(op, (const uint64_t[]){a, b, c}, flags))
        return fp_nan(op->op != IR_FCVT_FF ? w : w == IR_F64 ? IR_F32 : IR_F64);
    switch (op->op) {
    case IR_FADD: return soft_add(w, a, b, false, rm, flags);
    case IR_FSUB: return soft_add(w, a, b, true, rm, flags);
    case IR_FMUL: return soft_mul(w, a, b, rm, flags);
    case IR_FDIV: return soft_div(w, a, b, rm, flags);
    case IR_FSQRT: return soft_sqrt(w, a, rm, flags);
    case IR_FMA: return soft_fma(op, a, b, c, flags);
    default: return soft_convert(op, a, flags);
    }
}
