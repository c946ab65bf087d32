/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: finds or makes translations, keeps each vCPU's jump caches, runs.
 * Locking: `lock` guards the store and the generator. Evicting a segment additionally needs every
 * vCPU out of translated code: `halting` counts who asks, vcpu.inside says who is in. The evictor
 * waits without holding `lock`, since a vCPU inside may wait for the machine lock whose holder
 * reports a code write.
 */
#include "jit/jit.h"
#include "ir/ir.h"
#include "jit/cache.h"
#include "jit/emit/cpuid.h"
#include "jit/emit/mxcsr.h"
#include "jit/gen.h"
#include "jit/lockstep.h"
#include "jit/perf_map.h"
#include "mem/mem.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { JIT_CONTEXTS = 16, JIT_STUB_BYTES = 16384, JIT_BLOCK_ROOM = 160 * 1024 };
enum { JIT_CODE_DEFAULT = 32 << 20, JIT_MAX_INSNS = 48 };
enum { JIT_KEY_COUNT = 1u << 31 }; /* generator flag beside the context key */

/* Jump cache of one code address space under one context key. */
struct jit_context {
    uint64_t space[2], epoch, last_used;
    uint32_t key;
    unsigned rounding;
    bool valid;
    struct jump_entry *jumps;
};

struct jit_vcpu {
    struct jit *jit;
    struct cpu *cpu;
    struct jit_pages pages;
    struct jit_context *current;
    struct jit_context context[JIT_CONTEXTS];
    struct jump_entry *tables;
    struct jit_vcpu *next;
    struct lockstep *lockstep; /* or NULL */
    uint64_t compared;         /* blocks executed twice */
    uint64_t tick, cleared;    /* evictions this vCPU has cleared its jump caches for */
    _Atomic bool inside;
    uint64_t enters, links, switches, interpreted;
    uint64_t exits[GEN_EXITS];
};

struct jit {
    const struct cpu_ops *ops;
    struct mem *mem;
    unsigned stress;
    struct cache cache;
    struct jit_stubs stubs;
    pthread_mutex_t lock;
    _Atomic unsigned halting;
    _Atomic uint64_t evicted;
    struct jit_vcpu *vcpus;
    struct perf_map *perf_map; /* NULL: not asked for */
    struct gen gen;
    struct ir_block ir;
    uint32_t target_key; /* of the block being generated */
    uint64_t target_page;
    uint64_t translated, translated_insns, translated_bytes;
};

int jit_probe(struct err *err)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("bmi2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("fma") && cpuid_has_lzcnt())
        return 0;
    return err_set(err, -EOPNOTSUPP,
                   "engine 'jit': this CPU lacks BMI1/BMI2/LZCNT/POPCNT/FMA (x86-64-v3); "
                   "the interpreter is used instead");
}

/* --- Callbacks of the generator and the store --- */

static const struct ir_insn *jit_keep(void *arg, const struct ir_insn *op)
{
    struct jit *jit = arg;
    struct ir_insn *copy = cache_keep(&jit->cache, sizeof(*op));

    *copy = *op;
    jit->gen.c.end = jit->cache.segment[jit->cache.current].top;
    return copy;
}

static const uint8_t *jit_target(void *arg, uint32_t page_offset)
{
    struct jit *jit = arg;
    const struct jit_block *b =
        cache_find(&jit->cache, jit->target_page | page_offset, 0, jit->target_key);

    return b && !(jit->stress & STRESS_LINKS) ? b->inner : NULL;
}

static void jit_name(void *arg, const struct jit_block *block)
{
    const struct jit *jit = arg;
    enum { STALE_BYTES = 10 }; /* the block's last piece */

    perf_map_add(jit->perf_map, codemem_exec(&jit->cache.mem, block->outer),
                 (size_t)(block->stale + STALE_BYTES - block->outer), block->va);
}

static void jit_name_stubs(const struct jit *jit, size_t bytes)
{
    perf_map_add_named(jit->perf_map, jit->cache.mem.exec, bytes, "[stubs]");
}

/* --- Making a machine's JIT --- */

/* A segment must hold the largest block. */
static size_t jit_code_bytes(size_t wish)
{
    enum { LEAST = 2 * JIT_BLOCK_ROOM * CACHE_SEGMENTS };

    if (!wish)
        return JIT_CODE_DEFAULT;
    return wish < LEAST ? LEAST : wish;
}

