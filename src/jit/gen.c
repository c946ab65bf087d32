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
    for (unsigned i = 0; i < GEN_PINNED && i < ops->hot_global_count; i++) {
        g->home[i] = ops->hot_globals[i];
        g->slot[g->home[i]] = (struct gen_slot){.reg = (int8_t)gen_pinned[i], .pinned = true};
    }
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
    gen_take_sync(g, &cold->sync);
    return cold;
}

/* --- Values --- */

static void gen_put(struct gen *g, unsigned reg, ir_slot slot)
{
    x86_rm(&g->c, X86_MOV_STORE, true, reg, RBP, slot_disp(slot));
}

static void gen_extend_reg(struct gen *g, unsigned reg)
{
    x86_rr(&g->c, X86_MOVSXD, true, reg, reg); /* flags stay */
}

void gen_settle(struct gen *g, ir_slot slot)
{
    struct gen_slot *s = &g->slot[slot];

    if (s->pending)
        gen_extend_reg(g, (unsigned)s->reg);
    s->pending = false;
}

void gen_release(struct gen *g, unsigned mask)
{
    for (unsigned r = 0; mask >> r; r++) {
        int16_t slot = g->holds[r];

        if (!(mask >> r & 1) || slot < 0)
            continue;
        if (slot >= GEN_WINDOW_SLOT) {
            gen_window_lose(g, (unsigned)slot - GEN_WINDOW_SLOT);
            continue;
        }
        gen_settle(g, (ir_slot)slot);
        if (!gen_is_global(g, (ir_slot)slot) || g->slot[slot].dirty)
            gen_put(g, r, (ir_slot)slot);
        g->slot[slot].dirty = false;
        g->slot[slot].reg = -1;
        g->holds[r] = -1;
    }
}

void gen_flush_temps(struct gen *g)
{
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        if (g->holds[r] >= g->block->global_count && g->holds[r] < GEN_WINDOW_SLOT)
            gen_release(g, 1u << r);
}

/* --- Bringing memory up to date --- */

void gen_take_sync(const struct gen *g, struct gen_sync *ret_sync)
{
    struct gen_sync sync = {0};

    memcpy(sync.holds, g->holds, sizeof(sync.holds));
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++) {
        if (g->holds[r] < 0)
            continue;
        sync.dirty |= (uint16_t)(g->slot[g->holds[r]].dirty << r);
        sync.pending |= (uint16_t)(g->slot[g->holds[r]].pending << r);
    }
    for (unsigned i = 0; i < GEN_PINNED; i++)
        if (g->home[i] && g->slot[g->home[i]].pending)
            sync.pending |= (uint16_t)(1u << gen_pinned[i]);
    *ret_sync = sync;
}

static bool sync_is_empty(const struct gen_sync *sync)
{
    return !sync->dirty && !(sync->pending & ~GEN_SCRATCH);
}

void gen_emit_sync(struct gen *g, const struct gen_sync *sync)
{
    for (unsigned r = 0; r < ARRAY_LEN(sync->holds); r++) {
        bool dirty = sync->dirty >> r & 1, pinned = !(GEN_SCRATCH >> r & 1);

        if (sync->pending >> r & 1 && (dirty || pinned))
            gen_extend_reg(g, r);
        if (dirty)
            gen_put(g, r, (ir_slot)sync->holds[r]);
    }
}

bool gen_is_settled(const struct gen *g)
{
    struct gen_sync sync;

    gen_take_sync(g, &sync);
    return sync_is_empty(&sync);
}

void gen_flush(struct gen *g)
{
    struct gen_sync sync;

    gen_take_sync(g, &sync);
    gen_emit_sync(g, &sync);
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        if (sync.dirty >> r & 1)
            g->slot[g->holds[r]].dirty = g->slot[g->holds[r]].pending = false;
    for (unsigned i = 0; i < GEN_PINNED; i++)
        g->slot[g->home[i]].pending = false;
}

/* --- Taking registers --- */

void gen_take_reg(struct gen *g, unsigned reg)
{
    gen_release(g, 1u << reg);
    g->busy |= 1u << reg;
}

static bool gen_is_takable(const struct gen *g, unsigned r)
{
    return GEN_SCRATCH >> r & 1 && !(g->busy >> r & 1);
}

/* A free register: those first that memory accesses leave alone. */
int gen_find_free(const struct gen *g)
{
    static const uint8_t order[] = {R12, R13, R14, RAX, RCX, RDX};

    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (gen_is_takable(g, order[i]) && g->holds[order[i]] < 0)
            return order[i];
    return -1;
}

