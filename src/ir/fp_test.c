/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point: the host's unit against the integer implementation on random and awkward
 * operands (results and flags, in every mode the host has), and fixed cases for what the host
 * does not do.
 */
#include "ir/fp.h"

#include "base/unit_test.h"
#include <stdbool.h>
#include <string.h>

enum { ROUNDS = 20000 };

static uint64_t rng = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

/* Numbers near the edges of the format, and of each other, more often than chance would. */
static uint64_t random_float(enum ir_width w)
{
    unsigned mantissa = w == IR_F64 ? 52 : 23, bits = w == IR_F64 ? 64 : 32;
    static const int near[] = {0, 1, 2, 1022, 1023, 1024, 1075, 2045, 2046, 2047};
    uint64_t exp = random64(), frac = random64(), sign = random64() & 1, max;

    max = (UINT64_C(1) << (bits - 1 - mantissa)) - 1;
    if (random64() % 2)
        exp = (uint64_t)near[random64() % ARRAY_LEN(near)];
    if (w == IR_F32 && exp > max)
        exp = exp % 4 ? 120 + exp % 16 : max - exp % 3;
    if (random64() % 2) /* few bits set, or all but few */
        frac = UINT64_C(1) << random64() % 64;
    if (random64() % 4 == 0)
        frac = -frac;
    if (random64() % 8 == 0)
        frac = 0;
    frac &= (UINT64_C(1) << mantissa) - 1;
    return sign << (bits - 1) | (exp & max) << mantissa | frac;
}

static void compare(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c)
{
    uint32_t host_flags = 0, soft_flags = 0;
    uint64_t host = fp_eval(op, a, b, c, &host_flags);
    uint64_t soft = fp_soft(op, a, b, c, &soft_flags);

    if (host != soft || host_flags != soft_flags)
        fail_msg(
            "%s width %u mode %u imm %d: %lx %lx %lx: host %lx flags %x, integers %lx flags %x",
            ir_op_info[op->op].name, op->width, op->aux, (int)op->imm, a, b, c, host, host_flags,
            soft, soft_flags);
}

static void compare_op(enum ir_op code, enum ir_width w)
{
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct ir_insn op = {.op = (uint8_t)code, .width = (uint8_t)w, .aux = (uint8_t)(n & 3)};

        if (code == IR_FMA)
            op.imm = n >> 2 & 3;
        compare(&op, random_float(w), random_float(w), random_float(w));
    }
}

static void test_host_equals_integers(void **state)
{
    static const enum ir_op ops[] = {IR_FADD, IR_FSUB, IR_FMUL, IR_FDIV, IR_FSQRT, IR_FMA};

    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        compare_op(ops[i], IR_F64);
        compare_op(ops[i], IR_F32);
    }
    compare_op(IR_FCVT_FF, IR_F64);
}

/* Products that almost cancel the addend: where a fused operation differs from two. */
static void test_fma_cancellation(void **state)
{
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct ir_insn op = {.op = IR_FMA, .width = IR_F64, .aux = (uint8_t)(n & 3)};
        double x, y, z;
        uint64_t a = random_float(IR_F64), b = random_float(IR_F64), c;

        memcpy(&x, &a, 8);
        memcpy(&y, &b, 8);
        z = -(x * y);
        memcpy(&c, &z, 8);
        compare(&op, a, b, c + random64() % 3 - 1);
    }
}

static uint64_t bits_of(double d)
{
    uint64_t v;

    memcpy(&v, &d, sizeof(v));
    return v;
}

static uint64_t bits_of_f(float f)
{
    uint32_t v;

    memcpy(&v, &f, sizeof(v));
    return v;
}

struct fixed_case {
    uint8_t op, width, aux;
    int imm;
    uint64_t a, b, want;
    uint32_t flags;
};

static void check_fixed(const struct fixed_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct fixed_case *t = &cases[i];
        struct ir_insn op = {.op = t->op, .width = t->width, .aux = t->aux, .imm = t->imm};
        uint32_t flags = 0;
        uint64_t got = fp_eval(&op, t->a, t->b, 0, &flags);

        if (got != t->want || flags != t->flags)
            fail_msg("case %u (%s): %lx flags %x, want %lx flags %x", i, ir_op_info[t->op].name,
                     got, flags, t->want, t->flags);
    }
}

