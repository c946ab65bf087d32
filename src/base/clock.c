/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest clock and its timers. Contract: include/posada/clock.h.
 *
 * Time: guest_ns is exact while paused; while running it is the reading at the moment host_base
 * was taken, and grows with the host's clock. Readers take no lock: a sequence counter, odd during
 * a change, makes them read again. Changes happen under the machine lock only.
 *
 * Timers: a binary heap of pointers ordered by deadline. Room is made in timer_init(), so that
 * arming never allocates. Only armed timers are in the heap; heap_index is valid for those.
 * It lives in base because CPUs tell time as well, and must not see devices.
 */
#include "base/checked.h"
#include <posada/device.h>
#include <stdatomic.h>
#include <stdlib.h>

struct clock {
    uint64_t (*host_ns)(void);
    atomic_uint sequence;
    _Atomic uint64_t guest_ns, host_base; /* relaxed: ordered by sequence */
    _Atomic uint64_t wall_offset;         /* modulo 2^64 */
    atomic_bool running;
    struct timer **heap;
    uint32_t armed, timers, room;
    void (*rearm)(void *arg);
    void *rearm_arg;
};

struct clock *clock_new(uint64_t (*host_ns)(void))
{
    struct clock *clock = calloc(1, sizeof(*clock));

    if (clock)
        clock->host_ns = host_ns;
    return clock;
}

void clock_free(struct clock *clock)
{
    if (!clock)
        return;
    free(clock->heap);
    free(clock);
}

static uint64_t clock_at(const struct clock *clock, uint64_t host)
{
    uint64_t now = atomic_load_explicit(&clock->guest_ns, memory_order_relaxed);

    if (clock->host_ns && atomic_load_explicit(&clock->running, memory_order_relaxed))
        now += host - atomic_load_explicit(&clock->host_base, memory_order_relaxed);
    return now;
}

uint64_t clock_now_ns(const struct clock *clock)
{
    unsigned before, after;
    uint64_t now;

    do {
        before = atomic_load_explicit(&clock->sequence, memory_order_acquire);
        now = clock_at(clock, clock->host_ns ? clock->host_ns() : 0);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&clock->sequence, memory_order_relaxed);
    } while (before != after || (before & 1));
    return now;
}

uint64_t clock_wall_ns(const struct clock *clock)
{
    return clock_now_ns(clock) + atomic_load(&clock->wall_offset);
}

void clock_set_wall_ns(struct clock *clock, uint64_t unix_ns)
{
    atomic_store(&clock->wall_offset, unix_ns - clock_now_ns(clock));
}

/* Sets the time (NULL: as it is now) and whether it runs. Nobody reads in between, so that time
 * never goes back under a reader. */
static void clock_change(struct clock *clock, const uint64_t *set_ns, bool running)
{
    unsigned sequence = atomic_load_explicit(&clock->sequence, memory_order_relaxed);
    uint64_t host, now;

    atomic_store_explicit(&clock->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    host = clock->host_ns ? clock->host_ns() : 0;
    now = set_ns ? *set_ns : clock_at(clock, host);
    atomic_store_explicit(&clock->guest_ns, now, memory_order_relaxed);
    atomic_store_explicit(&clock->host_base, host, memory_order_relaxed);
    atomic_store_explicit(&clock->running, running, memory_order_relaxed);
    atomic_store_explicit(&clock->sequence, sequence + 2, memory_order_release);
}

static void clock_tell_rearm(const struct clock *clock)
{
    if (clock->rearm)
        clock->rearm(clock->rearm_arg);
}

void clock_pause(struct clock *clock)
{
    clock_change(clock, NULL, false);
}

void clock_resume(struct clock *clock)
{
    if (atomic_load(&clock->running))
        return;
    clock_change(clock, NULL, true);
    clock_tell_rearm(clock);
}

void clock_set_ns(struct clock *clock, uint64_t now_ns)
{
    clock_change(clock, &now_ns, atomic_load(&clock->running));
}

void clock_on_rearm(struct clock *clock, void (*fn)(void *arg), void *arg)
{
    clock->rearm = fn;
    clock->rearm_arg = arg;
}

/* --- The heap --- */
static void heap_put(struct clock *clock, uint32_t index, struct timer *t)
{
    clock->heap[index] = t;
    t->heap_index = index;
}

static void heap_up(struct clock *clock, uint32_t index, struct timer *t)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;

        if (clock->heap[parent]->deadline_ns <= t->deadline_ns)
            break;
        heap_put(clock, index, clock->heap[parent]);
        index = parent;
    }
    heap_put(clock, index, t);
}

