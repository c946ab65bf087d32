/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meaning of the F and D instructions (ISA manual, volume I). The context key tells whether
 * mstatus.FS is off, on or dirty and which rounding mode frm holds, so that a lift sees constants.
 * The first instruction that changes floating-point state while FS is not dirty marks it dirty and
 * ends its block (the key changed); the mark comes after anything that may fault. Single-precision
 * values are NaN-boxed in the 64-bit registers.
 */
#include "cpu/riscv/lift.h"

/* False, with the trap emitted, while floating point is off. */
static bool fp_on(struct lift *l, const struct riscv_insn *i)
{
    if (context_fs(l->context) != CONTEXT_FS_OFF)
        return true;
    lift_refuse(l, i);
    return false;
}

/* The instruction's rounding mode; false, with the trap emitted, if it has none or FP is off. */
static bool fp_round(struct lift *l, const struct riscv_insn *i, uint8_t *ret_round)
{
    unsigned round = i->rm == 7 ? context_frm(l->context) : i->rm;

    if (!fp_on(l, i))
        return false;
    if (round > IR_RMM) {
        lift_refuse(l, i);
        return false;
    }
    *ret_round = (uint8_t)round;
    return true;
}

static void fp_dirty(struct lift *l)
{
    if (context_fs(l->context) == CONTEXT_FS_DIRTY)
        return;
    ir_call(l->b, riscv_fs_dirty_helper, ir_temp(l->b), 0, 0, 0);
    l->leave = true;
}

/* Register n as an operand of this width. */
static ir_slot fp_source(struct lift *l, unsigned n, enum ir_width width)
{
    ir_slot t;

    if (width == IR_F64)
        return lift_f(n);
    t = ir_temp(l->b);
    ir_emit(l->b, IR_FUNBOX, IR_64, t, lift_f(n), 0);
    return t;
}

/* Where an operation of this width puts its result, and the boxing after it. */
static ir_slot fp_result(struct lift *l, const struct riscv_insn *i, enum ir_width width)
{
    return width == IR_F64 ? lift_f(i->rd) : ir_temp(l->b);
}

static void fp_box(struct lift *l, const struct riscv_insn *i, enum ir_width width, ir_slot value)
{
    if (width == IR_F32)
        ir_emit(l->b, IR_FBOX, IR_64, lift_f(i->rd), value, 0);
}

void lift_fload(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    bool single = arg[0] == IR_F32;
    bool clean = context_fs(l->context) != CONTEXT_FS_DIRTY;
    ir_slot t;

    if (!fp_on(l, i))
        return;
    t = single || clean ? ir_temp(l->b) : lift_f(i->rd);
    ir_load(l->b, t, i->rs1, i->imm, single ? IR_MEM_32 : IR_MEM_64);
    fp_dirty(l);
    if (single)
        fp_box(l, i, IR_F32, t);
    else if (clean)
        ir_emit(l->b, IR_MOV, IR_64, lift_f(i->rd), t, 0);
}

void lift_fstore(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (fp_on(l, i))
        ir_store(l->b, lift_f(i->rs2), i->rs1, i->imm, arg[0] == IR_F32 ? IR_MEM_32 : IR_MEM_64);
}

/* --- Arithmetic: width, operation --- */

void lift_farith(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, b, dst;
    uint8_t round;

    if (!fp_round(l, i, &round))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    b = fp_source(l, i->rs2, w);
    dst = fp_result(l, i, w);
    ir_emit(l->b, arg[1], w, dst, a, b)->aux = round;
    fp_box(l, i, w, dst);
}

void lift_fsqrt(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, dst;
    uint8_t round;

    if (!fp_round(l, i, &round))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    dst = fp_result(l, i, w);
    ir_emit(l->b, IR_FSQRT, w, dst, a, 0)->aux = round;
    fp_box(l, i, w, dst);
}

/* arg[1]: bit 0 negates the product, bit 1 the addend. */
void lift_fma(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, b, c, dst;
    struct ir_insn *op;
    uint8_t round;

    if (!fp_round(l, i, &round))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    b = fp_source(l, i->rs2, w);
    c = fp_source(l, i->rs3, w);
    dst = fp_result(l, i, w);
    op = ir_emit(l->b, IR_FMA, w, dst, a, b);
    op->c = c;
    op->aux = round;
    op->imm = arg[1];
    fp_box(l, i, w, dst);
}

