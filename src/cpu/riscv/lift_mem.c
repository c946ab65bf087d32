/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meaning of loads, stores, atomics, fences and cache-block operations (ISA manual, volume I).
 * Atomics are sequentially consistent in the IR, so aq and rl need nothing more. Instruction
 * fetches always see earlier stores (translated code is dropped when its page is written), so
 * FENCE.I only ends the block and has the engine look whether code was dropped.
 */
#include "cpu/riscv/lift.h"

void lift_load(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_load(l->b, lift_dst(l, i), i->rs1, i->imm, arg[0]);
}

void lift_store(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_store(l->b, i->rs2, i->rs1, i->imm, arg[0]);
}

void lift_lr(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_emit(l->b, IR_LR, IR_64, lift_dst(l, i), i->rs1, 0)->aux = arg[0];
}

void lift_sc(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_emit(l->b, IR_SC, IR_64, lift_dst(l, i), i->rs1, i->rs2)->aux = arg[0];
}

void lift_amo(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    struct ir_insn *op = ir_emit(l->b, IR_AMO, IR_64, lift_dst(l, i), i->rs1, i->rs2);

    op->c = arg[0];
    op->aux = arg[1];
}

/* imm[7:4] predecessor and imm[3:0] successor sets are IORW: only earlier writes against later
 * reads need more than x86 gives anyway. */
void lift_fence(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    enum { PAUSE = 0x0100000f };
    bool writes_before = i->imm & 0x50, reads_after = i->imm & 0x0a;

    if (i->bits == PAUSE) {
        ir_call(l->b, riscv_pause_helper, ir_temp(l->b), 0, 0, 0);
        return;
    }
    ir_emit(l->b, IR_FENCE, IR_64, 0, 0, 0)->aux =
        writes_before && reads_after ? IR_FENCE_FULL : IR_FENCE_TSO;
}

void lift_fence_i(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_emit(l->b, IR_FENCE, IR_64, 0, 0, 0)->aux = IR_FENCE_CODE;
    l->leave = true;
}

void lift_cbo(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_call(l->b, riscv_cbo_helper, ir_temp(l->b), lift_const(l, i->bits), i->rs1, 0);
}

void lift_cbo_zero(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if (!(l->context & CONTEXT_CBZE)) {
        lift_refuse(l, i);
        return;
    }
    ir_emit_imm(l->b, IR_BZERO, IR_64, 0, i->rs1, RISCV_CACHE_BLOCK);
}
