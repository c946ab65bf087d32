/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the generator: which slot is in which register, what is newer there than in memory,
 * and which register is given up for another. Overview: gen.h.
 */
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
    g->standard.scratch = GEN_SCRATCH;
    for (unsigned i = 0; i < GEN_PINNED && i < ops->hot_global_count; i++) {
        g->standard.slot[i] = ops->hot_globals[i];
        g->standard.reg[i] = gen_pinned[i];
        g->standard.count++;
    }
    gen_map_set(g, &g->standard);
}

void gen_map_set(struct gen *g, const struct gen_map *map)
{
    for (unsigned i = 0; g->map && i < g->map->count; i++)
        g->slot[g->map->slot[i]] = (struct gen_slot){.reg = -1};
    g->map = map;
    for (unsigned i = 0; i < map->count; i++)
        g->slot[map->slot[i]] = (struct gen_slot){.reg = (int8_t)map->reg[i], .pinned = true};
}

bool gen_is_global(const struct gen *g, ir_slot slot)
{
    return slot < g->block->global_count;
}

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
    for (unsigned i = 0; i < g->map->count; i++)
        if (g->slot[g->map->slot[i]].pending)
            sync.pending |= (uint16_t)(1u << g->map->reg[i]);
    *ret_sync = sync;
}

static bool sync_is_empty(const struct gen *g, const struct gen_sync *sync)
{
    return !sync->dirty && !(sync->pending & ~g->map->scratch);
}

void gen_emit_sync(struct gen *g, const struct gen_sync *sync)
{
    for (unsigned r = 0; r < ARRAY_LEN(sync->holds); r++) {
        bool dirty = sync->dirty >> r & 1, pinned = !(g->map->scratch >> r & 1);

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
    return sync_is_empty(g, &sync);
}

void gen_flush(struct gen *g)
{
    struct gen_sync sync;

    gen_take_sync(g, &sync);
    gen_emit_sync(g, &sync);
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        if (sync.dirty >> r & 1)
            g->slot[g->holds[r]].dirty = g->slot[g->holds[r]].pending = false;
    for (unsigned i = 0; i < g->map->count; i++)
        g->slot[g->map->slot[i]].pending = false;
}

/* --- Taking registers --- */

void gen_take_reg(struct gen *g, unsigned reg)
{
    gen_release(g, 1u << reg);
    g->busy |= 1u << reg;
}

static bool gen_is_takable(const struct gen *g, unsigned r)
{
    return g->map->scratch >> r & 1 && !(g->busy >> r & 1);
}

bool gen_may_take(const struct gen *g)
{
    return g->map->scratch & ~g->busy;
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
    bool scratch = g->map->scratch >> reg & 1;

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
