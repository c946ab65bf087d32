/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lift of one block: what the rules named in riscv.decode (lift_RULE) share. A rule emits the
 * IR of one instruction; it sets `ended` when it emitted the block's last op, or `leave` to have
 * the block end behind it. x0 is slot 0 and is never a destination: lift_dst() gives a temporary.
 */
#pragma once

#include "cpu/riscv/internal.h"
#include "ir/ir.h"

struct lift {
    struct riscv_cpu *rv;
    struct ir_block *b;
    uint64_t pc, next; /* of this instruction and behind it */
    uint32_t context;
    bool ended, leave;
    unsigned branches; /* conditional ones; the block goes on where they are not taken */
};

enum { LIFT_BRANCHES_MAX = 7 };

typedef void lift_fn(struct lift *l, const struct riscv_insn *i, const uint8_t *arg);

#include "cpu/riscv/lifts.gen.h"

struct lift_rule {
    lift_fn *fn;
    uint8_t extension;
    uint8_t arg[2];
};

static inline ir_slot lift_f(unsigned n)
{
    return (ir_slot)(RISCV_SLOT_F + n);
}

static inline ir_slot lift_dst(struct lift *l, const struct riscv_insn *i)
{
    return i->rd ? i->rd : ir_temp(l->b);
}

static inline ir_slot lift_const(struct lift *l, uint64_t value)
{
    ir_slot t = ir_temp(l->b);

    ir_emit_imm(l->b, IR_IMM, IR_64, t, 0, (int64_t)value);
    return t;
}

static inline void lift_end(struct lift *l, uint64_t pc)
{
    ir_exit(l->b, pc);
    l->ended = true;
}

void lift_refuse(struct lift *l, const struct riscv_insn *i); /* illegal instruction */
