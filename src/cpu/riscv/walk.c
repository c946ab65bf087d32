/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation: bare, Sv39, Sv48 and Sv57 with 4 KiB to 512 GiB pages and 64 KiB NAPOT
 * pages. Accessed and dirty bits are set by the walk (Svadu) while menvcfg.ADUE is on, else their
 * absence is a page fault (Svade). Spec: ISA manual, volume II, "Supervisor-Level ISA", "Svnapot",
 * "Svadu". Svpbmt is not modelled: its PTE bits are reserved. Page tables must be in RAM.
 * Only translations that are there are ever cached, which is what Svvptc promises.
 */
#include "cpu/riscv/internal.h"

#include "base/bits.h"
#include "mem/mem.h"

#include <errno.h>
#include <posada/trace.h>
#include <stdatomic.h>

enum {
    PTE_V = 1 << 0,
    PTE_R = 1 << 1,
    PTE_W = 1 << 2,
    PTE_X = 1 << 3,
    PTE_U = 1 << 4,
    PTE_G = 1 << 5,
    PTE_A = 1 << 6,
    PTE_D = 1 << 7,
    PTE_PPN_SHIFT = 10,
    PTE_PPN_BITS = 44,
};
#define PTE_RESERVED (UINT64_C(0x7fc) << 52) /* bits 62..54: reserved and Svpbmt */
#define PTE_N        (UINT64_C(1) << 63)

enum { LEVEL_BITS = 9, PA_BITS = 56 };

struct walk {
    struct riscv_cpu *rv;
    uint64_t va;
    enum cpu_access access;
    bool probe;
    unsigned privilege;
};

static int walk_page_fault(const struct walk *w)
{
    static const uint8_t causes[] = {CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE};

    if (w->probe)
        return -EFAULT;
    cpu_raise(&w->rv->cpu, causes[w->access], w->va);
    if (trace_on(TRACE_MMU))
        trace_put(TRACE_EV_page_fault, w->rv->cpu.index, w->va, w->access, causes[w->access], 0, 0);
    return -EFAULT;
}

static int walk_access_fault(const struct walk *w)
{
    if (!w->probe)
        riscv_access_fault(&w->rv->cpu, GVA(w->va), w->access, false);
    return -EFAULT;
}

/* Host address of the entry; NULL when page tables may not be read there. */
static uint64_t *walk_entry(const struct walk *w, uint64_t gpa, bool write)
{
    struct pmp_verdict pmp = riscv_pmp(w->rv, GPA(gpa), RISCV_S);
    char *page = mem_page(w->rv->cpu.mem, GPA(gpa));

    if (!page || !pmp.readable || (write && !pmp.writable))
        return NULL;
    return (uint64_t *)(void *)(page + (gpa & (GUEST_PAGE_SIZE - 1)));
}

static bool walk_permits(const struct walk *w, uint64_t pte)
{
    uint64_t status = w->rv->mstatus;

    if (w->probe)
        return true;
    if (pte & PTE_U) {
        if (w->privilege == RISCV_S && (w->access == CPU_FETCH || !(status & MSTATUS_SUM)))
            return false;
    } else if (w->privilege == RISCV_U) {
        return false;
    }
    switch (w->access) {
    case CPU_FETCH: return pte & PTE_X;
    case CPU_LOAD: return pte & PTE_R || (pte & PTE_X && status & MSTATUS_MXR);
    default: return pte & PTE_W;
    }
}

/* A leaf's form: reserved bits, alignment of superpages, NAPOT encoding. */
static bool walk_leaf_legal(const struct walk *w, uint64_t pte, unsigned level)
{
    uint64_t ppn = bits_get(pte, PTE_PPN_SHIFT, PTE_PPN_BITS);

    if (ppn & bits_mask(LEVEL_BITS * level))
        return false;
    if (!(pte & PTE_N))
        return true;
    return level == 0 && riscv_has(w->rv, RISCV_EXT_Svnapot) && (ppn & 0xf) == 8;
}

