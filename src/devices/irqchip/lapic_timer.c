/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APICs' timers: SDM volume 3, 11.5.4. A count is what it was and when; whole ticks are
 * taken off it when somebody looks, so nothing is lost between two looks, and a late look at a
 * periodic timer makes one interrupt, never a burst.
 */
#include "devices/irqchip/lapic_internal.h"

/* A guest that asks for more than 10 kHz makes no more work. */
enum { PERIOD_MIN_NS = 100000, NS_PER_TICK = 1000000000 / LAPIC_TIMER_HZ };

enum lapic_timer_mode lapic_timer_mode(const struct lapic_cpu *c)
{
    return (enum lapic_timer_mode)bits_get(lapic_get(c, LAPIC_LVT_TIMER), 17, 2);
}

/* ns a count takes: bits 0, 1 and 3 of the divide configuration; 111 divides by one. */
static uint64_t timer_tick_ns(const struct lapic_cpu *c)
{
    uint32_t divide = lapic_get(c, LAPIC_TIMER_DIVIDE);

    return (uint64_t)NS_PER_TICK << (((divide & 3) | (divide >> 1 & 4)) + 1) % 8;
}

/* True when the count came to zero on the way. */
static bool timer_count(const struct lapic_cpu *c, uint64_t now_ns)
{
    uint64_t tick_ns = timer_tick_ns(c), left = lapic_get(c, LAPIC_TIMER_CURRENT), ticks;
    uint32_t initial = lapic_get(c, LAPIC_TIMER_INITIAL);

    if (!left || now_ns < *c->count_ns) /* a loaded state may say later */
        return false;
    ticks = (now_ns - *c->count_ns) / tick_ns;
    *c->count_ns += ticks * tick_ns;
    if (ticks < left) {
        lapic_put(c, LAPIC_TIMER_CURRENT, (uint32_t)(left - ticks));
        return false;
    }
    left = lapic_timer_mode(c) == TIMER_PERIODIC && initial
               ? initial - (uint32_t)((ticks - left) % initial)
               : 0;
    lapic_put(c, LAPIC_TIMER_CURRENT, (uint32_t)left);
    return true;
}

static uint64_t timer_deadline_delay(const struct lapic *s, unsigned cpu)
{
    uint64_t tsc = *s->cpu[cpu].deadline;

    return tsc && s->sink.tsc_delay_ns ? s->sink.tsc_delay_ns(s->sink.arg, cpu, tsc) : TIMER_OFF;
}

static bool timer_is_due(struct lapic *s, unsigned cpu)
{
    const struct lapic_cpu *c = &s->cpu[cpu];

    if (lapic_timer_mode(c) != TIMER_DEADLINE)
        return timer_count(c, clock_now_ns(s->dev.clock));
    if (timer_deadline_delay(s, cpu))
        return false;
    *c->deadline = 0;
    return true;
}

static uint64_t timer_delay(const struct lapic *s, unsigned cpu)
{
    const struct lapic_cpu *c = &s->cpu[cpu];
    uint64_t left = lapic_get(c, LAPIC_TIMER_CURRENT), now_ns = clock_now_ns(s->dev.clock), end_ns;

    if (!lapic_is_on(c))
        return TIMER_OFF;
    if (lapic_timer_mode(c) == TIMER_DEADLINE)
        return timer_deadline_delay(s, cpu);
    if (!left || now_ns < *c->count_ns)
        return TIMER_OFF;
    end_ns = *c->count_ns + left * timer_tick_ns(c);
    left = end_ns > now_ns ? end_ns - now_ns : 0;
    return lapic_timer_mode(c) == TIMER_PERIODIC && left < PERIOD_MIN_NS ? PERIOD_MIN_NS : left;
}

void lapic_timer_arm(struct lapic *s)
{
    uint64_t earliest = TIMER_OFF;

    for (unsigned i = 0; i < s->cpus; i++) {
        uint64_t delay = timer_delay(s, i);

        earliest = delay < earliest ? delay : earliest;
    }
    timer_set(&s->timer, earliest);
}

void lapic_timer_sync(struct lapic *s, unsigned cpu)
{
    if (lapic_is_on(&s->cpu[cpu]) && timer_is_due(s, cpu))
        lapic_fire(s, cpu, LAPIC_LVT_TIMER);
}

void lapic_timer_start(struct lapic *s, unsigned cpu, uint32_t initial)
{
    const struct lapic_cpu *c = &s->cpu[cpu];

    if (lapic_timer_mode(c) == TIMER_DEADLINE) /* writes are ignored */
        return;
    lapic_put(c, LAPIC_TIMER_INITIAL, initial);
    lapic_put(c, LAPIC_TIMER_CURRENT, initial);
    *c->count_ns = clock_now_ns(s->dev.clock);
    lapic_timer_arm(s);
}

void lapic_timer_deadline(struct lapic *s, unsigned cpu, uint64_t tsc)
{
    if (lapic_timer_mode(&s->cpu[cpu]) != TIMER_DEADLINE)
        return;
    *s->cpu[cpu].deadline = tsc;
    lapic_timer_sync(s, cpu);
    lapic_timer_arm(s);
}
