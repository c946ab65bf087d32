/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APICs' registers: by memory (xAPIC: SDM volume 3, 11.4.1) and by MSR (x2APIC: 11.12).
 * Version 0x14 with six local vectors: no CMCI, no suppression of EOI broadcasts.
 */
#include "devices/irqchip/lapic_internal.h"
#include <errno.h>

enum { MSR_BASE = 0x1b, MSR_DEADLINE = 0x6e0, MSR_X2 = 0x800, MSR_X2_LAST = 0x83f };
enum { BASE_BSP = 1 << 8, X2_ICR = 0x830 };
#define BASE_WRITABLE ((bits_mask(52) & ~bits_mask(12)) | BASE_BSP | BASE_X2APIC | BASE_ENABLED)

/* Bits of the register that writes change; 0: none, or by a way of its own. */
static uint32_t lapic_writable(unsigned reg)
{
    switch (reg) {
    case LAPIC_ID:
    case LAPIC_LDR:
    case LAPIC_ICR2: return UINT32_C(0xff000000);
    case LAPIC_TPR: return 0xff;
    case LAPIC_DFR: return UINT32_C(0xf0000000);
    case LAPIC_SPIV: return 0x3ff;
    case LAPIC_LVT_TIMER: return 0x700ff;
    case LAPIC_LVT_THERMAL:
    case LAPIC_LVT_PERF: return 0x107ff;
    case LAPIC_LVT_LINT0:
    case LAPIC_LVT_LINT1: return 0x1a7ff;
    case LAPIC_LVT_ERROR: return 0x100ff;
    case LAPIC_TIMER_DIVIDE: return 0xb;
    default: return 0;
    }
}

static bool lapic_is_lvt(unsigned reg)
{
    return reg >= LAPIC_LVT_TIMER && reg <= LAPIC_LVT_ERROR;
}

static bool lapic_is_there(unsigned reg)
{
    return (reg >= LAPIC_ISR && reg < LAPIC_ESR) || lapic_writable(reg) || reg == LAPIC_VERSION ||
           reg == LAPIC_APR || reg == LAPIC_PPR || reg == LAPIC_EOI || reg == LAPIC_RRD ||
           reg == LAPIC_ESR || reg == LAPIC_ICR || reg == LAPIC_TIMER_INITIAL ||
           reg == LAPIC_TIMER_CURRENT;
}

/* --- Writes with effects --- */
static void lapic_write_spiv(struct lapic *s, unsigned cpu, uint32_t val)
{
    const struct lapic_cpu *c = &s->cpu[cpu];

    lapic_put(c, LAPIC_SPIV, val & lapic_writable(LAPIC_SPIV));
    if (val & SPIV_ENABLED)
        return;
    for (unsigned reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16)
        lapic_put(c, reg, lapic_get(c, reg) | LVT_MASKED);
}

static void lapic_write_lvt(struct lapic *s, unsigned cpu, unsigned reg, uint32_t val)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    enum lapic_timer_mode before = lapic_timer_mode(c);

    val &= lapic_writable(reg);
    if (reg == LAPIC_LVT_TIMER && bits_get(val, 17, 2) == 3) /* reserved */
        val &= ~(3u << 17);
    if (!(lapic_get(c, LAPIC_SPIV) & SPIV_ENABLED))
        val |= LVT_MASKED;
    lapic_put(c, reg, val);
    if ((before == TIMER_DEADLINE) == (lapic_timer_mode(c) == TIMER_DEADLINE))
        return;
    lapic_put(c, LAPIC_TIMER_INITIAL, 0); /* changing between counts and deadlines disarms */
    lapic_put(c, LAPIC_TIMER_CURRENT, 0);
    *c->deadline = 0;
}

static void lapic_write_esr(const struct lapic_cpu *c)
{
    lapic_put(c, LAPIC_ESR, *c->errors);
    *c->errors = 0;
}

