/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page-table walk: Intel SDM volume 3, chapter 4. Four formats: none, 32-bit (with 4 MiB pages),
 * PAE, and 4- or 5-level; one loop walks them all. Protection is that of a supervisor access, and
 * accessed and dirty bits are not set: today's callers are debuggers and tools, which probe.
 * Not modelled: SMEP, SMAP, protection keys, the four PDPTE registers of PAE (read from memory).
 */
#include "base/bits.h"
#include "cpu/x86/internal.h"
#include "mem/mem.h"
#include <errno.h>

enum { VECTOR_PAGE_FAULT = 14, PTE_PRESENT = 1, PTE_WRITABLE = 2, PTE_LARGE = 1 << 7 };
enum { ERROR_WRITE = 2, ERROR_FETCH = 16, PTE_GLOBAL = 1 << 8, PTE_DIRTY = 1 << 6 };
#define PTE_NX      (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

struct x86_walk {
    unsigned levels, index_bits, entry_size;
    uint64_t root;
};

static struct x86_walk walk_format(const struct x86_cpu *x)
{
    if (!(x->cr4 & X86_CR4_PAE))
        return (struct x86_walk){2, 10, 4, x->cr3 & 0xfffff000};
    if (!(x->efer & X86_EFER_LMA))
        return (struct x86_walk){3, 9, 8, x->cr3 & 0xffffffe0};
    return (struct x86_walk){x->cr4 & X86_CR4_LA57 ? 5 : 4, 9, 8, x->cr3 & PTE_ADDRESS};
}

static bool walk_entry(struct cpu *cpu, const struct x86_walk *w, uint64_t table, unsigned index,
                       uint64_t *ret_entry)
{
    *ret_entry = 0;
    return !mem_read(cpu->mem, GPA(table + (uint64_t)index * w->entry_size), ret_entry,
                     w->entry_size) &&
           *ret_entry & PTE_PRESENT;
}

static bool walk_is_leaf(const struct x86_cpu *x, const struct x86_walk *w, unsigned level,
                         uint64_t entry)
{
    if (level == 1)
        return true;
    if (!(entry & PTE_LARGE) || level > 3)
        return false;
    return w->entry_size == 8 ? level == 2 || w->levels > 3 : x->cr4 & X86_CR4_PSE;
}

/* Where a leaf of this level leads; 4 MiB pages keep address bits 32-39 in bits 13-20. */
static uint64_t walk_frame(const struct x86_walk *w, unsigned level, uint64_t entry, uint64_t size)
{
    uint64_t frame = align_down(entry & PTE_ADDRESS, size);

    if (w->entry_size == 4 && level == 2)
        frame = (entry & 0xffc00000) | bits_get(entry, 13, 8) << 32;
    return frame;
}

static int walk_fault(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe)
{
    if (!probe) {
        cpu_raise(cpu, VECTOR_PAGE_FAULT, va.v);
        cpu->fault.value2 = access == CPU_STORE   ? ERROR_WRITE
                            : access == CPU_FETCH ? ERROR_FETCH
                                                  : 0;
    }
    return -EFAULT;
}

int x86_translate(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe,
                  struct cpu_translation *ret_t)
{
    struct x86_cpu *x = x86_of(cpu);
    struct x86_walk w = walk_format(x);
    uint64_t table = w.root, entry, size;
    bool writable = true, executable = true;

    *ret_t = (struct cpu_translation){.gpa = GPA(va.v),
                                      .leaf_size = GUEST_PAGE_SIZE,
                                      .page_size = GUEST_PAGE_SIZE,
                                      .readable = true,
                                      .writable = true,
                                      .executable = true};
    if (!(x->cr0 & X86_CR0_PG))
        return 0;
    for (unsigned level = w.levels; level; level--) {
        unsigned shift = GUEST_PAGE_SHIFT + (level - 1) * w.index_bits;
        unsigned bits = w.levels == 3 && level == 3 ? 2 : w.index_bits;

        if (!walk_entry(cpu, &w, table, (unsigned)bits_get(va.v, shift, bits), &entry))
            return walk_fault(cpu, va, access, probe);
        if (w.levels != 3 || level != 3) { /* a PDPTE has no such bits */
            writable = writable && entry & PTE_WRITABLE;
            executable = executable && !(w.entry_size == 8 && entry & PTE_NX);
        }
        table = entry & PTE_ADDRESS;
        if (!walk_is_leaf(x, &w, level, entry))
            continue;
        size = UINT64_C(1) << shift;
        *ret_t = (struct cpu_translation){
            .gpa = GPA(walk_frame(&w, level, entry, size) | (va.v & (size - 1))),
            .leaf_size = size,
            .page_size = size,
            .readable = true,
            .writable = writable && entry & PTE_DIRTY,
            .executable = executable,
            .global = entry & PTE_GLOBAL};
        if ((access == CPU_STORE && !writable && x->cr0 & X86_CR0_WP) ||
            (access == CPU_FETCH && !executable))
            return walk_fault(cpu, va, access, probe);
        return 0;
    }
    return walk_fault(cpu, va, access, probe);
}