static void test_ties_away_from_zero(void **state)
{
    const uint64_t one = bits_of(1), half_ulp = bits_of(0x1p-53);
    const struct fixed_case cases[] = {
        {IR_FADD, IR_F64, IR_RNE, 0, one, half_ulp, one, IR_FP_NX},
        {IR_FADD, IR_F64, IR_RMM, 0, one, half_ulp, one + 1, IR_FP_NX},
        {IR_FADD, IR_F64, IR_RMM, 0, one, half_ulp - 1, one, IR_FP_NX},
        {IR_FADD, IR_F64, IR_RMM, 0, bits_of(-1), bits_of(-0x1p-53), bits_of(-1) + 1, IR_FP_NX},
        {IR_FADD, IR_F64, IR_RMM, 0, one, bits_of(2), bits_of(3), 0},
        {IR_FMUL, IR_F32, IR_RMM, 0, 0x3f800001, 0x3fc00000, 0x3fc00002, IR_FP_NX},
        {IR_FMUL, IR_F64, IR_RMM, 0, 1, bits_of(0.5), 1, IR_FP_NX | IR_FP_UF},
        {IR_FCVT_FF, IR_F64, IR_RMM, 0, bits_of(0x1.000001p0), 0, 0x3f800001, IR_FP_NX},
        {IR_FCVT_FF, IR_F64, IR_RNE, 0, bits_of(0x1.000001p0), 0, 0x3f800000, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RMM, IR_I32, bits_of(2.5), 0, 3, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RNE, IR_I32, bits_of(2.5), 0, 2, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RMM, IR_I32, bits_of(-0.5), 0, UINT64_MAX, IR_FP_NX},
    };

    check_fixed(cases, ARRAY_LEN(cases));
}

static void test_float_to_integer(void **state)
{
    const uint64_t nan = IR_F64_NAN, inf = bits_of(__builtin_inf());
    const uint64_t min32 = (uint64_t)(int64_t)INT32_MIN;
    const struct fixed_case cases[] = {
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_I32, nan, 0, INT32_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_U32, nan, 0, UINT64_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_I64, nan | UINT64_C(1) << 63, 0, INT64_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_U64, inf, 0, UINT64_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_I64, inf | UINT64_C(1) << 63, 0, (uint64_t)INT64_MIN,
         IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_I32, bits_of(-2147483648.9), 0, min32, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RDN, IR_I32, bits_of(-2147483648.9), 0, min32, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_I32, bits_of(2147483648.0), 0, INT32_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RNE, IR_I32, bits_of(2147483647.5), 0, INT32_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_U32, bits_of(4294967295.9), 0, UINT64_MAX, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_U32, bits_of(-0.9), 0, 0, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RDN, IR_U32, bits_of(-0.1), 0, 0, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_U64, bits_of(0x1p64), 0, UINT64_MAX, IR_FP_NV},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_U64, bits_of(0x1p63), 0, UINT64_C(1) << 63, 0},
        {IR_FCVT_FI, IR_F64, IR_RTZ, IR_I64, bits_of(-0x1p63), 0, (uint64_t)INT64_MIN, 0},
        {IR_FCVT_FI, IR_F32, IR_RNE, IR_I64, bits_of_f(1.5f), 0, 2, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RNE, IR_I64, 1, 0, 0, IR_FP_NX},
        {IR_FCVT_FI, IR_F64, IR_RUP, IR_I64, 1, 0, 1, IR_FP_NX},
    };

    check_fixed(cases, ARRAY_LEN(cases));
}

static void test_integer_to_float(void **state)
{
    const struct fixed_case cases[] = {
        {IR_FCVT_IF, IR_F64, IR_RNE, IR_I32, 0xffffffff, 0, bits_of(-1), 0},
        {IR_FCVT_IF, IR_F64, IR_RNE, IR_U32, UINT64_MAX, 0, bits_of(4294967295.0), 0},
        {IR_FCVT_IF, IR_F64, IR_RNE, IR_U64, UINT64_MAX, 0, bits_of(0x1p64), IR_FP_NX},
        {IR_FCVT_IF, IR_F64, IR_RTZ, IR_U64, UINT64_MAX, 0, bits_of(0x1p64) - 1, IR_FP_NX},
        {IR_FCVT_IF, IR_F32, IR_RNE, IR_I32, 16777217, 0, bits_of_f(16777216), IR_FP_NX},
        {IR_FCVT_IF, IR_F32, IR_RMM, IR_I32, 16777217, 0, bits_of_f(16777218), IR_FP_NX},
        {IR_FCVT_IF, IR_F64, IR_RDN, IR_I64, 0, 0, 0, 0},
        {IR_FCVT_IF, IR_F32, IR_RNE, IR_I64, (uint64_t)INT64_MIN, 0, bits_of_f(-0x1p63f), 0},
    };

    check_fixed(cases, ARRAY_LEN(cases));
}

