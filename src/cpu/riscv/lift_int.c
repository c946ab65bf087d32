/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meaning of the integer instructions: RV64I, M, Zba, Zbb, Zbs, Zicond (ISA manual, volume I).
 * Pure operations on x0 vanish. 32-bit operations compute in IR_32 and sign-extend the result.
 */
#include "cpu/riscv/lift.h"

/* --- Constants and plain operations --- */

void lift_imm(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, IR_IMM, IR_64, i->rd, 0, i->imm);
}

void lift_pcrel(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_pc(l->b, i->rd, l->pc + (uint64_t)(int64_t)i->imm);
}

void lift_addi(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (!i->rd)
        return;
    if (!i->rs1)
        ir_emit_imm(l->b, IR_IMM, IR_64, i->rd, 0, i->imm);
    else if (!i->imm)
        ir_emit(l->b, IR_MOV, IR_64, i->rd, i->rs1, 0);
    else
        ir_emit_imm(l->b, IR_ADD, IR_64, i->rd, i->rs1, i->imm);
}

void lift_add(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (!i->rd)
        return;
    if (!i->rs1 || !i->rs2)
        ir_emit(l->b, IR_MOV, IR_64, i->rd, i->rs1 ? i->rs1 : i->rs2, 0);
    else
        ir_emit(l->b, IR_ADD, IR_64, i->rd, i->rs1, i->rs2);
}

void lift_alu(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, arg[0], IR_64, i->rd, i->rs1, i->rs2);
}

void lift_alui(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, arg[0], IR_64, i->rd, i->rs1, i->imm);
}

static void lift_sext_w(struct lift *l, ir_slot rd, ir_slot value)
{
    ir_emit(l->b, IR_EXTS, IR_64, rd, value, 0)->aux = 2;
}

void lift_aluw(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot t;

    if (!i->rd)
        return;
    t = ir_temp(l->b);
    ir_emit(l->b, arg[0], IR_32, t, i->rs1, i->rs2);
    lift_sext_w(l, i->rd, t);
}

void lift_aluwi(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot t;

    if (!i->rd)
        return;
    t = ir_temp(l->b);
    ir_emit_imm(l->b, arg[0], IR_32, t, i->rs1, i->imm);
    lift_sext_w(l, i->rd, t);
}

void lift_addiw(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    static const uint8_t add[] = {IR_ADD};

    if (i->imm)
        lift_aluwi(l, i, add);
    else if (i->rd)
        lift_sext_w(l, i->rd, i->rs1);
}

void lift_setcc(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, IR_SETCC, IR_64, i->rd, i->rs1, i->rs2)->aux = arg[0];
}

void lift_setcci(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, IR_SETCC, IR_64, i->rd, i->rs1, i->imm)->aux = arg[0];
}

/* --- Control transfer --- */

static bool lift_is_link(unsigned reg)
{
    return reg == 1 || reg == 5;
}

void lift_jal(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_pc(l->b, i->rd, l->next);
    lift_end(l, l->pc + (uint64_t)(int64_t)i->imm);
}

/* Return-address hints: ISA manual, "Unconditional Jumps". */
static enum ir_jump lift_jump_kind(const struct riscv_insn *i)
{
    if (lift_is_link(i->rd))
        return IR_JUMP_CALL;
    return lift_is_link(i->rs1) ? IR_JUMP_RETURN : IR_JUMP_PLAIN;
}

void lift_jalr(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot base = i->rs1, target = ir_temp(l->b);

    if (i->imm) {
        base = ir_temp(l->b);
        ir_emit_imm(l->b, IR_ADD, IR_64, base, i->rs1, i->imm);
    }
    ir_emit_imm(l->b, IR_AND, IR_64, target, base, ~INT64_C(1));
    if (i->rd)
        ir_pc(l->b, i->rd, l->next);
    ir_jump(l->b, target, lift_jump_kind(i));
    l->ended = true;
}

void lift_branch(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_branch(l->b, arg[0], i->rs1, i->rs2, l->pc + (uint64_t)(int64_t)i->imm);
    l->leave = ++l->branches == LIFT_BRANCHES_MAX;
}