/* SDM 11.6.1. */
static void lapic_write_icr(struct lapic *s, unsigned cpu, uint32_t low, uint32_t destination)
{
    enum { NONE, SELF, ALL, OTHERS };
    const struct lapic_cpu *c = &s->cpu[cpu];
    struct lapic_ipi ipi = {
        .destination = destination,
        .x2 = lapic_is_x2(c),
        .logical = bits_get(low, 11, 1),
        .mode = (uint8_t)bits_get(low, 8, 3),
        .vector = (uint8_t)low,
        .level = bits_get(low, 15, 1),
    };
    unsigned shorthand = (unsigned)bits_get(low, 18, 2);

    lapic_put(c, LAPIC_ICR, low & 0xccfff); /* the delivery status is idle */
    if (ipi.mode == MODE_INIT && ipi.level && !bits_get(low, 14, 1))
        return; /* INIT level de-assert: for APICs of long ago */
    if (ipi.mode <= MODE_LOWEST && ipi.vector < VECTOR_FIRST) {
        lapic_note_error(s, cpu, ERROR_SEND_VECTOR);
        return;
    }
    if (shorthand == NONE) {
        lapic_send(s, &ipi);
        return;
    }
    for (unsigned i = 0; i < s->cpus; i++)
        if (shorthand == ALL || (shorthand == SELF) == (i == cpu))
            lapic_accept(s, i, &ipi);
}

static void lapic_write_reg(struct lapic *s, unsigned cpu, unsigned reg, uint32_t val)
{
    const struct lapic_cpu *c = &s->cpu[cpu];

    if (lapic_is_lvt(reg))
        lapic_write_lvt(s, cpu, reg, val);
    else if (reg == LAPIC_SPIV)
        lapic_write_spiv(s, cpu, val);
    else if (reg == LAPIC_DFR)
        lapic_put(c, reg, val | ~lapic_writable(reg));
    else if (reg == LAPIC_ESR)
        lapic_write_esr(c);
    else if (reg == LAPIC_EOI)
        lapic_end(s, cpu);
    else if (reg == LAPIC_ICR)
        lapic_write_icr(s, cpu, val, lapic_get(c, LAPIC_ICR2) >> 24);
    else if (reg == LAPIC_TIMER_INITIAL)
        lapic_timer_start(s, cpu, val);
    else if (lapic_writable(reg))
        lapic_put(c, reg, val & lapic_writable(reg));
    lapic_update(s, cpu);
}

/* What the timer runs by: it is brought up to now before a change, and armed again behind it. */
static bool lapic_is_timer(unsigned reg)
{
    return reg == LAPIC_LVT_TIMER || reg == LAPIC_TIMER_DIVIDE || reg == LAPIC_SPIV;
}

static void lapic_write_any(struct lapic *s, unsigned cpu, unsigned reg, uint32_t val)
{
    if (lapic_is_timer(reg))
        lapic_timer_sync(s, cpu);
    lapic_write_reg(s, cpu, reg, val);
    if (lapic_is_timer(reg))
        lapic_timer_arm(s);
}

static uint32_t lapic_read_reg(struct lapic *s, unsigned cpu, unsigned reg)
{
    if (reg == LAPIC_TIMER_CURRENT)
        lapic_timer_sync(s, cpu);
    return reg == LAPIC_EOI ? 0 : lapic_get(&s->cpu[cpu], reg);
}

/* --- By memory --- */
bool lapic_page(struct device *dev, unsigned cpu, uint64_t *ret_address)
{
    const struct lapic_cpu *c = &lapic_of(dev)->cpu[cpu];

    *ret_address = align_down(*c->base & bits_mask(52), 4096);
    return lapic_is_on(c) && !lapic_is_x2(c);
}

uint32_t lapic_read(struct device *dev, unsigned cpu, uint32_t off)
{
    if (!is_aligned(off, 16) || !lapic_is_there(off)) {
        lapic_note_error(lapic_of(dev), cpu, ERROR_REGISTER);
        return (uint32_t)guest_error_read(dev, off);
    }
    return lapic_read_reg(lapic_of(dev), cpu, off);
}