int jit_new(const struct jit_config *config, struct jit **ret_jit, struct err *err)
{
    struct jit *jit = calloc(1, sizeof(*jit));
    struct x86_code c;
    int r;

    if (!jit)
        return err_set(err, -ENOMEM, "engine 'jit': no memory");
    r = cache_init(&jit->cache, jit_code_bytes(config->code_bytes), JIT_STUB_BYTES, err);
    if (r) {
        free(jit);
        return r;
    }
    r = config->perf_map ? perf_map_new(config->symbols, &jit->perf_map, err) : 0;
    if (r) {
        cache_done(&jit->cache);
        free(jit);
        return r;
    }
    jit->ops = config->ops;
    jit->mem = config->mem;
    jit->stress = config->stress;
    if (jit->stress & STRESS_LOCKSTEP) /* every block comes back */
        jit->stress |= STRESS_LINKS;
    jit->gen.fallback = config->stress & STRESS_FALLBACK;
    pthread_mutex_init(&jit->lock, NULL);
    c = (struct x86_code){.at = jit->cache.mem.write, .end = jit->cache.mem.write + JIT_STUB_BYTES};
    stubs_emit(&c, &jit->stubs, jit->ops);
    jit->gen.stubs = &jit->stubs;
    jit->gen.arg = jit;
    jit->gen.keep = jit_keep;
    jit->gen.target = jit_target;
    gen_init(&jit->gen, jit->ops);
    if (jit->perf_map)
        jit_name_stubs(jit, (size_t)(c.at - jit->cache.mem.write));
    *ret_jit = jit;
    return 0;
}

void jit_free(struct jit *jit)
{
    if (!jit)
        return;
    perf_map_free(jit->perf_map);
    cache_done(&jit->cache);
    pthread_mutex_destroy(&jit->lock);
    free(jit);
}

int jit_vcpu_new(struct jit *jit, struct cpu *cpu, const struct jit_pages *pages,
                 struct jit_vcpu **ret_vcpu, struct err *err)
{
    struct jit_vcpu *v = calloc(1, sizeof(*v));

    if (v)
        v->tables = calloc(JIT_CONTEXTS, JUMP_TABLE * sizeof(*v->tables));
    if (v && jit->stress & STRESS_LOCKSTEP)
        v->lockstep = lockstep_new();
    if (!v || !v->tables || (jit->stress & STRESS_LOCKSTEP && !v->lockstep)) {
        jit_vcpu_free(v);
        return err_set(err, -ENOMEM, "engine 'jit': no memory for a vCPU");
    }
    v->jit = jit;
    v->cpu = cpu;
    v->pages = *pages;
    for (unsigned i = 0; i < JIT_CONTEXTS; i++)
        v->context[i].jumps = v->tables + i * JUMP_TABLE;
    pthread_mutex_lock(&jit->lock);
    v->next = jit->vcpus;
    jit->vcpus = v;
    pthread_mutex_unlock(&jit->lock);
    *ret_vcpu = v;
    return 0;
}

void jit_vcpu_free(struct jit_vcpu *v)
{
    struct jit_vcpu **link;

    if (!v)
        return;
    if (v->jit) {
        pthread_mutex_lock(&v->jit->lock);
        for (link = &v->jit->vcpus; *link != v; link = &(*link)->next)
            ;
        *link = v->next;
        pthread_mutex_unlock(&v->jit->lock);
    }
    free(v->tables);
    free(v->lockstep);
    free(v);
}

/* Merges the host's sticky flags, which are the guest's while translated code may run. */
static void jit_sync_fp(struct cpu *cpu)
{
    cpu->fp_flags |= mxcsr_take_flags();
}

/* --- Jump caches --- */

static void context_clear(struct jit_context *ctx)
{
    memset(ctx->jumps, 0xff, JUMP_TABLE * sizeof(*ctx->jumps));
}

static bool context_matches(const struct jit_context *ctx, const struct mmu_space *space,
                            uint32_t key)
{
    return ctx->valid && ctx->key == key && ctx->space[0] == space->key[0] &&
           ctx->space[1] == space->key[1];
}

