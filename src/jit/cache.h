/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translation store: code memory in segments that fill up and are evicted one after the other,
 * an index by physical address and context, and per guest page the list of its translations.
 * A block's code grows from the segment's bottom; its record and the IR ops kept for fallbacks
 * from the top, so evicting a segment forgets all of it at once. All calls: jit lock held.
 */
#pragma once

#include "host/codemem.h"
#include <posada/types.h>
#include <stdbool.h>

struct ir_block;
struct region_kept;

struct jit_block {
    uint64_t gpa; /* of the first byte */
    uint64_t va;  /* it was translated at; it may run at others */
    uint32_t key; /* context key and generator flags */
    uint32_t length;
    uint8_t *outer, *inner, *stale; /* write mapping; see gen.h */
    struct jit_block *next_hash, *next_page;
    /* An instruction over a page's end is a block of its own. gpa2: where its second half is (0:
     * none). In the second page's list stands a stand-in record that names its `primary`. Such a
     * block is entered through jump caches only, never linked (gen_flow.c). */
    uint64_t gpa2;
    struct jit_block *primary;
    uint32_t segment;
    bool dropped;
    /* Second tier (region.h). A region's record stands in its page's list only, and names the
     * block it stands in for. The head's names the region, enum region_mode, the number of checks
     * that are made in advance, and which registers (bits) these fail for. */
    struct jit_block *head, *region;
    uint64_t wild;
    uint8_t mode, covers;
    bool tried; /* whether the block becomes a head has been decided */
    /* In lockstep: the IR before it was optimised; the region whose head this is. */
    const struct ir_block *lifted;
    const struct region_kept *kept;
};

struct jit_page {
    uint64_t frame;
    uint64_t chunks; /* 64-byte pieces of the page that translations were made from */
    struct jit_block *blocks;
    struct jit_page *next;
};

enum {
    CACHE_SEGMENTS = 8,
    CACHE_INNER_BYTES = 5, /* of a block's start, which cache_redirect() changes */
    CACHE_BLOCK_HASH_BITS = 17,
    CACHE_BLOCK_HASH = 1 << CACHE_BLOCK_HASH_BITS,
    CACHE_PAGE_HASH = 1 << 12
};

struct cache_segment {
    uint8_t *bottom, *top; /* free room in between */
    uint8_t *start, *end;
};

struct cache {
    struct codemem mem;
    struct cache_segment segment[CACHE_SEGMENTS];
    unsigned current;
    struct jit_block *hash[CACHE_BLOCK_HASH];
    struct jit_page *pages[CACHE_PAGE_HASH];
    uint64_t blocks, evictions, dropped, regions, regions_dropped;
    bool leave; /* set with each region dropped: who is inside one must look */
};

int must_use cache_init(struct cache *cache, size_t bytes, size_t stub_bytes, struct err *err);
void cache_done(struct cache *cache);

/* gpa2: where the bytes behind the page are now; only a block that crosses cares. */
struct jit_block *cache_find(const struct cache *cache, uint64_t gpa, uint64_t gpa2, uint32_t key);
/* True when the current segment has not this much room: call cache_evict() while no thread runs
 * translated code, and clear every jump cache. */
bool cache_full(const struct cache *cache, size_t need);
void cache_evict(struct cache *cache);
/* Room at the top of the current segment, aligned to 8. */
void *cache_keep(struct cache *cache, size_t bytes);
/* Puts a finished block into the index and its page. -ENOMEM. */
int must_use cache_add(struct cache *cache, struct jit_block *block);
/* The same for a region: into its page's list only. */
int must_use cache_add_region(struct cache *cache, struct jit_block *block);
/* Another one stands in for its head, or none. */
void cache_forget_region(struct cache *cache, struct jit_block *block);
/* From now on whoever enters the block runs the code at target instead. */
void cache_redirect(struct jit_block *block, const uint8_t *target);
/* Bytes of a page changed: drops its translations if any was made from them. */
void cache_written(struct cache *cache, uint64_t gpa, uint64_t len);
void cache_each(const struct cache *cache, void (*fn)(void *arg, const struct jit_block *block),
                void *arg);
/* Bytes that hold code and records, dropped ones included. */
size_t cache_used(const struct cache *cache);
void cache_drop_page(struct cache *cache, uint64_t frame);
