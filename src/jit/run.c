/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: enters translated code, and does what its way out asks for.
 */
#include "jit/emit/mxcsr.h"
#include "jit/internal.h"
#include "jit/lockstep.h"
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

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

/* host: where the code at cpu->pc is, in the exec mapping. */
static bool jit_enter(struct jit_vcpu *v, const uint8_t *host, int *ret_code)
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
    *ret_code = enter(v->cpu, host, v->cpu->pc);
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

static void jit_run_host(struct jit_vcpu *v, const uint8_t *host, int *ret_code)
{
    struct cpu *cpu = v->cpu;

    v->enters++;
    if (v->jit->stress & STRESS_IRQ)
        cpu_attend(cpu, ATTENTION_IRQ);
    *ret_code = GEN_EXIT_DISPATCH;
    if (!jit_enter(v, host, ret_code))
        return;
    if (*ret_code == GEN_EXIT_STALE)
        jit_forget_jump(v, cpu->pc);
    else if (*ret_code == GEN_EXIT_BODY)
        v->body = cpu->pc;
    else if (*ret_code == GEN_EXIT_JUDGE)
        jit_heat(v, cpu->pc, true); /* at once: it would come back here without a step forward */
    else if (*ret_code == GEN_EXIT_APART)
        v->apart = cpu->pc; /* may be served after an interrupt only */
    else if (*ret_code == GEN_EXIT_FAULT)
        jit_note_pc(cpu, false);
    else if (*ret_code == GEN_EXIT_CPU)
        jit_note_pc(cpu, cpu->exit == CPU_EXIT_HALT || cpu->exit == CPU_EXIT_HYPERCALL);
}

/* Enters the block; in lockstep, it runs before and is compared after, unless it was left in its
 * middle for code that is compared then. */
static void jit_run_block(struct jit_vcpu *v, const struct jit_block *block, int *ret_code)
{
    bool body = v->body == v->cpu->pc;
    const uint8_t *host =
        body ? block->inner + CACHE_INNER_BYTES : block->outer; /* the page is the same */
    bool expect = v->lockstep &&
                  lockstep_expect(v->lockstep, v->cpu, block->lifted, body ? NULL : block->kept);

    v->body = 1;
    jit_run_host(v, codemem_exec(&v->jit->cache.mem, host), ret_code);
    if (!expect || *ret_code == GEN_EXIT_APART)
        return;
    v->compared++;
    lockstep_check(v->lockstep, v->cpu, block->lifted,
                   *ret_code == GEN_EXIT_BODY || *ret_code == GEN_EXIT_JUDGE);
}

/* One entry into translated code: *code is the last way out, then the next. False: *ret_exit is the
 * answer. */
static bool jit_step(struct jit_vcpu *v, uint64_t evicted, int *code, enum jit_exit *ret_exit)
{
    struct cpu *cpu = v->cpu;
    bool apart = v->apart == cpu->pc, hot = *code == GEN_EXIT_HOT;
    bool link = hot || *code == (apart ? GEN_EXIT_APART : GEN_EXIT_LINK);
    const uint8_t *host = link || apart ? NULL : jit_find_jump(v, cpu->pc);
    struct jit_block *block;

    if (host) {
        jit_run_host(v, host, code);
        return true;
    }
    if (hot)
        jit_heat(v, cpu->pc, false);
    v->apart = apart ? 1 : v->apart;
    block = jit_find(v, cpu->pc, apart ? JIT_KEY_APART : 0);
    if (!block) {
        *ret_exit = cpu->fault.pending ? JIT_EXIT_FAULT : JIT_EXIT_MISS;
        v->interpreted += *ret_exit == JIT_EXIT_MISS;
        return false;
    }
    if (link)
        jit_link(v, block, evicted);
    if (!link && !apart)
        jit_fill_jump(v, cpu->pc, block);
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
        mmu_settle(cpu->mmu);
        if (atomic_load_explicit(&cpu->attention, memory_order_relaxed))
            return JIT_EXIT_ATTENTION;
        jit_select_context(v);
        if (!jit_step(v, evicted, &code, &answer))
            return answer;
        evicted = v->cleared;
        v->exits[code]++;
        if (code == GEN_EXIT_FAULT || (code == GEN_EXIT_JUDGE && cpu->fault.pending))
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
