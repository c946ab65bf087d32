/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifts a run of instructions to one IR block: fetch, decode, look the rule up, let it emit.
 * A block ends at a control transfer, at an instruction that may change the context key, before an
 * instruction whose fetch faults, and when it is full.
 */
#include "cpu/riscv/lift.h"

#include "cpu/riscv/rules.gen.h"

void lift_refuse(struct lift *l, const struct riscv_insn *i)
{
    ir_trap(l->b, CAUSE_ILLEGAL, lift_const(l, i->bits));
    l->ended = true;
}

/* Reads and decodes at l->pc. False: the fetch faulted, cpu->fault says how. */
static bool lift_fetch(struct lift *l, struct cpu_fetch *fetch, struct riscv_insn *i,
                       bool *ret_known)
{
    uint16_t low, high = 0;

    if (!fetch->half(fetch, l->pc, &low))
        return false;
    if (riscv_insn_length(low) == 4 && !fetch->half(fetch, l->pc + 2, &high))
        return false;
    *ret_known = riscv_decode((uint32_t)high << 16 | low, i);
    return true;
}

/* The first instruction cannot be fetched: a block that raises the fault. */
static void lift_fetch_fault(struct lift *l)
{
    struct cpu_fault *fault = &l->rv->cpu.fault;

    (void)ir_next_insn(l->b, l->pc, 0);
    ir_trap(l->b, fault->cause, lift_const(l, fault->value));
}

static bool lift_is_csr(const struct riscv_insn *i)
{
    return i->op >= RISCV_csrrw && i->op <= RISCV_csrrci;
}

static void lift_insn(struct lift *l, const struct riscv_insn *i, bool known)
{
    const struct lift_rule *rule = &lift_rules[i->op];

    l->next = l->pc + i->length;
    if (!known || !riscv_has(l->rv, rule->extension) ||
        !riscv_has(l->rv, lift_text_extension[i->text])) {
        lift_refuse(l, i);
        return;
    }
    rule->fn(l, i, rule->arg);
    if (l->leave && !l->ended)
        lift_end(l, l->next);
}

void riscv_lift(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                struct ir_block *block)
{
    struct lift l = {.rv = riscv_of(cpu), .b = block, .pc = pc, .context = cpu->context};
    struct riscv_insn i;
    bool known;

    ir_begin(block, pc, cpu->context, RISCV_SLOTS);
    for (unsigned n = 0; n < max_insns; n++, l.pc = l.next) {
        if (!lift_fetch(&l, fetch, &i, &known)) {
            if (n == 0)
                lift_fetch_fault(&l);
            else
                ir_exit(block, l.pc);
            cpu->fault.pending = false;
            return;
        }
        if (n > 0 && known && lift_is_csr(&i) && riscv_csr_facts((unsigned)i.imm).alone)
            break;
        if (!ir_next_insn(block, l.pc, i.length))
            break;
        lift_insn(&l, &i, known);
        if (l.ended)
            return;
    }
    ir_exit(block, l.pc);
}
