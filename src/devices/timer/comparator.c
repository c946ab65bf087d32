/* SPDX-License-Identifier: Apache-2.0 */
/* Time comparators. Contract: comparator.h. */
#include "devices/timer/comparator.h"
#include "base/checked.h"
#include <errno.h>
#include <inttypes.h>

enum { NS_PER_SECOND = 1000000000 };

int comparators_setup(struct comparators *c, unsigned harts, uint64_t hz, struct err *err)
{
    if (!harts || harts > COMPARATOR_HARTS)
        return err_set(err, -EINVAL, "timer: %u harts; 1 to %d are possible", harts,
                       COMPARATOR_HARTS);
    if (!hz || NS_PER_SECOND % hz)
        return err_set(err, -EINVAL, "timer: %" PRIu64 " Hz is no whole number of nanoseconds", hz);
    c->harts = harts;
    c->ns_per_tick = (uint32_t)(NS_PER_SECOND / hz);
    return 0;
}

void comparators_init(struct comparators *c, struct device *dev)
{
    if (!c->harts)
        (void)!comparators_setup(c, 1, COMPARATOR_DEFAULT_HZ, NULL);
    c->clock = dev->clock;
    timer_init(&c->timer, dev->clock, dev);
}

void comparators_done(struct comparators *c)
{
    timer_done(&c->timer);
}

uint64_t comparators_ticks(const struct comparators *c)
{
    return clock_now_ns(c->clock) / c->ns_per_tick;
}

static uint64_t comparators_delay(const struct comparators *c, uint64_t now_ns, uint64_t value)
{
    uint64_t deadline_ns;

    if (ckd_mul(&deadline_ns, value, (uint64_t)c->ns_per_tick))
        return TIMER_OFF;
    return deadline_ns - now_ns;
}

void comparators_settle(struct comparators *c, const uint64_t *values)
{
    uint64_t now_ns = clock_now_ns(c->clock);
    uint64_t ticks = now_ns / c->ns_per_tick, earliest = UINT64_MAX;

    for (unsigned i = 0; i < c->harts; i++) {
        if (values[i] > ticks && values[i] < earliest)
            earliest = values[i];
        irq_set(&c->line[i], values[i] <= ticks);
    }
    timer_set(&c->timer, comparators_delay(c, now_ns, earliest));
}
