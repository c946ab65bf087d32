/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translated blocks of one vCPU. A block is found by what it was made from: the host address of
 * its bytes (which stands for the physical one), its virtual pc, which is baked into the IR, the
 * context key, and the second page's bytes when it has one.
 *
 * Blocks come from an arena that only grows; when it is full, or when somebody lost count, all of
 * them are forgotten at once. A dropped block stays in memory until then, so that the block which
 * is running, and links to it, stay valid: a dropped block is never followed (host is NULL).
 */
#include "engine/soft/internal.h"

#include "mem/mem.h"
#include "mmu/mmu.h"
#include <errno.h>
#include <posada/trace.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert((offsetof(struct soft_block, code) + sizeof(struct interp_code)) % 64 == 0,
               "a block's ops start on a cache line");

int soft_cache_init(struct soft_cache *c, size_t size, struct err *err)
{
    void *arena;

    c->size = size < SOFT_CACHE_MIN ? SOFT_CACHE_MIN : size;
    arena = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    if (arena == MAP_FAILED)
        return err_set(err, -ENOMEM, "engine: no %zu MiB for translated code", c->size >> 20);
    c->arena = arena;
    return 0;
}

void soft_cache_done(struct soft_cache *c)
{
    if (c->arena)
        munmap(c->arena, c->size);
}

static unsigned cache_hash(const uint8_t *host, uint64_t pc)
{
    uint64_t h = ((uint64_t)(uintptr_t)host >> 1) * UINT64_C(0x9e3779b97f4a7c15) ^ pc >> 12;

    return (unsigned)(h >> 40 ^ h) & (SOFT_HASH - 1);
}

static unsigned cache_page_hash(gpa_t page)
{
    return (unsigned)(page.v >> GUEST_PAGE_SHIFT) & (SOFT_PAGE_HASH - 1);
}

void soft_drop_all(struct soft_vcpu *v)
{
    struct soft_cache *c = &v->cache;

    memset(c->bucket, 0, sizeof(c->bucket));
    memset(c->page, 0, sizeof(c->page));
    memset(v->interp.jump, 0, sizeof(v->interp.jump));
    v->interp.ret_link = NULL;
    c->used = 0;
    c->blocks = 0;
    c->evictions++;
}

static void *cache_alloc(struct soft_vcpu *v, size_t size)
{
    struct soft_cache *c = &v->cache;
    void *p;

    size = (size + 63) & ~(size_t)63; /* see struct soft_block */
    if (c->size - c->used < size)
        soft_drop_all(v);
    p = c->arena + c->used;
    c->used += size;
    return p;
}

static bool cache_second_page_matches(struct cpu *cpu, const struct soft_block *b)
{
    const uint8_t *host;

    if (!b->host2)
        return true;
    host = mmu_fetch_host(cpu, (b->code.pc | (GUEST_PAGE_SIZE - 1)) + 1);
    if (!host) /* lifting anew finds out which instruction takes the fault */
        cpu->fault.pending = false;
    return host == b->host2;
}

static struct soft_block *cache_lookup(struct soft_vcpu *v, const uint8_t *host, uint64_t pc)
{
    struct soft_block *b = v->cache.bucket[cache_hash(host, pc)];

    for (; b; b = b->next)
        if (b->host == host && b->code.pc == pc && b->code.context == v->cpu->context &&
            cache_second_page_matches(v->cpu, b))
            return b;
    return NULL;
}

/* --- Lifting --- */

static void cache_claim(void *arg, gpa_t page)
{
    soft_claim(arg, page);
}

/* The block's bytes in its n-th page: first <= last unless it has none there. */
static struct soft_ref cache_ref(const struct ir_block *block, gpa_t page, unsigned n)
{
    unsigned start = (unsigned)(block->pc & (GUEST_PAGE_SIZE - 1)), end = start + block->length;
    unsigned in_first = end < GUEST_PAGE_SIZE ? end : GUEST_PAGE_SIZE;
    struct soft_ref ref = {.page = page, .first = 1, .last = 0};

    if (n == 0) {
        ref.first = (uint16_t)start;
        ref.last = (uint16_t)(in_first - 1);
    } else if (end > GUEST_PAGE_SIZE) {
        ref.first = 0;
        ref.last = (uint16_t)(end - GUEST_PAGE_SIZE - 1);
    }
    return ref;
}

