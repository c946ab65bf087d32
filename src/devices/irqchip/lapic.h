/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APICs of all CPUs of a machine, for engines that have none of their own. An APIC's state is
 * its CPU's (src/cpu/x86: the first KiB of the register page in xAPIC form, as hardware engines
 * have it); the device has the wires and the timer. Spec: Intel SDM volume 3, chapter 11 (2023-06).
 *
 * Everything: machine lock held.
 */
#pragma once

#include <posada/device.h>

enum { LAPIC_CPUS_MAX = 64, LAPIC_REGS_SIZE = 1024, LAPIC_TIMER_HZ = 1000000000 };

/* Where a CPU keeps its APIC. It sets the registers at power-on and after INIT, and then calls
 * lapic_changed(). */
struct lapic_cpu {
    uint8_t *regs;      /* LAPIC_REGS_SIZE bytes */
    uint64_t *base;     /* IA32_APIC_BASE */
    uint64_t *deadline; /* IA32_TSC_DEADLINE */
    uint64_t *count_ns; /* guest time at which the current count was as in regs */
    uint32_t *errors;   /* seen since ESR was last written */
};

struct lapic_sink {
    void (*nmi)(void *arg, unsigned cpu);
    void (*init)(void *arg, unsigned cpu);
    void (*startup)(void *arg, unsigned cpu, uint8_t vector);
    /* A level-triggered interrupt has ended: for the I/O APICs. */
    void (*eoi)(void *arg, uint8_t vector);
    /* The vector of what asserts LINT0 as ExtINT: the 8259's. */
    uint8_t (*extint)(void *arg);
    /* Guest ns from now until the CPU's time-stamp counter reaches the value; 0: it has. Optional:
     * without it there is no TSC-deadline mode. */
    uint64_t (*tsc_delay_ns)(void *arg, unsigned cpu, uint64_t tsc);
    void *arg;
};

/* Inputs, the same of every CPU: the 8259 and whatever makes NMIs. */
enum lapic_pin { LAPIC_LINT0, LAPIC_LINT1, LAPIC_PINS };

/* Output n is CPU n's interrupt request: high while lapic_acknowledge() has something for it. */
extern const struct device_ops lapic_ops;

/* Before device_init(); the CPUs are copied, what they point to stays theirs. -EINVAL for a count
 * of 0 or above LAPIC_CPUS_MAX. */
int must_use lapic_setup(struct device *dev, const struct lapic_cpu *cpus, unsigned count,
                         const struct lapic_sink *sink, struct err *err);

/* Accesses of the CPU to its register page; off in bytes, 4 wide and aligned to 16 (others read 0).
 * Only while the APIC is enabled and in xAPIC mode: lapic_page() says where, or false. */
bool lapic_page(struct device *dev, unsigned cpu, uint64_t *ret_address);
uint32_t lapic_read(struct device *dev, unsigned cpu, uint32_t off);
void lapic_write(struct device *dev, unsigned cpu, uint32_t off, uint32_t val);

/* MSRs 0x1b (base), 0x6e0 (TSC deadline), 0x800 to 0x8ff (x2APIC). False: #GP. */
bool must_use lapic_read_msr(struct device *dev, unsigned cpu, uint32_t msr, uint64_t *ret_val);
bool must_use lapic_write_msr(struct device *dev, unsigned cpu, uint32_t msr, uint64_t val);

/* The task priority's upper half, as CR8 shows it. */
uint8_t lapic_cr8(struct device *dev, unsigned cpu);
void lapic_set_cr8(struct device *dev, unsigned cpu, uint8_t val);

/* A message on the bus: a PCI function's, an I/O APIC's (SDM 11.11). */
void lapic_message(struct device *dev, uint64_t address, uint32_t data);
/* The CPU takes an interrupt: its vector; the spurious one when there is none after all. */
uint8_t lapic_acknowledge(struct device *dev, unsigned cpu);
/* The CPU's registers were set from outside: reset, INIT, a state load. */
void lapic_changed(struct device *dev, unsigned cpu);
