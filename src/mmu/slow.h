/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/mmu only: what the slow paths share. */
#pragma once

#include "mmu/mmu.h"

/* Remembers that the space holds pieces of a page of this size (more than 4 KiB) at va. */
void mmu_note_large(struct mmu_space *space, uint64_t va, uint64_t page_size);
/* Remembers that code was fetched at va: flushing it changes the space's code_epoch. */
void mmu_note_code(struct mmu_space *space, uint64_t va);

/* --- The second level (leaf.c) --- */
struct mmu_leaf *mmu_leaf_new(void); /* to be freed; NULL without memory */
bool mmu_leaf_find(const struct mmu *mmu, const struct mmu_space *space, uint64_t va,
                   enum cpu_access access, struct cpu_translation *ret_t);
/* A walk came to this. */
void mmu_leaf_note(struct mmu *mmu, const struct mmu_space *space, uint64_t va,
                   const struct cpu_translation *t);
/* Forgets the pages of all sizes around va. */
void mmu_leaf_forget(struct mmu *mmu, const struct mmu_space *space, uint64_t va);

/* Translates for one access inside a page and fills the TLB of its kind when it is RAM. host is
 * NULL for anything but RAM. False with a pending fault. */
struct mmu_place {
    uint8_t *host;
    gpa_t gpa;
};
bool mmu_place(struct cpu *cpu, uint64_t va, enum cpu_access access, struct mmu_place *ret_place);
