/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/engine/soft only: the software engine's parts.
 *   soft.c   the engine's face: creation, state, statistics
 *   run.c    the loop of a vCPU: attention, debugger, tracing
 *   cache.c  a vCPU's translated blocks
 *   pages.c  which pages hold translated code, and who must hear of writes to them
 *
 * Threads. A vCPU's cache is touched by its own thread only. Pages and mailboxes are shared and
 * under the engine's `lock`; whoever writes to a code page (any thread) posts the range to the
 * vCPUs that translated from it and sets ATTENTION_CODE; each drops its blocks itself, between two
 * blocks.
 *
 * A vCPU that had a page writable when another one claimed it may store without a report until it
 * looks: between two blocks that jump back or anywhere, before it forgets entries (src/mmu), and
 * when it leaves soft_run(). A fence for code (ATTENTION_FENCE) waits until all have looked.
 */
#pragma once

#include "interp/code.h"
#include "ir/ir.h"
#include "jit/jit.h"
#include <posada/engine.h>
#include <pthread.h>

enum {
    SOFT_VCPUS_MAX = 64,
    SOFT_HASH = 1 << 17,      /* buckets of blocks by pc */
    SOFT_PAGE_HASH = 1 << 12, /* buckets by page, a vCPU's and the engine's */
    SOFT_PAGES_MAX = 1 << 15, /* pages with code that the engine tracks */
    SOFT_MAIL_MAX = 64,       /* ranges that wait for a vCPU */
    SOFT_CHUNK_SHIFT = 6,     /* a page's code is tracked in 64 pieces of 64 bytes */
};
#define SOFT_CACHE_DEFAULT (UINT64_C(64) << 20) /* bytes a vCPU; taken as they are used */
#define SOFT_CACHE_MIN     (UINT64_C(1) << 20)
#define SOFT_CACHE_JIT     (UINT64_C(2) << 20) /* for the few blocks a JIT leaves */

/* A block's place in the list of one of its pages. */
struct soft_ref {
    struct soft_ref *next;
    struct soft_block *block;
    gpa_t page;
    uint16_t first, last; /* offsets of the block's first and last byte in the page */
};

/* A translated block. It starts on a cache line; entering it touches the line that ends with the
 * code's head, then the ops. */
struct soft_block {
    struct soft_block *next; /* same hash bucket */
    struct soft_ref ref[2];  /* one a page */
    bool dropped;
    const uint8_t *host, *host2; /* where its bytes are; host2: in the second page, or NULL */
    struct interp_code code;     /* must be last */
};

struct soft_cache {
    uint8_t *arena;
    size_t size, used;
    struct soft_block *bucket[SOFT_HASH];
    struct soft_ref *page[SOFT_PAGE_HASH];
    uint64_t lifts, blocks, drops, evictions;
};

/* Bytes that were written, all in one page. */
struct soft_mail {
    gpa_t gpa;
    uint64_t len;
};

struct soft_vcpu {
    struct cpu *cpu;
    struct soft_engine *engine;
    struct soft_cache cache;
    struct interp interp;
    struct jit_vcpu *jit; /* NULL: interpreted */
    struct engine_debug debug;
    bool tracing;    /* as the cache and MMU are set up now */
    unsigned length; /* bytes of the first instruction that ran last, for traces */
    uint64_t lookups;
    struct ir_block block;                /* being lifted */
    struct soft_mail mail[SOFT_MAIL_MAX]; /* under engine->lock */
    unsigned mail_count;
    bool mail_lost; /* more than fits: drop everything */
    uint64_t
        claims_seen; /* has looked for its write entries of pages claimed by others until then */
    bool running;    /* or owes a look since */
};

struct soft_page {
    struct soft_page *next;
    uint64_t page;
    uint64_t vcpus;   /* bit: may have blocks of this page */
    uint64_t lifting; /* bit: reads it just now, chunks not yet known */
    uint64_t chunks;  /* bit: code was made from these 64 bytes */
    unsigned writes, patience;
};

struct soft_engine {
    struct engine engine; /* must be first */
    struct mem *mem;
    struct jit *jit; /* NULL: interpreted */
    unsigned vcpu_count;
    struct soft_vcpu *vcpu[SOFT_VCPUS_MAX];
    pthread_mutex_t lock;  /* all below */
    pthread_cond_t looked; /* a vCPU has, while others wait */
    unsigned waiting;
    uint64_t claims; /* ordinary pages that became code, so far */
    struct soft_page *page[SOFT_PAGE_HASH];
    struct soft_page *pool;
    unsigned pool_used;
    uint64_t code_writes, purges;
};

/* --- pages.c --- */
int must_use soft_pages_init(struct soft_engine *e, struct err *err);
void soft_pages_done(struct soft_engine *e);
/* The vCPU is about to translate from the page. */
void soft_claim(struct soft_vcpu *v, gpa_t page);
/* Ends the claim: these bytes of the page became code; none when first > last. */
void soft_note_code(struct soft_vcpu *v, gpa_t page, unsigned first, unsigned last);
/* The two as the JIT calls them; arg: struct soft_vcpu. */
void soft_claim_page(void *arg, gpa_t page);
void soft_note_page(void *arg, gpa_t page, unsigned first, unsigned last);
/* mmu.found_code; arg: the engine. */
void soft_found_writable(void *arg, gpa_t page);
/* Serves the vCPU's mailbox, on its own thread. */
void soft_read_mail(struct soft_vcpu *v);
/* Around everything that runs guest code, on the vCPU's thread. */
void soft_enter(struct soft_vcpu *v);
void soft_leave(struct soft_vcpu *v);
/* Waits until every store that other vCPUs have made so far has been reported. */
void soft_fence(struct soft_vcpu *v);

/* --- cache.c --- */
int must_use soft_cache_init(struct soft_cache *c, size_t size, struct err *err);
void soft_cache_done(struct soft_cache *c);
/* The block at cpu->pc, lifted if need be. NULL: fetching faulted (cpu->fault is pending), or the
 * block in v->block is good for one run only (ret_once). */
struct soft_block *soft_find(struct soft_vcpu *v, bool *ret_once);
/* Drops the blocks that were made from these bytes of one page. */
void soft_drop(struct soft_vcpu *v, gpa_t gpa, uint64_t len);
/* Forgets all blocks. */
void soft_drop_all(struct soft_vcpu *v);

/* --- run.c --- */
enum engine_exit soft_run(struct engine *engine, unsigned index, struct err *err);
