/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 8254 programmable interval timer as PCs wire it: counter 0's OUT is the system tick,
 * counter 1 is unused, counter 2's gate and OUT are bits of port 0x61. Spec: Intel 8254 data sheet
 * (1993); IBM PC/AT technical reference for port 0x61.
 *
 * A counter is what was loaded and when: counts and outputs are computed from guest time. The tick
 * counts whole periods, so a late look makes one edge, never a burst, and never none; its
 * period has a least length.
 * Not modelled: counting of gate edges in modes 1 and 5 for counters whose gate is fixed, the
 * refresh toggle's rate (bit 4 of port 0x61 changes with every read).
 */
#include "devices/timer/i8254.h"
#include "base/bits.h"
#include "devices/core/device.h"

enum { COUNTERS = 3, CONTROL = 3, PORT_61 = 4, SIZE = 5, FULL_COUNT = 0x10000 };
enum { TICK_MIN = 120 }; /* a guest that asks for more than 10 kHz makes no more work */
enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };
enum { SPEAKER_GATE = 1, SPEAKER_DATA = 2, SPEAKER_REFRESH = 0x10, SPEAKER_OUT = 0x20 };
enum { READBACK = 3, READBACK_NO_COUNT = 0x20, READBACK_NO_STATUS = 0x10 };
#define NS_PER_SECOND UINT64_C(1000000000)
#define TICK_MIN_NS                                                                                \
    UINT64_C(100000) /* a guest that asks for more than 10 kHz makes no more work                  \
                      */

struct i8254_counter {
    uint8_t mode, access; /* 0-5, RW_* */
    bool bcd, gate, loaded, null_count;
    bool write_high, read_high; /* next byte of RW_BOTH */
    uint8_t write_low;
    uint32_t count;    /* 1 to 65536 */
    uint64_t start_ns; /* when it was loaded */
    bool latched, status_latched;
    uint16_t latch;
    uint8_t status;
};

struct i8254 {
    struct device dev;   /* must be first */
    struct irq_line irq; /* irq and timer are outputs */
    struct timer timer;
    struct i8254_counter counter[COUNTERS];
    uint64_t ticked; /* periods of counter 0 that have made their edge */
    uint8_t speaker; /* bits 0 and 1 of port 0x61 */
    bool refresh;
};

#define COUNTER_STATE(n)                                                                           \
    STATE_U8_MAX(struct i8254, counter[n].mode, 5),                                                \
        STATE_U8_MAX(struct i8254, counter[n].access, RW_BOTH),                                    \
        STATE_BOOL(struct i8254, counter[n].bcd), STATE_BOOL(struct i8254, counter[n].gate),       \
        STATE_BOOL(struct i8254, counter[n].loaded),                                               \
        STATE_BOOL(struct i8254, counter[n].null_count),                                           \
        STATE_BOOL(struct i8254, counter[n].write_high),                                           \
        STATE_BOOL(struct i8254, counter[n].read_high),                                            \
        STATE_U8(struct i8254, counter[n].write_low),                                              \
        STATE_U32_MAX(struct i8254, counter[n].count, FULL_COUNT),                                 \
        STATE_U64(struct i8254, counter[n].start_ns),                                              \
        STATE_BOOL(struct i8254, counter[n].latched),                                              \
        STATE_BOOL(struct i8254, counter[n].status_latched),                                       \
        STATE_U16(struct i8254, counter[n].latch), STATE_U8(struct i8254, counter[n].status)

static const struct state_field i8254_state[] = {
    COUNTER_STATE(0),
    COUNTER_STATE(1),
    COUNTER_STATE(2),
    STATE_U64(struct i8254, ticked),
    STATE_U8_MAX(struct i8254, speaker, 3),
    STATE_BOOL(struct i8254, refresh),
    STATE_END,
};

static struct i8254 *i8254_of(struct device *dev)
{
    return container_of(dev, struct i8254, dev);
}

/* --- What time has made of a counter --- */
static uint64_t counter_ticks(const struct i8254 *s, const struct i8254_counter *c)
{
    uint64_t now = clock_now_ns(s->dev.clock);
    unsigned __int128 ticks = (unsigned __int128)(now > c->start_ns ? now - c->start_ns : 0);

    return (uint64_t)(ticks * I8254_HZ / NS_PER_SECOND);
}

static uint32_t counter_period(const struct i8254_counter *c)
{
    return c->count ? c->count : FULL_COUNT; /* a loaded state may say 0 */
}

