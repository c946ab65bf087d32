/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces of a CPU and everything that empties TLBs. Contract and invariants: mmu.h.
 * A flush marks the spaces it hits as stale; a stale space is emptied when it becomes current, at
 * once if it is.
 */
#include "mmu/mmu.h"

#include "mem/mem.h"
#include "mmu/slow.h"
#include <stdatomic.h>
#include <stdlib.h>

static const unsigned mmu_large_shift[MMU_LARGE_KINDS] = {21, 30, 39, 48};

/* The first entry of the next group that may hold something, from *at on; NULL: none. */
static struct tlb_entry *tlb_next_group(struct tlb *table, unsigned *at)
{
    uint64_t left = *at < TLB_GROUPS ? table->used >> *at : 0;

    if (!left)
        return NULL;
    *at += (unsigned)__builtin_ctzll(left) + 1;
    return &table->entry[(*at - 1) * TLB_GROUP];
}

static void tlb_empty(struct tlb *table)
{
    struct tlb_entry *group;

    for (unsigned at = 0; (group = tlb_next_group(table, &at));)
        memset(group, 0, TLB_GROUP * sizeof(*group)); /* TLB_EMPTY of all but the first */
    table->entry[0].tag = TLB_EMPTY(0);
    table->used = 0;
}

static void space_empty(struct mmu *mmu, struct mmu_space *space)
{
    space->life = ++mmu->lives;
    tlb_empty(&space->read);
    tlb_empty(&space->write);
    tlb_empty(&space->code);
    memset(space->large, 0, sizeof(space->large));
    memset(space->code_pages, 0, sizeof(space->code_pages));
    space->code_epoch = ++mmu->epochs;
    space->stale = false;
}

struct mmu *mmu_new(struct cpu *cpu)
{
    struct mmu *mmu = calloc(1, sizeof(*mmu));

    if (!mmu)
        return NULL;
    mmu->spaces = calloc(MMU_SPACES, sizeof(*mmu->spaces));
    mmu->leaves = mmu_leaf_new();
    if (!mmu->spaces || !mmu->leaves) {
        mmu_free(mmu);
        return NULL;
    }
    mmu->cpu = cpu;
    mmu->spaces[0].valid = true; /* key 0,0 until the ISA says otherwise */
    mmu->spaces[0].last_used = ++mmu->tick;
    space_empty(mmu, &mmu->spaces[0]);
    mmu->data = mmu->code = &mmu->spaces[0];
    return mmu;
}

void mmu_free(struct mmu *mmu)
{
    if (!mmu)
        return;
    free(mmu->leaves);
    free(mmu->spaces);
    free(mmu);
}

static bool space_has_key(const struct mmu_space *space, const uint64_t key[2])
{
    return space->valid && space->key[0] == key[0] && space->key[1] == key[1];
}

/* The space with the key; a new one in place of the least recently used, other than `keep`. */
static struct mmu_space *mmu_find_space(struct mmu *mmu, const uint64_t key[2],
                                        const struct mmu_space *keep)
{
    struct mmu_space *oldest = NULL;

    for (unsigned i = 0; i < MMU_SPACES; i++) {
        struct mmu_space *space = &mmu->spaces[i];

        if (space_has_key(space, key))
            return space;
        if (space != keep && (!oldest || space->last_used < oldest->last_used))
            oldest = space;
    }
    mmu_before_forgetting(mmu);
    oldest->key[0] = key[0];
    oldest->key[1] = key[1];
    oldest->valid = oldest->stale = true;
    return oldest;
}

static struct mmu_space *mmu_use_space(struct mmu *mmu, const uint64_t key[2],
                                       const struct mmu_space *keep)
{
    struct mmu_space *space = mmu_find_space(mmu, key, keep);

    space->last_used = ++mmu->tick;
    if (space->stale)
        space_empty(mmu, space);
    return space;
}

