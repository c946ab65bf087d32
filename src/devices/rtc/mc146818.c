/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Motorola MC146818A real-time clock: index register and data register. Spec: MC146818A data
 * sheet (1984); century byte at 0x32 as ACPI's FADT names it here.
 * Time is the guest's wall clock in UTC plus what the guest set it apart by. Interrupts: update
 * ended, alarm, and the periodic one at the rates of register A.
 * Not modelled: daylight saving, square wave, the update's 1984 us (UIP shows for its 244 us).
 */
#include "devices/rtc/mc146818.h"
#include "base/bits.h"
#include "devices/core/device.h"
#include <string.h>
#include <time.h>

enum { INDEX, DATA, SIZE, BYTES = 128, CENTURY = 0x32, NVRAM = 0x0e };
enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY = 7, MONTH = 8, YEAR = 9 };
enum { REG_A = 10, REG_B = 11, REG_C = 12, REG_D = 13 };
enum { A_UIP = 0x80, A_RATE = 15, A_RESET = 0x26, B_SET = 0x80, B_BINARY = 4, B_24_HOURS = 2 };
enum { IRQ_PERIODIC = 0x40, IRQ_ALARM = 0x20, IRQ_UPDATE = 0x10, IRQ_ANY = 0x80, IRQS = 0x70 };
enum { HOURS_PM = 0x80, ALARM_ANY = 0xc0, D_VALID = 0x80 };
#define NS_PER_SECOND UINT64_C(1000000000)
#define UIP_NS        UINT64_C(244000)
#define BASE_HZ       32768u

struct mc146818 {
    struct device dev;   /* must be first */
    struct irq_line irq; /* irq and timer are outputs */
    struct timer timer;
    uint8_t index;
    uint8_t byte[BYTES]; /* time bytes only while B_SET; else alarm, registers, RAM */
    uint64_t offset_s;   /* guest's clock less the wall clock, wraps */
    uint64_t seen_s;     /* second up to which updates and alarms were noticed */
    uint64_t seen_ticks; /* periodic ones, of guest time */
};

static const struct state_field rtc_state[] = {
    STATE_U8_MAX(struct mc146818, index, BYTES - 1),
    STATE_BYTES(struct mc146818, byte, BYTES),
    STATE_U64(struct mc146818, offset_s),
    STATE_U64(struct mc146818, seen_s),
    STATE_U64(struct mc146818, seen_ticks),
    STATE_END,
};

static struct mc146818 *rtc_of(struct device *dev)
{
    return container_of(dev, struct mc146818, dev);
}

static uint64_t rtc_seconds(const struct mc146818 *s)
{
    return clock_wall_ns(s->dev.clock) / NS_PER_SECOND + s->offset_s;
}

/* --- Time in the chip's form --- */
static uint8_t rtc_encode(const struct mc146818 *s, int val)
{
    return (uint8_t)(s->byte[REG_B] & B_BINARY ? val : val / 10 * 16 + val % 10);
}

static int rtc_decode(const struct mc146818 *s, uint8_t val)
{
    return s->byte[REG_B] & B_BINARY ? val : (val >> 4) * 10 + (val & 15);
}

static uint8_t rtc_encode_hour(const struct mc146818 *s, int hour)
{
    if (s->byte[REG_B] & B_24_HOURS)
        return rtc_encode(s, hour);
    return (uint8_t)(rtc_encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0));
}

static int rtc_decode_hour(const struct mc146818 *s, uint8_t val)
{
    if (s->byte[REG_B] & B_24_HOURS)
        return rtc_decode(s, val);
    return rtc_decode(s, val & 0x7f) % 12 + (val & HOURS_PM ? 12 : 0);
}

static struct tm rtc_time(const struct mc146818 *s)
{
    time_t seconds = (time_t)(rtc_seconds(s) & bits_mask(40)); /* a year gmtime() can say */
    struct tm tm = {0};

    (void)gmtime_r(&seconds, &tm);
    return tm;
}

