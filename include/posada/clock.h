/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest clock: nanoseconds of guest time, the only time devices and CPUs know. It follows the
 * host's CLOCK_MONOTONIC plus an offset while the guest runs, stands still while it is paused, and
 * is set by hand in tests and replay. Nothing is calibrated: frequencies are told to the guest.
 * Reading is lock-free from any thread; timers belong to the machine lock (posada/device.h).
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

struct clock;
struct device;

#define TIMER_OFF UINT64_MAX /* a delay that never ends */

struct timer {
    struct clock *clock;
    struct device *owner; /* its settle() is called when the timer fires */
    uint64_t deadline_ns; /* guest time, TIMER_OFF while idle */
    uint32_t heap_index;  /* place in the clock's heap */
};

/* A clock that reads host_ns() (monotonic); NULL makes a manual clock for tests and replay that
 * moves only by clock_advance(). Starts paused at 0. NULL without memory. */
struct clock *clock_new(uint64_t (*host_ns)(void));
void clock_free(struct clock *clock);

uint64_t clock_now_ns(const struct clock *clock);
/* Wall-clock time of day as the guest should see it: nanoseconds since 1970-01-01T00:00Z. */
uint64_t clock_wall_ns(const struct clock *clock);
void clock_set_wall_ns(struct clock *clock, uint64_t unix_ns);

void clock_pause(struct clock *clock);
void clock_resume(struct clock *clock);
void clock_set_ns(struct clock *clock, uint64_t now_ns); /* only while paused: state load */
void clock_advance(struct clock *clock, uint64_t ns);    /* manual clocks: moves and fires */

void timer_init(struct timer *t, struct clock *clock, struct device *owner);
void timer_done(struct timer *t);
/* Fires once, delay_ns of guest time from now; TIMER_OFF disarms. The sum saturates: a far alarm
 * never wraps into the past. Machine lock held. */
void timer_set(struct timer *t, uint64_t delay_ns);

/* Fires what is due. Machine lock held. Returns guest ns until the next timer, TIMER_OFF if none.
 */
uint64_t clock_run_timers(struct clock *clock);
/* The same number without firing anything: for clock_on_rearm()'s function. Machine lock held. */
uint64_t clock_next_ns(const struct clock *clock);
/* Called (machine lock held) when the earliest deadline moved closer: the event loop re-arms. */
void clock_on_rearm(struct clock *clock, void (*fn)(void *arg), void *arg);
