/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traps: delivering exceptions and interrupts, returning from them, waiting. Spec: ISA manual,
 * volume II, "Machine-Level ISA" and "Supervisor-Level ISA". Under host_sbi there is no M mode:
 * everything goes to S as if all of it were delegated, and an ECALL from S leaves to the board.
 */
#include "cpu/riscv/internal.h"

#include <posada/trace.h>
#include <stdatomic.h>

static uint64_t trap_vector(uint64_t tvec, uint64_t cause)
{
    uint64_t base = tvec & ~3ull;

    if (tvec & 1 && cause & CAUSE_INTERRUPT)
        return base + 4 * (cause & ~CAUSE_INTERRUPT);
    return base;
}

static void trap_enter_s(struct riscv_cpu *rv, uint64_t cause, uint64_t value)
{
    uint64_t status = rv->mstatus & ~(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE);

    if (rv->privilege == RISCV_S)
        status |= MSTATUS_SPP;
    if (rv->mstatus & MSTATUS_SIE)
        status |= MSTATUS_SPIE;
    rv->mstatus = status;
    rv->scause = cause;
    rv->stval = value;
    rv->sepc = rv->cpu.pc;
    rv->privilege = RISCV_S;
    rv->cpu.pc = trap_vector(rv->stvec, cause);
}

static void trap_enter_m(struct riscv_cpu *rv, uint64_t cause, uint64_t value)
{
    uint64_t status = rv->mstatus & ~(MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE);

    status |= (uint64_t)rv->privilege << MSTATUS_MPP_SHIFT;
    if (rv->mstatus & MSTATUS_MIE)
        status |= MSTATUS_MPIE;
    rv->mstatus = status;
    rv->mcause = cause;
    rv->mtval = value;
    rv->mepc = rv->cpu.pc;
    rv->privilege = RISCV_M;
    rv->cpu.pc = trap_vector(rv->mtvec, cause);
}

/* A handler whose own first instruction cannot be fetched, at the highest level there is and with
 * addresses that no page table changes: interrupts are off, so this goes on for ever. */
static bool trap_is_hopeless(const struct riscv_cpu *rv, uint64_t cause, bool to_s)
{
    if (cause != CAUSE_FETCH_ACCESS)
        return false;
    if (to_s)
        return rv->host_sbi && rv->privilege == RISCV_S && SATP_MODE(rv->satp) == 0 &&
               rv->cpu.pc == trap_vector(rv->stvec, cause);
    return rv->privilege == RISCV_M && rv->cpu.pc == trap_vector(rv->mtvec, cause);
}

bool riscv_wedged(const struct cpu *cpu)
{
    return riscv_of((struct cpu *)(uintptr_t)cpu)->wedged;
}

static void trap_take(struct riscv_cpu *rv, uint64_t cause, uint64_t value, bool to_s)
{
    uint64_t from = rv->cpu.pc;

    rv->wedged = trap_is_hopeless(rv, cause, to_s);
    if (rv->wedged)
        cpu_attend(&rv->cpu, ATTENTION_KICK);
    if (to_s)
        trap_enter_s(rv, cause, value);
    else
        trap_enter_m(rv, cause, value);
    rv->cpu.reserved_host = 0;
    riscv_settle(rv);
    if (trace_on(TRACE_IRQ))
        trace_put(TRACE_EV_trap, rv->cpu.index, from, cause, value, rv->cpu.pc, rv->privilege);
}

void riscv_raise(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    struct cpu_fault fault = cpu->fault;
    bool delegated = rv->medeleg >> (fault.cause & 63) & 1;

    cpu->fault.pending = false;
    trap_take(rv, fault.cause, fault.value,
              rv->host_sbi || (rv->privilege <= RISCV_S && delegated));
}

/* Highest first (volume II, "Machine Interrupt Registers"). */
static unsigned trap_first(uint64_t pending)
{
    static const uint8_t order[] = {RISCV_IRQ_MEI, RISCV_IRQ_MSI, RISCV_IRQ_MTI,
                                    RISCV_IRQ_SEI, RISCV_IRQ_SSI, RISCV_IRQ_STI};

    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (pending >> order[i] & 1)
            return order[i];
    return 0;
}

