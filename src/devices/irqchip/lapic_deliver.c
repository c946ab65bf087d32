/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts between buses, local APICs and CPUs: destinations (SDM volume 3, 11.6.2 and
 * 11.12.10), acceptance and priorities (11.8), local sources (11.5.1). Not modelled: focus
 * processors; SMIs, which no guest of ours has a handler for, are dropped.
 */
#include "devices/irqchip/lapic_internal.h"

enum { BANK_WORDS = 8, BANK_STRIDE = 16 };

/* --- Banks of 256 bits --- */
static bool bank_test(const struct lapic_cpu *c, unsigned bank, uint8_t vector)
{
    return lapic_get(c, bank + vector / 32u * BANK_STRIDE) >> vector % 32 & 1;
}

static void bank_set(const struct lapic_cpu *c, unsigned bank, uint8_t vector, bool on)
{
    unsigned at = bank + vector / 32u * BANK_STRIDE;

    lapic_put(c, at, (uint32_t)bits_set(lapic_get(c, at), vector % 32, 1, on));
}

/* Highest vector of the bank, 0 when it is empty: no vector below 16 gets in. */
static uint8_t bank_highest(const struct lapic_cpu *c, unsigned bank)
{
    for (unsigned i = BANK_WORDS; i-- > 0;) {
        uint32_t word = lapic_get(c, bank + i * BANK_STRIDE);

        if (word)
            return (uint8_t)(i * 32 + 31 - (unsigned)__builtin_clz(word));
    }
    return 0;
}

/* --- Priorities --- */
static uint8_t deliver_priority(const struct lapic_cpu *c)
{
    uint8_t tpr = (uint8_t)lapic_get(c, LAPIC_TPR), serving = bank_highest(c, LAPIC_ISR);

    return tpr >> 4 >= serving >> 4 ? tpr : serving & 0xf0;
}

/* The vector that the CPU would get now, 0: none. */
static uint8_t deliver_next(const struct lapic_cpu *c)
{
    uint8_t vector = lapic_is_on(c) ? bank_highest(c, LAPIC_IRR) : 0;

    return vector >> 4 > deliver_priority(c) >> 4 ? vector : 0;
}

/* The 8259's request: by LINT0 as ExtINT, or past an APIC that is off to the boot CPU. */
static bool deliver_extint(const struct lapic *s, unsigned cpu)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    uint32_t lint0 = lapic_get(c, LAPIC_LVT_LINT0);

    if (!s->pin[LAPIC_LINT0])
        return false;
    if (!lapic_is_on(c))
        return cpu == 0;
    return !(lint0 & LVT_MASKED) && bits_get(lint0, 8, 3) == MODE_EXTINT;
}

void lapic_update(struct lapic *s, unsigned cpu)
{
    const struct lapic_cpu *c = &s->cpu[cpu];

    lapic_put(c, LAPIC_PPR, deliver_priority(c));
    irq_set(&s->line[cpu], deliver_next(c) || deliver_extint(s, cpu));
}

uint8_t lapic_acknowledge(struct device *dev, unsigned cpu)
{
    struct lapic *s = lapic_of(dev);
    const struct lapic_cpu *c = &s->cpu[cpu];
    uint8_t vector = deliver_next(c);

    if (vector) {
        bank_set(c, LAPIC_IRR, vector, false);
        bank_set(c, LAPIC_ISR, vector, true);
    } else if (deliver_extint(s, cpu)) {
        vector = s->sink.extint(s->sink.arg);
    } else {
        vector = (uint8_t)lapic_get(c, LAPIC_SPIV);
    }
    lapic_update(s, cpu);
    return vector;
}

void lapic_end(struct lapic *s, unsigned cpu)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    uint8_t vector = bank_highest(c, LAPIC_ISR);

    if (!vector)
        return;
    bank_set(c, LAPIC_ISR, vector, false);
    lapic_update(s, cpu);
    if (bank_test(c, LAPIC_TMR, vector) && s->sink.eoi)
        s->sink.eoi(s->sink.arg, vector);
}

/* --- Acceptance --- */
void lapic_note_error(struct lapic *s, unsigned cpu, uint32_t bit)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    bool first = !(*c->errors & bit);

    *c->errors |= bit;
    /* The entry's own vector may be the illegal one: once is enough. */
    if (first)
        lapic_fire(s, cpu, LAPIC_LVT_ERROR);
}

