/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSR accesses, traps and privileged instructions: all go through helpers, which check the current
 * privilege and raise illegal-instruction exceptions themselves.
 */
#include "cpu/riscv/csr.h"
#include "cpu/riscv/lift.h"

void lift_csr(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    struct riscv_csr_facts facts = riscv_csr_facts((unsigned)i->imm);
    bool immediate = i->bits >> 14 & 1;
    bool writes = (i->bits >> 12 & 3) == 1 || i->rs1;
    ir_slot insn = lift_const(l, i->bits);
    ir_slot operand = immediate ? lift_const(l, i->rs1) : i->rs1;

    ir_call(l->b, riscv_csr_helper, lift_dst(l, i), insn, operand, 0);
    /* Clearing or restoring the flags is frequent, and changes no key once FS is dirty. */
    if (i->imm == CSR_fflags && context_fs(l->context) == CONTEXT_FS_DIRTY)
        writes = false;
    l->leave = facts.alone || (writes && facts.ends);
}

void lift_ecall(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_call(l->b, riscv_ecall_helper, ir_temp(l->b), 0, 0, 0);
    l->leave = true;
}

void lift_ebreak(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_slot at = ir_temp(l->b);

    ir_pc(l->b, at, l->pc);
    ir_trap(l->b, CAUSE_BREAKPOINT, at);
    l->ended = true;
}

static void lift_return(struct lift *l, const struct riscv_insn *i, ir_helper helper)
{
    ir_slot target = ir_temp(l->b);

    ir_call(l->b, helper, target, lift_const(l, i->bits), 0, 0);
    ir_jump(l->b, target, IR_JUMP_PLAIN);
    l->ended = true;
}

void lift_mret(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    lift_return(l, i, riscv_mret_helper);
}

void lift_sret(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    lift_return(l, i, riscv_sret_helper);
}

void lift_wfi(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_call(l->b, riscv_wfi_helper, ir_temp(l->b), lift_const(l, i->bits), 0, 0);
    l->leave = true;
}

void lift_sfence(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    ir_call(l->b, riscv_sfence_helper, ir_temp(l->b), lift_const(l, i->bits), i->rs1, i->rs2);
    l->leave = true;
}

/* SFENCE.W.INVAL and SFENCE.INVAL.IR: our SINVAL.VMA is immediate, so only the right to use them
 * (and the end of the block) is left. */
void lift_sfence_order(struct lift *l, const struct riscv_insn *i, const uint8_t *arg)
{
    if ((l->context & CONTEXT_PRIV) == RISCV_U)
        lift_refuse(l, i);
    else
        l->leave = true;
}