/* Strikes the registers that the op reads out of the candidates, but for the last one. */
static unsigned gen_strike(const struct gen *g, const struct ir_insn *op, unsigned candidates)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot used[3] = {op->a, op->b, op->c};
    const bool has[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

    for (unsigned k = 0; k < 3; k++) {
        const struct gen_slot *s = &g->slot[used[k]];

        if (has[k] && s->reg >= 0 && !s->pinned && candidates & (candidates - 1))
            candidates &= ~(1u << s->reg);
    }
    if (op->op == IR_LD || op->op == IR_ST) {
        const struct gen_window *w = gen_window_find(g, op);

        if (w && candidates & (candidates - 1))
            candidates &= ~(1u << w->reg);
    }
    return candidates;
}

/* The register whose value is used last, as far as one looks. */
static unsigned gen_choose_late(const struct gen *g)
{
    enum { AHEAD = 48 };
    unsigned candidates = 0, end = g->index + AHEAD;

    for (unsigned r = 0; r < 16; r++)
        if (gen_is_takable(g, r))
            candidates |= 1u << r;
    assert(candidates);
    for (unsigned i = g->index; i < g->block->op_count && i < end; i++)
        candidates = gen_strike(g, &g->block->op[i], candidates);
    return (unsigned)__builtin_ctz(candidates);
}