/* Lifts at cpu->pc into v->block; ret_ref says what of which page it was made from. */
static void cache_lift(struct soft_vcpu *v, struct mmu_fetcher *f, struct soft_ref ret_ref[2])
{
    bool one = v->tracing || v->debug.single_step || v->debug.breakpoint_count;
    struct cpu *cpu = v->cpu;

    mmu_fetcher_init(f, cpu, cache_claim, v);
    cpu->ops->lift(cpu, &f->fetch, cpu->pc, one ? 1 : IR_MAX_INSNS, &v->block);
    ir_optimise(&v->block);
    for (unsigned i = 0; i < f->pages; i++) {
        ret_ref[i] = cache_ref(&v->block, f->page[i], i);
        soft_note_code(v, f->page[i], ret_ref[i].first, ret_ref[i].last);
    }
    v->cache.lifts++;
    if (trace_on(TRACE_BLOCK))
        trace_put(TRACE_EV_block_lift, cpu->index, cpu->pc, f->page[0].v, v->block.insn_count,
                  v->block.op_count, 0);
}

static void cache_insert_ref(struct soft_cache *c, struct soft_block *b, unsigned i)
{
    struct soft_ref **list = &c->page[cache_page_hash(b->ref[i].page)];

    b->ref[i].block = b;
    b->ref[i].next = *list;
    *list = &b->ref[i];
}

static void cache_insert(struct soft_cache *c, struct soft_block *b)
{
    struct soft_block **bucket = &c->bucket[cache_hash(b->host, b->code.pc)];

    b->next = *bucket;
    *bucket = b;
    cache_insert_ref(c, b, 0);
    if (b->host2)
        cache_insert_ref(c, b, 1);
    c->blocks++;
}

static struct soft_block *cache_add(struct soft_vcpu *v, const uint8_t *host)
{
    struct soft_ref ref[2] = {0};
    struct soft_block *b;
    struct mmu_fetcher f;
    bool two;

    cache_lift(v, &f, ref);
    if (!v->block.insn[0].length)
        return NULL; /* raises a fetch fault: true only as long as the mapping is */
    two = f.pages == 2 && ref[1].first <= ref[1].last;
    b = cache_alloc(v, offsetof(struct soft_block, code) + interp_code_size(&v->block));
    *b =
        (struct soft_block){.host = host, .host2 = two ? f.host[1] : NULL, .ref = {ref[0], ref[1]}};
    interp_code_init(&b->code, &v->block, two ? NULL : host);
    cache_insert(&v->cache, b);
    return b;
}

struct soft_block *soft_find(struct soft_vcpu *v, bool *ret_once)
{
    struct cpu *cpu = v->cpu;
    const uint8_t *host = mmu_fetch_host(cpu, cpu->pc);
    struct soft_block *b;

    *ret_once = false;
    v->lookups++;
    if (!host)
        return NULL;
    b = cache_lookup(v, host, cpu->pc);
    if (b)
        return b;
    b = cache_add(v, host);
    *ret_once = !b;
    return b;
}

/* --- Dropping --- */

static void cache_drop(struct soft_cache *c, struct soft_block *b)
{
    struct soft_block **p = &c->bucket[cache_hash(b->host, b->code.pc)];

    while (*p != b)
        p = &(*p)->next;
    *p = b->next;
    b->dropped = true;
    b->code.host = NULL;
    c->blocks--;
    c->drops++;
}

void soft_drop(struct soft_vcpu *v, gpa_t gpa, uint64_t len)
{
    unsigned first = (unsigned)(gpa.v & (GUEST_PAGE_SIZE - 1)), last = first + (unsigned)len - 1;
    gpa_t page = GPA(gpa.v - first);
    struct soft_ref **p = &v->cache.page[cache_page_hash(page)];
    uint64_t before = v->cache.drops;

    while (*p) {
        struct soft_ref *r = *p;
        bool hit = r->page.v == page.v && r->first <= last && first <= r->last;

        if (hit && !r->block->dropped)
            cache_drop(&v->cache, r->block);
        if (r->block->dropped)
            *p = r->next;
        else
            p = &r->next;
    }
    if (trace_on(TRACE_BLOCK) && v->cache.drops != before)
        trace_put(TRACE_EV_block_drop, v->cpu->index, gpa.v, v->cache.drops - before, 0, 0, 0);
}
