/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine's face: creation, state, statistics. Parts: internal.h. */
#include "engine/soft/soft.h"

#include "engine/soft/internal.h"
#include "mmu/mmu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct soft_engine *soft_of(struct engine *engine)
{
    return container_of(engine, struct soft_engine, engine);
}

static int soft_probe(struct err *err)
{
    (void)err;
    return 0; /* plain C: any host */
}

static void soft_vcpu_free(struct soft_vcpu *v)
{
    if (!v)
        return;
    jit_vcpu_free(v->jit);
    if (v->cpu && v->cpu->ops->done)
        v->cpu->ops->done(v->cpu);
    if (v->cpu)
        mmu_free(v->cpu->mmu);
    free(v->cpu);
    soft_cache_done(&v->cache);
    free(v);
}

static struct cpu *soft_cpu_new(const struct engine_config *config, unsigned index)
{
    size_t size = (config->cpu_ops->instance_size + 63) & ~(size_t)63;
    struct cpu *cpu = aligned_alloc(64, size);

    if (!cpu)
        return NULL;
    memset(cpu, 0, size);
    cpu->ops = config->cpu_ops;
    cpu->mem = config->mem;
    cpu->clock = config->clock;
    cpu->index = index;
    cpu->mmu = mmu_new(cpu);
    if (cpu->mmu) {
        cpu->mmu->tiny = config->stress & STRESS_TLB;
        return cpu;
    }
    free(cpu);
    return NULL;
}

static int soft_vcpu_new(struct soft_engine *e, const struct engine_config *config, unsigned index,
                         struct err *err)
{
    size_t cache = e->jit               ? SOFT_CACHE_JIT
                   : config->code_cache ? config->code_cache / config->vcpus
                                        : SOFT_CACHE_DEFAULT;
    struct soft_vcpu *v = calloc(1, sizeof(*v));
    int r;

    if (!v)
        return err_set(err, -ENOMEM, "engine: no memory for vCPU %u", index);
    e->vcpu[index] = v;
    v->engine = e;
    v->cpu = soft_cpu_new(config, index);
    if (!v->cpu)
        return err_set(err, -ENOMEM, "engine: no memory for vCPU %u", index);
    v->interp.cpu = v->cpu;
    if (config->vcpus > 1) {
        v->cpu->mmu->found_code = soft_found_writable;
        v->cpu->mmu->found_arg = e;
    }
    r = soft_cache_init(&v->cache, cache, err);
    if (r < 0)
        return r;
    r = config->cpu_ops->init(v->cpu, config->cpu_model, err);
    if (r < 0)
        return r;
    config->cpu_ops->reset(v->cpu);
    if (e->jit)
        return jit_vcpu_new(e->jit, v->cpu, &(struct jit_pages){soft_claim_page, soft_note_page, v},
                            &v->jit, err);
    return 0;
}

static void soft_destroy(struct engine *engine)
{
    struct soft_engine *e = soft_of(engine);

    if (!engine)
        return;
    soft_pages_done(e);
    for (unsigned i = 0; i < e->vcpu_count; i++)
        soft_vcpu_free(e->vcpu[i]);
    jit_free(e->jit);
    free(e);
}

static int soft_create(const struct engine_config *config, const struct engine_ops *ops,
                       struct engine **ret_engine, struct err *err)
{
    struct soft_engine *e;
    int r;

    if (!config->vcpus || config->vcpus > SOFT_VCPUS_MAX)
        return err_set(err, -EINVAL, "engine: %u vCPUs asked for, 1 to %d are possible",
                       config->vcpus, SOFT_VCPUS_MAX);
    e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, -ENOMEM, "engine: no memory");
    e->engine.ops = ops;
    e->mem = config->mem;
    e->vcpu_count = config->vcpus;
    r = soft_pages_init(e, err);
    if (!r && ops == &engine_jit_ops)
        r = jit_new(&(struct jit_config){.mem = config->mem,
                                         .ops = config->cpu_ops,
                                         .code_bytes = config->code_cache,
                                         .stress = config->stress,
                                         .perf_map = config->perf_map,
                                         .symbols = config->symbols},
                    &e->jit, err);
    for (unsigned i = 0; i < config->vcpus && !r; i++)
        r = soft_vcpu_new(e, config, i, err);
    if (r < 0) {
        soft_destroy(&e->engine);
        return r;
    }
    *ret_engine = &e->engine;
    return 0;
}

static int soft_create_interp(const struct engine_config *config, struct engine **ret_engine,
                              struct err *err)
{
    return soft_create(config, &engine_interp_ops, ret_engine, err);
}

static int soft_create_jit(const struct engine_config *config, struct engine **ret_engine,
                           struct err *err)
{
    return soft_create(config, &engine_jit_ops, ret_engine, err);
}

static struct cpu *soft_vcpu(struct engine *engine, unsigned index)
{
    return soft_of(engine)->vcpu[index]->cpu;
}

static void soft_reset(struct engine *engine, unsigned index)
{
    struct cpu *cpu = soft_vcpu(engine, index);

    cpu->fault.pending = false;
    cpu->exit = CPU_EXIT_NONE;
    cpu->ops->reset(cpu);
    mmu_flush_all(cpu->mmu);
}

