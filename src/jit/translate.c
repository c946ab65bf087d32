/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a pc to a translation: the store is asked, else the guest's code is lifted, optimised and
 * generated into it, after room was made if there was none.
 */
#include "jit/internal.h"
#include "jit/perf_map.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { JIT_MAX_INSNS = 48 };

static void jit_name(void *arg, const struct jit_block *block)
{
    const struct jit *jit = arg;
    enum { STALE_BYTES = 10 }; /* a block's last piece; a region has none */
    const uint8_t *end = block->stale + (block->head ? 0 : STALE_BYTES);

    perf_map_add(jit->perf_map, codemem_exec(&jit->cache.mem, block->outer),
                 (size_t)(end - block->outer), block->va, block->head ? "region " : "");
    if (block->region) /* which no index has */
        jit_name(arg, block->region);
}

void jit_name_block(struct jit *jit, const struct jit_block *block)
{
    if (jit->perf_map)
        jit_name(jit, block);
}

void jit_name_stubs(const struct jit *jit, size_t bytes)
{
    perf_map_add_named(jit->perf_map, jit->cache.mem.exec, bytes, "[stubs]");
}

/* Must something go before a block can be added? A block that STRESS_CACHE wants out has run. */
static bool jit_is_full(const struct jit *jit)
{
    if (jit->stress & STRESS_CACHE && jit->cache.blocks)
        return true;
    return cache_full(&jit->cache, JIT_BLOCK_ROOM);
}

/* Waits until no other vCPU runs translated code, evicts, lets them go on. */
void jit_make_room(struct jit *jit)
{
    atomic_fetch_add(&jit->halting, 1);
    pthread_mutex_lock(&jit->lock);
    for (struct jit_vcpu *v = jit->vcpus; v; v = v->next)
        if (atomic_load(&v->inside))
            cpu_attend(v->cpu, ATTENTION_CODE);
    for (struct jit_vcpu *v = jit->vcpus; v; v = v->next) {
        while (atomic_load(&v->inside)) {
            pthread_mutex_unlock(&jit->lock);
            sched_yield();
            pthread_mutex_lock(&jit->lock);
        }
    }
    if (jit_is_full(jit)) {
        cache_evict(&jit->cache);
        if (jit->perf_map) {
            perf_map_clear(jit->perf_map);
            jit_name_stubs(jit, JIT_STUB_BYTES);
            cache_each(&jit->cache, jit_name, jit);
        }
        atomic_fetch_add(&jit->evicted, 1);
    }
    pthread_mutex_unlock(&jit->lock);
    atomic_fetch_sub(&jit->halting, 1);
}

/* Fetching for a lift: not past the first page, but for an instruction that begins in it. Where the
 * bytes are is known by now: a page walk under the lock might set an accessed bit beside code, and
 * reporting that write needs the lock. */
struct jit_fetch {
    struct cpu_fetch fetch; /* must be first */
    const struct jit_vcpu *vcpu;
    uint64_t page, first;
    gpa_t gpa[2]; /* the page and, for an instruction across its end, the next one */
    bool claimed[2];
};

static bool jit_crosses(uint64_t pc)
{
    return (pc & (GUEST_PAGE_SIZE - 1)) == GUEST_PAGE_SIZE - 2;
}

static bool jit_fetch_half(struct cpu_fetch *fetch, uint64_t pc, uint16_t *ret_bits)
{
    struct jit_fetch *f = container_of(fetch, struct jit_fetch, fetch);
    const struct jit_vcpu *v = f->vcpu;
    unsigned n = (pc & ~(uint64_t)(GUEST_PAGE_SIZE - 1)) != f->page;
    const uint8_t *host;

    if (n && !(jit_crosses(f->first) && pc == f->first + 2))
        return false;
    if (!f->claimed[n])
        v->pages.claim(v->pages.arg, f->gpa[n]);
    f->claimed[n] = true;
    host = mem_page(v->jit->mem, f->gpa[n]);
    memcpy(ret_bits, host + (pc & (GUEST_PAGE_SIZE - 2)), sizeof(*ret_bits));
    return true;
}

static gpa_t jit_page_of(gpa_t gpa)
{
    return GPA(gpa.v & ~(uint64_t)(GUEST_PAGE_SIZE - 1));
}

/* Says what of the fetched pages became code. False: the table of code pages ran over meanwhile,
 * and has forgotten one of them. */
static bool jit_note(const struct jit_vcpu *v, const struct jit_fetch *f, bool lifted)
{
    unsigned first = (unsigned)(f->first & (GUEST_PAGE_SIZE - 1));
    unsigned last = first + v->jit->ir.length - 1;
    bool kept = true;

    if (last >= GUEST_PAGE_SIZE)
        last = GUEST_PAGE_SIZE - 1;
    for (unsigned n = 0; n < 2; n++) {
        if (!f->claimed[n])
            continue;
        v->pages.note(v->pages.arg, f->gpa[n],
                      !lifted ? 1
                      : n     ? 0
                              : first,
                      !lifted ? 0
                      : n     ? 1
                              : last);
        kept &= (atomic_load(mem_page_flags(v->jit->mem, f->gpa[n])) & PAGE_CODE) != 0;
    }
    return kept;
}

