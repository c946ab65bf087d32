/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threaded loop. Contract: code.h. Each handler ends in its own indirect jump, so that the
 * host predicts the next handler by the one before it; that needs macros with jumps in them, which
 * stay inside this file. Anything not worth a handler goes through the functions that the plain
 * interpreter uses.
 */
#include "interp/code.h"

#include "interp/forms.h"
#include "interp/internal.h"
#include "ir/eval.h"
#include "ir/fp.h"
#include "mmu/mmu.h"
#include <stdatomic.h>
#include <string.h>

/* May the loop go on at `next`, wanted for pc? See the top of code.h. */
static inline bool run_follows(struct cpu *cpu, const struct interp_code *next, uint64_t pc)
{
    const struct tlb_entry *e = tlb_slot(&cpu->mmu->code->code, pc);

    return next && next->pc == pc && next->context == cpu->context && tlb_hit(e, pc, 1) &&
           (uintptr_t)next->host == pc + e->addend &&
           !atomic_load_explicit(&cpu->attention, memory_order_relaxed);
}

#define RUN_READ(type)                                                                             \
    static inline type run_read_##type(uintptr_t host)                                             \
    {                                                                                              \
        type v;                                                                                    \
                                                                                                   \
        memcpy(&v, (const void *)host, sizeof(v));                                                 \
        return v;                                                                                  \
    }
RUN_READ(uint8_t)
RUN_READ(int8_t)
RUN_READ(uint16_t)
RUN_READ(int16_t)
RUN_READ(uint32_t)
RUN_READ(int32_t)
RUN_READ(int64_t)

#define A    slot[op->a]
#define B    slot[op->b]
#define DST  slot[op->dst]
#define I    ((uint64_t)op->imm)
#define W(v) ((uint64_t)(int64_t)(int32_t)(v))

#define GO() goto *handlers[op->form]
#define NEXT()                                                                                     \
    do {                                                                                           \
        op++;                                                                                      \
        GO();                                                                                      \
    } while (0)

#define VALUE(name, expr)                                                                          \
    do_##name : DST = (expr);                                                                      \
    NEXT();

/* mmu_load() with the value in a register: its own is in memory, for the slow path's sake. */
#define LOAD(name, type)                                                                           \
    do_##name : va = A + I;                                                                        \
    entry = tlb_slot(&cpu->mmu->data->read, va);                                                   \
    if (likely(tlb_hit(entry, va, sizeof(type))))                                                  \
        DST = (uint64_t)(int64_t)run_read_##type(va + entry->addend);                              \
    else if (mmu_load_slow(cpu, va, sizeof(type), &val))                                           \
        DST = (uint64_t)(int64_t)(type)val;                                                        \
    else                                                                                           \
        goto leave;                                                                                \
    NEXT();

#define STORE(name, size)                                                                          \
    do_##name : if (unlikely(!mmu_store(cpu, A + I, size, B))) goto leave;                         \
    NEXT();

#define BRANCH(name, cond)                                                                         \
    do_##name : if (cond) goto do_EXIT;                                                            \
    NEXT();

struct interp_code *interp_at_hand(const struct interp *in)
{
    uint64_t pc = in->cpu->pc;
    struct interp_code *code = in->jump[interp_jump_slot(pc)];

    return run_follows(in->cpu, code, pc) ? code : NULL;
}

enum interp_leave interp_run(struct interp *in, struct interp_code *code)
{
#define HANDLER(name) &&do_##name,
    static const void *const handlers[FORM_COUNT] = {INTERP_FORMS(HANDLER)};
#undef HANDLER
    struct cpu *cpu = in->cpu;
    uint64_t *slot = cpu->slot, val, va, pc;
    const struct tlb_entry *entry;
    const struct ir_insn *op;
    struct interp_code *next;

enter:
    op = code->op;
    GO();