static struct jit_context *context_find(struct jit_vcpu *v, const struct mmu_space *space,
                                        uint32_t key)
{
    struct jit_context *oldest = &v->context[0];

    for (unsigned i = 0; i < JIT_CONTEXTS; i++) {
        struct jit_context *ctx = &v->context[i];

        if (context_matches(ctx, space, key))
            return ctx;
        if (ctx->last_used < oldest->last_used)
            oldest = ctx;
    }
    *oldest = (struct jit_context){
        .jumps = oldest->jumps,
        .key = key,
        .space = {space->key[0], space->key[1]},
        .epoch = space->code_epoch,
        .rounding = v->jit->ops->rounding(key & ~JIT_KEY_COUNT),
        .valid = true,
    };
    context_clear(oldest);
    return oldest;
}

/* The context that code must run in now; clears what a flush or an eviction made void. */
static void context_select(struct jit_vcpu *v)
{
    const struct mmu_space *space = v->cpu->mmu->code;
    uint32_t key = v->cpu->context | (v->cpu->count_instret ? JIT_KEY_COUNT : 0);
    uint64_t evicted = atomic_load_explicit(&v->jit->evicted, memory_order_acquire);

    if (v->cleared != evicted) {
        for (unsigned i = 0; i < JIT_CONTEXTS; i++)
            context_clear(&v->context[i]);
        v->cleared = evicted;
    }
    if (!v->current || !context_matches(v->current, space, key)) {
        jit_sync_fp(v->cpu);
        v->current = context_find(v, space, key);
        v->switches++;
        _mm_setcsr(mxcsr_guest(v->current->rounding));
    }
    v->current->last_used = ++v->tick;
    if (v->current->epoch != space->code_epoch) {
        context_clear(v->current);
        v->current->epoch = space->code_epoch;
    }
    v->cpu->jit.jumps = v->current->jumps;
}

/* --- Translating --- */

/* Must something go before a block can be added? A block that STRESS_CACHE wants out has run. */
static bool jit_is_full(const struct jit *jit)
{
    if (jit->stress & STRESS_CACHE && jit->cache.blocks)
        return true;
    return cache_full(&jit->cache, JIT_BLOCK_ROOM);
}

/* Waits until no other vCPU runs translated code, evicts, lets them go on. */
static void jit_make_room(struct jit *jit)
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

/* Lifts what lies at pc into jit->ir. False: nothing that fits in the page. */
static bool jit_lift(struct jit_vcpu *v, uint64_t pc, gpa_t gpa, gpa_t gpa2)
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

/* The block as it is now, in memory that goes when its translation does. */
static const struct ir_block *jit_keep_ir(struct jit *jit)
{
    size_t bytes = offsetof(struct ir_block, op) + jit->ir.op_count * sizeof(jit->ir.op[0]);

    return memcpy(cache_keep(&jit->cache, bytes), &jit->ir, bytes);
}

static struct jit_block *jit_translate_locked(struct jit_vcpu *v, uint64_t pc, gpa_t gpa,
                                              gpa_t gpa2)
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
    block = cache_keep(&jit->cache, sizeof(*block));
    *block = (struct jit_block){
        .gpa = gpa.v,
        .va = pc,
        .key = v->current->key,
        .length = jit->ir.length,
        .lifted = lifted,
    };
    if (first_page_left < jit->ir.length) {
        block->gpa2 = gpa2.v;
        block->length = first_page_left;
    }
    g->block = &jit->ir;
    g->c = (struct x86_code){.at = s->bottom, .end = s->top};
    /* SSE has no RMM: nothing is inline then, except what names a mode of its own (RTZ). */
    g->rounding = v->current->rounding == IR_RMM ? GEN_ROUND_OTHER : v->current->rounding;
    g->count = (v->current->key & JIT_KEY_COUNT) != 0;
    jit->target_key = block->key;
    jit->target_page = gpa.v & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    if (!gen_block(g)) {
        s->top = top;
        return NULL;
    }
    block->outer = g->outer;
    block->inner = g->inner;
    block->stale = g->stale;
    if (cache_add(&jit->cache, block))
        return NULL;
    if (jit->perf_map)
        jit_name(jit, block);
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

