/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of pages of guest RAM, one bit each: those that were written since somebody last looked.
 * Who copies RAM while it changes (migration, snapshots) keeps one, fills it through
 * engine_collect_dirty() and takes page by page out of it.
 */
#pragma once

#include "mem/mem.h"

struct mem_dirty;

/* An empty set for all RAM that mem has by now; NULL without memory. mem must outlive it. */
struct mem_dirty *mem_dirty_new(struct mem *mem);
void mem_dirty_free(struct mem_dirty *set);
void mem_dirty_add_all(struct mem_dirty *set);
/* Moves PAGE_DIRTY out of the pages' flags into the set; how many pages had it. Devices may write
 * meanwhile: such a write is in this set or marks its page anew. */
uint64_t mem_dirty_take(struct mem_dirty *set);
uint64_t mem_dirty_count(const struct mem_dirty *set);
/* Takes the lowest page out of the set; false: it is empty. */
bool mem_dirty_next(struct mem_dirty *set, gpa_t *ret_page);
