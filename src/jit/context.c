/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jump caches: one for each code address space and context key that a vCPU has used lately.
 */
#include "jit/emit/mxcsr.h"
#include "jit/internal.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

void jit_sync_fp(struct cpu *cpu)
{
    cpu->fp_flags |= mxcsr_take_flags();
}

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

/* The key in PLACE_KEY_BITS bits: the count flag moves down beside the ISA's. */
static uint64_t context_place_key(uint32_t key)
{
    const uint32_t count = UINT32_C(1) << (PLACE_KEY_BITS - 1);

    assert((key & ~JIT_KEY_COUNT) < count);
    return key & JIT_KEY_COUNT ? (key & ~JIT_KEY_COUNT) | count : key;
}

void jit_select_context(struct jit_vcpu *v)
{
    const struct mmu_space *space = v->cpu->mmu->code;
    uint32_t key = v->cpu->context | (v->cpu->count_instret ? JIT_KEY_COUNT : 0);
    uint64_t evicted = atomic_load_explicit(&v->jit->evicted, memory_order_acquire);

    if (v->cleared != evicted) {
        for (unsigned i = 0; i < JIT_CONTEXTS; i++)
            context_clear(&v->context[i]);
        memset(v->places, 0, PLACE_ENTRIES * sizeof(*v->places));
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
    v->cpu->jit.key = key;
    v->cpu->jit.places = v->places;
    v->cpu->jit.place_key = context_place_key(key);
    v->cpu->jit.epoch = space->code_epoch;
}

const uint8_t *jit_find_jump(const struct jit_vcpu *v, uint64_t pc)
{
    const struct jump_entry *jumps = v->current->jumps;
    const struct jump_entry *first = &jumps[jump_index(pc)];
    const struct jump_entry *second = &jumps[jump_second_index(pc)];

    if (first->pc == pc)
        return first->host;
    return second->pc == pc ? second->host : NULL;
}

void jit_forget_jump(struct jit_vcpu *v, uint64_t pc)
{
    struct jump_entry *first = &v->current->jumps[jump_index(pc)];
    struct jump_entry *second = &v->current->jumps[jump_second_index(pc)];

    if (first->pc == pc)
        first->pc = UINT64_MAX;
    if (second->pc == pc)
        second->pc = UINT64_MAX;
}

static void jit_fill_place(struct jit_vcpu *v, gpa_t gpa, const uint8_t *host)
{
    const char *page = mem_page(v->jit->mem, gpa);
    uint64_t code = (uintptr_t)page + (gpa.v & (GUEST_PAGE_SIZE - 1));

    v->places[place_index(code)] =
        (struct place_entry){code << PLACE_KEY_BITS | v->cpu->jit.place_key, host};
}

void jit_fill_jump(struct jit_vcpu *v, uint64_t pc, const struct jit_block *block)
{
    const uint8_t *host = codemem_exec(&v->jit->cache.mem, block->outer);
    struct jump_entry *e;

    if (v->jit->stress & STRESS_LINKS)
        return;
    e = &v->current->jumps[jump_index(pc)];
    if (e->pc != pc && e->pc != UINT64_MAX)
        v->current->jumps[jump_second_index(e->pc)] = *e;
    *e = (struct jump_entry){pc, host};
    if (!block->gpa2)
        jit_fill_place(v, GPA(block->gpa), host);
}