/* The translation at pc. NULL: none can be made, or cpu->fault is pending. */
static struct jit_block *jit_find(struct jit_vcpu *v, uint64_t pc)
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
    block = cache_find(&jit->cache, gpa.v, gpa2.v, v->current->key);
    while (!block && jit_is_full(jit)) {
        pthread_mutex_unlock(&jit->lock);
        jit_make_room(jit);
        context_select(v);
        pthread_mutex_lock(&jit->lock);
    }
    if (!block)
        block = jit_translate_locked(v, pc, gpa, gpa2);
    pthread_mutex_unlock(&jit->lock);
    return block;
}

static void jit_fill_jump(struct jit_vcpu *v, uint64_t pc, const struct jit_block *block)
{
    struct jump_entry *e;

    if (v->jit->stress & STRESS_LINKS)
        return;
    e = &v->current->jumps[jump_index(pc)];
    if (e->pc != pc && e->pc != UINT64_MAX)
        v->current->jumps[jump_second_index(e->pc)] = *e;

    *e = (struct jump_entry){pc, codemem_exec(&v->jit->cache.mem, block->outer)};
}

/* Links the jump that left with GEN_EXIT_LINK, unless code went away meanwhile. */
static void jit_link(struct jit_vcpu *v, const struct jit_block *block, uint64_t evicted)
{
    struct jit *jit = v->jit;

    if (jit->stress & STRESS_LINKS)
        return;
    pthread_mutex_lock(&jit->lock);
    if (atomic_load(&jit->evicted) == evicted && !block->dropped) {
        x86_patch(codemem_write(&jit->cache.mem, v->cpu->jit.link), block->inner);
        v->links++;
    }
    pthread_mutex_unlock(&jit->lock);
}

/* --- Running --- */

static bool jit_enter(struct jit_vcpu *v, const struct jit_block *block, int *ret_code)
{
    struct jit *jit = v->jit;
    int (*enter)(struct cpu *, const void *, uint64_t);
    const void *stub = codemem_exec(&jit->cache.mem, jit->stubs.enter);

    memcpy(&enter, &stub, sizeof(enter));
    atomic_store(&v->inside, true);
    if (unlikely(atomic_load(&jit->halting)) ||
        v->cleared != atomic_load_explicit(&jit->evicted, memory_order_acquire)) {
        atomic_store(&v->inside, false); /* somebody evicts: look the block up again */
        while (atomic_load(&jit->halting))
            sched_yield();
        return false;
    }
    *ret_code = enter(v->cpu, codemem_exec(&jit->cache.mem, block->outer), v->cpu->pc);
    atomic_store_explicit(&v->inside, false, memory_order_release);
    return true;
}

/* Left in the middle of a block. retired: its last instruction is done. */
static void jit_note_pc(struct cpu *cpu, bool retired)
{
    cpu->pc = cpu->jit.page + (cpu->jit.insn & 0xffff) + (retired ? cpu->jit.insn >> 16 : 0);
    if (retired && cpu->count_instret)
        cpu->instret++;
}

/* Enters the block; in lockstep, it runs before and is compared after. */
static void jit_run_block(struct jit_vcpu *v, const struct jit_block *block, int *ret_code)
{
    struct cpu *cpu = v->cpu;
    bool expect = v->lockstep && lockstep_expect(v->lockstep, cpu, block->lifted);

    *ret_code = GEN_EXIT_DISPATCH;
    if (!jit_enter(v, block, ret_code))
        return;
    if (*ret_code == GEN_EXIT_FAULT)
        jit_note_pc(cpu, false);
    else if (*ret_code == GEN_EXIT_CPU)
        jit_note_pc(cpu, cpu->exit == CPU_EXIT_HALT || cpu->exit == CPU_EXIT_HYPERCALL);
    if (!expect)
        return;
    v->compared++;
    lockstep_check(v->lockstep, cpu, block->lifted);
}

/* One entry into translated code and what its way out asks for. False: *ret_exit is the answer. */
static bool jit_step(struct jit_vcpu *v, bool link, uint64_t evicted, int *code,
                     enum jit_exit *ret_exit)
{
    struct cpu *cpu = v->cpu;
    struct jit_block *block = jit_find(v, cpu->pc);