/* --- Zba --- */

static ir_slot lift_zext_w(struct lift *l, ir_slot value)
{
    ir_slot t = ir_temp(l->b);

    ir_emit(l->b, IR_EXTU, IR_64, t, value, 0)->aux = 2;
    return t;
}

void lift_add_uw(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (!i->rd)
        return;
    if (i->rs2)
        ir_emit(l->b, IR_ADD, IR_64, i->rd, lift_zext_w(l, i->rs1), i->rs2);
    else
        ir_emit(l->b, IR_EXTU, IR_64, i->rd, i->rs1, 0)->aux = 2;
}

void lift_shadd(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, IR_LEA, IR_64, i->rd, i->rs2, i->rs1)->aux = arg[0];
}

void lift_shadd_uw(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, IR_LEA, IR_64, i->rd, i->rs2, lift_zext_w(l, i->rs1))->aux = arg[0];
}

void lift_slli_uw(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, IR_SHL, IR_64, i->rd, lift_zext_w(l, i->rs1), i->imm);
}

/* --- Zbb --- */

static ir_slot lift_not(struct lift *l, ir_slot value)
{
    ir_slot t = ir_temp(l->b);

    ir_emit_imm(l->b, IR_XOR, IR_64, t, value, -1);
    return t;
}

void lift_alun(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, arg[0], IR_64, i->rd, i->rs1, lift_not(l, i->rs2));
}

void lift_unary(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, arg[0], arg[1] == 32 ? IR_32 : IR_64, i->rd, i->rs1, 0);
}

void lift_minmax(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot t;

    if (!i->rd)
        return;
    t = ir_temp(l->b);
    ir_emit(l->b, IR_SETCC, IR_64, t, i->rs1, i->rs2)->aux = arg[0];
    ir_emit(l->b, IR_SELECT, IR_64, i->rd, i->rs1, i->rs2)->c = t;
}

void lift_extend(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, arg[0], IR_64, i->rd, i->rs1, 0)->aux = arg[1];
}

void lift_rol(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot count, t;

    if (!i->rd)
        return;
    count = ir_temp(l->b);
    ir_emit(l->b, IR_SUB, IR_64, count, 0, i->rs2);
    if (arg[0] == 64) {
        ir_emit(l->b, IR_ROR, IR_64, i->rd, i->rs1, count);
        return;
    }
    t = ir_temp(l->b);
    ir_emit(l->b, IR_ROR, IR_32, t, i->rs1, count);
    lift_sext_w(l, i->rd, t);
}

/* --- Zbs --- */

static ir_slot lift_bit_mask(struct lift *l, const struct riscv_insn *i)
{
    ir_slot t = ir_temp(l->b);

    ir_emit(l->b, IR_SHL, IR_64, t, lift_const(l, 1), i->rs2);
    return t;
}

void lift_bit(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, arg[0], IR_64, i->rd, i->rs1, lift_bit_mask(l, i));
}

void lift_biti(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, arg[0], IR_64, i->rd, i->rs1, (int64_t)(1ull << i->imm));
}

void lift_bclr(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, IR_AND, IR_64, i->rd, i->rs1, lift_not(l, lift_bit_mask(l, i)));
}

void lift_bclri(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, IR_AND, IR_64, i->rd, i->rs1, (int64_t) ~(1ull << i->imm));
}

void lift_bext(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot t;

    if (!i->rd)
        return;
    t = ir_temp(l->b);
    ir_emit(l->b, IR_SHR, IR_64, t, i->rs1, i->rs2);
    ir_emit_imm(l->b, IR_AND, IR_64, i->rd, t, 1);
}

void lift_bexti(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit_imm(l->b, IR_EXTRACT, IR_64, i->rd, i->rs1, 1)->aux = (uint8_t)i->imm;
}

/* --- Zicond --- */

void lift_czero_eqz(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, IR_SELECT, IR_64, i->rd, i->rs1, 0)->c = i->rs2;
}

void lift_czero_nez(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (i->rd)
        ir_emit(l->b, IR_SELECT, IR_64, i->rd, 0, i->rs1)->c = i->rs2;
}