void lapic_write(struct device *dev, unsigned cpu, uint32_t off, uint32_t val)
{
    if (!is_aligned(off, 16) || !lapic_is_there(off)) {
        lapic_note_error(lapic_of(dev), cpu, ERROR_REGISTER);
        guest_error_write(dev, off, val);
        return;
    }
    lapic_write_any(lapic_of(dev), cpu, off, val);
}

/* --- By MSR --- */
static bool lapic_write_base(struct lapic *s, unsigned cpu, uint64_t val)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    uint64_t was = *c->base & (BASE_ENABLED | BASE_X2APIC), is = val & (BASE_ENABLED | BASE_X2APIC);
    uint32_t id = lapic_get(c, LAPIC_ID) >> 24;

    if (val & ~BASE_WRITABLE || is == BASE_X2APIC)
        return false;
    if ((was & BASE_X2APIC && is == BASE_ENABLED) || (!was && is & BASE_X2APIC))
        return false; /* x2APIC mode is entered from xAPIC mode and left by switching off */
    lapic_timer_sync(s, cpu);
    *c->base = val;
    if (is & BASE_X2APIC)
        lapic_put(c, LAPIC_LDR, id >> 4 << 16 | 1u << (id & 15));
    lapic_update(s, cpu);
    lapic_timer_arm(s);
    return true;
}

static bool lapic_is_x2_reg(unsigned reg)
{
    return lapic_is_there(reg) && reg != LAPIC_DFR && reg != LAPIC_ICR2 && reg != LAPIC_APR &&
           reg != LAPIC_RRD;
}

static bool lapic_read_x2(struct lapic *s, unsigned cpu, uint32_t msr, uint64_t *ret_val)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    unsigned reg = (msr - MSR_X2) * 16;

    if (!lapic_is_x2_reg(reg) || reg == LAPIC_EOI)
        return false;
    *ret_val = lapic_read_reg(s, cpu, reg);
    if (reg == LAPIC_ID)
        *ret_val >>= 24;
    if (reg == LAPIC_ICR)
        *ret_val |= (uint64_t)lapic_get(c, LAPIC_ICR2) << 32;
    return true;
}

static bool lapic_write_x2(struct lapic *s, unsigned cpu, uint32_t msr, uint64_t val)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    const struct lapic_ipi self = {.vector = (uint8_t)val};
    unsigned reg = (msr - MSR_X2) * 16;

    if (msr == X2_ICR) {
        lapic_put(c, LAPIC_ICR2, (uint32_t)(val >> 32));
        lapic_write_icr(s, cpu, (uint32_t)val, (uint32_t)(val >> 32));
        return true;
    }
    if (reg == LAPIC_SELF_IPI) {
        if (val >> 8)
            return false;
        lapic_accept(s, cpu, &self);
        return true;
    }
    if (val >> 32 || !lapic_is_x2_reg(reg) || reg == LAPIC_ID || reg == LAPIC_LDR)
        return false;
    if ((reg == LAPIC_EOI || reg == LAPIC_ESR) && val)
        return false;
    if (!lapic_writable(reg) && reg != LAPIC_EOI && reg != LAPIC_ESR && reg != LAPIC_TIMER_INITIAL)
        return false;
    lapic_write_any(s, cpu, reg, (uint32_t)val);
    return true;
}

bool lapic_read_msr(struct device *dev, unsigned cpu, uint32_t msr, uint64_t *ret_val)
{
    struct lapic *s = lapic_of(dev);
    const struct lapic_cpu *c = &s->cpu[cpu];

    if (msr == MSR_BASE) {
        *ret_val = *c->base;
    } else if (msr == MSR_DEADLINE && s->sink.tsc_delay_ns) {
        lapic_timer_sync(s, cpu);
        *ret_val = *c->deadline;
    } else {
        return msr >= MSR_X2 && msr <= MSR_X2_LAST && lapic_is_x2(c) &&
               lapic_read_x2(s, cpu, msr, ret_val);
    }
    return true;
}

