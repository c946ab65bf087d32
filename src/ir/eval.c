/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meaning of the pure integer operations. 32-bit forms compute on the low halves and zero-extend.
 * Division is total, by RISC-V's rules (unprivileged specification, "M" extension, table of
 * division by zero and overflow); lifts of other ISAs add their own checks in front.
 */
#include "ir/eval.h"

#include "base/bits.h"

static uint64_t eval_divs(int64_t a, int64_t b, int64_t min)
{
    if (!b)
        return UINT64_MAX;
    return a == min && b == -1 ? (uint64_t)min : (uint64_t)(a / b);
}

static uint64_t eval_rems(int64_t a, int64_t b, int64_t min)
{
    if (!b)
        return (uint64_t)a;
    return a == min && b == -1 ? 0 : (uint64_t)(a % b);
}

static uint64_t eval_divide(const struct ir_insn *op, uint64_t a, uint64_t b)
{
    bool narrow = op->width == IR_32;
    int64_t min = narrow ? INT32_MIN : INT64_MIN;
    int64_t sa = narrow ? (int32_t)a : (int64_t)a;
    int64_t sb = narrow ? (int32_t)b : (int64_t)b;
    uint64_t ua = narrow ? (uint32_t)a : a, ub = narrow ? (uint32_t)b : b;

    switch (op->op) {
    case IR_DIVU: return ub ? ua / ub : UINT64_MAX;
    case IR_DIVS: return eval_divs(sa, sb, min);
    case IR_REMU: return ub ? ua % ub : ua;
    default: return eval_rems(sa, sb, min);
    }
}

static uint64_t eval_shift(const struct ir_insn *op, uint64_t a, uint64_t b)
{
    unsigned width = op->width == IR_32 ? 32 : 64, n = (unsigned)b & (width - 1);

    a &= bits_mask(width);
    switch (op->op) {
    case IR_SHL: return a << n;
    case IR_SHR: return a >> n;
    case IR_SAR: return (uint64_t)((int64_t)sign_extend(a, width) >> n);
    default: return n ? a >> n | a << (width - n) : a;
    }
}

static uint64_t eval_count(const struct ir_insn *op, uint64_t a)
{
    unsigned width = op->width == IR_32 ? 32 : 64;

    a &= bits_mask(width);
    switch (op->op) {
    case IR_CLZ: return a ? (unsigned)__builtin_clzll(a) - (64 - width) : width;
    case IR_CTZ: return a ? (unsigned)__builtin_ctzll(a) : width;
    case IR_POPCNT: return (unsigned)__builtin_popcountll(a);
    default: return __builtin_bswap64(a) >> (64 - width);
    }
}

static uint64_t eval_orcb(uint64_t a)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 64; i += 8)
        if (a >> i & 0xff)
            r |= UINT64_C(0xff) << i;
    return r;
}

/* x86 flags of an addition, subtraction or logical result on `bits` bits. */
static uint64_t eval_flags(const struct ir_insn *op, uint64_t a, uint64_t b)
{
    unsigned bits = op->imm ? (unsigned)op->imm : op->width == IR_32 ? 32 : 64;
    uint64_t mask = bits_mask(bits), r = a, carry = 0, overflow = 0, f = 0;

    a &= mask;
    b &= mask;
    if (op->aux == IR_FLAGS_ADD) {
        r = a + b;
        carry = (r & mask) < a;
        overflow = (a ^ r) & (b ^ r);
    } else if (op->aux == IR_FLAGS_SUB) {
        r = a - b;
        carry = a < b;
        overflow = (a ^ b) & (a ^ r);
    }
    r &= mask;
    f |= carry ? IR_CF : 0;
    f |= __builtin_parity((unsigned)r & 0xff) ? 0 : IR_PF;
    f |= op->aux != IR_FLAGS_LOGIC && (a ^ b ^ r) & 0x10 ? IR_AF : 0;
    f |= r ? 0 : IR_ZF;
    f |= r >> (bits - 1) & 1 ? IR_SF : 0;
    f |= overflow >> (bits - 1) & 1 ? IR_OF : 0;
    return f;
}