unsigned gen_take(struct gen *g)
{
    int r = gen_find_free(g);

    if (r < 0)
        r = (int)gen_choose_late(g);
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

void gen_hold_reg(struct gen *g, unsigned reg, unsigned slot)
{
    g->slot[slot].reg = (int8_t)reg;
    g->holds[reg] = (int16_t)slot;
}

/* From now on the scratch register holds the slot's value. */
static void gen_note(struct gen *g, unsigned reg, ir_slot slot)
{
    if (g->holds[reg] >= 0) {
        g->slot[g->holds[reg]].reg = -1;
        g->slot[g->holds[reg]].pending = false;
    }
    g->slot[slot].reg = (int8_t)reg;
    g->holds[reg] = (int16_t)slot;
}

void gen_move_away(struct gen *g, ir_slot slot)
{
    unsigned from = (unsigned)g->slot[slot].reg, to = gen_take(g);

    x86_mov_rr(&g->c, to, from);
    g->holds[from] = -1;
    g->slot[slot].reg = (int8_t)to;
    g->holds[to] = (int16_t)slot;
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

    s->narrow = s->pending = false;
    gen_window_drop(g, slot);
    if (s->pinned || (s->constant && gen_is_global(g, slot)))
        return;
    if (s->reg >= 0)
        g->holds[s->reg] = -1;
    *s = (struct gen_slot){.reg = -1};
}

/* Does a value that lives on exist nowhere but in this register? */
static bool gen_is_only_home(const struct gen *g, unsigned reg)
{
    int16_t held = g->holds[reg];

    if (held < 0)
        return false;
    if (gen_is_global(g, (ir_slot)held))
        return g->slot[held].dirty;
    return !(g->kill[g->index] & 1 && ir_op_info[g->op->op].has_a && g->op->a == (ir_slot)held);
}

void gen_done(struct gen *g, ir_slot slot, unsigned reg)
{
    struct gen_slot *s = &g->slot[slot];
    bool scratch = GEN_SCRATCH >> reg & 1;

    if (s->pinned) {
        gen_window_drop(g, slot);
        x86_mov_rr(&g->c, (unsigned)s->reg, reg);
        s->narrow = g->narrow;
        s->pending = g->pending;
        return;
    }
    gen_forget(g, slot);
    if (!scratch && gen_is_global(g, slot) && !g->pending) {
        gen_put(g, reg, slot);
        s->narrow = g->narrow;
        return;
    }
    if (!scratch || gen_is_only_home(g, reg)) {
        unsigned r;

        g->busy |= 1u << reg;
        r = gen_take(g);
        x86_mov_rr(&g->c, r, reg);
        reg = r;
    }
    gen_note(g, reg, slot);
    s->dirty = gen_is_global(g, slot);
    s->narrow = g->narrow;
    s->pending = g->pending;
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
    gen_emit_sync(g, &cold->sync);
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
    gen_flush(g);
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

/* Is the op's 32-bit result sign-extended by the next one? */
static bool gen_is_extended(const struct ir_block *b, unsigned i)
{
    const struct ir_insn *op = &b->op[i], *next = op + 1;

    return i + 1 < b->op_count && op->width == IR_32 && op->op >= IR_ADD && op->op <= IR_MUL &&
           op->dst >= b->global_count && next->op == IR_EXTS && next->aux == 2 &&
           next->a == op->dst;
}

static void gen_liveness(struct gen *g)
{
    const struct ir_block *b = g->block;
    bool live[CPU_SLOTS] = {false};

    memset(live, true, b->global_count);
    for (unsigned i = b->op_count; i-- > 0;) {
        const struct ir_insn *op = &b->op[i];
        const struct ir_op_info *info = &ir_op_info[op->op];
        const ir_slot used[3] = {op->a, op->b, op->c};
        const bool has[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

        g->kill[i] = 0;
        if (info->has_dst) {
            if (!live[op->dst] && info->pure) {
                g->kill[i] = GEN_DEAD;
                continue;
            }
            live[op->dst] = false;
        }
        if (info->may_fault || info->ends || op->op == IR_BR)
            memset(live, true, b->global_count);
        for (unsigned k = 0; k < 3; k++) {
            if (!has[k] || live[used[k]])
                continue;
            if (used[k] >= b->global_count)
                g->kill[i] |= (uint8_t)(1u << k);
            live[used[k]] = true;
        }
        if (gen_is_extended(b, i) && !(g->kill[i + 1] & GEN_DEAD) && g->kill[i + 1] & 1)
            g->kill[i] |= GEN_EXTEND;
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
    g->op = op;
    gen_width(g, op);
    if (g->fallback && (ir_op_info[op->op].has_dst || ir_op_info[op->op].may_fault) &&
        op->op != IR_HELPER && op->op != IR_PC)
        gen_fallback(g, op);
    else if (!gen_int(g, op) && !gen_mem(g, op) && !gen_fp(g, op) && !gen_flow(g, op))
        gen_fallback(g, op);
    gen_bury(g, op);
}

/* A 32-bit op and the extension of its result to a guest register, as one. */
static void gen_extended_op(struct gen *g, const struct ir_insn *op)
{
    struct ir_insn both = *op;

    both.dst = op[1].dst;
    gen_op(g, &both);
    g->op = op; /* `both` goes */
    g->index++;
}

static void gen_ops(struct gen *g)
{
    const struct ir_block *b = g->block;
    int before = 0;

    for (g->index = 0; g->index < b->op_count; g->index++) {
        const struct ir_insn *op = &b->op[g->index];

        /* Instructions without ops count, too. */
        if (g->count && op->insn != before)
            x86_alu_mem_imm(&g->c, X86_ADD, true, RBP, CPU_DISP(instret), op->insn - before);
        before = op->insn;
        if (g->kill[g->index] & GEN_DEAD)
            continue;
        if (g->kill[g->index] & GEN_EXTEND && !g->fallback)
            gen_extended_op(g, op);
        else
            gen_op(g, op);
    }
}

static void gen_cold_ends(struct gen *g)
{
    for (unsigned i = 0; i < g->cold_count && !g->c.full; i++) {
        struct gen_cold *cold = &g->cold[i];

        g->op = cold->op;
        for (unsigned k = 0; k < cold->from_count; k++)
            x86_patch(cold->from[k], g->c.at);
        switch (cold->kind) {
        case COLD_LOAD:
        case COLD_STORE: gen_cold_mem(g, cold); break;
        case COLD_OP: gen_cold_op(g, cold); break;
        case COLD_BRANCH: gen_cold_branch(g, cold); break;
        default: gen_cold_flow(g, cold); break;
        }
    }
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
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        g->holds[r] = -1;
    memset(g->window, 0, sizeof(g->window));
    for (unsigned s = 0; s < CPU_SLOTS; s++)
        if (g->slot[s].pinned)
            g->slot[s].narrow = g->slot[s].pending = false;
        else if (!(g->slot[s].constant && s < b->global_count))
            g->slot[s] = (struct gen_slot){.reg = -1};
    gen_liveness(g);
    gen_entry(g);
    gen_ops(g);
    gen_cold_ends(g);
    g->stale = g->c.at;
    x86_mov_imm(&g->c, RDX, b->pc & (GUEST_PAGE_SIZE - 1));
    x86_jmp_to(&g->c, g->stubs->stale);
    return !g->c.full;
}
