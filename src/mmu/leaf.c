/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second level behind the TLBs: the leaf entries that walks found, for all address spaces of a CPU,
 * direct-mapped, one table for each of three page sizes. A large page takes one entry here and as
 * many in the first level as it has pages in use.
 * An entry belongs to one life of a space: emptying the space gives it a new number, so nothing has
 * to be searched. Pieces of a large page that protection cuts are left out: flushing any address of
 * the page would have to find them all.
 */
#include "mmu/slow.h"

#include <stdlib.h>

enum { LEAF_KINDS = 3, LEAF_MAY_READ = 1, LEAF_MAY_WRITE = 2, LEAF_MAY_EXECUTE = 4 };

struct mmu_leaf {
    uint64_t space, page; /* number of its life (0: empty entry), address >> shift */
    uint64_t gpa;         /* of the page; what may be cached in the low bits */
};

static const struct leaf_kind {
    unsigned shift, first, count;
} leaf_kinds[LEAF_KINDS] = {
    {12, 0, 1 << 14}, {21, 1 << 14, 1 << 10}, {30, (1 << 14) + (1 << 10), 64}};

struct mmu_leaf *mmu_leaf_new(void)
{
    const struct leaf_kind *last = &leaf_kinds[LEAF_KINDS - 1];

    return calloc(last->first + last->count, sizeof(struct mmu_leaf));
}

static struct mmu_leaf *leaf_slot(const struct mmu *mmu, const struct leaf_kind *kind,
                                  const struct mmu_space *space, uint64_t va)
{
    uint64_t hash = (va >> kind->shift) + space->life * 977;

    return &mmu->leaves[kind->first + (hash & (kind->count - 1))];
}

static unsigned leaf_right(enum cpu_access access)
{
    switch (access) {
    case CPU_LOAD: return LEAF_MAY_READ;
    case CPU_STORE: return LEAF_MAY_WRITE;
    default: return LEAF_MAY_EXECUTE;
    }
}

static void leaf_translate(const struct mmu_leaf *e, const struct leaf_kind *kind, uint64_t va,
                           struct cpu_translation *ret_t)
{
    uint64_t inside = (UINT64_C(1) << kind->shift) - 1;

    *ret_t = (struct cpu_translation){
        .gpa = GPA((e->gpa & ~inside) | (va & inside)),
        .leaf_size = inside + 1,
        .page_size = inside + 1,
        .readable = e->gpa & LEAF_MAY_READ,
        .writable = e->gpa & LEAF_MAY_WRITE,
        .executable = e->gpa & LEAF_MAY_EXECUTE,
    };
}

bool mmu_leaf_find(const struct mmu *mmu, const struct mmu_space *space, uint64_t va,
                   enum cpu_access access, struct cpu_translation *ret_t)
{
    for (unsigned i = 0; i < LEAF_KINDS; i++) {
        const struct leaf_kind *kind = &leaf_kinds[i];
        const struct mmu_leaf *e = leaf_slot(mmu, kind, space, va);

        if (e->space != space->life || e->page != va >> kind->shift ||
            !(e->gpa & leaf_right(access)))
            continue;
        leaf_translate(e, kind, va, ret_t);
        return true;
    }
    return false;
}

void mmu_leaf_note(struct mmu *mmu, const struct mmu_space *space, uint64_t va,
                   const struct cpu_translation *t)
{
    if (t->page_size != t->leaf_size)
        return;
    for (unsigned i = 0; i < LEAF_KINDS; i++) {
        const struct leaf_kind *kind = &leaf_kinds[i];

        if (t->page_size != UINT64_C(1) << kind->shift)
            continue;
        *leaf_slot(mmu, kind, space, va) = (struct mmu_leaf){
            .space = space->life,
            .page = va >> kind->shift,
            .gpa = (t->gpa.v & ~(t->page_size - 1)) | (t->readable ? LEAF_MAY_READ : 0) |
                   (t->writable ? LEAF_MAY_WRITE : 0) | (t->executable ? LEAF_MAY_EXECUTE : 0),
        };
    }
}

void mmu_leaf_forget(struct mmu *mmu, const struct mmu_space *space, uint64_t va)
{
    for (unsigned i = 0; i < LEAF_KINDS; i++)
        leaf_slot(mmu, &leaf_kinds[i], space, va)->space = 0;
}