static void test_min_max_compare_class(void **state)
{
    const uint64_t one = bits_of(1), zero = 0, minus_zero = UINT64_C(1) << 63;
    const uint64_t snan = IR_F64_NAN - (UINT64_C(1) << 51) + 1;
    const struct fixed_case cases[] = {
        {IR_FMIN, IR_F64, 0, 0, zero, minus_zero, minus_zero, 0},
        {IR_FMIN, IR_F64, 0, 0, minus_zero, zero, minus_zero, 0},
        {IR_FMAX, IR_F64, 0, 0, minus_zero, zero, zero, 0},
        {IR_FMAX, IR_F64, 0, 0, IR_F64_NAN, one, one, 0},
        {IR_FMIN, IR_F64, 0, 0, one, snan, one, IR_FP_NV},
        {IR_FMAX, IR_F64, 0, 0, snan, IR_F64_NAN, IR_F64_NAN, IR_FP_NV},
        {IR_FMIN, IR_F32, 0, 0, 0xff800000, 0x7f800000, 0xff800000, 0},
        {IR_FCMP, IR_F64, IR_FEQ, 0, zero, minus_zero, 1, 0},
        {IR_FCMP, IR_F64, IR_FLT, 0, minus_zero, zero, 0, 0},
        {IR_FCMP, IR_F64, IR_FLE, 0, zero, minus_zero, 1, 0},
        {IR_FCMP, IR_F64, IR_FEQ, 0, IR_F64_NAN, IR_F64_NAN, 0, 0},
        {IR_FCMP, IR_F64, IR_FLE, 0, IR_F64_NAN, one, 0, IR_FP_NV},
        {IR_FCMP, IR_F64, IR_FEQ, 0, snan, one, 0, IR_FP_NV},
        {IR_FCMP, IR_F32, IR_FLT, 0, bits_of_f(-2), bits_of_f(-1), 1, 0},
        {IR_FCLASS, IR_F64, 0, 0, snan, 0, 1 << 8, 0},
        {IR_FCLASS, IR_F64, 0, 0, IR_F64_NAN, 0, 1 << 9, 0},
        {IR_FCLASS, IR_F64, 0, 0, 1, 0, 1 << 5, 0},
        {IR_FCLASS, IR_F32, 0, 0, 0xff800000, 0, 1 << 0, 0},
        {IR_FCLASS, IR_F32, 0, 0, 0x80000001, 0, 1 << 2, 0},
        {IR_FCLASS, IR_F32, 0, 0, 0x3f800000, 0, 1 << 6, 0},
    };

    check_fixed(cases, ARRAY_LEN(cases));
}

static void test_nans(void **state)
{
    const uint64_t inf = bits_of(__builtin_inf()), payload = IR_F64_NAN | UINT64_C(1) << 63 | 77;
    const struct fixed_case cases[] = {
        {IR_FADD, IR_F64, 0, 0, payload, bits_of(1), IR_F64_NAN, 0},
        {IR_FSUB, IR_F64, 0, 0, inf, inf, IR_F64_NAN, IR_FP_NV},
        {IR_FSQRT, IR_F64, 0, 0, bits_of(-1), 0, IR_F64_NAN, IR_FP_NV},
        {IR_FDIV, IR_F64, 0, 0, bits_of(1), 0, inf, IR_FP_DZ},
        {IR_FCVT_FF, IR_F32, 0, 0, 0x7fa00000, 0, IR_F64_NAN, IR_FP_NV},
        {IR_FCVT_FF, IR_F64, 0, 0, payload, 0, IR_F32_NAN, 0},
    };
    struct ir_insn fma = {.op = IR_FMA, .width = IR_F64};
    uint32_t flags = 0;

    check_fixed(cases, ARRAY_LEN(cases));
    assert_int_equal(fp_eval(&fma, inf, 0, IR_F64_NAN, &flags), IR_F64_NAN);
    assert_int_equal(flags, IR_FP_NV);
}

/* Flags already set stay, flags cleared by the guest do not come back from the host's unit. */
static void test_flags_are_sticky_and_clearable(void **state)
{
    struct ir_insn div = {.op = IR_FDIV, .width = IR_F64};
    uint32_t flags = 0;

    (void)fp_eval(&div, bits_of(1), bits_of(3), 0, &flags);
    (void)fp_eval(&div, bits_of(1), 0, 0, &flags);
    assert_int_equal(flags, IR_FP_NX | IR_FP_DZ);
    flags = 0;
    (void)fp_eval(&div, bits_of(4), bits_of(2), 0, &flags);
    assert_int_equal(flags, 0);
    (void)fp_eval(&div, bits_of(1), bits_of(3), 0, &flags);
    assert_int_equal(flags, IR_FP_NX);
}

RUN_TESTS(cmocka_unit_test(test_host_equals_integers), cmocka_unit_test(test_fma_cancellation),
          cmocka_unit_test(test_ties_away_from_zero), cmocka_unit_test(test_float_to_integer),
          cmocka_unit_test(test_integer_to_float), cmocka_unit_test(test_min_max_compare_class),
          cmocka_unit_test(test_nans), cmocka_unit_test(test_flags_are_sticky_and_clearable))
