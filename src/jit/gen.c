/* SPDX-License-Identifier: Apache-2.0 */
/* The generator's values, the pass over a block and its cold ends. Overview: gen.h. */
#include "jit/gen.h"
#include <assert.h>
#include <string.h>

static const uint8_t gen_pinned[GEN_PINNED] = {RBX, RSI, RDI, R8, R9, R10, R11};

unsigned gen_pinned_slot(unsigned i)
{
    return gen_pinned[i];
}

void gen_init(struct gen *g, const struct cpu_ops *ops)
{
    for (unsigned s = 0; s < CPU_SLOTS; s++)
        g->slot[s] = (struct gen_slot){.reg = -1};
    if (ops->slot_0_is_zero)
        g->slot[0].constant = true;
    for (unsigned i = 0; i < GEN_PINNED && i < ops->hot_global_count; i++)
        g->slot[ops->hot_globals[i]] =
            (struct gen_slot){.reg = (int8_t)gen_pinned[i], .pinned = true};
}

bool gen_is_global(const struct gen *g, ir_slot slot)
{
    return slot < g->block->global_count;
}

uint16_t gen_insn_offset(const struct gen *g)
{
    const struct ir_block *b = g->block;

    return (uint16_t)((b->pc & (GUEST_PAGE_SIZE - 1)) + b->insn[g->op->insn].pc_offset);
}

struct gen_cold *gen_cold_new(struct gen *g, unsigned kind)
{
    struct gen_cold *cold;

    if (g->cold_count == GEN_COLD_MAX) {
        g->c.full = true; /* the block is given up; the entry below only absorbs writes */
        g->cold_count--;
    }
    cold = &g->cold[g->cold_count++];
    *cold =
        (struct gen_cold){.kind = (uint8_t)kind, .insn_offset = gen_insn_offset(g), .op = g->op};
    return cold;
}

/* --- Values --- */

void gen_release(struct gen *g, unsigned mask)
{
    for (unsigned r = 0; mask >> r; r++) {
        int16_t slot = g->holds[r];

        if (!(mask >> r & 1) || slot < 0)
            continue;
        if (!gen_is_global(g, (ir_slot)slot)) /* a guest register is in memory anyway */
            x86_rm(&g->c, X86_MOV_STORE, true, r, RBP, slot_disp((ir_slot)slot));
        g->slot[slot].reg = -1;
        g->holds[r] = -1;
    }
}

void gen_flush_temps(struct gen *g)
{
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        if (g->holds[r] >= 0 && !gen_is_global(g, (ir_slot)g->holds[r]))
            gen_release(g, 1u << r);
}

void gen_take_reg(struct gen *g, unsigned reg)
{
    gen_release(g, 1u << reg);
    g->busy |= 1u << reg;
}

/* A scratch register that is not busy and passes, round robin from the last one taken. */
static int gen_choose(const struct gen *g, bool (*passes)(const struct gen *g, unsigned r))
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned r = (g->victim - i) & 15;

        if (GEN_SCRATCH >> r & 1 && !(g->busy >> r & 1) && passes(g, r))
            return (int)r;
    }
    return -1;
}

static bool gen_is_free(const struct gen *g, unsigned r)
{
    return g->holds[r] < 0;
}

static bool gen_is_copy(const struct gen *g, unsigned r)
{
    return gen_is_global(g, (ir_slot)g->holds[r]);
}

static bool gen_is_any(const struct gen *g, unsigned r)
{
    (void)g;
    (void)r;
    return true;
}

unsigned gen_take(struct gen *g)
{
    int r = gen_choose(g, gen_is_free);

    if (r < 0)
        r = gen_choose(g, gen_is_copy);
    if (r < 0)
        r = gen_choose(g, gen_is_any);
    assert(r >= 0);
    g->victim = (unsigned)r - 1;
    gen_take_reg(g, (unsigned)r);
    return (unsigned)r;
}

bool gen_const(const struct gen *g, ir_slot slot, int64_t *ret_value)
{
    if (!g->slot[slot].constant)
        return false;
    *ret_value = (int64_t)g->slot[slot].value;
    return true;
}

void gen_src_to(struct gen *g, unsigned reg, ir_slot slot)
{
    const struct gen_slot *s = &g->slot[slot];

    if (s->constant)
        x86_mov_imm(&g->c, reg, s->value);
    else if (s->reg >= 0)
        x86_mov_rr(&g->c, reg, (unsigned)s->reg);
    else
        x86_rm(&g->c, X86_MOV_LOAD, true, reg, RBP, slot_disp(slot));
}

