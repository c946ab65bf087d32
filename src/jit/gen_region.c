/* SPDX-License-Identifier: Apache-2.0 */
/* Host code of a region. Overview: region.h. */
#include "jit/region.h"

static void map_load(struct gen *g, unsigned reg, ir_slot slot)
{
    x86_rm(&g->c, X86_MOV_LOAD, true, reg, RBP, slot_disp(slot));
}

static void map_store(struct gen *g, unsigned reg, ir_slot slot)
{
    x86_rm(&g->c, X86_MOV_STORE, true, reg, RBP, slot_disp(slot));
}

static void map_load_moved(struct gen *g)
{
    for (unsigned i = 0; i < g->map->count; i++)
        if (g->map->moved >> i & 1)
            map_load(g, g->map->reg[i], g->map->slot[i]);
}

void gen_map_enter(struct gen *g)
{
    for (unsigned i = 0; i < g->standard.count; i++)
        if (g->map->displaced >> i & 1)
            map_store(g, g->standard.reg[i], g->standard.slot[i]);
    map_load_moved(g);
}

void gen_map_leave(struct gen *g)
{
    for (unsigned i = 0; i < g->map->count; i++)
        if (g->map->moved >> i & g->map->written >> i & 1)
            map_store(g, g->map->reg[i], g->map->slot[i]);
    for (unsigned i = 0; i < g->standard.count; i++)
        if (g->map->displaced >> i & 1)
            map_load(g, g->standard.reg[i], g->standard.slot[i]);
}

void gen_call_stub(struct gen *g, const uint8_t *stub)
{
    if (g->region)
        gen_map_leave(g);
    x86_call_to(&g->c, stub);
    if (g->region)
        map_load_moved(g); /* what is displaced is in memory, too */
}

bool gen_region_jump(struct gen *g, int cc, int64_t page_offset)
{
    const struct region *r = g->region;
    int member = r ? region_find(r, page_offset) : -1;
    bool last = g->index + 1u == g->block->op_count;

    if (member < 0 || (last && r->member[r->current].indirect))
        return false;
    if (last && (unsigned)member == r->next)
        return true; /* falls into it */
    if (g->fix_count == GEN_FIX_MAX) {
        g->c.full = true;
        return true;
    }
    g->fix[g->fix_count++] = (struct gen_fix){
        cc < 0 ? x86_jmp(&g->c) : x86_jcc(&g->c, (enum x86_cc)cc), (unsigned)member};
    return true;
}

const struct region_cover *gen_covered(const struct gen *g)
{
    const struct region *r = g->region;
    unsigned n = r ? r->member[r->current].cover[g->index] : 0;

    return n ? &r->cover[n - 1] : NULL;
}

int32_t gen_cover_addend(const struct gen *g, const struct region_cover *c)
{
    return CPU_DISP(jit.cover) +
           (int32_t)((size_t)(c - g->region->cover) * sizeof(((struct cpu *)0)->jit.cover[0]));
}

/* The register that a slot is in between members, or `other`, loaded. */
static unsigned region_value(struct gen *g, ir_slot slot, unsigned other)
{
    if (g->slot[slot].pinned)
        return (unsigned)g->slot[slot].reg;
    map_load(g, other, slot);
    return other;
}

/* One check for all that the next turn accesses by a register; what fails goes to the cold end. */
static void region_check(struct gen *g, const struct region_cover *c, struct gen_fix *fail,
                         unsigned *fails)
{
    const int32_t table = c->write ? (int32_t)offsetof(struct mmu_space, write)
                                   : (int32_t)offsetof(struct mmu_space, read);
    int32_t at = gen_cover_addend(g, c), room = (int32_t)GUEST_PAGE_SIZE - (c->high - c->low);
    unsigned root = region_value(g, c->root, RAX), n = (unsigned)(c - g->region->cover);

    x86_rm(&g->c, X86_LEA, true, RDX, root, c->low);
    x86_rorx(&g->c, true, RCX, RDX, GUEST_PAGE_SHIFT - 4);
    x86_alu_imm(&g->c, X86_AND, false, RCX, (TLB_SIZE - 1) << 4);
    x86_rx(&g->c, X86_XOR_LOAD, true, RDX, R15, RCX, 0, table);
    x86_alu_imm(&g->c, X86_CMP, true, RDX, room);
    fail[(*fails)++] = (struct gen_fix){x86_jcc(&g->c, X86_A), n};
    x86_rx(&g->c, X86_MOV_LOAD, true, RCX, R15, RCX, 0,
           table + (int32_t)offsetof(struct tlb_entry, addend));
    x86_rm(&g->c, X86_MOV_STORE, true, RCX, RBP, at);
    if (!c->up && !c->down)
        return;
    x86_rm(&g->c, X86_LEA, true, RCX, root, 4 * GUEST_PAGE_SIZE); /* no bound shall wrap around */
    x86_alu_imm(&g->c, X86_CMP, true, RCX, 8 * GUEST_PAGE_SIZE);
    fail[(*fails)++] = (struct gen_fix){x86_jcc(&g->c, X86_B), n};
    x86_mov_rr(&g->c, RCX, root);
    x86_alu_rr(&g->c, X86_SUB, true, RCX,
               RDX); /* the least there may be: low at the page's start */
    if (c->down)
        x86_rm(&g->c, X86_MOV_STORE, true, RCX, RBP, at + 16);
    x86_alu_imm(&g->c, X86_ADD, true, RCX, room);
    if (c->up)
        x86_rm(&g->c, X86_MOV_STORE, true, RCX, RBP, at + 8);
}

