/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the TLBs do not serve: misses, device registers, accesses over a page's end, writes to
 * pages with translated code, and everything while no_fast is set (tracing). All of it precise:
 * nothing is written before every page of the access has been translated for writing.
 */
#include "mmu/slow.h"

#include "mem/mem.h"
#include <posada/trace.h>
#include <stdatomic.h>

/* A write makes the page dirty, and may only be cached while no code was made from the page. */
static bool mmu_may_cache(struct mmu *mmu, const struct cpu_translation *t, enum cpu_access access)
{
    _Atomic uint8_t *flags;
    uint8_t seen;

    if (mmu->no_fast)
        return false;
    if (access == CPU_LOAD)
        return t->readable;
    if (access == CPU_FETCH)
        return t->executable;
    flags = mem_page_flags(mmu->cpu->mem, t->gpa);
    seen = atomic_load_explicit(flags, memory_order_relaxed);
    if (!(seen & PAGE_DIRTY))
        seen |= atomic_fetch_or(flags, PAGE_DIRTY);
    return t->writable && !(seen & PAGE_CODE);
}

static bool mmu_forget_oldest(struct mmu *mmu, struct tlb *table, uint64_t va, bool write)
{
    struct tlb_entry *fresh = tlb_slot(table, va);
    struct mmu_filled *oldest = &mmu->filled[1];

    if (oldest->entry && oldest->entry != fresh) {
        if (oldest->write && oldest->entry->tag != oldest->empty &&
            !mmu_keep_gone(mmu, oldest->entry))
            return false;
        oldest->entry->tag = oldest->empty;
    }
    if (fresh == mmu->filled[0].entry)
        return true;
    *oldest = mmu->filled[0];
    mmu->filled[0] = (struct mmu_filled){fresh, TLB_EMPTY(fresh - table->entry), write};
    return true;
}

/* For an entry of this host page. False: the one that is there must stay. */
static bool mmu_make_room(struct mmu *mmu, struct tlb *table, uint64_t va, uintptr_t host_page,
                          bool write)
{
    const struct tlb_entry *slot = tlb_slot(table, va);

    if (write && !tlb_is_empty(table, slot) && slot->tag + slot->addend != host_page &&
        !mmu_keep_gone(mmu, slot))
        return false;
    return !mmu->tiny || mmu_forget_oldest(mmu, table, va, write);
}

static void mmu_fill(struct mmu *mmu, uint64_t va, const struct cpu_translation *t,
                     enum cpu_access access, const uint8_t *host_page)
{
    struct mmu_space *space = access == CPU_FETCH ? mmu->code : mmu->data;
    uint64_t page = va & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    struct tlb *table;

    switch (access) {
    case CPU_LOAD: table = &space->read; break;
    case CPU_STORE: table = &space->write; break;
    default: table = &space->code; break;
    }
    if (!mmu_make_room(mmu, table, va, (uintptr_t)host_page, access == CPU_STORE))
        return;
    table->used |= UINT64_C(1) << (va >> GUEST_PAGE_SHIFT) % TLB_SIZE / TLB_GROUP;
    *tlb_slot(table, va) = (struct tlb_entry){.tag = page, .addend = (uintptr_t)host_page - page};
    if (t->leaf_size > GUEST_PAGE_SIZE)
        mmu_note_large(space, va, t->leaf_size);
}

/* From the second level or by a walk. Stress with a tiny TLB asks both by turns. */
static bool mmu_translate(struct cpu *cpu, uint64_t va, enum cpu_access access,
                          struct cpu_translation *ret_t)
{
    struct mmu *mmu = cpu->mmu;
    const struct mmu_space *space = access == CPU_FETCH ? mmu->code : mmu->data;

    if (!mmu->no_fast && !(mmu->tiny && mmu->misses & 1) &&
        mmu_leaf_find(mmu, space, va, access, ret_t))
        return true;
    mmu->walks++;
    if (cpu->ops->translate(cpu, GVA(va), access, false, ret_t) < 0)
        return false;
    mmu_leaf_note(mmu, space, va, ret_t);
    return true;
}