static void soft_debug(struct engine *engine, unsigned index, const struct engine_debug *debug)
{
    struct soft_vcpu *v = soft_of(engine)->vcpu[index];

    v->debug = *debug;
    soft_drop_all(v); /* blocks of many instructions and of one do not mix */
}

static int soft_get_state(struct engine *engine, unsigned index, struct err *err)
{
    (void)engine, (void)index, (void)err;
    return 0; /* struct cpu is the state */
}

static int soft_set_state(struct engine *engine, unsigned index, struct err *err)
{
    struct soft_vcpu *v = soft_of(engine)->vcpu[index];

    (void)err;
    mmu_flush_all(v->cpu->mmu);
    soft_drop_all(v);
    return 0;
}

/* A write entry of the TLB stands for a page that was marked when it was made. */
static void soft_forget_dirty(struct engine *engine)
{
    struct soft_engine *e = soft_of(engine);

    for (unsigned i = 0; i < e->vcpu_count; i++)
        mmu_flush_all(e->vcpu[i]->cpu->mmu);
}

enum {
    STAT_INSTRET,
    STAT_LIFTS,
    STAT_BLOCKS,
    STAT_BYTES,
    STAT_LOOKUPS,
    STAT_DROPS,
    STAT_EVICTIONS,
    STAT_CODE_WRITES,
    STAT_PURGES,
    STAT_MISSES,
    STAT_WALKS,
    STAT_FLUSHES,
    STAT_SWITCHES,
    STAT_COUNT
};

static const struct engine_stat soft_stat_names[STAT_COUNT] = {
    [STAT_INSTRET] = {.name = "instructions"},
    [STAT_LIFTS] = {.name = "blocks_lifted"},
    [STAT_BLOCKS] = {.name = "blocks", .gauge = true},
    [STAT_BYTES] = {.name = "code_bytes", .gauge = true},
    [STAT_LOOKUPS] = {.name = "block_lookups"},
    [STAT_DROPS] = {.name = "blocks_dropped"},
    [STAT_EVICTIONS] = {.name = "cache_evictions"},
    [STAT_CODE_WRITES] = {.name = "code_page_writes"},
    [STAT_PURGES] = {.name = "code_page_purges"},
    [STAT_MISSES] = {.name = "tlb_misses"},
    [STAT_WALKS] = {.name = "page_walks"},
    [STAT_FLUSHES] = {.name = "tlb_flushes"},
    [STAT_SWITCHES] = {.name = "space_switches"},
};

static void soft_add_stats(const struct soft_vcpu *v, struct engine_stat *s)
{
    s[STAT_INSTRET].value += v->cpu->instret;
    s[STAT_LIFTS].value += v->cache.lifts;
    s[STAT_BLOCKS].value += v->cache.blocks;
    s[STAT_BYTES].value += v->cache.used;
    s[STAT_LOOKUPS].value += v->lookups;
    s[STAT_DROPS].value += v->cache.drops;
    s[STAT_EVICTIONS].value += v->cache.evictions;
    s[STAT_MISSES].value += v->cpu->mmu->misses;
    s[STAT_WALKS].value += v->cpu->mmu->walks;
    s[STAT_FLUSHES].value += v->cpu->mmu->flushes;
    s[STAT_SWITCHES].value += v->cpu->mmu->switches;
}

/* Counters of running vCPUs are read as they are: each is exact, together they may be a little
 * apart. */
static unsigned soft_stats(struct engine *engine, struct engine_stat *stats, unsigned room)
{
    struct soft_engine *e = soft_of(engine);
    struct engine_stat all[STAT_COUNT];
    unsigned n = room < STAT_COUNT ? room : STAT_COUNT;

    memcpy(all, soft_stat_names, sizeof(all));
    for (unsigned i = 0; i < e->vcpu_count; i++)
        soft_add_stats(e->vcpu[i], all);
    pthread_mutex_lock(&e->lock);
    all[STAT_CODE_WRITES].value = e->code_writes;
    all[STAT_PURGES].value = e->purges;
    pthread_mutex_unlock(&e->lock);
    memcpy(stats, all, n * sizeof(*all));
    return e->jit ? n + jit_stats(e->jit, stats + n, room - n) : n;
}

const struct engine_ops engine_interp_ops = {
    .name = "interp",
    .technique = "emulate",
    .probe = soft_probe,
    .create = soft_create_interp,
    .destroy = soft_destroy,
    .vcpu = soft_vcpu,
    .reset = soft_reset,
    .run = soft_run,
    .debug = soft_debug,
    .get_state = soft_get_state,
    .set_state = soft_set_state,
    .stats = soft_stats,
    .forget_dirty = soft_forget_dirty,
};

const struct engine_ops engine_jit_ops = {
    .name = "jit",
    .technique = "emulate",
    .probe = jit_probe,
    .create = soft_create_jit,
    .destroy = soft_destroy,
    .vcpu = soft_vcpu,
    .reset = soft_reset,
    .run = soft_run,
    .debug = soft_debug,
    .get_state = soft_get_state,
    .set_state = soft_set_state,
    .stats = soft_stats,
    .forget_dirty = soft_forget_dirty,
};