/* Sets A, and D for a store, in the entry that still holds pte. 1: it changed, walk again. */
static int walk_touch(const struct walk *w, uint64_t gpa, uint64_t pte, uint64_t want)
{
    struct mem *mem = w->rv->cpu.mem;
    _Atomic uint8_t *flags = mem_page_flags(mem, GPA(gpa));
    uint64_t *entry;

    if (!(w->rv->menvcfg & MENVCFG_ADUE))
        return walk_page_fault(w);
    entry = walk_entry(w, gpa, true);
    if (!entry || !flags)
        return walk_access_fault(w);
    if (!__atomic_compare_exchange_n(entry, &pte, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return 1;
    if (atomic_fetch_or(flags, PAGE_DIRTY) & PAGE_CODE)
        mem_code_written(mem, GPA(gpa), sizeof(*entry));
    return 0;
}

/* Restricts what the tables grant to what PMP grants. */
static int walk_protect(const struct walk *w, struct cpu_translation *t)
{
    struct pmp_verdict pmp = riscv_pmp(w->rv, t->gpa, w->privilege);
    const bool pass[] = {pmp.executable, pmp.readable, pmp.writable};

    if (t->gpa.v >> PA_BITS || (!pass[w->access] && !w->probe))
        return walk_access_fault(w);
    t->readable &= pmp.readable;
    t->writable &= pmp.writable;
    t->executable &= pmp.executable;
    t->leaf_size = t->page_size;
    if (t->page_size > pmp.size)
        t->page_size = pmp.size;
    return 0;
}

static int walk_leaf(const struct walk *w, uint64_t gpa, uint64_t pte, unsigned level,
                     struct cpu_translation *t)
{
    uint64_t touched = pte | PTE_A | (w->access == CPU_STORE ? PTE_D : 0);
    uint64_t ppn = bits_get(pte, PTE_PPN_SHIFT, PTE_PPN_BITS), size;
    bool mxr = w->rv->mstatus & MSTATUS_MXR;
    int r;

    if (!walk_leaf_legal(w, pte, level) || !walk_permits(w, pte))
        return walk_page_fault(w);
    if (touched != pte && !w->probe) {
        r = walk_touch(w, gpa, pte, touched);
        if (r)
            return r;
    }
    size = (uint64_t)GUEST_PAGE_SIZE << (LEVEL_BITS * level);
    if (pte & PTE_N) {
        size = UINT64_C(16) * GUEST_PAGE_SIZE;
        ppn &= ~UINT64_C(0xf);
    }
    *t = (struct cpu_translation){
        .gpa = GPA((ppn << GUEST_PAGE_SHIFT) | (w->va & (size - 1))),
        .page_size = pte & PTE_N ? GUEST_PAGE_SIZE : size,
        .readable = pte & PTE_R || (pte & PTE_X && mxr),
        .writable = pte & PTE_W && touched & PTE_D,
        .executable = pte & PTE_X,
        .global = pte & PTE_G,
    };
    return walk_protect(w, t);
}

/* One descent from the root: 0, -EFAULT, or 1 when an entry changed under the walk. */
static int walk_tables(const struct walk *w, unsigned levels, struct cpu_translation *t)
{
    uint64_t table = (w->rv->satp & SATP_PPN) << GUEST_PAGE_SHIFT;

    for (unsigned level = levels; level-- > 0;) {
        unsigned shift = GUEST_PAGE_SHIFT + LEVEL_BITS * level;
        uint64_t gpa = table + bits_get(w->va, shift, LEVEL_BITS) * sizeof(uint64_t), pte;
        uint64_t *entry = walk_entry(w, gpa, false);

        if (!entry)
            return walk_access_fault(w);
        pte = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
        if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || pte & PTE_RESERVED)
            return walk_page_fault(w);
        if (pte & (PTE_R | PTE_X))
            return walk_leaf(w, gpa, pte, level, t);
        if (pte & (PTE_A | PTE_D | PTE_U | PTE_N))
            return walk_page_fault(w);
        table = bits_get(pte, PTE_PPN_SHIFT, PTE_PPN_BITS) << GUEST_PAGE_SHIFT;
    }
    return walk_page_fault(w);
}

int riscv_translate(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe,
                    struct cpu_translation *ret_t)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    struct walk w = {.rv = rv, .va = va.v, .access = access, .probe = probe};
    unsigned mode = SATP_MODE(rv->satp), levels;
    int r;

    w.privilege = access == CPU_FETCH ? rv->privilege : riscv_data_privilege(rv);
    if (w.privilege == RISCV_M || mode == SATP_BARE) {
        *ret_t = (struct cpu_translation){
            .gpa = va.v <= bits_mask(PA_BITS) ? GPA(va.v) : GPA(UINT64_MAX),
            .page_size = UINT64_C(1) << 30,
            .readable = true,
            .writable = true,
            .executable = true,
            .global = true,
        };
        return walk_protect(&w, ret_t);
    }
    levels = mode - SATP_SV39 + 3;
    if (sign_extend(va.v, GUEST_PAGE_SHIFT + LEVEL_BITS * levels) != va.v)
        return walk_page_fault(&w);
    do {
        r = walk_tables(&w, levels, ret_t);
    } while (r == 1);
    return r;
}