bool mmu_place(struct cpu *cpu, uint64_t va, enum cpu_access access, struct mmu_place *ret_place)
{
    struct cpu_translation t = {0};
    uint8_t *host_page;

    if (!mmu_translate(cpu, va, access, &t))
        return false;
    if (access == CPU_FETCH)
        mmu_note_code(cpu->mmu->code, va);
    host_page = mem_page(cpu->mem, t.gpa);
    if (host_page && mmu_may_cache(cpu->mmu, &t, access))
        mmu_fill(cpu->mmu, va, &t, access, host_page);
    ret_place->gpa = t.gpa;
    ret_place->host = host_page ? host_page + (va & (GUEST_PAGE_SIZE - 1)) : NULL;
    return true;
}

static bool mmu_crosses(uint64_t va, unsigned size)
{
    return (va & (GUEST_PAGE_SIZE - 1)) + size > GUEST_PAGE_SIZE;
}

/* Both pages of an access that crosses a page's end; such an access to a device is misaligned. */
static bool mmu_place_two(struct cpu *cpu, uint64_t va, unsigned size, enum cpu_access access,
                          struct mmu_place place[2])
{
    uint64_t next = (va | (GUEST_PAGE_SIZE - 1)) + 1;

    if (!mmu_place(cpu, va, access, &place[0]) || !mmu_place(cpu, next, access, &place[1]))
        return false;
    if (!place[0].host || !place[1].host) {
        cpu->ops->access_fault(cpu, GVA(va), access, true);
        return false;
    }
    return true;
}

static bool mmu_load_two(struct cpu *cpu, uint64_t va, unsigned size, uint64_t *ret_val)
{
    size_t first = GUEST_PAGE_SIZE - (va & (GUEST_PAGE_SIZE - 1));
    struct mmu_place place[2];
    uint8_t bytes[8] = {0};

    if (!mmu_place_two(cpu, va, size, CPU_LOAD, place))
        return false;
    memcpy(bytes, place[0].host, first);
    memcpy(bytes + first, place[1].host, size - first);
    memcpy(ret_val, bytes, sizeof(bytes));
    return true;
}

static bool mmu_io_load(struct cpu *cpu, uint64_t va, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    bool misaligned = gpa.v & (size - 1);

    if (!misaligned && mem_io_read(cpu->mem, gpa, size, ret_val))
        return true;
    cpu->ops->access_fault(cpu, GVA(va), CPU_LOAD, misaligned);
    return false;
}

bool mmu_load_slow(struct cpu *cpu, uint64_t va, unsigned size, uint64_t *ret_val)
{
    struct mmu_place place = {0};
    uint64_t val = 0;

    cpu->mmu->misses++;
    if (mmu_crosses(va, size)) {
        if (!mmu_load_two(cpu, va, size, &val))
            return false;
    } else if (!mmu_place(cpu, va, CPU_LOAD, &place)) {
        return false;
    } else if (place.host) {
        memcpy(&val, place.host, size);
    } else if (!mmu_io_load(cpu, va, place.gpa, size, &val)) {
        return false;
    }
    if (trace_on(TRACE_MEM))
        trace_put(TRACE_EV_load, cpu->index, va, place.gpa.v, size, val, 0);
    *ret_val = val;
    return true;
}

/* Bytes have been stored at gpa by this CPU, past the TLBs. */
static void mmu_stored(struct cpu *cpu, gpa_t gpa, unsigned size)
{
    _Atomic uint8_t *flags = mem_page_flags(cpu->mem, gpa);

    atomic_thread_fence(memory_order_seq_cst); /* bytes before flags: see src/mem/mem.c */
    if (flags && atomic_load_explicit(flags, memory_order_relaxed) & PAGE_CODE)
        mem_code_written(cpu->mem, gpa, size);
}

static bool mmu_store_two(struct cpu *cpu, uint64_t va, unsigned size, uint64_t val)
{
    unsigned first = GUEST_PAGE_SIZE - (unsigned)(va & (GUEST_PAGE_SIZE - 1));
    struct mmu_place place[2];
    uint8_t bytes[8];

    if (!mmu_place_two(cpu, va, size, CPU_STORE, place))
        return false;
    memcpy(bytes, &val, sizeof(bytes));
    memcpy(place[0].host, bytes, first);
    memcpy(place[1].host, bytes + first, size - first);
    mmu_stored(cpu, place[0].gpa, first);
    mmu_stored(cpu, place[1].gpa, size - first);
    return true;
}