bool jit_lift(struct jit_vcpu *v, uint64_t pc, gpa_t gpa, gpa_t gpa2)
{
    struct jit *jit = v->jit;
    struct jit_fetch f = {.fetch = {.half = jit_fetch_half, .cpu = v->cpu},
                          .vcpu = v,
                          .page = pc & ~(uint64_t)(GUEST_PAGE_SIZE - 1),
                          .first = pc,
                          .gpa = {jit_page_of(gpa), jit_page_of(gpa2)}};
    bool lifted;

    jit->ops->lift(v->cpu, &f.fetch, pc, jit_crosses(pc) ? 1 : JIT_MAX_INSNS, &jit->ir);
    v->cpu->fault.pending = false; /* only the way to say that the page ended */
    lifted = jit->ir.insn_count && jit->ir.insn[0].length;
    return jit_note(v, &f, lifted) && lifted;
}

struct ir_block *jit_keep_ir(struct jit *jit)
{
    size_t bytes = offsetof(struct ir_block, op) + jit->ir.op_count * sizeof(jit->ir.op[0]);

    return memcpy(cache_keep(&jit->cache, bytes), &jit->ir, bytes);
}

void jit_set_gen(struct jit_vcpu *v, uint64_t gpa)
{
    struct jit *jit = v->jit;
    struct gen *g = &jit->gen;

    /* SSE has no RMM: nothing is inline then, except what names a mode of its own (RTZ). */
    g->rounding = v->current->rounding == IR_RMM ? GEN_ROUND_OTHER : v->current->rounding;
    g->count = (v->current->key & JIT_KEY_COUNT) != 0;
    g->apart = false;
    jit->target_key = v->current->key;
    jit->target_page = gpa & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    g->page_gpa = jit->target_page;
}

static struct jit_block *jit_translate_locked(struct jit_vcpu *v, uint64_t pc, gpa_t gpa,
                                              gpa_t gpa2, uint32_t apart)
{
    struct jit *jit = v->jit;
    struct cache_segment *s = &jit->cache.segment[jit->cache.current];
    const struct ir_block *lifted = NULL;
    uint8_t *top = s->top;
    uint32_t first_page_left = GUEST_PAGE_SIZE - (uint32_t)(gpa.v & (GUEST_PAGE_SIZE - 1));
    struct gen *g = &jit->gen;
    struct jit_block *block;

    if (!jit_lift(v, pc, gpa, gpa2))
        return NULL;
    if (v->lockstep)
        lifted = jit_keep_ir(jit);
    ir_optimise(&jit->ir);
    gen_find_rotations(&jit->ir);
    block = cache_keep(&jit->cache, sizeof(*block));
    *block = (struct jit_block){
        .gpa = gpa.v,
        .va = pc,
        .key = v->current->key | apart,
        .length = jit->ir.length,
        .lifted = lifted,
    };
    if (first_page_left < jit->ir.length) {
        block->gpa2 = gpa2.v;
        block->length = first_page_left;
    }
    g->c = (struct x86_code){.at = s->bottom, .end = s->top};
    jit_set_gen(v, gpa.v);
    g->apart = apart != 0;
    if (!gen_block(g, &jit->ir)) {
        s->top = top;
        return NULL;
    }
    block->outer = g->outer;
    block->inner = g->inner;
    block->stale = g->stale;
    if (cache_add(&jit->cache, block))
        return NULL;
    jit_name_block(jit, block);
    jit->translated_bytes += (uint64_t)(g->c.at - s->bottom);
    s->bottom = g->c.at;
    jit->translated++;
    jit->translated_insns += jit->ir.insn_count;
    return block;
}

/* Where the instruction at a page's end goes on, if it does. False: that cannot be fetched, which
 * the interpreter finds out again if it matters. */
static bool jit_second_page(struct jit_vcpu *v, uint64_t va, gpa_t *ret_gpa)
{
    const uint8_t *host = mmu_fetch_host(v->cpu, va);

    v->cpu->fault.pending = false;
    return host && mem_host_to_gpa(v->jit->mem, host, ret_gpa);
}

struct jit_block *jit_find(struct jit_vcpu *v, uint64_t pc, uint32_t apart)
{
    struct jit *jit = v->jit;
    struct jit_block *block;
    const uint8_t *host = mmu_fetch_host(v->cpu, pc);
    gpa_t gpa, gpa2 = {0};

    if (!host || !mem_host_to_gpa(jit->mem, host, &gpa))
        return NULL;
    if (jit_crosses(pc) && !jit_second_page(v, pc + 2, &gpa2))
        return NULL;
    pthread_mutex_lock(&jit->lock);
    block = cache_find(&jit->cache, gpa.v, gpa2.v, v->current->key | apart);
    while (!block && jit_is_full(jit)) {
        pthread_mutex_unlock(&jit->lock);
        jit_make_room(jit);
        jit_select_context(v);
        pthread_mutex_lock(&jit->lock);
    }
    if (!block)
        block = jit_translate_locked(v, pc, gpa, gpa2, apart);
    if (block && jit->stress & STRESS_TIER2 && !cache_full(&jit->cache, JIT_BLOCK_ROOM))
        jit_make_region_locked(v, block);
    pthread_mutex_unlock(&jit->lock);
    return block;
}
