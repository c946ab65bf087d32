/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to an IR block. Lifts are our own code: running over the room that ir_next_insn()
 * promised, or emitting before the first instruction, is a bug and asserts.
 */
#include "ir/ir.h"

#include <assert.h>
#include <posada/cpu.h>

void ir_begin(struct ir_block *b, uint64_t pc, uint32_t context, unsigned global_count)
{
    assert(global_count < CPU_SLOTS);
    b->pc = pc;
    b->context = context;
    b->op_count = b->insn_count = 0;
    b->slot_count = b->global_count = (uint16_t)global_count;
    b->length = 0;
    b->next_temp = (uint16_t)global_count;
}

bool ir_next_insn(struct ir_block *b, uint64_t pc, unsigned length)
{
    struct ir_block_insn *insn;

    /* One op more than an instruction needs, so that the closing EXIT always fits. */
    if (b->insn_count == IR_MAX_INSNS || b->op_count + IR_MAX_INSN_OPS + 1 > IR_MAX_OPS)
        return false;
    insn = &b->insn[b->insn_count++];
    insn->pc_offset = (uint16_t)(pc - b->pc);
    insn->length = (uint8_t)length;
    b->length = (uint32_t)(pc - b->pc) + length;
    b->next_temp = b->global_count;
    return true;
}

ir_slot ir_temp(struct ir_block *b)
{
    ir_slot slot = b->next_temp++;

    assert(slot < CPU_SLOTS);
    if (b->slot_count <= slot)
        b->slot_count = (uint16_t)(slot + 1);
    return slot;
}

struct ir_insn *ir_emit(struct ir_block *b, enum ir_op op, enum ir_width w, ir_slot dst, ir_slot x,
                        ir_slot y)
{
    struct ir_insn *i = &b->op[b->op_count];

    assert(b->insn_count > 0 && b->op_count < IR_MAX_OPS);
    b->op_count++;
    *i = (struct ir_insn){.op = (uint8_t)op,
                          .width = (uint8_t)w,
                          .dst = dst,
                          .a = x,
                          .b = y,
                          .insn = (uint16_t)(b->insn_count - 1)};
    return i;
}

struct ir_insn *ir_emit_imm(struct ir_block *b, enum ir_op op, enum ir_width w, ir_slot dst,
                            ir_slot x, int64_t imm)
{
    struct ir_insn *i = ir_emit(b, op, w, dst, x, 0);

    i->imm = imm;
    if (ir_op_info[op].b_may_be_imm)
        i->flags = IR_B_IMM;
    return i;
}

void ir_pc(struct ir_block *b, ir_slot dst, uint64_t value)
{
    ir_emit(b, IR_PC, IR_64, dst, 0, 0)->imm = (int64_t)value;
}

void ir_load(struct ir_block *b, ir_slot dst, ir_slot base, int64_t off, unsigned mem)
{
    struct ir_insn *i = ir_emit(b, IR_LD, IR_64, dst, base, 0);

    i->aux = (uint8_t)mem;
    i->imm = off;
}

void ir_store(struct ir_block *b, ir_slot val, ir_slot base, int64_t off, unsigned mem)
{
    struct ir_insn *i = ir_emit(b, IR_ST, IR_64, 0, base, val);

    i->aux = (uint8_t)mem;
    i->imm = off;
}

void ir_call(struct ir_block *b, ir_helper fn, ir_slot dst, ir_slot x, ir_slot y, ir_slot z)
{
    struct ir_insn *i = ir_emit(b, IR_HELPER, IR_64, dst, x, y);

    i->c = z;
    i->imm = (int64_t)(uintptr_t)fn;
}

void ir_exit(struct ir_block *b, uint64_t pc)
{
    ir_emit(b, IR_EXIT, IR_64, 0, 0, 0)->imm = (int64_t)pc;
}

void ir_branch(struct ir_block *b, enum ir_cc cc, ir_slot x, ir_slot y, uint64_t taken_pc)
{
    struct ir_insn *i = ir_emit(b, IR_BR, IR_64, 0, x, y);

    i->aux = (uint8_t)cc;
    i->imm = (int64_t)taken_pc;
}

void ir_jump(struct ir_block *b, ir_slot target, enum ir_jump kind)
{
    ir_emit(b, IR_JUMP, IR_64, 0, target, 0)->aux = (uint8_t)kind;
}

void ir_trap(struct ir_block *b, uint64_t cause, ir_slot value)
{
    ir_emit(b, IR_TRAP, IR_64, 0, value, 0)->imm = (int64_t)cause;
}