static bool mmu_io_store(struct cpu *cpu, uint64_t va, gpa_t gpa, unsigned size, uint64_t val)
{
    bool misaligned = gpa.v & (size - 1);

    if (size < 8)
        val &= (UINT64_C(1) << 8 * size) - 1;
    if (!misaligned && mem_io_write(cpu->mem, gpa, size, val))
        return true;
    cpu->ops->access_fault(cpu, GVA(va), CPU_STORE, misaligned);
    return false;
}

bool mmu_store_slow(struct cpu *cpu, uint64_t va, unsigned size, uint64_t val)
{
    struct mmu_place place = {0};

    cpu->mmu->misses++;
    if (mmu_crosses(va, size)) {
        if (!mmu_store_two(cpu, va, size, val))
            return false;
    } else if (!mmu_place(cpu, va, CPU_STORE, &place)) {
        return false;
    } else if (place.host) {
        memcpy(place.host, &val, size);
        mmu_stored(cpu, place.gpa, size);
    } else if (!mmu_io_store(cpu, va, place.gpa, size, val)) {
        return false;
    }
    if (trace_on(TRACE_MEM))
        trace_put(TRACE_EV_store, cpu->index, va, place.gpa.v, size, val, 0);
    return true;
}

bool mmu_zero(struct cpu *cpu, uint64_t va, unsigned bytes)
{
    struct mmu_place place;
    const struct tlb_entry *e = tlb_slot(&cpu->mmu->data->write, va);

    va &= ~(uint64_t)(bytes - 1);
    if (tlb_hit(e, va, bytes)) {
        memset((void *)(uintptr_t)(va + e->addend), 0, bytes);
        return true;
    }
    if (!mmu_place(cpu, va, CPU_STORE, &place))
        return false;
    if (!place.host) {
        cpu->ops->access_fault(cpu, GVA(va), CPU_STORE, false);
        return false;
    }
    memset(place.host, 0, bytes);
    mmu_stored(cpu, place.gpa, bytes);
    if (trace_on(TRACE_MEM))
        trace_put(TRACE_EV_store, cpu->index, va, place.gpa.v, bytes, 0, 0);
    return true;
}

/* --- Atomics --- */

static void *mmu_atomic_hit(struct cpu *cpu, uint64_t va, unsigned size, bool write, gpa_t *ret_gpa)
{
    struct mmu_space *space = cpu->mmu->data;
    const struct tlb_entry *e = tlb_slot(write ? &space->write : &space->read, va);
    uint8_t *host;

    if (!tlb_hit(e, va, size))
        return NULL;
    host = (uint8_t *)(uintptr_t)(va + e->addend);
    return mem_host_to_gpa(cpu->mem, host, ret_gpa) ? host : NULL;
}

/* The value is what memory holds: another CPU may have been faster. */
static void mmu_trace_atomic(struct cpu *cpu, enum trace_event event, uint64_t va, gpa_t gpa,
                             unsigned size)
{
    uint64_t val = 0;

    if (mem_read(cpu->mem, gpa, &val, size) == 0)
        trace_put(event, cpu->index, va, gpa.v, size, val, 0);
}

void *mmu_atomic(struct cpu *cpu, uint64_t va, unsigned size, bool write, gpa_t *ret_gpa)
{
    enum cpu_access access = write ? CPU_STORE : CPU_LOAD;
    struct mmu_place place;
    void *host;

    if (va & (size - 1)) {
        cpu->ops->access_fault(cpu, GVA(va), access, true);
        return NULL;
    }
    host = mmu_atomic_hit(cpu, va, size, write, ret_gpa);
    if (host)
        return host;
    if (!mmu_place(cpu, va, access, &place))
        return NULL;
    if (!place.host) {
        cpu->ops->access_fault(cpu, GVA(va), access, false);
        return NULL;
    }
    if (trace_on(TRACE_MEM))
        mmu_trace_atomic(cpu, TRACE_EV_load, va, place.gpa, size);
    *ret_gpa = place.gpa;
    return place.host;
}

void mmu_atomic_done(struct cpu *cpu, uint64_t va, gpa_t gpa, unsigned size)
{
    mmu_stored(cpu, gpa, size);
    if (trace_on(TRACE_MEM))
        mmu_trace_atomic(cpu, TRACE_EV_store, va, gpa, size);
}