static void rtc_fill(const struct mc146818 *s, uint8_t *byte)
{
    struct tm tm = rtc_time(s);

    byte[SECONDS] = rtc_encode(s, tm.tm_sec);
    byte[MINUTES] = rtc_encode(s, tm.tm_min);
    byte[HOURS] = rtc_encode_hour(s, tm.tm_hour);
    byte[WEEKDAY] = rtc_encode(s, tm.tm_wday + 1);
    byte[DAY] = rtc_encode(s, tm.tm_mday);
    byte[MONTH] = rtc_encode(s, tm.tm_mon + 1);
    byte[YEAR] = rtc_encode(s, tm.tm_year % 100);
    byte[CENTURY] = rtc_encode(s, (tm.tm_year + 1900) / 100 % 100);
}

/* The time bytes as the guest has set them become the offset to the wall clock. */
static void rtc_take_time(struct mc146818 *s)
{
    struct tm tm = {
        .tm_sec = rtc_decode(s, s->byte[SECONDS]),
        .tm_min = rtc_decode(s, s->byte[MINUTES]),
        .tm_hour = rtc_decode_hour(s, s->byte[HOURS]),
        .tm_mday = rtc_decode(s, s->byte[DAY]),
        .tm_mon = rtc_decode(s, s->byte[MONTH]) - 1,
        .tm_year = rtc_decode(s, s->byte[CENTURY]) * 100 + rtc_decode(s, s->byte[YEAR]) - 1900,
    };

    s->offset_s = (uint64_t)timegm(&tm) - clock_wall_ns(s->dev.clock) / NS_PER_SECOND;
    s->seen_s = rtc_seconds(s);
}

/* --- Interrupts --- */
static unsigned rtc_rate_hz(const struct mc146818 *s)
{
    unsigned rate = s->byte[REG_A] & A_RATE;

    if (!rate)
        return 0;
    return BASE_HZ >> (rate < 3 ? rate + 6 : rate - 1);
}

static bool rtc_alarm_field(uint8_t alarm, uint8_t now)
{
    return alarm >= ALARM_ANY || alarm == now;
}

static bool rtc_alarm_now(const struct mc146818 *s)
{
    uint8_t now[BYTES];

    rtc_fill(s, now);
    return rtc_alarm_field(s->byte[SECONDS + 1], now[SECONDS]) &&
           rtc_alarm_field(s->byte[MINUTES + 1], now[MINUTES]) &&
           rtc_alarm_field(s->byte[HOURS + 1], now[HOURS]);
}

static uint64_t rtc_periodic_ticks(const struct mc146818 *s)
{
    unsigned __int128 ns = clock_now_ns(s->dev.clock);

    return (uint64_t)(ns * rtc_rate_hz(s) / NS_PER_SECOND);
}

static uint64_t rtc_delay(const struct mc146818 *s)
{
    uint64_t wall = clock_wall_ns(s->dev.clock), now = clock_now_ns(s->dev.clock);
    uint64_t delay = TIMER_OFF, hz = rtc_rate_hz(s), at;

    if (s->byte[REG_B] & (IRQ_ALARM | IRQ_UPDATE))
        delay = NS_PER_SECOND - wall % NS_PER_SECOND;
    if (!(s->byte[REG_B] & IRQ_PERIODIC) || !hz)
        return delay;
    at = (uint64_t)(((unsigned __int128)(rtc_periodic_ticks(s) + 1) * NS_PER_SECOND + hz - 1) / hz);
    return at - now < delay ? at - now : delay;
}

/* Flags are set whether enabled or not; the line is high while an enabled one is. */
static void rtc_settle(struct device *dev)
{
    struct mc146818 *s = rtc_of(dev);
    uint64_t second = rtc_seconds(s), ticks = rtc_periodic_ticks(s);
    uint8_t *flags = &s->byte[REG_C];

    if (second != s->seen_s && !(s->byte[REG_B] & B_SET)) {
        *flags |= IRQ_UPDATE;
        if (rtc_alarm_now(s))
            *flags |= IRQ_ALARM;
    }
    if (ticks != s->seen_ticks)
        *flags |= IRQ_PERIODIC;
    s->seen_s = second;
    s->seen_ticks = ticks;
    *flags = (uint8_t)bits_set(*flags, 7, 1, (*flags & s->byte[REG_B] & IRQS) != 0);
    irq_set(&s->irq, *flags & IRQ_ANY);
    timer_set(&s->timer, rtc_delay(s));
}