/* From now on the scratch register holds the slot's value. */
static void gen_note(struct gen *g, unsigned reg, ir_slot slot)
{
    if (g->holds[reg] >= 0)
        g->slot[g->holds[reg]].reg = -1;
    g->slot[slot].reg = (int8_t)reg;
    g->holds[reg] = (int16_t)slot;
}

unsigned gen_src(struct gen *g, ir_slot slot)
{
    const struct gen_slot *s = &g->slot[slot];
    unsigned reg;

    if (!s->constant && s->reg >= 0) {
        g->busy |= 1u << s->reg;
        return (unsigned)s->reg;
    }
    reg = gen_take(g);
    gen_src_to(g, reg, slot);
    if (!s->constant)
        gen_note(g, reg, slot);
    return reg;
}

/* May the op compute its result where operand a is? */
static bool gen_may_reuse_a(const struct gen *g, ir_slot dst)
{
    const struct ir_insn *op = g->op;
    const struct gen_slot *a = &g->slot[op->a];

    if (!ir_op_info[op->op].has_a || a->constant || a->pinned || a->reg < 0 ||
        g->busy >> a->reg & 1)
        return false;
    return op->a == dst || (g->kill[g->index] & 1 && !gen_is_global(g, op->a));
}

unsigned gen_dst(struct gen *g, ir_slot slot)
{
    if (g->slot[slot].pinned)
        return (unsigned)g->slot[slot].reg;
    if (gen_may_reuse_a(g, slot)) {
        g->busy |= 1u << g->slot[g->op->a].reg;
        return (unsigned)g->slot[g->op->a].reg;
    }
    return gen_take(g);
}

void gen_forget(struct gen *g, ir_slot slot)
{
    struct gen_slot *s = &g->slot[slot];

    if (s->pinned || (s->constant && gen_is_global(g, slot)))
        return;
    if (s->reg >= 0)
        g->holds[s->reg] = -1;
    *s = (struct gen_slot){.reg = -1};
}

/* Does a temporary that lives on exist nowhere but in this register? */
static bool gen_is_only_home(const struct gen *g, unsigned reg)
{
    int16_t held = g->holds[reg];

    if (held < 0 || gen_is_global(g, (ir_slot)held))
        return false;
    return !(g->kill[g->index] & 1 && ir_op_info[g->op->op].has_a && g->op->a == (ir_slot)held);
}

void gen_done(struct gen *g, ir_slot slot, unsigned reg)
{
    if (g->slot[slot].pinned) {
        x86_mov_rr(&g->c, (unsigned)g->slot[slot].reg, reg);
        return;
    }
    gen_forget(g, slot);
    if (gen_is_global(g, slot))
        x86_rm(&g->c, X86_MOV_STORE, true, reg, RBP, slot_disp(slot));
    if (GEN_SCRATCH >> reg & 1) {
        if (!gen_is_only_home(g, reg))
            gen_note(g, reg, slot);
    } else if (!gen_is_global(g, slot)) {
        unsigned r = gen_take(g);

        x86_mov_rr(&g->c, r, reg);
        gen_note(g, r, slot);
    }
}

/* Tells the stubs which instruction runs: page offset, and length in the upper half. */
void gen_note_insn(struct gen *g)
{
    x86_rm(&g->c, 0xc7, false, 0, RBP, CPU_DISP(jit.insn));
    x86_u32(&g->c, gen_insn_offset(g) | (uint32_t)g->block->insn[g->op->insn].length << 16);
}

/* --- Fallback: the interpreter executes one op on the slots in memory --- */

static void gen_call_interpreter(struct gen *g, const struct ir_insn *op)
{
    gen_note_insn(g);
    x86_mov_imm(&g->c, RAX, (uintptr_t)g->keep(g->arg, op));
    x86_mov_imm(&g->c, R15, (uintptr_t)jit_interpret_op);
    x86_call_to(&g->c, g->stubs->helper);
}

void gen_cold_op(struct gen *g, struct gen_cold *cold)
{
    gen_call_interpreter(g, cold->op);
    x86_jmp_to(&g->c, cold->back);
}

void gen_fallback(struct gen *g, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot used[3] = {op->a, op->b, op->c};
    const bool has[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

    gen_flush_temps(g);
    gen_release(g, GEN_CLOBBERED);
    for (unsigned i = 0; i < 3; i++) {
        if (has[i] && g->slot[used[i]].constant && !gen_is_global(g, used[i])) {
            gen_src_to(g, RAX, used[i]);
            x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, slot_disp(used[i]));
        }
    }
    gen_call_interpreter(g, op);
    if (info->has_dst)
        gen_forget(g, op->dst); /* in memory now */
}

