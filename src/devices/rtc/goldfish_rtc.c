/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goldfish real-time clock ("google,goldfish-rtc"): 64-bit nanoseconds since 1970 and one alarm.
 * Spec: Android emulator, "Goldfish virtual hardware", RTC part; register names and order of use
 * checked against Linux drivers/rtc/rtc-goldfish.c.
 *
 * Reading TIME_LOW latches the high word, so LOW-then-HIGH cannot tear. ALARM_HIGH is only staged;
 * writing ALARM_LOW arms. Time is the guest clock's wall time, never the host clock: replay stays
 * exact. Not modelled: setting the time (guest errors).
 */
#include "devices/rtc/goldfish_rtc.h"
#include "base/bits.h"

enum { TIME_LOW = 0x00, TIME_HIGH = 0x04, ALARM_LOW = 0x08, ALARM_HIGH = 0x0c };
enum { IRQ_ENABLED = 0x10, CLEAR_ALARM = 0x14, ALARM_STATUS = 0x18, CLEAR_IRQ = 0x1c };

struct goldfish_rtc {
    struct device dev;   /* must be first */
    struct irq_line irq; /* irq and timer are outputs: derived by rtc_settle(), never saved */
    struct timer timer;
    uint64_t alarm_ns;
    uint32_t time_high, alarm_high;
    bool armed, pending, enabled;
};

static const struct state_field rtc_state[] = {
    STATE_U64(struct goldfish_rtc, alarm_ns),
    STATE_U32(struct goldfish_rtc, time_high),
    STATE_U32(struct goldfish_rtc, alarm_high),
    STATE_BOOL(struct goldfish_rtc, armed),
    STATE_BOOL(struct goldfish_rtc, pending),
    STATE_BOOL(struct goldfish_rtc, enabled),
    STATE_END,
};

/* Outputs are a function of state: run after a write, on the timer and after a state load. */
static void rtc_settle(struct device *dev)
{
    struct goldfish_rtc *s = container_of(dev, struct goldfish_rtc, dev);
    uint64_t now = clock_wall_ns(dev->clock);

    if (s->armed && s->alarm_ns <= now) {
        s->armed = false;
        s->pending = true;
    }
    timer_set(&s->timer, s->armed ? s->alarm_ns - now : TIMER_OFF);
    irq_set(&s->irq, s->pending && s->enabled);
}

static uint64_t rtc_read(struct device *dev, uint32_t off, unsigned size)
{
    struct goldfish_rtc *s = container_of(dev, struct goldfish_rtc, dev);
    uint64_t now = clock_wall_ns(dev->clock);

    switch (off) {
    case TIME_LOW: s->time_high = (uint32_t)(now >> 32); return (uint32_t)now;
    case TIME_HIGH: return s->time_high;
    case ALARM_LOW: return (uint32_t)s->alarm_ns;
    case ALARM_HIGH: return s->alarm_ns >> 32;
    case IRQ_ENABLED: return s->enabled;
    case ALARM_STATUS: return s->armed;
    default: return guest_error_read(dev, off);
    }
}

static void rtc_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct goldfish_rtc *s = container_of(dev, struct goldfish_rtc, dev);

    switch (off) {
    case ALARM_LOW:
        s->alarm_ns = u64_from(s->alarm_high, val);
        s->armed = true;
        break;
    case ALARM_HIGH: s->alarm_high = (uint32_t)val; break;
    case IRQ_ENABLED: s->enabled = val & 1; break;
    case CLEAR_ALARM: s->armed = false; break;
    case CLEAR_IRQ: s->pending = false; break;
    default: guest_error_write(dev, off, val); return;
    }
    rtc_settle(dev);
}

static void rtc_reset(struct device *dev)
{
    struct goldfish_rtc *s = container_of(dev, struct goldfish_rtc, dev);

    s->alarm_ns = s->time_high = s->alarm_high = 0;
    s->armed = s->pending = s->enabled = false;
}

static int rtc_init(struct device *dev, struct err *err)
{
    timer_init(&container_of(dev, struct goldfish_rtc, dev)->timer, dev->clock, dev);
    return 0;
}

static void rtc_done(struct device *dev)
{
    timer_done(&container_of(dev, struct goldfish_rtc, dev)->timer);
}

static struct irq_line *rtc_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &container_of(dev, struct goldfish_rtc, dev)->irq;
}

const struct device_ops goldfish_rtc_ops = {
    .type = "google,goldfish-rtc",
    .instance_size = sizeof(struct goldfish_rtc),
    .mmio = {.size = 0x20, .access_min = 4, .access_max = 4},
    .init = rtc_init,
    .done = rtc_done,
    .reset = rtc_reset,
    .settle = rtc_settle,
    .read = rtc_read,
    .write = rtc_write,
    .irq = rtc_irq,
    .state_version = 1,
    .state = rtc_state,
};
