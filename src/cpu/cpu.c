/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every virtual CPU has in common: interrupt inputs, attention, exceptions on their way.
 * irq_inputs and attention are the only fields that other threads change. An input is stored
 * before attention is set (release), and the vCPU clears attention before it looks at the inputs
 * (acquire), so that no level is missed.
 */
#include <posada/cpu.h>
#include <stdatomic.h>

void cpu_attend(struct cpu *cpu, uint32_t bits)
{
    atomic_fetch_or_explicit(&cpu->attention, bits, memory_order_release);
    if (cpu->wake)
        cpu->wake(cpu);
}

void cpu_irq(struct cpu *cpu, unsigned pin, bool level)
{
    uint64_t bit = 1ull << pin;

    if (!level) {
        if (!(cpu->ops->latched_inputs & bit))
            atomic_fetch_and_explicit(&cpu->irq_inputs, ~bit, memory_order_release);
        return;
    }
    if (!(atomic_fetch_or_explicit(&cpu->irq_inputs, bit, memory_order_release) & bit))
        cpu_attend(cpu, ATTENTION_IRQ);
}

void cpu_raise(struct cpu *cpu, uint64_t cause, uint64_t value)
{
    if (cpu->fault.pending)
        return;
    cpu->fault = (struct cpu_fault){.pending = true, .cause = cause, .value = value};
}
