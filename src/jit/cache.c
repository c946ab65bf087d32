/* SPDX-License-Identifier: Apache-2.0 */
/* The translation store. Contract: cache.h. */
#include "jit/cache.h"
#include "jit/emit/x86_64.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int cache_init(struct cache *cache, size_t bytes, size_t stub_bytes, struct err *err)
{
    int r = codemem_init(&cache->mem, bytes + stub_bytes, err);
    size_t each = bytes / CACHE_SEGMENTS & ~(size_t)63;

    if (r)
        return r;
    for (unsigned i = 0; i < CACHE_SEGMENTS; i++) {
        struct cache_segment *s = &cache->segment[i];

        s->start = s->bottom = cache->mem.write + stub_bytes + i * each;
        s->end = s->top = s->start + each;
    }
    return 0;
}

void cache_done(struct cache *cache)
{
    for (unsigned i = 0; i < CACHE_PAGE_HASH; i++) {
        for (struct jit_page *p = cache->pages[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    }
    codemem_done(&cache->mem);
}

static struct jit_block **cache_bucket(const struct cache *cache, uint64_t gpa, uint32_t key)
{
    uint64_t h = (gpa >> 1 ^ (uint64_t)key << 20) * UINT64_C(0x9e3779b97f4a7c15);

    return (struct jit_block **)(uintptr_t)&cache->hash[h >> (64 - CACHE_BLOCK_HASH_BITS)];
}

struct jit_block *cache_find(const struct cache *cache, uint64_t gpa, uint64_t gpa2, uint32_t key)
{
    struct jit_block *b = *cache_bucket(cache, gpa, key);

    while (b && (b->gpa != gpa || b->key != key || (b->gpa2 && b->gpa2 != gpa2)))
        b = b->next_hash;
    return b;
}

static struct jit_page **cache_page(struct cache *cache, uint64_t frame)
{
    struct jit_page **p = &cache->pages[frame & (CACHE_PAGE_HASH - 1)];

    while (*p && (*p)->frame != frame)
        p = &(*p)->next;
    return p;
}

bool cache_full(const struct cache *cache, size_t need)
{
    const struct cache_segment *s = &cache->segment[cache->current];

    return (size_t)(s->top - s->bottom) < need;
}

void cache_each(const struct cache *cache, void (*fn)(void *arg, const struct jit_block *block),
                void *arg)
{
    for (unsigned i = 0; i < CACHE_BLOCK_HASH; i++)
        for (const struct jit_block *b = cache->hash[i]; b; b = b->next_hash)
            fn(arg, b);
}

size_t cache_used(const struct cache *cache)
{
    size_t used = 0;

    for (unsigned i = 0; i < CACHE_SEGMENTS; i++) {
        const struct cache_segment *s = &cache->segment[i];

        used += (size_t)(s->bottom - s->start) + (size_t)(s->end - s->top);
    }
    return used;
}

void *cache_keep(struct cache *cache, size_t bytes)
{
    struct cache_segment *s = &cache->segment[cache->current];

    s->top -= (bytes + 7) & ~(size_t)7;
    return s->top;
}

static void cache_unhash(struct cache *cache, struct jit_block *block)
{
    struct jit_block **b = cache_bucket(cache, block->gpa, block->key);

    while (*b != block)
        b = &(*b)->next_hash;
    *b = block->next_hash;
}

void cache_redirect(struct jit_block *block, const uint8_t *target)
{
    uint8_t code[8];
    uint64_t word;
    int32_t rel = (int32_t)(target - (block->inner + 5));

    memcpy(code, block->inner, sizeof(code));
    code[0] = 0xe9;
    memcpy(code + 1, &rel, sizeof(rel));
    memcpy(&word, code, sizeof(word));
    __atomic_store_n((uint64_t *)(void *)block->inner, word, __ATOMIC_RELEASE);
}

static void cache_drop(struct cache *cache, struct jit_block *block)
{
    if (block->primary)
        block = block->primary;
    if (block->dropped)
        return; /* by way of its other page */
    block->dropped = true;
    if (block->head) { /* which drops itself */
        const bool live = block->head->region == block;

        /* Else it was forgotten, but perhaps not left yet. */

        cache->regions -= live;
        cache->regions_dropped += live;
        cache->leave = true;
        return;
    }
    cache_unhash(cache, block);
    cache_redirect(block, block->stale);
    cache->dropped++;
    cache->blocks--;
}

static void cache_empty_page(struct cache *cache, struct jit_page **link)
{
    struct jit_page *page = *link;

    for (struct jit_block *b = page->blocks; b; b = b->next_page)
        cache_drop(cache, b);
    *link = page->next;
    free(page);
}

void cache_drop_page(struct cache *cache, uint64_t frame)
{
    struct jit_page **link = cache_page(cache, frame);

    if (*link)
        cache_empty_page(cache, link);
}

static uint64_t cache_chunks(uint64_t gpa, uint64_t len)
{
    unsigned first = (unsigned)(gpa & (GUEST_PAGE_SIZE - 1)) / 64;
    uint64_t last = ((gpa & (GUEST_PAGE_SIZE - 1)) + len - 1) / 64;

    if (last > 63)
        last = 63;
    return (~UINT64_C(0) >> (63 - last)) & (~UINT64_C(0) << first);
}

void cache_written(struct cache *cache, uint64_t gpa, uint64_t len)
{
    struct jit_page **link = cache_page(cache, gpa >> GUEST_PAGE_SHIFT);

    if (*link && len && ((*link)->chunks & cache_chunks(gpa, len)))
        cache_empty_page(cache, link);
}

/* The write mapping shares its pages with the mapping that runs; where nothing is being written it
 * need not be resident. Links and drops bring single pages back. */
static void cache_rest(const struct cache_segment *s)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)s->start + page - 1) & ~(page - 1);
    uintptr_t end = (uintptr_t)s->end & ~(page - 1);

    if (start < end)
        (void)madvise((void *)start, end - start, MADV_DONTNEED); /* shared: nothing is lost */
}