bool lapic_write_msr(struct device *dev, unsigned cpu, uint32_t msr, uint64_t val)
{
    struct lapic *s = lapic_of(dev);

    if (msr == MSR_BASE)
        return lapic_write_base(s, cpu, val);
    if (msr == MSR_DEADLINE && s->sink.tsc_delay_ns) {
        lapic_timer_deadline(s, cpu, val);
        return true;
    }
    return msr >= MSR_X2 && msr <= MSR_X2_LAST && lapic_is_x2(&s->cpu[cpu]) &&
           lapic_write_x2(s, cpu, msr, val);
}

/* --- CR8 --- */
uint8_t lapic_cr8(struct device *dev, unsigned cpu)
{
    return (uint8_t)bits_get(lapic_get(&lapic_of(dev)->cpu[cpu], LAPIC_TPR), 4, 4);
}

void lapic_set_cr8(struct device *dev, unsigned cpu, uint8_t val)
{
    struct lapic *s = lapic_of(dev);

    lapic_put(&s->cpu[cpu], LAPIC_TPR, (val & 15u) << 4);
    lapic_update(s, cpu);
}

/* --- Wires --- */
static void lapic_input(void *sink, unsigned pin, bool level)
{
    struct lapic *s = lapic_of((struct device *)sink);
    bool rises;

    if (pin >= LAPIC_PINS)
        return;
    rises = level && !s->pin[pin];
    s->pin[pin] = level;
    for (unsigned i = 0; i < s->cpus; i++) {
        unsigned lvt = pin == LAPIC_LINT0 ? LAPIC_LVT_LINT0 : LAPIC_LVT_LINT1;

        if (rises)
            lapic_fire(s, i, lvt);
        lapic_update(s, i);
    }
}

static void lapic_settle(struct device *dev)
{
    struct lapic *s = lapic_of(dev);

    for (unsigned i = 0; i < s->cpus; i++) {
        lapic_timer_sync(s, i);
        lapic_update(s, i);
    }
    lapic_timer_arm(s);
}

void lapic_changed(struct device *dev, unsigned cpu)
{
    lapic_update(lapic_of(dev), cpu);
    lapic_timer_arm(lapic_of(dev));
}

static int lapic_init(struct device *dev, struct err *err)
{
    if (!lapic_of(dev)->cpus)
        return err_set(err, -EINVAL, "local APICs: no CPUs");
    timer_init(&lapic_of(dev)->timer, dev->clock, dev);
    return 0;
}

static void lapic_done(struct device *dev)
{
    timer_done(&lapic_of(dev)->timer);
}

static struct irq_line *lapic_irq(struct device *dev, unsigned n)
{
    return n < lapic_of(dev)->cpus ? &lapic_of(dev)->line[n] : NULL;
}

int lapic_setup(struct device *dev, const struct lapic_cpu *cpus, unsigned count,
                const struct lapic_sink *sink, struct err *err)
{
    struct lapic *s = lapic_of(dev);

    if (!count || count > LAPIC_CPUS_MAX)
        return err_set(err, -EINVAL, "local APICs: %u CPUs; 1 to %d are possible", count,
                       LAPIC_CPUS_MAX);
    for (unsigned i = 0; i < count; i++)
        s->cpu[i] = cpus[i];
    s->cpus = count;
    s->sink = *sink;
    return 0;
}

const struct device_ops lapic_ops = {
    .type = "intel,lapic",
    .instance_size = sizeof(struct lapic),
    .init = lapic_init,
    .done = lapic_done,
    .settle = lapic_settle,
    .irq = lapic_irq,
    .input = lapic_input,
    .quiesce = lapic_settle, /* counts are taken off when somebody looks */
};