static int32_t region_trial(const struct region *r, size_t field)
{
    return CPU_DISP(trial) + (int32_t)(r->trial * sizeof(((struct cpu *)0)->trial[0]) + field);
}
#define REGION_TRIAL_OF(field) offsetof(typeof(((struct cpu *)0)->trial[0]), field)

/* Counts one of the trial's numbers down; who finds it used up has the region judged. The registers
 * are the region's, or (enter) still those of all other code. */
static void region_count(struct gen *g, const struct region *r, size_t field, bool entering)
{
    struct gen_cold *cold;

    g->op = &r->member[0].ir.op[0];
    g->block = &r->member[0].ir;
    cold = gen_cold_new(g, entering ? COLD_ENTRY : COLD_JUDGE);
    cold->value = r->member[0].offset;
    x86_alu_mem_imm(&g->c, X86_SUB, false, RBP, region_trial(r, field), 1);
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_S);
}

static void region_checks(struct gen *g, struct region *r)
{
    struct gen_fix fail[2 * REGION_COVERS];
    unsigned fails = 0;

    r->check = g->c.at;
    for (unsigned i = 0; i < r->cover_count; i++)
        region_check(g, &r->cover[i], fail, &fails);
    if (fails) {
        x86_rm(&g->c, 0xc7, false, 0, RBP, region_trial(r, REGION_TRIAL_OF(fails)));
        x86_u32(&g->c, REGION_TRIAL_FAILS);
    }
    r->entry_jump = x86_jmp(&g->c);
    for (unsigned i = 0; i < fails; i++) { /* each says for which register */
        x86_patch(fail[i].rel, g->c.at);
        x86_rm(&g->c, 0xc7, false, 0, RBP, CPU_DISP(jit.failed));
        x86_u32(&g->c, r->cover[fail[i].member].root);
        fail[i].rel = i + 1 < fails ? x86_jmp(&g->c) : NULL;
    }
    for (unsigned i = 0; i + 1 < fails; i++)
        x86_patch(fail[i].rel, g->c.at);
    if (!fails)
        return;
    region_count(g, r, REGION_TRIAL_OF(fails), false);
    gen_map_leave(g);
    if (r->lockstep)
        x86_mov_imm(&g->c, RDX, r->member[0].offset);
    x86_jmp_to(&g->c, r->lockstep ? g->stubs->body : r->body);
}

/* At the head: has a register moved too far for what was checked? */
static void region_bounds(struct gen *g, const struct region *r)
{
    for (unsigned i = 0; i < r->cover_count; i++) {
        const struct region_cover *c = &r->cover[i];
        unsigned root;

        if (!c->up && !c->down)
            continue;
        root = region_value(g, c->root, RDX);
        if (c->up) {
            x86_alu_rm(&g->c, X86_CMP, true, root, RBP, gen_cover_addend(g, c) + 8);
            x86_patch(x86_jcc(&g->c, X86_A), r->check);
        }
        if (c->down) {
            x86_alu_rm(&g->c, X86_CMP, true, root, RBP, gen_cover_addend(g, c) + 16);
            x86_patch(x86_jcc(&g->c, X86_B), r->check);
        }
    }
}

/* Every loop inside passes one of these. */
static void region_look(struct gen *g, const struct region_member *m)
{
    struct gen_cold *cold;

    g->op = &m->ir.op[0];
    cold = gen_cold_new(g, COLD_HEAD);
    cold->value = m->offset;
    if (g->region->lockstep)
        x86_alu_mem_imm(&g->c, X86_SUB, false, RBP, CPU_DISP(jit.budget), 1);
    else
        x86_alu_mem_imm(&g->c, X86_CMP, false, RBP, CPU_DISP(attention), 0);
    cold->from[cold->from_count++] = x86_jcc(&g->c, g->region->lockstep ? X86_S : X86_NE);
}

static void region_member(struct gen *g, struct region *r, unsigned place)
{
    unsigned n = r->order[place];
    struct region_member *m = &r->member[n];

    r->current = n;
    r->next = place + 1 < r->order_count ? r->order[place + 1] : REGION_MEMBERS;
    m->label = g->c.at;
    gen_begin(g, &m->ir);
    if (m->target)
        region_look(g, m);
    if (!n && r->mode == REGION_TRIAL)
        region_count(g, r, REGION_TRIAL_OF(turns), false);
    if (!n) {
        region_bounds(g, r);
        x86_patch(r->entry_jump, g->c.at);
    }
    gen_ops(g);
}

bool gen_region(struct gen *g, struct region *r)
{
    g->region = r;
    g->fix_count = g->cold_count = 0;
    gen_map_set(g, &r->map);
    g->outer = g->inner = g->c.at;
    x86_alu_mem_imm(&g->c, X86_ADD, true, RBP, CPU_DISP(jit.regions), 1);
    if (r->mode == REGION_TRIAL)
        region_count(g, r, REGION_TRIAL_OF(entries), true);
    gen_map_enter(g);
    region_checks(g, r);
    for (unsigned i = 0; i < r->order_count; i++)
        region_member(g, r, i);
    gen_cold_ends(g);
    g->stale = g->c.at;
    for (unsigned i = 0; i < g->fix_count && !g->c.full; i++)
        x86_patch(g->fix[i].rel, r->member[g->fix[i].member].label);
    gen_map_set(g, &g->standard);
    g->region = NULL;
    return !g->c.full;
}
