/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making regions of what runs hot. Only code that has run takes part: a target without translation
 * is a way out. Time is bounded by the members' number, so it happens at once, on the vCPU's own
 * thread: docs/adr/0003-jit.md has the figures.
 */
#include "jit/region.h"
#include "jit/internal.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool region_takes(const struct ir_insn *op)
{
    return op->op != IR_HELPER && op->op != IR_TRAP &&
           !(op->op == IR_FENCE && op->aux == IR_FENCE_CODE);
}

/* Ends the block before the first instruction that a region does not take: often it only happens to
 * follow the loop. False: nothing is left. */
static bool region_trim(struct ir_block *b)
{
    unsigned i = 0;

    while (i < b->op_count && region_takes(&b->op[i]))
        i++;
    if (i == b->op_count)
        return b->insn_count;
    if (!b->op[i].insn)
        return false;
    region_cut(b, b->op[i].insn - 1u);
    return true;
}

/* Lifts one more member. False: it cannot be one. */
static bool region_add(struct jit_vcpu *v, const struct jit_block *head, uint32_t offset)
{
    struct jit *jit = v->jit;
    struct region *r = jit->region;
    struct region_member *m = &r->member[r->count];
    uint64_t page = GUEST_PAGE_SIZE - 1;

    if (!jit_lift(v, (head->va & ~page) | offset, GPA((head->gpa & ~page) | offset), GPA(0)) ||
        !region_trim(&jit->ir))
        return false;
    memset(m, 0, offsetof(struct region_member, cover));
    m->offset = offset;
    m->indirect = jit->ir.op[jit->ir.op_count - 1].op == IR_JUMP;
    if (v->lockstep)
        m->lifted = jit_keep_ir(jit);
    memcpy(&m->ir, &jit->ir,
           offsetof(struct ir_block, op) + jit->ir.op_count * sizeof(jit->ir.op[0]));
    r->count++;
    r->ops += jit->ir.op_count;
    return true;
}

static bool region_wants(const struct jit *jit, const struct jit_block *head, int64_t offset)
{
    const struct region *r = jit->region;
    const struct jit_block *b;

    if (!gen_may_link(offset) || r->count == REGION_MEMBERS || r->ops > REGION_OPS)
        return false;
    for (unsigned i = 0; i < r->count; i++)
        if (r->member[i].offset == offset)
            return false;
    for (unsigned i = 0; i < r->refused_count; i++)
        if (r->refused[i] == offset)
            return false;
    b = cache_find(&jit->cache, (head->gpa & ~(uint64_t)(GUEST_PAGE_SIZE - 1)) | (uint64_t)offset,
                   0, head->key);
    return b || jit->stress & STRESS_TIER2;
}

/* Members by breadth, from the head on. */
static bool region_collect(struct jit_vcpu *v, const struct jit_block *head)
{
    const uint64_t page = GUEST_PAGE_SIZE - 1;
    struct jit *jit = v->jit;
    struct region *r = jit->region;

    r->count = r->ops = r->refused_count = 0;
    if (!region_add(v, head, (uint32_t)(head->gpa & page)))
        return false;
    for (unsigned i = 0; i < r->count; i++) {
        const struct region_member *m = &r->member[i];

        for (unsigned k = 0; k < m->ir.op_count; k++) {
            const struct ir_insn *op = &m->ir.op[k];
            int64_t offset = (int64_t)((uint64_t)op->imm - (head->va & ~page));

            if ((op->op != IR_BR && op->op != IR_EXIT) || !region_wants(jit, head, offset))
                continue;
            if (!region_add(v, head, (uint32_t)offset) && r->refused_count < REGION_MEMBERS)
                r->refused[r->refused_count++] = (uint16_t)offset;
        }
    }
    return !head->dropped;
}

/* What lockstep compares with: the members, cut like those that are generated. */
static const struct region_kept *region_keep(struct jit *jit)
{
    const struct region *r = jit->region;
    struct region_kept *k = cache_keep(&jit->cache, sizeof(*k) + r->count * sizeof(k->member[0]));

    k->count = 0;
    for (unsigned i = 0; i < r->count; i++) {
        const struct region_member *m = &r->member[i];

        if (!m->kept)
            continue;
        if (m->cut)
            region_cut(m->lifted, m->cut - 1);
        k->member[k->count].lifted = m->lifted;
        k->member[k->count].offset = m->offset;
        k->member[k->count].target = m->target;
        k->member[k->count++].indirect = m->indirect;
    }
    return k;
}

/* Generates what was collected and puts it in the head's place. */
static bool region_generate(struct jit_vcpu *v, struct jit_block *head)
{
    struct jit *jit = v->jit;
    struct cache_segment *s = &jit->cache.segment[jit->cache.current];
    struct gen *g = &jit->gen;
    struct jit_block *block = cache_keep(&jit->cache, sizeof(*block));

    *block = (struct jit_block){
        .gpa = head->gpa, .va = head->va, .key = head->key, .length = head->length, .head = head};
    jit->region->lockstep = v->lockstep != NULL;
    if (v->lockstep)
        head->kept = region_keep(jit);
    jit_set_gen(v, head->gpa);
    jit->region->body = head->inner + CACHE_INNER_BYTES;
    g->c = (struct x86_code){.at = s->bottom, .end = s->top};
    if (!gen_region(g, jit->region))
        return false;
    block->outer = g->outer;
    block->inner = g->inner;
    block->stale = g->stale;
    if (cache_add_region(&jit->cache, block))
        return false;
    head->region = block;
    head->covers = (uint8_t)jit->region->cover_count;
    jit->translated_bytes += (uint64_t)(g->c.at - s->bottom);
    s->bottom = g->c.at;
    cache_redirect(head, block->inner);
    jit_name_block(jit, block);
    return true;
}

