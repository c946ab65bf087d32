/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point on SSE2 and FMA3. MXCSR holds the guest's rounding mode and collects its sticky
 * flags (tininess after rounding, as RISC-V and SSE agree). A NaN result leaves the fast path: x86
 * propagates payloads where the IR wants the canonical NaN, and FMA's invalid flag differs for
 * 0 * inf + qNaN, so the interpreter does those. What rounds otherwise than the context, and the
 * rare conversions, are left to the interpreter altogether. Values travel in xmm0-xmm2.
 */
#include "jit/gen.h"

enum { XMM0, XMM1, XMM2 };
enum {
    SSE_MOVE = 0x10 | X86_0F,       /* + prefix: xmm <- m */
    SSE_MOVE_STORE = 0x11 | X86_0F, /* m <- xmm */
    SSE_UCOMI = 0x2e | X86_0F,      /* + X86_66 for double */
    SSE_COMI = 0x2f | X86_0F,
    SSE_CVT_FROM_INT = 0x2a | X86_0F,
    SSE_CVTT_TO_INT = 0x2c | X86_0F,
    SSE_CVT_TO_INT = 0x2d | X86_0F,
    SSE_SQRT = 0x51 | X86_0F,
    SSE_ADD = 0x58 | X86_0F,
    SSE_MUL = 0x59 | X86_0F,
    SSE_CVT_FLOAT = 0x5a | X86_0F,
    SSE_SUB = 0x5c | X86_0F,
    SSE_MIN = 0x5d | X86_0F,
    SSE_DIV = 0x5e | X86_0F,
    SSE_MAX = 0x5f | X86_0F,
};

static uint32_t fp_scalar(const struct ir_insn *op)
{
    return op->width == IR_F64 ? X86_F2 : X86_F3;
}

static uint32_t fp_packed(const struct ir_insn *op)
{
    return op->width == IR_F64 ? X86_66 : 0;
}

static void fp_load(struct gen *g, unsigned xmm, ir_slot slot, uint32_t prefix)
{
    if (g->slot[slot].constant || g->slot[slot].reg >= 0) {
        unsigned r = gen_src(g, slot);

        x86_rr(&g->c, 0x6e | X86_0F | X86_66, true, xmm, r); /* movq xmm, r */
    } else {
        x86_rm(&g->c, SSE_MOVE | prefix, false, xmm, RBP, slot_disp(slot));
    }
}

/* Result in xmm0 to dst; an IR_F32 result is zero-extended in its slot. */
static void fp_store(struct gen *g, ir_slot dst, bool wide)
{
    unsigned d;

    if (wide && gen_is_global(g, dst) && !g->slot[dst].pinned) {
        gen_forget(g, dst);
        x86_rm(&g->c, SSE_MOVE_STORE | X86_F2, false, XMM0, RBP, slot_disp(dst));
        return;
    }
    d = gen_dst(g, dst);
    x86_rr(&g->c, 0x7e | X86_0F | X86_66, wide, XMM0, d); /* movd, movq r, xmm0 */
    gen_done(g, dst, d);
}

/* Sources the cold end reads must be in their slots. */
static void fp_prepare(struct gen *g, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot used[3] = {op->a, op->b, op->c};
    const bool has[3] = {info->has_a, info->has_b, info->has_c};

    gen_flush_temps(g);
    gen_release(g, GEN_CLOBBERED);
    for (unsigned i = 0; i < 3; i++) {
        if (has[i] && g->slot[used[i]].constant && !gen_is_global(g, used[i])) {
            gen_src_to(g, RAX, used[i]);
            x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, slot_disp(used[i]));
        }
    }
}

/* xmm0 to dst; a temporary goes to its slot, where a cold end leaves it too. */
static void fp_to_slot(struct gen *g, ir_slot dst, bool wide)
{
    gen_forget(g, dst);
    if (g->slot[dst].pinned) {
        fp_store(g, dst, wide);
    } else if (wide) {
        x86_rm(&g->c, SSE_MOVE_STORE | X86_F2, false, XMM0, RBP, slot_disp(dst));
    } else { /* movd clears the upper half of rax */
        x86_rr(&g->c, 0x7e | X86_0F | X86_66, false, XMM0, RAX);
        x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, slot_disp(dst));
    }
}

/* NaN in xmm0: let the interpreter do the op again. Both ends leave dst in its slot. */
static void fp_finish(struct gen *g, const struct ir_insn *op, bool wide)
{
    struct gen_cold *cold = gen_cold_new(g, COLD_OP);

    x86_rr(&g->c, SSE_UCOMI | (wide ? X86_66 : 0), false, XMM0, XMM0);
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_P);
    fp_to_slot(g, op->dst, wide);
    cold->back = g->c.at;
}

