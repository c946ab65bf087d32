/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a region, in which order, and which guest registers get host registers. Members
 * are what the loop's head reaches and what reaches the head again; the code behind a member's last
 * jump inside is cut off.
 */
#include "jit/region.h"
#include <string.h>

int region_find(const struct region *r, int64_t page_offset)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct region_member *m = &r->member[i];

        if (m->kept && m->offset == page_offset)
            return (int)i;
    }
    return -1;
}

int region_edge(const struct region *r, const struct region_member *m, unsigned i)
{
    const struct ir_insn *op = &m->ir.op[i];
    uint64_t page = m->ir.pc & ~(uint64_t)(GUEST_PAGE_SIZE - 1);

    if (op->op == IR_BR || (op->op == IR_EXIT && !m->indirect))
        return region_find(r, (int64_t)((uint64_t)op->imm - page));
    return -1;
}

static bool plan_reaches(const struct region *r, const struct region_member *m, const bool *good)
{
    for (unsigned i = 0; i < m->ir.op_count; i++) {
        int to = region_edge(r, m, i);

        if (to >= 0 && good[to])
            return true;
    }
    return false;
}

/* Drops what cannot get to the head. False: not even the head can. */
static bool plan_close(struct region *r)
{
    bool good[REGION_MEMBERS] = {true}, more = true;

    while (more) {
        more = false;
        for (unsigned i = 1; i < r->count; i++) {
            if (good[i] || !plan_reaches(r, &r->member[i], good))
                continue;
            good[i] = more = true;
        }
    }
    if (!plan_reaches(r, &r->member[0], good))
        return false;
    for (unsigned i = 0; i < r->count; i++)
        r->member[i].kept = good[i];
    return true;
}

/* Cuts the block off behind guest instruction n: its next address is a way out. */
void region_cut(struct ir_block *b, unsigned n)
{
    uint32_t end = b->insn[n].pc_offset + (uint32_t)b->insn[n].length;
    unsigned count = 0;

    while (b->op[count].insn <= n && !ir_op_info[b->op[count].op].ends)
        count++;
    b->op[count] =
        (struct ir_insn){.op = IR_EXIT, .insn = (uint16_t)n, .imm = (int64_t)(b->pc + end)};
    b->op_count = (uint16_t)(count + 1);
    b->insn_count = (uint16_t)(n + 1);
    b->length = end;
}

static void plan_cut(struct region *r, struct region_member *m)
{
    unsigned last = m->ir.op_count;

    while (last && region_edge(r, m, last - 1) < 0)
        last--;
    if (!last || last == m->ir.op_count)
        return;
    m->cut = m->ir.op[last - 1].insn + 1u;
    m->indirect = false;
    region_cut(&m->ir, m->cut - 1u);
}

static void plan_targets(struct region *r, const struct region_member *m)
{
    for (unsigned i = 0; i < m->ir.op_count; i++) {
        const struct ir_insn *op = &m->ir.op[i];
        int to = region_edge(r, m, i);

        if (to >= 0 && r->member[to].offset <= m->offset + m->ir.insn[op->insn].pc_offset)
            r->member[to].target = true;
    }
}

/* A member is followed by the one its end leads to, if it is not placed yet. */
static void plan_order(struct region *r)
{
    int next = 0;

    r->order_count = 0;
    for (unsigned n = 0; n < r->count; n++)
        r->member[n].placed = false;
    while (next >= 0) {
        struct region_member *m = &r->member[next];

        m->placed = true;
        r->order[r->order_count++] = (uint8_t)next;
        next = region_edge(r, m, m->ir.op_count - 1u);
        if (next >= 0 && !r->member[next].placed)
            continue;
        next = -1;
        for (unsigned n = 0; n < r->count && next < 0; n++)
            if (r->member[n].kept && !r->member[n].placed)
                next = (int)n;
    }
}

/* --- Registers --- */

struct plan_use {
    unsigned uses[CPU_SLOTS];
    bool written[CPU_SLOTS], is_float[CPU_SLOTS];
};

