/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's JIT and its vCPUs: making, ending, telling of changed code, counting. */
#include "jit/emit/cpuid.h"
#include "jit/internal.h"
#include "jit/lockstep.h"
#include "jit/perf_map.h"
#include "jit/region.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { JIT_CODE_DEFAULT = 32 << 20 };

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

/* Who is inside a dropped region leaves it at the next backward jump. */
static void jit_leave_regions(struct jit *jit)
{
    for (struct jit_vcpu *v = jit->vcpus; v && jit->cache.leave; v = v->next)
        if (atomic_load(&v->inside))
            cpu_attend(v->cpu, ATTENTION_CODE);
    jit->cache.leave = false;
}

static const uint8_t *jit_target(void *arg, uint32_t page_offset)
{
    struct jit *jit = arg;
    const struct jit_block *b =
        cache_find(&jit->cache, jit->target_page | page_offset, 0, jit->target_key);

    return b && !(jit->stress & STRESS_LINKS) ? b->inner : NULL;
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
    free(jit->region);
    cache_done(&jit->cache);
    pthread_mutex_destroy(&jit->lock);
    free(jit);
}

void jit_reset_trial(struct cpu *cpu, unsigned n)
{
    cpu->trial[n].entries = REGION_TRIAL_ENTRIES;
    cpu->trial[n].turns = REGION_TRIAL_TURNS;
    cpu->trial[n].fails = REGION_TRIAL_FAILS;
}

int jit_vcpu_new(struct jit *jit, struct cpu *cpu, const struct jit_pages *pages,
                 struct jit_vcpu **ret_vcpu, struct err *err)
{
    struct jit_vcpu *v = calloc(1, sizeof(*v));

    if (v)
        v->tables = calloc(JIT_CONTEXTS, JUMP_TABLE * sizeof(*v->tables));
    if (v)
        v->places = calloc(PLACE_ENTRIES, sizeof(*v->places));
    if (v && jit->stress & STRESS_LOCKSTEP)
        v->lockstep = lockstep_new();
    if (!v || !v->tables || !v->places || (jit->stress & STRESS_LOCKSTEP && !v->lockstep)) {
        jit_vcpu_free(v);
        return err_set(err, -ENOMEM, "engine 'jit': no memory for a vCPU");
    }
    v->jit = jit;
    v->cpu = cpu;
    v->pages = *pages;
    v->apart = v->body = 1;
    for (unsigned i = 0; i < ARRAY_LEN(cpu->hot); i++)
        cpu->hot[i] = JIT_HOT;
    for (unsigned i = 0; i < ARRAY_LEN(cpu->trial); i++)
        jit_reset_trial(cpu, i);
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
    free(v->places);
    free(v->lockstep);
    free(v);
}

void jit_code_written(struct jit *jit, gpa_t gpa, uint64_t len)
{
    pthread_mutex_lock(&jit->lock);
    cache_written(&jit->cache, gpa.v, len);
    jit_leave_regions(jit);
    pthread_mutex_unlock(&jit->lock);
}

void jit_drop_page_locked(struct jit *jit, gpa_t page)
{
    cache_drop_page(&jit->cache, page.v >> GUEST_PAGE_SHIFT);
    jit_leave_regions(jit);
}

static void jit_add_vcpu_stats(const struct jit_vcpu *v, uint64_t sum[])
{
    sum[0] += v->enters;
    sum[1] += v->links;
    sum[2] += v->switches;
    sum[3] += v->interpreted;
    sum[4] += v->compared;
    sum[5] += v->cpu->jit.regions;
    for (unsigned i = 0; i < GEN_EXITS; i++)
        sum[6 + i] += v->exits[i];
}

unsigned jit_stats(struct jit *jit, struct engine_stat *stats, unsigned room)
{
    uint64_t sum[6 + GEN_EXITS] = {0};
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
        {"jit_regions", jit->cache.regions, true},
        {"jit_regions_made", jit->regions_made, false},
        {"jit_regions_refused", jit->regions_refused, false},
        {"jit_regions_discarded", jit->regions_discarded, false},
        {"jit_regions_dropped", jit->cache.regions_dropped, false},
        {"jit_region_entries", sum[5], false},
        {"jit_region_nanoseconds", jit->region_ns, false},
        {"jit_exits_attention", sum[6 + GEN_EXIT_ATTENTION], false},
        {"jit_exits_dispatch", sum[6 + GEN_EXIT_DISPATCH], false},
        {"jit_exits_stale", sum[6 + GEN_EXIT_STALE], false},
        {"jit_exits_link", sum[6 + GEN_EXIT_LINK], false},
        {"jit_exits_apart", sum[6 + GEN_EXIT_APART], false},
        {"jit_exits_hot", sum[6 + GEN_EXIT_HOT], false},
        {"jit_exits_judge", sum[6 + GEN_EXIT_JUDGE], false},
        {"jit_exits_jump", sum[6 + GEN_EXIT_JUMP], false},
        {"jit_exits_fault", sum[6 + GEN_EXIT_FAULT], false},
        {"jit_exits_cpu", sum[6 + GEN_EXIT_CPU], false},
    };
    for (; n < room && n < ARRAY_LEN(all); n++)
        stats[n] = all[n];
    return n;
}