static bool fp_arith(struct gen *g, const struct ir_insn *op, uint32_t opcode)
{
    if (op->aux != g->rounding)
        return false;
    fp_prepare(g, op);
    fp_load(g, XMM0, op->a, fp_scalar(op));
    if (op->op == IR_FSQRT) {
        x86_rr(&g->c, opcode | fp_scalar(op), false, XMM0, XMM0);
    } else {
        fp_load(g, XMM1, op->b, fp_scalar(op));
        x86_rr(&g->c, opcode | fp_scalar(op), false, XMM0, XMM1);
    }
    fp_finish(g, op, op->width == IR_F64);
    return true;
}

static bool fp_fma(struct gen *g, const struct ir_insn *op)
{
    static const uint8_t opcode[4] = {0xb9, 0xbd, 0xbb, 0xbf}; /* negate product, negate c */

    if (op->aux != g->rounding)
        return false;
    fp_prepare(g, op);
    fp_load(g, XMM0, op->c, fp_scalar(op));
    fp_load(g, XMM1, op->a, fp_scalar(op));
    fp_load(g, XMM2, op->b, fp_scalar(op));
    x86_fma(&g->c, opcode[op->imm & 3], op->width == IR_F64, XMM0, XMM1, XMM2);
    fp_finish(g, op, op->width == IR_F64);
    return true;
}

static bool fp_compare(struct gen *g, const struct ir_insn *op)
{
    unsigned d, t;

    fp_load(g, XMM0, op->a, fp_scalar(op));
    fp_load(g, XMM1, op->b, fp_scalar(op));
    g->busy = 0;
    d = gen_take(g);
    if (op->aux == IR_FEQ) {
        x86_rr(&g->c, SSE_UCOMI | fp_packed(op), false, XMM0, XMM1);
        t = gen_take(g);
        x86_setcc(&g->c, X86_NP, t);
        x86_setcc(&g->c, X86_E, d);
        x86_alu_rr(&g->c, X86_AND, false, d, t);
    } else { /* b > a, b >= a: unordered compares as below */
        x86_rr(&g->c, SSE_COMI | fp_packed(op), false, XMM1, XMM0);
        x86_setcc(&g->c, op->aux == IR_FLT ? X86_A : X86_AE, d);
    }
    x86_rr(&g->c, X86_MOVZX8 | X86_BYTE, false, d, d);
    gen_done(g, op->dst, d);
    return true;
}

/* minimumNumber, maximumNumber: equal operands (zeros of either sign) and NaNs go cold. */
static bool fp_min_max(struct gen *g, const struct ir_insn *op)
{
    struct gen_cold *cold;

    fp_prepare(g, op);
    fp_load(g, XMM0, op->a, fp_scalar(op));
    fp_load(g, XMM1, op->b, fp_scalar(op));
    x86_rr(&g->c, SSE_UCOMI | fp_packed(op), false, XMM0, XMM1);
    cold = gen_cold_new(g, COLD_OP);
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_E); /* unordered sets it too */
    x86_rr(&g->c, (op->op == IR_FMIN ? SSE_MIN : SSE_MAX) | fp_scalar(op), false, XMM0, XMM1);
    fp_to_slot(g, op->dst, op->width == IR_F64);
    cold->back = g->c.at;
    return true;
}

/* Float to signed integer; the "integer indefinite" answer goes cold for exact saturation. */
static bool fp_to_int(struct gen *g, const struct ir_insn *op)
{
    bool truncate = op->aux == IR_RTZ, w = op->imm == IR_I64;
    struct gen_cold *cold;

    if ((op->imm != IR_I32 && op->imm != IR_I64) || (!truncate && op->aux != g->rounding))
        return false;
    fp_prepare(g, op);
    fp_load(g, XMM0, op->a, fp_scalar(op));
    g->busy = GEN_CLOBBERED;
    x86_rr(&g->c, (truncate ? SSE_CVTT_TO_INT : SSE_CVT_TO_INT) | fp_scalar(op), w, RAX, XMM0);
    x86_mov_imm(&g->c, RCX, w ? UINT64_C(1) << 63 : UINT64_C(1) << 31);
    x86_alu_rr(&g->c, X86_CMP, w, RAX, RCX);
    cold = gen_cold_new(g, COLD_OP);
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_E);
    if (!w)
        x86_rr(&g->c, X86_MOVSXD, true, RAX, RAX);
    gen_forget(g, op->dst);
    if (g->slot[op->dst].pinned)
        x86_mov_rr(&g->c, (unsigned)g->slot[op->dst].reg, RAX);
    else
        x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, slot_disp(op->dst));
    cold->back = g->c.at;
    return true;
}