void mmu_switch(struct mmu *mmu, const uint64_t data_key[2], const uint64_t code_key[2])
{
    mmu->switches++;
    if (!space_has_key(mmu->data, data_key))
        mmu->data = mmu_use_space(mmu, data_key, NULL);
    if (space_has_key(mmu->data, code_key))
        mmu->code = mmu->data;
    else if (!space_has_key(mmu->code, code_key))
        mmu->code = mmu_use_space(mmu, code_key, mmu->data);
}

static void mmu_flush_space(struct mmu *mmu, struct mmu_space *space)
{
    if (space == mmu->data || space == mmu->code)
        space_empty(mmu, space);
    else
        space->stale = true;
}

void mmu_flush_all(struct mmu *mmu)
{
    mmu_flush_matching(mmu, NULL, NULL);
}

void mmu_flush_matching(struct mmu *mmu, bool (*match)(void *arg, const uint64_t key[2]), void *arg)
{
    mmu->flushes++;
    mmu_before_forgetting(mmu);
    for (unsigned i = 0; i < MMU_SPACES; i++)
        if (mmu->spaces[i].valid && (!match || match(arg, mmu->spaces[i].key)))
            mmu_flush_space(mmu, &mmu->spaces[i]);
}

/* --- Pages fetched from: one bit for many, so "no" is certain --- */

static uint64_t *space_code_word(struct mmu_space *space, uint64_t va, uint64_t *ret_bit)
{
    uint64_t page = va >> GUEST_PAGE_SHIFT;

    *ret_bit = UINT64_C(1) << (page & 63);
    return &space->code_pages[page >> 6 & (MMU_CODE_WORDS - 1)];
}

void mmu_note_code(struct mmu_space *space, uint64_t va)
{
    uint64_t bit, *word = space_code_word(space, va, &bit);

    *word |= bit;
}

/* --- Large pages --- */

static uint64_t *mmu_large_word(struct mmu_space *space, unsigned kind, uint64_t va,
                                uint64_t *ret_bit)
{
    uint64_t page = va >> mmu_large_shift[kind];

    *ret_bit = UINT64_C(1) << (page & 63);
    return &space->large[kind][page >> 6 & (MMU_LARGE_WORDS - 1)];
}

void mmu_note_large(struct mmu_space *space, uint64_t va, uint64_t page_size)
{
    unsigned kind = 0;
    uint64_t bit;

    while (kind < MMU_LARGE_KINDS - 1 && page_size >> mmu_large_shift[kind] > 1)
        kind++;
    *mmu_large_word(space, kind, va, &bit) |= bit;
}

static void tlb_drop(struct tlb *table, struct tlb_entry *e)
{
    e->tag = TLB_EMPTY(e - table->entry);
}

static void tlb_drop_range(struct tlb *table, uint64_t va, unsigned shift)
{
    struct tlb_entry *group;

    for (unsigned at = 0; (group = tlb_next_group(table, &at));)
        for (struct tlb_entry *e = group; e < group + TLB_GROUP; e++)
            if ((e->tag ^ va) >> shift == 0)
                tlb_drop(table, e);
}

/* Drops every page of the large page around va if the space may hold one. */
static void space_flush_large(struct mmu *mmu, struct mmu_space *space, unsigned kind, uint64_t va)
{
    uint64_t bit;

    if (!(*mmu_large_word(space, kind, va, &bit) & bit))
        return;
    space->code_epoch = ++mmu->epochs;
    tlb_drop_range(&space->read, va, mmu_large_shift[kind]);
    tlb_drop_range(&space->write, va, mmu_large_shift[kind]);
    tlb_drop_range(&space->code, va, mmu_large_shift[kind]);
}

static void tlb_drop_page(struct tlb *table, uint64_t va)
{
    struct tlb_entry *e = tlb_slot(table, va);

    if (tlb_hit(e, va, 1))
        tlb_drop(table, e);
}

static void space_flush_page(struct mmu *mmu, struct mmu_space *space, uint64_t va)
{
    uint64_t bit, *word = space_code_word(space, va, &bit);

    if (*word & bit)
        space->code_epoch = ++mmu->epochs;
    mmu_leaf_forget(mmu, space, va);
    tlb_drop_page(&space->read, va);
    tlb_drop_page(&space->write, va);
    tlb_drop_page(&space->code, va);
    for (unsigned kind = 0; kind < MMU_LARGE_KINDS; kind++)
        space_flush_large(mmu, space, kind, va);
}