static bool counter_is_periodic(const struct i8254_counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static uint32_t counter_value(const struct i8254 *s, const struct i8254_counter *c)
{
    uint32_t period = counter_period(c);
    uint64_t ticks = counter_ticks(s, c);

    if (!c->loaded)
        return period;
    if (c->mode == 3) /* counts down by two, twice a period */
        return period - (uint32_t)(2 * ticks % period);
    if (c->mode == 2)
        return period - (uint32_t)(ticks % period);
    return (uint32_t)((period - ticks) & (FULL_COUNT - 1)); /* goes on below zero */
}

static bool counter_out(const struct i8254 *s, const struct i8254_counter *c)
{
    uint64_t ticks = counter_ticks(s, c);
    uint32_t period = counter_period(c);

    if (!c->loaded)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1: return ticks >= period;
    case 2: return ticks % period != period - 1 || !c->gate;
    case 3: return ticks % period < (period + 1) / 2 || !c->gate;
    default: return ticks != period;
    }
}

static uint16_t counter_shown(const struct i8254_counter *c, uint32_t value)
{
    unsigned v = value & 0xffff;

    if (!c->bcd)
        return (uint16_t)v;
    v = value % 10000;
    return (uint16_t)(v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 | v / 1000 << 12);
}

/* --- The tick --- */
/* Of counter 0, in its own ticks: from edge to edge, or up to the one edge. */
static uint32_t tick_period(const struct i8254_counter *c)
{
    uint32_t period = counter_period(c);

    return counter_is_periodic(c) && period < TICK_MIN ? TICK_MIN : period;
}

/* Guest time at which counter 0 next changes what the tick depends on. */
static uint64_t tick_delay(const struct i8254 *s, uint64_t edge)
{
    const struct i8254_counter *c = &s->counter[0];
    unsigned __int128 ticks = (unsigned __int128)edge * tick_period(c);
    uint64_t now = clock_now_ns(s->dev.clock);
    uint64_t at = c->start_ns + (uint64_t)((ticks * NS_PER_SECOND + I8254_HZ - 1) / I8254_HZ);

    return at > now ? at - now : 0;
}

static void i8254_settle(struct device *dev)
{
    struct i8254 *s = i8254_of(dev);
    const struct i8254_counter *c = &s->counter[0];
    uint64_t periods;

    if (!c->loaded) {
        irq_set(&s->irq, c->mode != 0);
        timer_set(&s->timer, TIMER_OFF);
        return;
    }
    periods = counter_ticks(s, c) / tick_period(c);
    if (!counter_is_periodic(c)) {
        irq_set(&s->irq, periods != 0); /* modes 4 and 5: the strobe's end */
        timer_set(&s->timer, periods ? TIMER_OFF : tick_delay(s, 1));
        return;
    }
    if (periods > s->ticked) {
        s->ticked = periods;
        irq_set(&s->irq, false);
    }
    irq_set(&s->irq, true);
    timer_set(&s->timer, tick_delay(s, periods + 1));
}

/* --- Registers --- */
static void counter_load(struct i8254 *s, unsigned n, uint32_t value)
{
    struct i8254_counter *c = &s->counter[n];

    if (c->bcd)
        value = (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 +
                (value >> 12 & 15) * 1000;
    c->count = value ? value : c->bcd ? 10000 : FULL_COUNT;
    c->start_ns = clock_now_ns(s->dev.clock);
    c->loaded = true;
    c->null_count = false;
    if (n == 0)
        s->ticked = 0;
}

static void counter_write(struct i8254 *s, unsigned n, uint8_t val)
{
    struct i8254_counter *c = &s->counter[n];

    switch (c->access) {
    case RW_LOW: counter_load(s, n, val); return;
    case RW_HIGH: counter_load(s, n, (uint32_t)val << 8); return;
    default: break;
    }
    if (!c->write_high) {
        c->write_low = val;
        c->write_high = true;
        c->loaded = c->loaded && c->mode != 0; /* mode 0 stops at the first byte */
        return;
    }
    c->write_high = false;
    counter_load(s, n, c->write_low | (uint32_t)val << 8);
}

static void counter_latch(const struct i8254 *s, struct i8254_counter *c)
{
    if (c->latched)
        return;
    c->latch = counter_shown(c, counter_value(s, c));
    c->latched = true;
}

static void counter_latch_status(const struct i8254 *s, struct i8254_counter *c)
{
    if (c->status_latched)
        return;
    c->status = (uint8_t)(counter_out(s, c) << 7 | c->null_count << 6 | c->access << 4 |
                          c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static uint8_t counter_read(const struct i8254 *s, struct i8254_counter *c)
{
    uint16_t value = c->latched ? c->latch : counter_shown(c, counter_value(s, c));
    bool high = c->access == RW_HIGH || (c->access == RW_BOTH && c->read_high);

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->access == RW_BOTH) {
        c->read_high = !c->read_high;
        c->latched = c->latched && c->read_high;
    } else {
        c->latched = false;
    }
    return (uint8_t)(high ? value >> 8 : value);
}

static void i8254_read_back(struct i8254 *s, uint8_t val)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        if (!(val >> (i + 1) & 1))
            continue;
        if (!(val & READBACK_NO_COUNT))
            counter_latch(s, &s->counter[i]);
        if (!(val & READBACK_NO_STATUS))
            counter_latch_status(s, &s->counter[i]);
    }
}

