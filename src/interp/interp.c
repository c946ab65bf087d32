/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain interpreter: one switch over IR operations. Contract: interp.h. Pure operations mean
 * what ir_eval() says, floating point what fp_eval() says; here are memory, helpers and control.
 */
#include "interp/interp.h"

#include "interp/atomic.h"
#include "interp/internal.h"
#include "ir/eval.h"
#include "ir/fp.h"
#include "mmu/mmu.h"
#include <stdatomic.h>

static bool interp_load(struct cpu *cpu, const struct ir_insn *op, uint64_t va)
{
    unsigned size = IR_MEM_SIZE(op->aux), up = 64 - 8 * size;
    uint64_t val;

    if (!mmu_load(cpu, va, size, &val))
        return false;
    cpu->slot[op->dst] = op->aux & IR_MEM_SIGNED ? (uint64_t)((int64_t)(val << up) >> up) : val;
    return true;
}

static bool interp_helper(struct cpu *cpu, const struct ir_insn *op)
{
    ir_helper fn = (ir_helper)(uintptr_t)op->imm;
    uint64_t r = fn(cpu, cpu->slot[op->a], cpu->slot[op->b], cpu->slot[op->c]);

    if (cpu->fault.pending || cpu->exit)
        return false;
    cpu->slot[op->dst] = r;
    return true;
}

bool interp_effect(struct cpu *cpu, const struct ir_insn *op)
{
    uint64_t *slot = cpu->slot, *dst = &slot[op->dst];
    uint64_t a = slot[op->a], b = slot[op->b];

    switch (op->op) {
    case IR_LD: return interp_load(cpu, op, a + (uint64_t)op->imm);
    case IR_ST: return mmu_store(cpu, a + (uint64_t)op->imm, IR_MEM_SIZE(op->aux), b);
    case IR_LR: return interp_lr(cpu, a, op->aux, dst);
    case IR_SC: return interp_sc(cpu, a, b, op->aux, dst);
    case IR_AMO: return interp_amo(cpu, a, b, op->aux, op->c, dst);
    case IR_CAS: return interp_cas(cpu, a, slot[op->c], b, op->aux, dst);
    case IR_BZERO: return mmu_zero(cpu, a, (unsigned)op->imm);
    default: return interp_helper(cpu, op);
    }
}

void interp_fence(struct cpu *cpu, const struct ir_insn *op)
{
    if (op->aux == IR_FENCE_FULL)
        atomic_thread_fence(memory_order_seq_cst);
    else if (op->aux == IR_FENCE_CODE) /* the engine knows how, once the block has ended */
        atomic_fetch_or(&cpu->attention, ATTENTION_FENCE);
    else
        atomic_signal_fence(memory_order_seq_cst);
}

void interp_trap(struct cpu *cpu, const struct ir_insn *op, uint64_t value)
{
    cpu->fault = (struct cpu_fault){.pending = true, .cause = (uint64_t)op->imm, .value = value};
}

enum interp_leave interp_leave(struct cpu *cpu, uint64_t pc, const struct ir_block_insn *insn,
                               const struct ir_insn *op)
{
    bool retired =
        !cpu->fault.pending && (cpu->exit == CPU_EXIT_HALT || cpu->exit == CPU_EXIT_HYPERCALL);

    insn += op->insn;
    cpu->pc = pc + insn->pc_offset + (retired ? insn->length : 0);
    cpu->instret += op->insn + (retired ? 1u : 0u);
    return cpu->fault.pending ? INTERP_FAULT : INTERP_STOP;
}

static enum interp_leave interp_next(struct cpu *cpu, const struct ir_insn *op, uint64_t pc)
{
    cpu->pc = pc;
    cpu->instret += op->insn + 1u;
    return INTERP_NEXT;
}

enum interp_leave interp_run_block(struct cpu *cpu, const struct ir_block *block)
{
    uint64_t *slot = cpu->slot;

    for (const struct ir_insn *op = block->op;; op++) {
        const struct ir_op_info *info = &ir_op_info[op->op];
        uint64_t a = slot[op->a], b = op->flags & IR_B_IMM ? (uint64_t)op->imm : slot[op->b];

        if (info->pure) {
            slot[op->dst] = ir_eval(op, a, b, slot[op->c]);
            continue;
        }
        if (info->is_float) {
            slot[op->dst] = fp_eval(op, a, b, slot[op->c], &cpu->fp_flags);
            continue;
        }
        switch (op->op) {
        case IR_NOP: break;
        case IR_FENCE: interp_fence(cpu, op); break;
        case IR_BR:
            if (ir_compare(op->aux, op->width, a, b))
                return interp_next(cpu, op, (uint64_t)op->imm);
            break;
        case IR_EXIT: return interp_next(cpu, op, (uint64_t)op->imm);
        case IR_JUMP: return interp_next(cpu, op, a);
        case IR_TRAP: interp_trap(cpu, op, a); return interp_leave(cpu, block->pc, block->insn, op);
        default:
            if (!interp_effect(cpu, op))
                return interp_leave(cpu, block->pc, block->insn, op);
        }
    }
}