/* --- Registers --- */
static bool rtc_is_time(uint8_t index)
{
    return index == SECONDS || index == MINUTES || index == HOURS ||
           (index >= WEEKDAY && index <= YEAR) || index == CENTURY;
}

static uint8_t rtc_read_byte(struct mc146818 *s)
{
    uint64_t wall = clock_wall_ns(s->dev.clock);
    uint8_t now[BYTES], val;

    if (rtc_is_time(s->index) && !(s->byte[REG_B] & B_SET)) {
        rtc_fill(s, now);
        return now[s->index];
    }
    switch (s->index) {
    case REG_A:
        return (uint8_t)(s->byte[REG_A] |
                         (wall % NS_PER_SECOND >= NS_PER_SECOND - UIP_NS ? A_UIP : 0));
    case REG_C:
        val = s->byte[REG_C];
        s->byte[REG_C] = 0;
        return val;
    case REG_D: return D_VALID;
    default: return s->byte[s->index];
    }
}

static void rtc_write_b(struct mc146818 *s, uint8_t val)
{
    uint8_t old = s->byte[REG_B];

    if (val & B_SET && !(old & B_SET))
        rtc_fill(s, s->byte); /* the time stands still for the guest to change */
    s->byte[REG_B] = val;
    if (old & B_SET && !(val & B_SET))
        rtc_take_time(s);
}

static void rtc_write_byte(struct mc146818 *s, uint8_t val)
{
    switch (s->index) {
    case REG_A: s->byte[REG_A] = val & 0x7f; break;
    case REG_B: rtc_write_b(s, val); break;
    case REG_C:
    case REG_D: guest_error_write(&s->dev, s->index, val); break;
    default:
        if (!rtc_is_time(s->index)) {
            s->byte[s->index] = val;
            break;
        }
        if (!(s->byte[REG_B] & B_SET))
            rtc_fill(s, s->byte);
        s->byte[s->index] = val;
        if (!(s->byte[REG_B] & B_SET))
            rtc_take_time(s);
    }
}

static uint64_t rtc_read(struct device *dev, uint32_t off, unsigned size)
{
    struct mc146818 *s = rtc_of(dev);
    uint8_t val;

    if (off == INDEX)
        return 0xff; /* write-only */
    rtc_settle(dev);
    val = rtc_read_byte(s);
    rtc_settle(dev);
    return val;
}

static void rtc_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct mc146818 *s = rtc_of(dev);

    if (off == INDEX) {
        s->index = val & 0x7f; /* bit 7 masks NMI on a PC: there is none to mask */
        return;
    }
    rtc_write_byte(s, (uint8_t)val);
    rtc_settle(dev);
}

void mc146818_set_byte(struct device *dev, uint8_t index, uint8_t val)
{
    rtc_of(dev)->byte[index % BYTES] = val;
}

/* --- Life --- */
static void rtc_reset(struct device *dev)
{
    struct mc146818 *s = rtc_of(dev);

    s->index = 0;
    s->byte[REG_A] = A_RESET;
    s->byte[REG_B] = B_24_HOURS;
    s->byte[REG_C] = 0;
    s->seen_s = rtc_seconds(s);
    s->seen_ticks = rtc_periodic_ticks(s);
}

static int rtc_init(struct device *dev, struct err *err)
{
    timer_init(&rtc_of(dev)->timer, dev->clock, dev);
    return 0;
}

static void rtc_done(struct device *dev)
{
    timer_done(&rtc_of(dev)->timer);
}

static struct irq_line *rtc_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &rtc_of(dev)->irq;
}

const struct device_ops mc146818_ops = {
    .type = "motorola,mc146818",
    .instance_size = sizeof(struct mc146818),
    .mmio = {.size = SIZE, .access_min = 1, .access_max = 1},
    .init = rtc_init,
    .done = rtc_done,
    .reset = rtc_reset,
    .settle = rtc_settle,
    .read = rtc_read,
    .write = rtc_write,
    .irq = rtc_irq,
    .quiesce = rtc_settle, /* time is watched only while it may interrupt */
    .state_version = 1,
    .state = rtc_state,
};
