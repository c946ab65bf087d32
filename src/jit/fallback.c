/* SPDX-License-Identifier: Apache-2.0 */
/* Ops without host code of their own: one at a time, by the interpreter's definitions. */
#include "interp/interp.h"
#include "ir/eval.h"
#include "ir/fp.h"
#include "jit/emit/mxcsr.h"
#include "jit/gen.h"

/* fp_eval() has its own way with the control register: ours is put back, its flags collected. */
static void fallback_float(struct cpu *cpu, const struct ir_insn *op, uint64_t b, uint64_t c)
{
    unsigned csr = _mm_getcsr() & ~(unsigned)_MM_EXCEPT_MASK;

    cpu_sync_fp(cpu);
    cpu->slot[op->dst] = fp_eval(op, cpu->slot[op->a], b, c, &cpu->fp_flags);
    _mm_setcsr(csr);
}

uint64_t jit_interpret_op(struct cpu *cpu, uint64_t op_address, uint64_t unused1, uint64_t unused2)
{
    const struct ir_insn *op = (const struct ir_insn *)(uintptr_t)op_address;
    const struct ir_op_info *info = &ir_op_info[op->op];
    uint64_t *slot = cpu->slot, a = slot[op->a];
    uint64_t b = op->flags & IR_B_IMM ? (uint64_t)op->imm : slot[op->b];

    if (info->pure)
        slot[op->dst] = ir_eval(op, a, b, info->has_c ? slot[op->c] : 0);
    else if (info->is_float)
        fallback_float(cpu, op, b, info->has_c ? slot[op->c] : 0);
    else if (op->op == IR_TRAP)
        cpu_raise(cpu, (uint64_t)op->imm, a);
    else
        (void)interp_effect(cpu, op);
    return 0;
}