void lift_fminmax(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, b, dst;

    if (!fp_on(l, i))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    b = fp_source(l, i->rs2, w);
    dst = fp_result(l, i, w);
    ir_emit(l->b, arg[1], w, dst, a, b);
    fp_box(l, i, w, dst);
}

void lift_fcmp(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, b;

    if (!fp_on(l, i))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    b = fp_source(l, i->rs2, w);
    ir_emit(l->b, IR_FCMP, w, lift_dst(l, i), a, b)->aux = arg[1];
}

void lift_fclass(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (fp_on(l, i) && i->rd)
        ir_emit(l->b, IR_FCLASS, arg[0], i->rd, fp_source(l, i->rs1, arg[0]), 0);
}

/* --- Sign injection: rd = sign of s, the rest of rs1 --- */

static void fp_inject(struct lift *l, const struct riscv_insn *i, enum ir_width w, ir_slot a,
                      ir_slot s)
{
    ir_slot dst = fp_result(l, i, w);
    struct ir_insn *op;

    op = ir_emit(l->b, IR_DEPOSIT, IR_64, dst, s, a);
    op->imm = w == IR_F64 ? 63 : 31;
    fp_box(l, i, w, dst);
}

void lift_fsgnj(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a;

    if (!fp_on(l, i))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    if (i->rs1 != i->rs2)
        fp_inject(l, i, w, a, fp_source(l, i->rs2, w));
    else if (w == IR_F64)
        ir_emit(l->b, IR_MOV, IR_64, lift_f(i->rd), a, 0);
    else
        fp_box(l, i, w, a);
}

void lift_fsgnjn(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, sign;

    if (!fp_on(l, i))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    sign = ir_temp(l->b);
    ir_emit_imm(l->b, IR_XOR, IR_64, sign, fp_source(l, i->rs2, w), -1);
    fp_inject(l, i, w, a, sign);
}

void lift_fsgnjx(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot a, sign;

    if (!fp_on(l, i))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, w);
    sign = ir_temp(l->b);
    ir_emit(l->b, IR_XOR, IR_64, sign, a, fp_source(l, i->rs2, w));
    fp_inject(l, i, w, a, sign);
}

/* --- Conversions and moves --- */

/* arg[0]: the source's format. */
void lift_fcvt_ff(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width from = arg[0], to = from == IR_F64 ? IR_F32 : IR_F64;
    ir_slot a, dst;
    uint8_t round;

    if (!fp_round(l, i, &round))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, from);
    dst = fp_result(l, i, to);
    ir_emit(l->b, IR_FCVT_FF, from, dst, a, 0)->aux = round;
    fp_box(l, i, to, dst);
}

void lift_fcvt_fi(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot a;
    struct ir_insn *op;
    uint8_t round;

    if (!fp_round(l, i, &round))
        return;
    fp_dirty(l);
    a = fp_source(l, i->rs1, arg[0]);
    op = ir_emit(l->b, IR_FCVT_FI, arg[0], lift_dst(l, i), a, 0);
    op->aux = round;
    op->imm = arg[1];
}

void lift_fcvt_if(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum ir_width w = arg[0];
    ir_slot dst;
    struct ir_insn *op;
    uint8_t round;

    if (!fp_round(l, i, &round))
        return;
    fp_dirty(l);
    dst = fp_result(l, i, w);
    op = ir_emit(l->b, IR_FCVT_IF, w, dst, i->rs1, 0);
    op->aux = round;
    op->imm = arg[1];
    fp_box(l, i, w, dst);
}

void lift_fmv_xf(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (!fp_on(l, i) || !i->rd)
        return;
    if (arg[0] == IR_F64)
        ir_emit(l->b, IR_MOV, IR_64, i->rd, lift_f(i->rs1), 0);
    else
        ir_emit(l->b, IR_EXTS, IR_64, i->rd, lift_f(i->rs1), 0)->aux = 2;
}

void lift_fmv_fx(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (!fp_on(l, i))
        return;
    fp_dirty(l);
    if (arg[0] == IR_F64)
        ir_emit(l->b, IR_MOV, IR_64, lift_f(i->rd), i->rs1, 0);
    else
        fp_box(l, i, IR_F32, i->rs1);
}