/* --- The pass --- */

static void gen_liveness(struct gen *g)
{
    const struct ir_block *b = g->block;
    bool live[CPU_SLOTS] = {false};

    for (unsigned i = b->op_count; i-- > 0;) {
        const struct ir_insn *op = &b->op[i];
        const struct ir_op_info *info = &ir_op_info[op->op];
        const ir_slot used[3] = {op->a, op->b, op->c};
        const bool has[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

        g->kill[i] = 0;
        if (info->has_dst && op->dst >= b->global_count) {
            if (!live[op->dst] && info->pure) {
                g->kill[i] = 0x80;
                continue;
            }
            live[op->dst] = false;
        }
        for (unsigned k = 0; k < 3; k++) {
            if (!has[k] || used[k] < b->global_count || live[used[k]])
                continue;
            g->kill[i] |= (uint8_t)(1u << k);
            live[used[k]] = true;
        }
    }
}

static void gen_bury(struct gen *g, const struct ir_insn *op)
{
    const ir_slot used[3] = {op->a, op->b, op->c};

    for (unsigned k = 0; k < 3; k++)
        if ((g->kill[g->index] & 1u << k) && !(ir_op_info[op->op].has_dst && used[k] == op->dst))
            gen_forget(g, used[k]);
    g->busy = 0;
}

static void gen_op(struct gen *g, const struct ir_insn *op)
{
    if (g->kill[g->index] & 0x80)
        return;
    if (g->fallback && (ir_op_info[op->op].has_dst || ir_op_info[op->op].may_fault) &&
        op->op != IR_HELPER && op->op != IR_PC)
        gen_fallback(g, op);
    else if (!gen_int(g, op) && !gen_mem(g, op) && !gen_fp(g, op) && !gen_flow(g, op))
        gen_fallback(g, op);
    gen_bury(g, op);
}

static void gen_entry(struct gen *g)
{
    enum { OUTER_BYTES = 6 + 7 };

    while (((uintptr_t)g->c.at + OUTER_BYTES) & 7) /* inner's first eight bytes change at once */
        x86_byte(&g->c, 0x90);
    g->outer = g->c.at;
    x86_byte(&g->c, 0x48); /* and rax, -4096, always in the long form */
    x86_byte(&g->c, 0x25);
    x86_u32(&g->c, (uint32_t)-GUEST_PAGE_SIZE);
    x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, CPU_DISP(jit.page));
    g->inner = g->c.at;
    x86_nop(&g->c, 5);
}

bool gen_block(struct gen *g)
{
    const struct ir_block *b = g->block;

    g->cold_count = 0;
    g->busy = 0;
    g->page_va = b->pc & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    g->victim = R14;
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        g->holds[r] = -1;
    for (unsigned s = 0; s < CPU_SLOTS; s++)
        if (!g->slot[s].pinned && !(g->slot[s].constant && s < b->global_count))
            g->slot[s] = (struct gen_slot){.reg = -1};
    gen_liveness(g);
    gen_entry(g);
    for (g->index = 0; g->index < b->op_count; g->index++) {
        const struct ir_insn *op = &b->op[g->index];
        int before = g->index ? g->op->insn : 0; /* instructions without ops count, too */

        if (g->count && op->insn != before)
            x86_alu_mem_imm(&g->c, X86_ADD, true, RBP, CPU_DISP(instret), op->insn - before);
        g->op = op;
        gen_op(g, op);
    }
    for (unsigned i = 0; i < g->cold_count && !g->c.full; i++) {
        struct gen_cold *cold = &g->cold[i];

        g->op = cold->op;
        for (unsigned k = 0; k < cold->from_count; k++)
            x86_patch(cold->from[k], g->c.at);
        if (cold->kind == COLD_LOAD || cold->kind == COLD_STORE)
            gen_cold_mem(g, cold);
        else if (cold->kind == COLD_OP)
            gen_cold_op(g, cold);
        else
            gen_cold_flow(g, cold);
    }
    g->stale = g->c.at;
    x86_mov_imm(&g->c, RDX, b->pc & (GUEST_PAGE_SIZE - 1));
    x86_jmp_to(&g->c, g->stubs->stale);
    return !g->c.full;
}