/* Unsigned 64 bits: as signed while the top bit is clear, else cold. */
static bool fp_from_u64(struct gen *g, const struct ir_insn *op)
{
    struct gen_cold *cold;

    if (op->aux != g->rounding)
        return false;
    fp_prepare(g, op);
    gen_src_to(g, RAX, op->a);
    x86_rr(&g->c, X86_TEST, true, RAX, RAX);
    cold = gen_cold_new(g, COLD_OP);
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_S);
    x86_rr(&g->c, 0x57 | X86_0F, false, XMM0, XMM0);
    x86_rr(&g->c, SSE_CVT_FROM_INT | fp_scalar(op), true, XMM0, RAX);
    fp_to_slot(g, op->dst, op->width == IR_F64);
    cold->back = g->c.at;
    return true;
}

static bool fp_from_int(struct gen *g, const struct ir_insn *op)
{
    bool exact = op->width == IR_F64 && op->imm != IR_I64;
    unsigned a;

    if (op->imm == IR_U64)
        return fp_from_u64(g, op);
    if (!exact && op->aux != g->rounding)
        return false;
    a = gen_src(g, op->a);
    if (op->imm == IR_U32) {
        unsigned t = gen_take(g);

        x86_rr(&g->c, X86_MOV_LOAD, false, t, a);
        a = t;
    }
    x86_rr(&g->c, 0x57 | X86_0F, false, XMM0, XMM0); /* no dependency on the old value */
    x86_rr(&g->c, SSE_CVT_FROM_INT | fp_scalar(op), op->imm != IR_I32, XMM0, a);
    g->busy = 0;
    fp_store(g, op->dst, op->width == IR_F64);
    return true;
}

static bool fp_convert(struct gen *g, const struct ir_insn *op)
{
    bool widen = op->width == IR_F32;

    if (!widen && op->aux != g->rounding)
        return false;
    fp_prepare(g, op);
    fp_load(g, XMM0, op->a, fp_scalar(op));
    x86_rr(&g->c, SSE_CVT_FLOAT | fp_scalar(op), false, XMM0, XMM0);
    fp_finish(g, op, widen);
    return true;
}

static void fp_box(struct gen *g, const struct ir_insn *op)
{
    unsigned a = gen_src(g, op->a);

    if (gen_is_global(g, op->dst) && !g->slot[op->dst].pinned) {
        gen_forget(g, op->dst);
        x86_rm(&g->c, X86_MOV_STORE, false, a, RBP, slot_disp(op->dst));
        x86_rm(&g->c, 0xc7, false, 0, RBP, slot_disp(op->dst) + 4);
        x86_u32(&g->c, UINT32_MAX);
    } else {
        unsigned t = gen_take(g);

        x86_mov_imm(&g->c, t, UINT64_C(0xffffffff00000000));
        x86_alu_rr(&g->c, X86_OR, true, t, a);
        gen_done(g, op->dst, t);
    }
}

static void fp_unbox(struct gen *g, const struct ir_insn *op)
{
    unsigned a = gen_src(g, op->a), d = gen_take(g), t = gen_take(g);

    x86_mov_rr(&g->c, t, a);
    x86_shift_imm(&g->c, X86_SAR, true, t, 32); /* all ones when boxed */
    x86_rr(&g->c, X86_MOV_LOAD, false, d, a);
    x86_alu_imm(&g->c, X86_CMP, true, t, -1);
    x86_mov_imm(&g->c, t, IR_F32_NAN);
    x86_rr(&g->c, X86_CMOV | X86_NE, false, d, t);
    gen_done(g, op->dst, d);
}

bool gen_fp(struct gen *g, const struct ir_insn *op)
{
    switch (op->op) {
    case IR_FADD: return fp_arith(g, op, SSE_ADD);
    case IR_FSUB: return fp_arith(g, op, SSE_SUB);
    case IR_FMUL: return fp_arith(g, op, SSE_MUL);
    case IR_FDIV: return fp_arith(g, op, SSE_DIV);
    case IR_FSQRT: return fp_arith(g, op, SSE_SQRT);
    case IR_FMA: return fp_fma(g, op);
    case IR_FMIN:
    case IR_FMAX: return fp_min_max(g, op);
    case IR_FCMP: return fp_compare(g, op);
    case IR_FCVT_FI: return fp_to_int(g, op);
    case IR_FCVT_IF: return fp_from_int(g, op);
    case IR_FCVT_FF: return fp_convert(g, op);
    case IR_FBOX: fp_box(g, op); return true;
    case IR_FUNBOX: fp_unbox(g, op); return true;
    default: return false;
    }
}
