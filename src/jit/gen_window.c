/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLB check for several accesses from the same base register: the first checks that all of
 * their bytes lie in one page it may access, and keeps the host address. Where they lie in two, it
 * leaves, before anything of its instruction is done, for a translation that begins there and has
 * no windows: a hot stack frame across a page's end would fail each time. If the check fails for
 * another reason, the access goes the slow way alone and leaves 0, which sends the others there,
 * too: each is then checked on its own (stubs.c). A check for writing serves reads. Nothing inside
 * a block changes mappings but helpers, which end all windows.
 */
#include "jit/gen.h"

enum { WINDOW_SPAN = 1024, WINDOW_AHEAD = 64 };

static int32_t window_end(const struct ir_insn *op)
{
    return (int32_t)op->imm + (int32_t)IR_MEM_SIZE(op->aux);
}

static bool window_is_access(const struct ir_insn *op)
{
    return (op->op == IR_LD || op->op == IR_ST) && op->imm >= -GUEST_PAGE_SIZE &&
           op->imm < GUEST_PAGE_SIZE;
}

const struct gen_window *gen_window_find(const struct gen *g, const struct ir_insn *op)
{
    if (!window_is_access(op))
        return NULL;
    for (unsigned i = 0; i < GEN_WINDOWS; i++) {
        const struct gen_window *w = &g->window[i];

        if (w->valid && w->base == op->a && (w->write || op->op == IR_LD) && op->imm >= w->low &&
            window_end(op) <= w->high)
            return w;
    }
    return NULL;
}

/* Widens the window to the access: false when that makes it too large. */
static bool window_add(struct gen_window *w, const struct ir_insn *op)
{
    int32_t low = op->imm < w->low ? (int32_t)op->imm : w->low;
    int32_t high = window_end(op) > w->high ? window_end(op) : w->high;

    if (high - low > WINDOW_SPAN)
        return false;
    w->low = low;
    w->high = high;
    return true;
}

/* How many accesses behind the op the window would serve. */
static unsigned window_plan(const struct gen *g, const struct ir_insn *first, struct gen_window *w)
{
    const struct ir_insn *end = g->block->op + g->block->op_count;
    unsigned served = 0;

    for (const struct ir_insn *op = &g->block->op[g->index + 1]; op < end; op++) {
        if (op->op == IR_HELPER || op - first > WINDOW_AHEAD)
            break;
        if (window_is_access(op) && op->a == w->base && (w->write || op->op == IR_LD))
            served += window_add(w, op);
        if (ir_op_info[op->op].has_dst && op->dst == w->base)
            break;
    }
    return served;
}

/* A window number that is free: else one whose base this is, which a read opened and a write wants
 * anew. */
static int window_choose(const struct gen *g, ir_slot base)
{
    for (unsigned i = 0; i < GEN_WINDOWS; i++)
        if (g->window[i].valid && g->window[i].base == base)
            return (int)i;
    for (unsigned i = 0; i < GEN_WINDOWS; i++)
        if (!g->window[i].valid)
            return (int)i;
    return -1;
}

struct gen_window *gen_window_open(struct gen *g, const struct ir_insn *op)
{
    struct gen_window w = {.valid = true, .base = op->a, .write = op->op == IR_ST};
    int n = window_choose(g, op->a), reg;
    unsigned served, busy = g->busy;

    if (g->apart || n < 0 || !window_is_access(op) || g->slot[op->a].constant ||
        (op->op == IR_LD && op->dst == op->a))
        return NULL;
    w.low = (int32_t)op->imm;
    w.high = window_end(op);
    served = window_plan(g, op, &w);
    if (!served)
        return NULL;
    if (g->window[n].valid)
        gen_window_lose(g, (unsigned)n);
    g->busy |= 1u << RAX; /* calls would lose it */
    reg = gen_find_free(g);
    if (reg < 0 && served > 2 && gen_may_take(g))
        reg = (int)gen_take(g);
    g->busy = busy;
    if (reg < 0)
        return NULL;
    w.reg = (uint8_t)reg;
    g->busy |= 1u << reg;
    g->window[n] = w;
    gen_hold_reg(g, w.reg, GEN_WINDOW_SLOT + (unsigned)n);
    return &g->window[n];
}

void gen_window_lose(struct gen *g, unsigned n)
{
    g->window[n].valid = false;
    g->holds[g->window[n].reg] = -1;
}

void gen_window_drop(struct gen *g, ir_slot base)
{
    for (unsigned i = 0; i < GEN_WINDOWS; i++)
        if (g->window[i].valid && g->window[i].base == base)
            gen_window_lose(g, i);
}
