/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the local APICs. */
#pragma once

#include "base/bits.h"
#include "base/endian.h"
#include "devices/irqchip/lapic.h"

enum lapic_reg {
    LAPIC_ID = 0x20,
    LAPIC_VERSION = 0x30,
    LAPIC_TPR = 0x80,
    LAPIC_APR = 0x90,
    LAPIC_PPR = 0xa0,
    LAPIC_EOI = 0xb0,
    LAPIC_RRD = 0xc0,
    LAPIC_LDR = 0xd0,
    LAPIC_DFR = 0xe0,
    LAPIC_SPIV = 0xf0,
    LAPIC_ISR = 0x100,
    LAPIC_TMR = 0x180,
    LAPIC_IRR = 0x200,
    LAPIC_ESR = 0x280,
    LAPIC_ICR = 0x300,
    LAPIC_ICR2 = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_THERMAL = 0x330,
    LAPIC_LVT_PERF = 0x340,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_LVT_LINT1 = 0x360,
    LAPIC_LVT_ERROR = 0x370,
    LAPIC_TIMER_INITIAL = 0x380,
    LAPIC_TIMER_CURRENT = 0x390,
    LAPIC_TIMER_DIVIDE = 0x3e0,
    LAPIC_SELF_IPI = 0x3f0,
};

enum { SPIV_ENABLED = 1 << 8, LVT_MASKED = 1 << 16, VECTOR_FIRST = 16 };
enum lapic_mode {
    MODE_FIXED,
    MODE_LOWEST,
    MODE_SMI,
    MODE_NMI = 4,
    MODE_INIT,
    MODE_STARTUP,
    MODE_EXTINT
};
enum lapic_error {
    ERROR_SEND_VECTOR = 1 << 5,
    ERROR_RECEIVED_VECTOR = 1 << 6,
    ERROR_REGISTER = 1 << 7
};
enum lapic_timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

struct lapic {
    struct device dev; /* must be first */
    struct lapic_sink sink;
    struct lapic_cpu cpu[LAPIC_CPUS_MAX];
    unsigned cpus;
    /* Outputs. */
    struct irq_line line[LAPIC_CPUS_MAX];
    struct timer timer;   /* one for all: waits for the earliest */
    bool pin[LAPIC_PINS]; /* levels, said again by what drives them when it settles */
};

static inline struct lapic *lapic_of(struct device *dev)
{
    return container_of(dev, struct lapic, dev);
}

static inline uint32_t lapic_get(const struct lapic_cpu *c, unsigned reg)
{
    return ld_le32(c->regs + reg);
}

static inline void lapic_put(const struct lapic_cpu *c, unsigned reg, uint32_t val)
{
    st_le32(c->regs + reg, val);
}

enum { BASE_X2APIC = 1 << 10, BASE_ENABLED = 1 << 11 };

static inline bool lapic_is_on(const struct lapic_cpu *c)
{
    return *c->base & BASE_ENABLED;
}

static inline bool lapic_is_x2(const struct lapic_cpu *c)
{
    return lapic_is_on(c) && *c->base & BASE_X2APIC;
}

static inline bool lapic_is_software_enabled(const struct lapic_cpu *c)
{
    return lapic_is_on(c) && lapic_get(c, LAPIC_SPIV) & SPIV_ENABLED;
}

/* An interrupt on its way. */
struct lapic_ipi {
    uint32_t destination;
    bool x2;                     /* destination has 32 bits */
    bool logical, level, lowest; /* lowest: one of several is chosen */
    uint8_t mode, vector;
};

/* --- lapic_deliver.c --- */
void lapic_send(struct lapic *s, const struct lapic_ipi *ipi);
void lapic_accept(struct lapic *s, unsigned cpu, const struct lapic_ipi *ipi);
/* What a local vector table entry asks for, unless it is masked. */
void lapic_fire(struct lapic *s, unsigned cpu, unsigned lvt);
void lapic_note_error(struct lapic *s, unsigned cpu, uint32_t bit);
/* Processor priority and request line from the registers. */
void lapic_update(struct lapic *s, unsigned cpu);
void lapic_end(struct lapic *s, unsigned cpu);

/* --- lapic_timer.c --- */
/* Brings the current count up to date, fires what is due; then says when to look again. */
void lapic_timer_sync(struct lapic *s, unsigned cpu);
void lapic_timer_start(struct lapic *s, unsigned cpu, uint32_t initial);
void lapic_timer_deadline(struct lapic *s, unsigned cpu, uint64_t tsc);
enum lapic_timer_mode lapic_timer_mode(const struct lapic_cpu *c);
void lapic_timer_arm(struct lapic *s);