bool riscv_interrupt(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    uint64_t pending = riscv_mip(rv) & rv->mie;
    uint64_t to_s = pending & rv->mideleg, to_m = pending & ~rv->mideleg;
    bool m_on = rv->privilege < RISCV_M || rv->mstatus & MSTATUS_MIE;
    bool s_on = rv->privilege < RISCV_S || (rv->privilege == RISCV_S && rv->mstatus & MSTATUS_SIE);

    if (to_m && m_on && !rv->host_sbi) {
        trap_take(rv, CAUSE_INTERRUPT | trap_first(to_m), 0, false);
        return true;
    }
    if (to_s && s_on) {
        trap_take(rv, CAUSE_INTERRUPT | trap_first(to_s), 0, true);
        return true;
    }
    return false;
}

bool riscv_wakeup_pending(const struct cpu *cpu)
{
    const struct riscv_cpu *rv = (const struct riscv_cpu *)(const void *)cpu;

    return (riscv_mip(rv) & rv->mie) != 0;
}

void riscv_access_fault(struct cpu *cpu, gva_t va, enum cpu_access access, bool misaligned)
{
    static const uint8_t causes[2][3] = {
        {CAUSE_FETCH_ACCESS, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS},
        {CAUSE_FETCH_MISALIGNED, CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED},
    };

    cpu_raise(cpu, causes[misaligned][access], va.v);
}

/* --- Instructions --- */

static uint64_t trap_refuse(struct cpu *cpu, uint64_t insn)
{
    cpu_raise(cpu, CAUSE_ILLEGAL, insn);
    return 0;
}

static void trap_returned(struct riscv_cpu *rv, uint64_t pc)
{
    riscv_settle(rv);
    riscv_recheck_irq(rv);
    if (trace_on(TRACE_IRQ))
        trace_put(TRACE_EV_trap_return, rv->cpu.index, rv->cpu.pc, pc, rv->privilege, 0, 0);
}

uint64_t riscv_mret_helper(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    uint64_t status = rv->mstatus;

    if (rv->privilege != RISCV_M)
        return trap_refuse(cpu, insn);
    rv->privilege = (uint8_t)((status & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
    rv->mstatus &= ~(MSTATUS_MPP | MSTATUS_MIE);
    rv->mstatus |= MSTATUS_MPIE | (status & MSTATUS_MPIE ? MSTATUS_MIE : 0);
    if (rv->privilege != RISCV_M)
        rv->mstatus &= ~MSTATUS_MPRV;
    trap_returned(rv, rv->mepc);
    return rv->mepc;
}

uint64_t riscv_sret_helper(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    uint64_t status = rv->mstatus;

    if (rv->privilege == RISCV_U || (rv->privilege == RISCV_S && status & MSTATUS_TSR))
        return trap_refuse(cpu, insn);
    rv->privilege = status & MSTATUS_SPP ? RISCV_S : RISCV_U;
    rv->mstatus &= ~(MSTATUS_SPP | MSTATUS_SIE | MSTATUS_MPRV);
    rv->mstatus |= MSTATUS_SPIE | (status & MSTATUS_SPIE ? MSTATUS_SIE : 0);
    trap_returned(rv, rv->sepc);
    return rv->sepc;
}

uint64_t riscv_wfi_helper(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    if (rv->privilege == RISCV_U || (rv->privilege == RISCV_S && rv->mstatus & MSTATUS_TW))
        return trap_refuse(cpu, insn);
    if (riscv_wakeup_pending(cpu))
        return 0;
    cpu->exit = CPU_EXIT_HALT;
    return 0;
}

uint64_t riscv_ecall_helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    if (rv->host_sbi && rv->privilege == RISCV_S)
        cpu->exit = CPU_EXIT_HYPERCALL;
    else
        cpu_raise(cpu, CAUSE_ECALL_U + rv->privilege, 0);
    return 0;
}