void mmu_flush_page(struct mmu *mmu, gva_t va, bool (*match)(void *arg, const uint64_t key[2]),
                    void *arg)
{
    mmu->flushes++;
    mmu_before_forgetting(mmu);
    for (unsigned i = 0; i < MMU_SPACES; i++) {
        struct mmu_space *space = &mmu->spaces[i];

        if (space->valid && !space->stale && (!match || match(arg, space->key)))
            space_flush_page(mmu, space, va.v);
    }
}

/* --- Code pages --- */

static bool tlb_drop_host_page(struct tlb *table, uintptr_t page)
{
    struct tlb_entry *group;
    bool found = false;

    for (unsigned at = 0; (group = tlb_next_group(table, &at));) {
        for (struct tlb_entry *e = group; e < group + TLB_GROUP; e++) {
            if (e->tag + e->addend != page || tlb_is_empty(table, e))
                continue;
            tlb_drop(table, e);
            found = true;
        }
    }
    return found;
}

bool mmu_protect_code(struct mmu *mmu, gpa_t gpa)
{
    uintptr_t page = (uintptr_t)mem_page(mmu->cpu->mem, gpa);
    bool found = false;

    for (unsigned i = 0; i < MMU_SPACES; i++)
        if (mmu->spaces[i].valid && !mmu->spaces[i].stale)
            found |= tlb_drop_host_page(&mmu->spaces[i].write, page);
    return found;
}

/* The page behind a write entry when code was made from it meanwhile. */
static bool tlb_maps_code(const struct mem *mem, const struct tlb_entry *e, gpa_t *ret_page)
{
    const void *host = (const void *)(uintptr_t)(e->tag + e->addend);

    return mem_host_to_gpa(mem, host, ret_page) &&
           atomic_load_explicit(mem_page_flags(mem, *ret_page), memory_order_relaxed) & PAGE_CODE;
}

static void space_protect_all(struct mmu *mmu, struct mmu_space *space)
{
    struct tlb *table = &space->write;
    struct tlb_entry *group;
    gpa_t page;

    for (unsigned at = 0; (group = tlb_next_group(table, &at));) {
        for (struct tlb_entry *e = group; e < group + TLB_GROUP; e++) {
            if (tlb_is_empty(table, e) || !tlb_maps_code(mmu->cpu->mem, e, &page))
                continue;
            tlb_drop(table, e);
            mmu->found_code(mmu->found_arg, page);
        }
    }
}

void mmu_protect_all_code(struct mmu *mmu)
{
    for (unsigned i = 0; i < MMU_SPACES; i++)
        if (mmu->spaces[i].valid && !mmu->spaces[i].stale)
            space_protect_all(mmu, &mmu->spaces[i]);
}

void mmu_before_forgetting(struct mmu *mmu)
{
    if (!mmu->found_code)
        return;
    atomic_thread_fence(memory_order_seq_cst); /* our stores before the look */
    if (atomic_load_explicit(&mmu->cpu->attention, memory_order_relaxed) & ATTENTION_CODE)
        mmu_protect_all_code(mmu);
}

bool mmu_keep_gone(struct mmu *mmu, const struct tlb_entry *entry)
{
    if (!mmu->found_code)
        return true;
    if (mmu->gone_count == MMU_GONE)
        return false;
    mmu->gone[mmu->gone_count++] = *entry;
    if (mmu->gone_count == MMU_GONE / 2)
        atomic_fetch_or(&mmu->cpu->attention, ATTENTION_CODE); /* linked blocks go on for long */
    return true;
}

void mmu_settle_gone(struct mmu *mmu)
{
    gpa_t page;

    atomic_thread_fence(memory_order_seq_cst); /* our stores before the look */
    for (unsigned i = 0; i < mmu->gone_count; i++)
        if (tlb_maps_code(mmu->cpu->mem, &mmu->gone[i], &page))
            mmu->found_code(mmu->found_arg, page);
    mmu->gone_count = 0;
}