    if (!block) {
        *ret_exit = cpu->fault.pending ? JIT_EXIT_FAULT : JIT_EXIT_MISS;
        v->interpreted += *ret_exit == JIT_EXIT_MISS;
        return false;
    }
    if (link)
        jit_link(v, block, evicted);
    if (!link)
        jit_fill_jump(v, cpu->pc, block);
    v->enters++;
    if (v->jit->stress & STRESS_IRQ)
        cpu_attend(cpu, ATTENTION_IRQ);
    jit_run_block(v, block, code);
    return true;
}

static enum jit_exit jit_loop(struct jit_vcpu *v)
{
    struct cpu *cpu = v->cpu;
    enum jit_exit answer;
    int code = (int)GEN_EXIT_DISPATCH;
    uint64_t evicted = 0;

    for (;;) {
        if (atomic_load_explicit(&cpu->attention, memory_order_relaxed))
            return JIT_EXIT_ATTENTION;
        context_select(v);
        if (!jit_step(v, code == GEN_EXIT_LINK, evicted, &code, &answer))
            return answer;
        evicted = v->cleared;
        v->exits[code]++;
        if (code == GEN_EXIT_FAULT)
            return JIT_EXIT_FAULT;
        if (code == GEN_EXIT_CPU)
            return JIT_EXIT_CPU;
    }
}

enum jit_exit jit_run(struct jit_vcpu *v)
{
    unsigned host = _mm_getcsr();
    enum jit_exit answer;

    v->cpu->sync_fp = jit_sync_fp;
    _mm_setcsr(mxcsr_guest(v->current ? v->current->rounding : IR_RNE));
    answer = jit_loop(v);
    jit_sync_fp(v->cpu);
    v->cpu->sync_fp = NULL;
    _mm_setcsr(host);
    return answer;
}

void jit_code_written(struct jit *jit, gpa_t gpa, uint64_t len)
{
    pthread_mutex_lock(&jit->lock);
    cache_written(&jit->cache, gpa.v, len);
    pthread_mutex_unlock(&jit->lock);
}

void jit_drop_page_locked(struct jit *jit, gpa_t page)
{
    cache_drop_page(&jit->cache, page.v >> GUEST_PAGE_SHIFT);
}

static void jit_add_vcpu_stats(const struct jit_vcpu *v, uint64_t sum[])
{
    sum[0] += v->enters;
    sum[1] += v->links;
    sum[2] += v->switches;
    sum[3] += v->interpreted;
    sum[4] += v->compared;
    for (unsigned i = 0; i < GEN_EXITS; i++)
        sum[5 + i] += v->exits[i];
}

unsigned jit_stats(struct jit *jit, struct engine_stat *stats, unsigned room)
{
    uint64_t sum[5 + GEN_EXITS] = {0};
    unsigned n = 0;

    for (struct jit_vcpu *v = jit->vcpus; v; v = v->next)
        jit_add_vcpu_stats(v, sum);
    const struct engine_stat all[] = {
        {"jit_blocks", jit->cache.blocks, true},
        {"jit_code_bytes", cache_used(&jit->cache), true},
        {"jit_code_bytes_room", jit->cache.mem.size, true},
        {"jit_blocks_translated", jit->translated, false},
        {"jit_instructions_translated", jit->translated_insns, false},
        {"jit_code_bytes_emitted", jit->translated_bytes, false},
        {"jit_blocks_dropped", jit->cache.dropped, false},
        {"jit_evictions", jit->cache.evictions, false},
        {"jit_enters", sum[0], false},
        {"jit_links", sum[1], false},
        {"jit_context_switches", sum[2], false},
        {"jit_interpreted_blocks", sum[3], false},
        {"jit_lockstep_blocks", sum[4], false},
        {"jit_exits_attention", sum[5 + GEN_EXIT_ATTENTION], false},
        {"jit_exits_dispatch", sum[5 + GEN_EXIT_DISPATCH], false},
        {"jit_exits_link", sum[5 + GEN_EXIT_LINK], false},
        {"jit_exits_jump", sum[5 + GEN_EXIT_JUMP], false},
        {"jit_exits_fault", sum[5 + GEN_EXIT_FAULT], false},
        {"jit_exits_cpu", sum[5 + GEN_EXIT_CPU], false},
    };
    for (; n < room && n < ARRAY_LEN(all); n++)
        stats[n] = all[n];
    return n;
}
