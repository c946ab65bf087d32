/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unit_test.h"
#include <posada/device.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct ticker {
    struct device dev;
    struct timer timer;
    uint64_t fired_at;
    unsigned fired;
    uint64_t again; /* re-arms itself with this delay when not 0 */
};

static void ticker_settle(struct device *dev)
{
    struct ticker *t = container_of(dev, struct ticker, dev);

    t->fired++;
    t->fired_at = clock_now_ns(dev->clock);
    if (t->again)
        timer_set(&t->timer, t->again);
}

static const struct device_ops ticker_ops = {.type = "ticker", .settle = ticker_settle};

static uint64_t fake_host_now = 1000;

static uint64_t fake_host_ns(void)
{
    return fake_host_now;
}

static void ticker_start(struct ticker *t, struct clock *clock, uint64_t delay)
{
    *t = (struct ticker){.dev = {.ops = &ticker_ops, .clock = clock}};
    timer_init(&t->timer, clock, &t->dev);
    timer_set(&t->timer, delay);
}

static void advance_fires_each_at_its_time(void **state)
{
    struct clock *clock = clock_new(NULL);
    struct ticker t[100];

    for (unsigned i = 0; i < ARRAY_LEN(t); i++)
        ticker_start(&t[i], clock, 1 + (i * 37) % 100);
    clock_advance(clock, 50);
    for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
        uint64_t due = 1 + (i * 37) % 100;

        assert_int_equal(t[i].fired, due <= 50);
        if (due <= 50)
            assert_int_equal(t[i].fired_at, due);
    }
    for (unsigned i = 0; i < ARRAY_LEN(t); i += 2)
        timer_set(&t[i].timer, TIMER_OFF);
    clock_advance(clock, 1000);
    for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(t[i].fired, i % 2 == 1 || 1 + (i * 37) % 100 <= 50);
        timer_done(&t[i].timer);
    }
    assert_int_equal(clock_now_ns(clock), 1050);
    clock_free(clock);
}

static void far_alarm_never_wraps(void **state)
{
    struct clock *clock = clock_new(NULL);
    struct ticker t;

    clock_advance(clock, 1000);
    ticker_start(&t, clock, UINT64_MAX - 5);
    clock_advance(clock, 1000000);
    assert_int_equal(t.fired, 0);
    clock_free(clock);
}

static void self_rearming_timer_is_bounded(void **state)
{
    struct clock *clock = clock_new(fake_host_ns);
    struct ticker t;

    clock_resume(clock);
    ticker_start(&t, clock, 1);
    t.again = 1;
    fake_host_now += 1000;
    assert_int_equal(clock_run_timers(clock), 1);
    assert_int_equal(t.fired, 1);
    clock_free(clock);
}

static void paused_clock_stands_still(void **state)
{
    struct clock *clock = clock_new(fake_host_ns);
    struct ticker t;

    fake_host_now += 500;
    assert_int_equal(clock_now_ns(clock), 0);
    clock_resume(clock);
    fake_host_now += 500;
    assert_int_equal(clock_now_ns(clock), 500);
    ticker_start(&t, clock, 100);
    clock_pause(clock);
    fake_host_now += 5000;
    assert_int_equal(clock_run_timers(clock), TIMER_OFF);
    assert_int_equal(t.fired, 0);
    clock_resume(clock);
    assert_int_equal(clock_run_timers(clock), 100);
    fake_host_now += 100;
    assert_int_equal(clock_run_timers(clock), TIMER_OFF);
    assert_int_equal(t.fired_at, 600);
    clock_free(clock);
}

static void count_rearm(void *arg)
{
    (*(unsigned *)arg)++;
}

static void rearm_tells_only_of_earlier_deadlines(void **state)
{
    struct clock *clock = clock_new(fake_host_ns);
    struct ticker a, b;
    unsigned told = 0;

    clock_resume(clock);
    clock_on_rearm(clock, count_rearm, &told);
    ticker_start(&a, clock, 100);
    assert_int_equal(told, 1);
    ticker_start(&b, clock, 200);
    assert_int_equal(told, 1);
    timer_set(&b.timer, 50);
    assert_int_equal(told, 2);
    clock_free(clock);
}

static void wall_time_follows(void **state)
{
    struct clock *clock = clock_new(NULL);

    clock_advance(clock, 7);
    clock_set_wall_ns(clock, 1000000);
    clock_advance(clock, 5);
    assert_int_equal(clock_wall_ns(clock), 1000005);
    clock_free(clock);
}

/* --- Readers take no lock: time never goes back under them, whatever the owner does --- */
static uint64_t real_host_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    for (volatile unsigned i = 0; i < 300; i++)
        ; /* a slow answer, to widen the races */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct reader {
    struct clock *clock;
    atomic_bool stop;
    unsigned backwards;
    uint64_t reads;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    uint64_t last = 0;

    while (!atomic_load(&r->stop)) {
        uint64_t now = clock_now_ns(r->clock);

        r->backwards += now < last;
        r->reads++;
        last = now;
    }
    return NULL;
}

static void readers_never_see_time_go_back(void **state)
{
    struct clock *clock = clock_new(real_host_ns);
    struct reader r = {.clock = clock};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    for (uint64_t end = real_host_ns() + 100000000; real_host_ns() < end;) {
        clock_resume(clock);
        clock_pause(clock);
    }
    atomic_store(&r.stop, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(r.backwards, 0);
    assert_true(r.reads > 0);
    clock_free(clock);
}

RUN_TESTS(cmocka_unit_test(readers_never_see_time_go_back),
          cmocka_unit_test(advance_fires_each_at_its_time), cmocka_unit_test(far_alarm_never_wraps),
          cmocka_unit_test(self_rearming_timer_is_bounded),
          cmocka_unit_test(paused_clock_stands_still),
          cmocka_unit_test(rearm_tells_only_of_earlier_deadlines),
          cmocka_unit_test(wall_time_follows))