static void heap_down(struct clock *clock, uint32_t index, struct timer *t)
{
    for (;;) {
        uint32_t child = 2 * index + 1;

        if (child >= clock->armed)
            break;
        if (child + 1 < clock->armed &&
            clock->heap[child + 1]->deadline_ns < clock->heap[child]->deadline_ns)
            child++;
        if (clock->heap[child]->deadline_ns >= t->deadline_ns)
            break;
        heap_put(clock, index, clock->heap[child]);
        index = child;
    }
    heap_put(clock, index, t);
}

static void heap_remove(struct clock *clock, struct timer *t)
{
    struct timer *last = clock->heap[--clock->armed];
    uint32_t index = t->heap_index;

    t->deadline_ns = TIMER_OFF;
    if (last == t)
        return;
    heap_up(clock, index, last);
    heap_down(clock, last->heap_index, last);
}

static uint64_t heap_deadline(const struct clock *clock)
{
    return clock->armed ? clock->heap[0]->deadline_ns : TIMER_OFF;
}

/* --- Timers --- */
void timer_init(struct timer *t, struct clock *clock, struct device *owner)
{
    *t = (struct timer){.clock = clock, .owner = owner, .deadline_ns = TIMER_OFF};
    if (clock->timers == clock->room) {
        clock->room = clock->room ? clock->room * 2 : 16;
        clock->heap = reallocarray(clock->heap, clock->room, sizeof(struct timer *));
        if (!clock->heap)
            abort(); /* while the machine is being built: nothing is lost */
    }
    clock->timers++;
}

void timer_done(struct timer *t)
{
    if (!t->clock)
        return;
    timer_set(t, TIMER_OFF);
    t->clock->timers--;
    t->clock = NULL;
}

void timer_set(struct timer *t, uint64_t delay_ns)
{
    struct clock *clock = t->clock;
    uint64_t earliest = heap_deadline(clock);

    if (t->deadline_ns != TIMER_OFF)
        heap_remove(clock, t);
    if (delay_ns == TIMER_OFF)
        return;
    t->deadline_ns = add_saturate(clock_now_ns(clock), delay_ns);
    if (t->deadline_ns == TIMER_OFF)
        return; /* after the end of time */
    heap_up(clock, clock->armed++, t);
    if (t->deadline_ns < earliest)
        clock_tell_rearm(clock);
}

/* The bound keeps a timer that re-arms itself for "now" from holding the machine lock. */
static void clock_fire_due(struct clock *clock)
{
    uint64_t now = clock_now_ns(clock);

    for (uint32_t bound = clock->armed; bound && heap_deadline(clock) <= now; bound--) {
        struct device *owner = clock->heap[0]->owner;

        heap_remove(clock, clock->heap[0]);
        owner->ops->settle(owner);
    }
}

uint64_t clock_next_ns(const struct clock *clock)
{
    uint64_t next = heap_deadline(clock), now;

    if (next == TIMER_OFF || !atomic_load(&clock->running))
        return TIMER_OFF;
    now = clock_now_ns(clock);
    return next > now ? next - now : 0;
}

uint64_t clock_run_timers(struct clock *clock)
{
    clock_fire_due(clock);
    return clock_next_ns(clock);
}

void clock_advance(struct clock *clock, uint64_t ns)
{
    uint64_t target = add_saturate(clock_now_ns(clock), ns);
    bool running = atomic_load(&clock->running);

    while (heap_deadline(clock) <= target && heap_deadline(clock) != TIMER_OFF) {
        uint64_t now = clock_now_ns(clock), next = heap_deadline(clock);

        if (next > now)
            clock_change(clock, &next, running);
        clock_fire_due(clock);
    }
    clock_change(clock, &target, running);
}