static bool eval_testcc(enum ir_flag_cc cc, uint64_t f)
{
    bool less = !(f & IR_SF) != !(f & IR_OF);

    switch (cc) {
    case IR_CC_O: return f & IR_OF;
    case IR_CC_C: return f & IR_CF;
    case IR_CC_Z: return f & IR_ZF;
    case IR_CC_BE: return f & (IR_CF | IR_ZF);
    case IR_CC_S: return f & IR_SF;
    case IR_CC_P: return f & IR_PF;
    case IR_CC_L: return less;
    case IR_CC_LE: return less || f & IR_ZF;
    }
    return false;
}

bool ir_compare(enum ir_cc cc, enum ir_width w, uint64_t a, uint64_t b)
{
    if (w == IR_32) {
        a = sign_extend(a, 32); /* keeps both orders */
        b = sign_extend(b, 32);
    }
    switch (cc) {
    case IR_EQ: return a == b;
    case IR_NE: return a != b;
    case IR_LT: return (int64_t)a < (int64_t)b;
    case IR_GE: return (int64_t)a >= (int64_t)b;
    case IR_LTU: return a < b;
    case IR_GEU: return a >= b;
    }
    return false;
}

static uint64_t eval_mulh(const struct ir_insn *op, uint64_t a, uint64_t b)
{
    uint64_t high = (uint64_t)((unsigned __int128)a * b >> 64);

    /* A negative operand read as unsigned is 2^64 too large. */
    if (op->op != IR_MULHU && (int64_t)a < 0)
        high -= b;
    if (op->op == IR_MULHS && (int64_t)b < 0)
        high -= a;
    return high;
}

/* Results of 32-bit forms may have anything in the upper half: ir_eval() clears it. */
static uint64_t eval_full(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c)
{
    switch ((enum ir_op)op->op) {
    case IR_MOV: return a;
    case IR_IMM:
    case IR_PC: return (uint64_t)op->imm;
    case IR_ADD: return a + b;
    case IR_SUB: return a - b;
    case IR_AND: return a & b;
    case IR_OR: return a | b;
    case IR_XOR: return a ^ b;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROR: return eval_shift(op, a, b);
    case IR_MUL: return a * b;
    case IR_MULHU:
    case IR_MULHS:
    case IR_MULHSU: return eval_mulh(op, a, b);
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS: return eval_divide(op, a, b);
    case IR_LEA: return a + (b << op->aux);
    case IR_EXTS: return sign_extend(a, 8u << op->aux);
    case IR_EXTU: return a & bits_mask(8u << op->aux);
    case IR_EXTRACT: return bits_get(a, op->aux, (unsigned)op->imm);
    case IR_DEPOSIT: return bits_set(a, op->aux, (unsigned)op->imm, b);
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
    case IR_BSWAP: return eval_count(op, a);
    case IR_ORCB: return eval_orcb(a);
    case IR_SETCC: return ir_compare(op->aux, op->width, a, b);
    case IR_SELECT: return c ? a : b;
    case IR_FLAGS: return eval_flags(op, a, b);
    case IR_TESTCC: return eval_testcc(op->aux, a);
    case IR_FBOX: return a | UINT64_C(0xffffffff00000000);
    case IR_FUNBOX: return a >> 32 == UINT32_MAX ? (uint32_t)a : IR_F32_NAN;
    default: return 0; /* not pure: ir_verify() and the callers keep these away */
    }
}

uint64_t ir_eval(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t r = eval_full(op, a, b, c);

    /* EXTS extends to 64 bits and FBOX fills the upper half whatever the width says. */
    if (op->width == IR_32 && op->op != IR_EXTS && op->op != IR_FBOX)
        r = (uint32_t)r;
    return r;
}