static void plan_count_op(struct plan_use *u, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot used[4] = {op->a, op->b, op->c, op->dst};
    const bool has[4] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c,
                         info->has_dst};

    for (unsigned k = 0; k < 4; k++) {
        if (!has[k])
            continue;
        u->uses[used[k]]++;
        u->is_float[used[k]] |= info->is_float;
    }
    if (info->has_dst)
        u->written[op->dst] = true;
}

static int plan_standard(const struct gen_map *standard, ir_slot slot)
{
    for (unsigned i = 0; i < standard->count; i++)
        if (standard->slot[i] == slot)
            return (int)i;
    return -1;
}

/* The slot used most that has no register yet; 0: none worth while. A register that all code has
 * needs no loading and storing. */
static ir_slot plan_best(const struct plan_use *u, const struct gen_map *standard,
                         const bool *taken, unsigned globals)
{
    unsigned best = 0;
    ir_slot slot = 0;

    for (unsigned s = 1; s < globals; s++) {
        unsigned worth = u->uses[s] * 2;

        if (plan_standard(standard, (ir_slot)s) >= 0)
            worth += worth ? 3 : 0;
        else if (u->uses[s] < 2)
            worth = 0;
        if (!taken[s] && !u->is_float[s] && worth > best) {
            best = worth;
            slot = (ir_slot)s;
        }
    }
    return slot;
}

static void plan_pin(struct gen_map *map, const struct plan_use *u, ir_slot slot, unsigned reg)
{
    map->slot[map->count] = slot;
    map->reg[map->count] = (uint8_t)reg;
    map->written |= (uint16_t)(u->written[slot] << map->count);
    map->scratch &= (uint16_t) ~(1u << reg);
    map->count++;
}

static void plan_map(struct region *r, const struct gen *g)
{
    struct plan_use u;
    const struct gen_map *standard = &g->standard;
    unsigned globals = r->member[0].ir.global_count, count = 0, extra = 0;
    bool taken[CPU_SLOTS] = {false};
    ir_slot chosen[GEN_PINNED + 1];

    memset(&u, 0, sizeof(u));
    for (unsigned i = 0; i < r->count; i++)
        for (unsigned k = 0; r->member[i].kept && k < r->member[i].ir.op_count; k++)
            plan_count_op(&u, &r->member[i].ir.op[k]);
    while (count < ARRAY_LEN(chosen)) {
        ir_slot s = plan_best(&u, standard, taken, globals);

        if (!s)
            break;
        taken[s] = true;
        chosen[count++] = s;
    }
    r->map = (struct gen_map){.scratch = standard->scratch};
    for (unsigned i = 0; i < standard->count; i++)
        if (taken[standard->slot[i]])
            plan_pin(&r->map, &u, standard->slot[i], standard->reg[i]);
    for (unsigned i = 0; i < count; i++) {
        unsigned reg = R12, n = 0;

        if (plan_standard(standard, chosen[i]) >= 0)
            continue;
        if (extra) { /* a register of another one's */
            while (n < standard->count && (taken[standard->slot[n]] || r->map.displaced >> n & 1))
                n++;
            if (n == standard->count)
                break;
            reg = standard->reg[n];
            r->map.displaced |= (uint16_t)(1u << n);
        }
        extra++;
        r->map.moved |= (uint16_t)(1u << r->map.count);
        plan_pin(&r->map, &u, chosen[i], reg);
    }
    for (unsigned i = 0; i < standard->count; i++) /* the others stay where they are */
        if (!taken[standard->slot[i]] && !(r->map.displaced >> i & 1))
            plan_pin(&r->map, &u, standard->slot[i], standard->reg[i]);
}

bool region_close(struct region *r, bool loop)
{
    for (unsigned i = 0; i < r->count; i++)
        r->member[i].kept = true;
    if (!plan_close(r) && loop)
        return false;
    for (unsigned i = 0; i < r->count; i++)
        if (r->member[i].kept)
            plan_cut(r, &r->member[i]);
    return true;
}

void region_plan(struct region *r, const struct gen *g)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->member[i].kept)
            plan_targets(r, &r->member[i]);
    plan_order(r);
    region_hoist(r);
    if (r->mode == REGION_FULL)
        plan_map(r, g);
    else
        r->map = g->standard;
}