    VALUE(IMM, I)
    VALUE(MOV, A)
    VALUE(LEA, A + (B << op->aux))
    VALUE(SELECT, slot[op->c] ? A : B)
    VALUE(ADD, A + B)
    VALUE(SUB, A - B)
    VALUE(AND, A & B)
    VALUE(OR, A | B)
    VALUE(XOR, A ^ B)
    VALUE(SHL, A << (B & 63))
    VALUE(SHR, A >> (B & 63))
    VALUE(SAR, (uint64_t)((int64_t)A >> (B & 63)))
    VALUE(MUL, A * B)
    VALUE(LT, (int64_t)A < (int64_t)B)
    VALUE(LTU, A < B)
    VALUE(ADD_I, A + I)
    VALUE(AND_I, A & I)
    VALUE(OR_I, A | I)
    VALUE(XOR_I, A ^ I)
    VALUE(SHL_I, A << (I & 63))
    VALUE(SHR_I, A >> (I & 63))
    VALUE(SAR_I, (uint64_t)((int64_t)A >> (I & 63)))
    VALUE(LT_I, (int64_t)A < op->imm)
    VALUE(LTU_I, A < I)
    VALUE(ADDW, W(A + B))
    VALUE(SUBW, W(A - B))
    VALUE(SHLW, W((uint32_t)A << (B & 31)))
    VALUE(SHRW, W((uint32_t)A >> (B & 31)))
    VALUE(SARW, W((int32_t)A >> (B & 31)))
    VALUE(MULW, W(A * B))
    VALUE(ADDW_I, W(A + I))
    VALUE(SHLW_I, W((uint32_t)A << (I & 31)))
    VALUE(SHRW_I, W((uint32_t)A >> (I & 31)))
    VALUE(SARW_I, W((int32_t)A >> (I & 31)))
    VALUE(EXTS_8, (uint64_t)(int64_t)(int8_t)A)
    VALUE(EXTS_16, (uint64_t)(int64_t)(int16_t)A)
    VALUE(EXTS_32, W(A))
    VALUE(EXTU_8, (uint8_t)A)
    VALUE(EXTU_16, (uint16_t)A)
    VALUE(EXTU_32, (uint32_t)A)
    LOAD(LD_U8, uint8_t)
    LOAD(LD_S8, int8_t)
    LOAD(LD_U16, uint16_t)
    LOAD(LD_S16, int16_t)
    LOAD(LD_U32, uint32_t)
    LOAD(LD_S32, int32_t)
    LOAD(LD_64, int64_t)
    STORE(ST_8, 1)
    STORE(ST_16, 2)
    STORE(ST_32, 4)
    STORE(ST_64, 8)
    BRANCH(BR_EQ, A == B)
    BRANCH(BR_NE, A != B)
    BRANCH(BR_LT, (int64_t)A < (int64_t)B)
    BRANCH(BR_GE, (int64_t)A >= (int64_t)B)
    BRANCH(BR_LTU, A < B)
    BRANCH(BR_GEU, A >= B)
    BRANCH(BR_32, ir_compare(op->aux, IR_32, A, B))

do_EXIT:
    pc = I;
    in->ret_link = interp_link(code, op);
    next = *in->ret_link;
    goto follow;
do_JUMP:
    pc = A;
    in->ret_link = NULL;
    next = in->jump[interp_jump_slot(pc)];
follow:
    cpu->instret += op->insn + 1u;
    if (likely(run_follows(cpu, next, pc))) {
        code = next;
        goto enter;
    }
    cpu->pc = pc;
    return INTERP_NEXT;

do_PURE:
    val = op->flags & IR_B_IMM ? I : B;
    DST = ir_eval(op, A, val, slot[op->c]);
    NEXT();
do_FLOAT:
    DST = fp_eval(op, A, B, slot[op->c], &cpu->fp_flags);
    NEXT();
do_NOP:
    NEXT();
do_FENCE:
    interp_fence(cpu, op);
    NEXT();
do_EFFECT:
    if (unlikely(!interp_effect(cpu, op)))
        goto leave;
    NEXT();
do_TRAP:
    interp_trap(cpu, op, A);
leave:
    return interp_leave(cpu, code->pc, code->insn, op);
}