/* Links lead only inside a page, so dropping every page that has a block here leaves no way in. */
void cache_evict(struct cache *cache)
{
    struct cache_segment *s;

    for (unsigned i = 0; i < CACHE_SEGMENTS; i++)
        cache_rest(&cache->segment[i]);
    cache->current = (cache->current + 1) % CACHE_SEGMENTS;
    s = &cache->segment[cache->current];
    for (unsigned i = 0; i < CACHE_PAGE_HASH; i++) {
        struct jit_page **link = &cache->pages[i];

        while (*link) {
            struct jit_block *b = (*link)->blocks;

            while (b && b->segment != cache->current)
                b = b->next_page;
            if (b)
                cache_empty_page(cache, link);
            else
                link = &(*link)->next;
        }
    }
    cache->evictions += s->bottom != s->start;
    s->bottom = s->start;
    s->top = s->end;
}

static int cache_add_to_page(struct cache *cache, struct jit_block *block)
{
    struct jit_page **link = cache_page(cache, block->gpa >> GUEST_PAGE_SHIFT);

    if (!*link) {
        *link = calloc(1, sizeof(**link));
        if (!*link)
            return -ENOMEM;
        (*link)->frame = block->gpa >> GUEST_PAGE_SHIFT;
    }
    (*link)->chunks |= cache_chunks(block->gpa, block->length);
    block->next_page = (*link)->blocks;
    (*link)->blocks = block;
    block->segment = cache->current;
    return 0;
}

void cache_forget_region(struct cache *cache, struct jit_block *block)
{
    cache->regions -= !block->dropped;
}

int cache_add_region(struct cache *cache, struct jit_block *block)
{
    int r = cache_add_to_page(cache, block);

    if (r)
        return r;
    (*cache_page(cache, block->gpa >> GUEST_PAGE_SHIFT))->chunks = UINT64_MAX; /* members' too */
    cache->regions++;
    return 0;
}

int cache_add(struct cache *cache, struct jit_block *block)
{
    struct jit_block **bucket = cache_bucket(cache, block->gpa, block->key);
    int r = cache_add_to_page(cache, block);

    if (!r && block->gpa2) {
        struct jit_block *other = cache_keep(cache, sizeof(*other));

        *other = (struct jit_block){.gpa = block->gpa2, .length = 2, .primary = block};
        r = cache_add_to_page(cache, other);
    }
    if (r) {
        block->dropped = true; /* the first page's list may have it */
        return r;
    }
    block->next_hash = *bucket;
    *bucket = block;
    cache->blocks++;
    return 0;
}
