/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of written pages. Contract: src/mem/dirty.h. A set is words of 64 pages, a region of RAM
 * begins a word of its own. */
#include "mem/dirty.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { DIRTY_REGIONS_MAX = 8, WORD_PAGES = 64 };

struct mem_dirty {
    struct mem *mem;
    struct {
        uint64_t gpa, pages;
        size_t first; /* word */
    } region[DIRTY_REGIONS_MAX];
    unsigned regions;
    size_t words, from; /* words below `from` are empty */
    uint64_t count;     /* of pages */
    uint64_t word[];
};

static uint64_t dirty_words(uint64_t size)
{
    return ((size >> GUEST_PAGE_SHIFT) + WORD_PAGES - 1) / WORD_PAGES;
}

struct mem_dirty *mem_dirty_new(struct mem *mem)
{
    struct mem_dirty *set;
    uint64_t size, words = 0;
    gpa_t gpa;
    void *host;

    for (unsigned i = 0; mem_region(mem, i, &gpa, &size, &host); i++)
        words += dirty_words(size);
    set = calloc(1, sizeof(*set) + words * sizeof(*set->word));
    if (!set)
        return NULL;
    set->mem = mem;
    for (unsigned i = 0; i < DIRTY_REGIONS_MAX && mem_region(mem, i, &gpa, &size, &host); i++) {
        set->region[i].gpa = gpa.v;
        set->region[i].pages = size >> GUEST_PAGE_SHIFT;
        set->region[i].first = set->words;
        set->words += dirty_words(size);
        set->regions = i + 1;
    }
    return set;
}

void mem_dirty_free(struct mem_dirty *set)
{
    free(set);
}

static void dirty_add(struct mem_dirty *set, size_t first, uint64_t page)
{
    uint64_t *word = &set->word[first + page / WORD_PAGES];
    uint64_t bit = UINT64_C(1) << page % WORD_PAGES;

    set->count += !(*word & bit);
    *word |= bit;
}

void mem_dirty_add_all(struct mem_dirty *set)
{
    for (unsigned i = 0; i < set->regions; i++)
        for (uint64_t page = 0; page < set->region[i].pages; page++)
            dirty_add(set, set->region[i].first, page);
    set->from = 0;
}

uint64_t mem_dirty_take(struct mem_dirty *set)
{
    uint64_t taken = 0;

    for (unsigned i = 0; i < set->regions; i++) {
        _Atomic uint8_t *flags = mem_page_flags(set->mem, GPA(set->region[i].gpa));

        for (uint64_t page = 0; page < set->region[i].pages; page++) {
            if (!(atomic_load_explicit(&flags[page], memory_order_relaxed) & PAGE_DIRTY))
                continue;
            atomic_fetch_and(&flags[page], (uint8_t)~PAGE_DIRTY);
            dirty_add(set, set->region[i].first, page);
            taken++;
        }
    }
    set->from = 0;
    return taken;
}

uint64_t mem_dirty_count(const struct mem_dirty *set)
{
    return set->count;
}

static uint64_t dirty_gpa(const struct mem_dirty *set, size_t word, unsigned bit)
{
    unsigned i = set->regions - 1;

    while (set->region[i].first > word)
        i--;
    return set->region[i].gpa +
           (((word - set->region[i].first) * WORD_PAGES + bit) << GUEST_PAGE_SHIFT);
}

bool mem_dirty_next(struct mem_dirty *set, gpa_t *ret_page)
{
    for (; set->from < set->words; set->from++) {
        uint64_t *word = &set->word[set->from];

        if (!*word)
            continue;
        *ret_page = GPA(dirty_gpa(set, set->from, (unsigned)__builtin_ctzll(*word)));
        *word &= *word - 1;
        set->count--;
        return true;
    }
    return false;
}
