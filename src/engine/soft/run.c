/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a software vCPU. Between two blocks, and only there, it looks at attention: drops
 * code, takes interrupts, goes back to its caller. The debugger and instruction tracing work by
 * blocks of one instruction, which never link.
 */
#include "engine/soft/internal.h"

#include "mmu/mmu.h"
#include <posada/trace.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

static bool run_kicked(struct soft_vcpu *v)
{
    struct cpu *cpu = v->cpu;
    uint32_t bits = atomic_exchange_explicit(&cpu->attention, 0, memory_order_acq_rel);

    if (bits & ATTENTION_FENCE)
        soft_fence(v);
    else if (bits & ATTENTION_CODE)
        soft_read_mail(v);
    if (bits & ATTENTION_YIELD)
        sched_yield();
    if (bits & ATTENTION_IRQ)
        (void)cpu->ops->interrupt(cpu);
    return bits & ATTENTION_KICK;
}

static bool run_at_breakpoint(const struct soft_vcpu *v)
{
    const struct engine_debug *d = &v->debug;

    for (unsigned i = 0; i < d->breakpoint_count && !d->single_step; i++)
        if (d->breakpoints[i] == v->cpu->pc)
            return true;
    return false;
}

static enum engine_exit run_exit(struct cpu *cpu)
{
    enum cpu_exit exit = cpu->exit;

    cpu->exit = CPU_EXIT_NONE;
    switch (exit) {
    case CPU_EXIT_HALT: return ENGINE_EXIT_HALT;
    case CPU_EXIT_HYPERCALL: return ENGINE_EXIT_HYPERCALL;
    default: return ENGINE_EXIT_DEBUG;
    }
}

static bool run_debugged(const struct soft_vcpu *v)
{
    return v->tracing || v->debug.single_step || v->debug.breakpoint_count;
}

static void run_deliver_fault(struct cpu *cpu)
{
    cpu->ops->raise(cpu);
    cpu->fault.pending = false;
}

/* Code for cpu->pc, which from now on is linked to where we came from. NULL as soft_find(). */
static struct interp_code *run_find(struct soft_vcpu *v, bool *ret_once)
{
    struct interp_code *code = interp_at_hand(&v->interp);
    struct soft_block *b;

    *ret_once = false;
    if (code)
        return code;
    b = soft_find(v, ret_once);
    if (!b || run_debugged(v))
        return b ? &b->code : NULL;
    if (v->interp.ret_link)
        *v->interp.ret_link = &b->code;
    else
        v->interp.jump[interp_jump_slot(v->cpu->pc)] = &b->code;
    return &b->code;
}

/* Runs the code at cpu->pc. True: the guest wants something of the caller (cpu->exit). */
static bool run_some(struct soft_vcpu *v)
{
    enum interp_leave leave = INTERP_FAULT;
    bool once;
    struct interp_code *code = run_find(v, &once);

    v->length = code ? code->insn[0].length : v->block.insn[0].length;
    if (code)
        leave = interp_run(&v->interp, code);
    else if (once)
        leave = interp_run_block(v->cpu, &v->block);
    if (!code || leave != INTERP_NEXT)
        v->interp.ret_link = NULL; /* whatever comes next does not follow from that exit */
    if (leave == INTERP_FAULT)
        run_deliver_fault(v->cpu);
    return leave == INTERP_STOP;
}

/* The same by translated code; what has no translation is interpreted, a block at a time. */
static bool run_translated(struct soft_vcpu *v)
{
    switch (jit_run(v->jit)) {
    case JIT_EXIT_FAULT: run_deliver_fault(v->cpu); return false;
    case JIT_EXIT_CPU: return true;
    case JIT_EXIT_MISS: return run_some(v);
    default: return false;
    }
}

/* --- Instruction trace --- */

static void run_trace_regs(struct cpu *cpu, const uint64_t *before)
{
    for (unsigned i = 0; i < cpu->ops->global_count; i++)
        if (cpu->slot[i] != before[i])
            trace_put(TRACE_EV_reg, cpu->index, i, cpu->slot[i], 0, 0, 0);
}

static bool run_some_traced(struct soft_vcpu *v)
{
    struct cpu *cpu = v->cpu;
    uint64_t before[CPU_SLOTS], pc = cpu->pc;
    uint32_t opcode = 0, context = cpu->context;
    bool stop;

    if (mmu_peek(cpu, pc, &opcode, 4) < 0 && mmu_peek(cpu, pc, &opcode, 2) < 0)
        opcode = 0;
    memcpy(before, cpu->slot, cpu->ops->global_count * sizeof(*before));
    stop = run_some(v);
    if (v->length < sizeof(opcode))
        opcode &= (1u << 8 * v->length) - 1;
    trace_put(TRACE_EV_insn, cpu->index, pc, opcode, v->length, context, 0);
    run_trace_regs(cpu, before);
    return stop;
}

/* Tracing of instructions or accesses switches fast paths off; both ways nothing may be left. */
static void run_set_tracing(struct soft_vcpu *v)
{
    bool memory = trace_on(TRACE_MEM), insn = trace_on(TRACE_INSN);

    if (v->cpu->mmu->no_fast == memory && v->tracing == insn)
        return;
    v->cpu->mmu->no_fast = memory;
    v->tracing = insn;
    mmu_flush_all(v->cpu->mmu);
    soft_drop_all(v);
}

static enum engine_exit run_guest(struct soft_vcpu *v)
{
    struct cpu *cpu = v->cpu;

    for (;;) {
        if (unlikely(atomic_load_explicit(&cpu->attention, memory_order_relaxed)) && run_kicked(v))
            return ENGINE_EXIT_KICK;
        if (unlikely(v->debug.breakpoint_count) && run_at_breakpoint(v))
            return ENGINE_EXIT_DEBUG;
        if (v->jit && !run_debugged(v) ? run_translated(v)
            : v->tracing               ? run_some_traced(v)
                                       : run_some(v))
            return run_exit(cpu);
        if (unlikely(v->debug.single_step))
            return ENGINE_EXIT_DEBUG;
    }
}

enum engine_exit soft_run(struct engine *engine, unsigned index, struct err *err)
{
    struct soft_vcpu *v = container_of(engine, struct soft_engine, engine)->vcpu[index];
    enum engine_exit exit;

    (void)err; /* nothing here can fail */
    soft_enter(v);
    run_set_tracing(v);
    exit = run_guest(v);
    soft_leave(v);
    return exit;
}