static uint64_t region_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The head's own code is to run again. */
static void region_discard(struct jit_vcpu *v, struct jit_block *head)
{
    if (!head->region)
        return;
    cache_redirect(head, head->inner + CACHE_INNER_BYTES);
    cache_forget_region(&v->jit->cache, head->region);
    head->region = NULL;
    head->kept = NULL;
}

static bool region_build(struct jit_vcpu *v, struct jit_block *head)
{
    struct region *r = v->jit->region;

    if (!region_collect(v, head) || !region_close(r, !(v->jit->stress & STRESS_TIER2)))
        return false;
    for (unsigned i = 0; i < r->count; i++) {
        if (!r->member[i].kept)
            continue;
        ir_optimise(&r->member[i].ir);
        gen_find_rotations(&r->member[i].ir);
    }
    region_plan(r, &v->jit->gen);
    return region_generate(v, head);
}

static void region_make(struct jit_vcpu *v, struct jit_block *head, enum region_mode mode)
{
    struct jit *jit = v->jit;
    uint8_t *top = jit->cache.segment[jit->cache.current].top;
    uint64_t start = region_ns();
    bool made;

    if (!jit->region)
        jit->region = calloc(1, sizeof(*jit->region));
    if (!jit->region)
        return;
    region_discard(v, head);
    jit->region->mode = mode;
    jit->region->wild = head->wild;
    jit->region->trial = jit_trial_index(head->gpa);
    if (mode == REGION_TRIAL)
        jit_reset_trial(v->cpu, jit->region->trial);
    made = region_build(v, head);
    if (made)
        head->mode = (uint8_t)mode;
    else
        head->kept = NULL;
    if (!made)
        jit->cache.segment[jit->cache.current].top = top;
    jit->regions_made += made;
    jit->regions_refused += !made;
    jit->region_ns += region_ns() - start;
}

void jit_make_region_locked(struct jit_vcpu *v, struct jit_block *head)
{
    enum region_mode mode = REGION_TRIAL;

    if (head->tried || head->gpa2 || head->key & JIT_KEY_APART || v->jit->stress & STRESS_TIER1)
        return;
    head->tried = true;
    if (v->jit->stress & STRESS_TIER2) /* each of the three somewhere */
        mode = (enum region_mode)((head->gpa >> 2) % (REGION_FULL + 1));
    region_make(v, head, mode);
}

/* A region has been tried, or its checks keep failing: what shall become of it? */
static void region_judge(struct jit_vcpu *v, struct jit_block *head)
{
    int32_t entries = REGION_TRIAL_ENTRIES - v->cpu->trial[jit_trial_index(head->gpa)].entries;
    int32_t turns = REGION_TRIAL_TURNS - v->cpu->trial[jit_trial_index(head->gpa)].turns;
    bool fails = v->cpu->trial[jit_trial_index(head->gpa)].fails < 0;

    jit_reset_trial(v->cpu, jit_trial_index(head->gpa));
    if (!head->region)
        return;
    if (fails) {
        head->wild |= UINT64_C(1) << (v->cpu->jit.failed & 63);
        region_make(v, head, (enum region_mode)head->mode);
    } else if (head->mode != REGION_TRIAL) {
        return;
    } else if (turns >= entries * JIT_TURNS_FULL) {
        region_make(v, head, REGION_FULL);
    } else if (turns >= entries * JIT_TURNS_PLAIN && head->covers) {
        region_make(v, head, REGION_PLAIN);
    } else {
        region_discard(v, head);
        v->jit->regions_discarded++;
    }
}

void jit_heat(struct jit_vcpu *v, uint64_t pc, bool judge)
{
    struct jit *jit = v->jit;
    const uint8_t *host = mmu_fetch_host(v->cpu, pc);
    struct jit_block *block;
    gpa_t gpa;

    if (!host)
        v->cpu->fault.pending &= judge; /* it is the next instruction's own */
    if (!host || !mem_host_to_gpa(jit->mem, host, &gpa))
        return;
    v->cpu->hot[jit_hot_index(gpa.v)] = JIT_HOT;
    pthread_mutex_lock(&jit->lock);
    while (cache_full(&jit->cache, JIT_BLOCK_ROOM)) {
        pthread_mutex_unlock(&jit->lock);
        jit_make_room(jit);
        jit_select_context(v);
        pthread_mutex_lock(&jit->lock);
    }
    block = cache_find(&jit->cache, gpa.v, 0, v->current->key);
    if (block)
        judge ? region_judge(v, block) : jit_make_region_locked(v, block);
    pthread_mutex_unlock(&jit->lock);
}