static void deliver_fixed(struct lapic *s, unsigned cpu, uint8_t vector, bool level)
{
    const struct lapic_cpu *c = &s->cpu[cpu];

    if (!lapic_is_software_enabled(c))
        return;
    if (vector < VECTOR_FIRST) {
        lapic_note_error(s, cpu, ERROR_RECEIVED_VECTOR);
        return;
    }
    bank_set(c, LAPIC_TMR, vector, level);
    bank_set(c, LAPIC_IRR, vector, true);
    lapic_update(s, cpu);
}

void lapic_accept(struct lapic *s, unsigned cpu, const struct lapic_ipi *ipi)
{
    if (!lapic_is_on(&s->cpu[cpu]))
        return;
    switch (ipi->mode) {
    case MODE_FIXED:
    case MODE_LOWEST: deliver_fixed(s, cpu, ipi->vector, ipi->level); break;
    case MODE_NMI:
        if (s->sink.nmi)
            s->sink.nmi(s->sink.arg, cpu);
        break;
    case MODE_INIT:
        if (s->sink.init)
            s->sink.init(s->sink.arg, cpu);
        break;
    case MODE_STARTUP:
        if (s->sink.startup)
            s->sink.startup(s->sink.arg, cpu, ipi->vector);
        break;
    default: break;
    }
}

void lapic_fire(struct lapic *s, unsigned cpu, unsigned lvt)
{
    uint32_t entry = lapic_get(&s->cpu[cpu], lvt);
    struct lapic_ipi ipi = {.mode = (uint8_t)bits_get(entry, 8, 3), .vector = (uint8_t)entry};

    if (lvt == LAPIC_LVT_TIMER || lvt == LAPIC_LVT_ERROR)
        ipi.mode = MODE_FIXED; /* these entries have no mode of their own */
    if (!(entry & LVT_MASKED))
        lapic_accept(s, cpu, &ipi);
}

/* --- Destinations --- */
static bool deliver_matches_logical(const struct lapic_cpu *c, const struct lapic_ipi *ipi)
{
    uint32_t to = ipi->destination, ldr = lapic_get(c, LAPIC_LDR);

    if (lapic_is_x2(c))
        return ldr >> 16 == to >> 16 && (ldr & to & 0xffff);
    ldr >>= 24;
    if (lapic_get(c, LAPIC_DFR) >> 28 == 15) /* flat model */
        return (ldr & to & 0xff) != 0;
    return ldr >> 4 == (to >> 4 & 15) && (ldr & to & 15);
}

static bool deliver_matches(const struct lapic_cpu *c, const struct lapic_ipi *ipi)
{
    if (!lapic_is_on(c))
        return false;
    if (ipi->destination == (ipi->x2 ? UINT32_MAX : 0xff))
        return true;
    return ipi->logical ? deliver_matches_logical(c, ipi)
                        : lapic_get(c, LAPIC_ID) >> 24 == ipi->destination;
}

void lapic_send(struct lapic *s, const struct lapic_ipi *ipi)
{
    bool one = ipi->lowest || ipi->mode == MODE_LOWEST;
    int chosen = -1;

    for (unsigned i = 0; i < s->cpus; i++) {
        const struct lapic_cpu *c = &s->cpu[i];

        if (!deliver_matches(c, ipi))
            continue;
        if (!one)
            lapic_accept(s, i, ipi);
        else if (lapic_is_software_enabled(c) &&
                 (chosen < 0 || deliver_priority(c) < deliver_priority(&s->cpu[chosen])))
            chosen = (int)i;
    }
    if (chosen >= 0)
        lapic_accept(s, (unsigned)chosen, ipi);
}

void lapic_message(struct device *dev, uint64_t address, uint32_t data)
{
    const struct lapic_ipi ipi = {
        /* Bits 40 up: a wider destination, as hypervisors agreed to hand it over. */
        .destination = (uint32_t)(bits_get(address, 12, 8) | bits_get(address, 40, 24) << 8),
        .x2 = bits_get(address, 40, 24) != 0,
        .logical = bits_get(address, 2, 1),
        .lowest = bits_get(address, 3, 1) && bits_get(address, 2, 1),
        .mode = (uint8_t)bits_get(data, 8, 3),
        .vector = (uint8_t)data,
        .level = bits_get(data, 15, 1),
    };

    lapic_send(lapic_of(dev), &ipi);
}