static void i8254_control(struct i8254 *s, uint8_t val)
{
    static const uint8_t modes[8] = {0, 1, 2, 3, 4, 5, 2, 3};
    unsigned n = val >> 6, access = val >> 4 & 3;
    struct i8254_counter *c;

    if (n == READBACK) {
        i8254_read_back(s, val);
        return;
    }
    c = &s->counter[n];
    if (access == RW_LATCH) {
        counter_latch(s, c);
        return;
    }
    c->access = (uint8_t)access;
    c->mode = modes[val >> 1 & 7];
    c->bcd = val & 1;
    c->loaded = c->write_high = c->read_high = c->latched = c->status_latched = false;
    c->null_count = true;
}

static void i8254_write_61(struct i8254 *s, uint8_t val)
{
    struct i8254_counter *c = &s->counter[2];
    bool gate = val & SPEAKER_GATE;

    if (gate && !c->gate) /* a rising gate starts the count again, save in modes 0 and 4 */
        c->start_ns = clock_now_ns(s->dev.clock);
    c->gate = gate;
    s->speaker = val & (SPEAKER_GATE | SPEAKER_DATA);
}

static uint8_t i8254_read_61(struct i8254 *s)
{
    s->refresh = !s->refresh;
    return (uint8_t)(s->speaker | (s->refresh ? SPEAKER_REFRESH : 0) |
                     (counter_out(s, &s->counter[2]) ? SPEAKER_OUT : 0));
}

static uint64_t i8254_read(struct device *dev, uint32_t off, unsigned size)
{
    struct i8254 *s = i8254_of(dev);

    if (off < COUNTERS)
        return counter_read(s, &s->counter[off]);
    return off == PORT_61 ? i8254_read_61(s) : 0; /* the control word cannot be read */
}

static void i8254_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct i8254 *s = i8254_of(dev);

    if (off < COUNTERS)
        counter_write(s, off, (uint8_t)val);
    else if (off == CONTROL)
        i8254_control(s, (uint8_t)val);
    else
        i8254_write_61(s, (uint8_t)val);
    i8254_settle(dev);
}

static uint64_t i8254_read_speaker(struct device *dev, uint32_t off, unsigned size)
{
    return i8254_read(dev, off + PORT_61, size);
}

static void i8254_write_speaker(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    i8254_write(dev, off + PORT_61, size, val);
}

/* --- Life --- */
static void i8254_reset(struct device *dev)
{
    struct i8254 *s = i8254_of(dev);

    for (unsigned i = 0; i < COUNTERS; i++)
        s->counter[i] = (struct i8254_counter){
            .access = RW_BOTH, .mode = 3, .count = FULL_COUNT, .gate = i != 2};
    s->ticked = 0;
    s->speaker = 0;
    s->refresh = false;
}

static int i8254_init(struct device *dev, struct err *err)
{
    timer_init(&i8254_of(dev)->timer, dev->clock, dev);
    return 0;
}

static void i8254_done(struct device *dev)
{
    timer_done(&i8254_of(dev)->timer);
}

static struct irq_line *i8254_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &i8254_of(dev)->irq;
}

const struct mmio_window i8254_window = {
    .access = {.size = 4, .access_min = 1, .access_max = 1},
    .read = i8254_read,
    .write = i8254_write,
};

const struct mmio_window i8254_speaker_window = {
    .access = {.size = 1, .access_min = 1, .access_max = 1},
    .read = i8254_read_speaker,
    .write = i8254_write_speaker,
};

const struct device_ops i8254_ops = {
    .type = "intel,i8254",
    .instance_size = sizeof(struct i8254),
    .mmio = {.size = SIZE, .access_min = 1, .access_max = 1},
    .init = i8254_init,
    .done = i8254_done,
    .reset = i8254_reset,
    .settle = i8254_settle,
    .read = i8254_read,
    .write = i8254_write,
    .irq = i8254_irq,
    .quiesce = i8254_settle, /* periods are counted when somebody looks */
    .state_version = 1,
    .state = i8254_state,
};
