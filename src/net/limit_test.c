/* SPDX-License-Identifier: Apache-2.0 */
/* Rates as text; frames that wait in both directions, lose nothing, and go when the rate changes.
 */
#include "base/unit_test.h"
#include "host/loop.h"
#include "net/limit.h"
#include "net/port.h"
#include <errno.h>
#include <string.h>
#include <time.h>

/* A back end with a frame always ready, and the guest. */
struct world {
    struct loop *loop;
    struct netdev inner, *dev;
    unsigned sent, received, writable, closed;
    bool waiting, guest_busy;
};

static uint8_t bytes[10000];
static const struct iovec whole = {bytes, sizeof(bytes)};
static const struct net_frame frame = {.iov = &whole, .iov_count = 1, .length = sizeof(bytes)};

static int inner_send(struct netdev *dev, const struct net_frame *f)
{
    container_of(dev, struct world, inner)->sent++;
    return 0;
}

static void inner_offer(struct world *w)
{
    w->waiting = w->inner.front.receive(w->inner.front.arg, &frame) == -EAGAIN;
}

static void inner_poll(struct netdev *dev)
{
    struct world *w = container_of(dev, struct world, inner);

    if (w->waiting)
        inner_offer(w);
}

static void inner_close(struct netdev *dev)
{
    container_of(dev, struct world, inner)->closed++;
}

static int guest_receive(void *arg, const struct net_frame *f)
{
    struct world *w = arg;

    if (w->guest_busy)
        return -EAGAIN;
    w->received++;
    return 0;
}

static void guest_writable(void *arg)
{
    ((struct world *)arg)->writable++;
}

static const struct netdev_ops inner_ops = {"test", inner_send, inner_poll, inner_close};

static int setup(void **state)
{
    static struct world w;
    const struct net_rates rates = {0};
    struct err err;

    w = (struct world){.inner = {.ops = &inner_ops, .mtu = 1500, .name = "n"}};
    assert_int_equal(loop_new(NULL, &w.loop, &err), 0);
    assert_int_equal(net_limit_new(w.loop, &w.inner, &rates, &w.dev, &err), 0);
    w.dev->front = (struct netdev_front){guest_receive, guest_writable, NULL, &w};
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    netdev_close(w->dev);
    assert_int_equal(w->closed, 1);
    loop_free(w->loop);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void run(struct world *w, uint64_t ns)
{
    struct loop_timer *timer = loop_timer_new(w->loop, stop, w->loop);
    struct err err;

    loop_timer_set(timer, ns);
    assert_int_equal(loop_run(w->loop, &err), 0);
    loop_timer_free(timer);
}

static void without_a_limit_nothing_waits(void **state)
{
    struct world *w = *state;

    assert_int_equal(w->dev->mtu, 1500);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(w->dev->ops->send(w->dev, &frame), 0);
        inner_offer(w);
    }
    assert_true(w->sent == 1000 && w->received == 1000 && !w->waiting);
}

/* As many as the time since the start allows, and the burst. */
static void frames_wait_both_ways(void **state)
{
    const struct net_rates rates = {4000000, 1000000};
    struct world *w = *state;
    struct timespec t0, t1;
    unsigned most;
    double passed;

    (void)clock_gettime(CLOCK_MONOTONIC, &t0);
    net_limit_set(w->dev, &rates);
    for (unsigned i = 0; i < 100; i++) {
        while (!w->dev->ops->send(w->dev, &frame))
            ;
        while (!w->waiting)
            inner_offer(w);
        run(w, 2000000);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &t1);
    passed = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
    most = (unsigned)(passed * 1000000 / sizeof(bytes)) + 2;
    assert_true(w->sent <= most && w->sent > 10 && w->writable > 5);
    assert_true(w->received <= 4 * most + 2 && w->received > w->sent);
}

/* The sender stays where it is until somebody says so; the guest's own wish to wait counts, too. */
static void a_new_rate_frees_who_waits(void **state)
{
    const struct net_rates slow = {10, 10}, none = {0};
    struct world *w = *state;

    net_limit_set(w->dev, &slow);
    assert_int_equal(w->dev->ops->send(w->dev, &frame), 0);
    assert_int_equal(w->dev->ops->send(w->dev, &frame), -EAGAIN);
    inner_offer(w);
    inner_offer(w);
    run(w, 1000000);
    assert_true(w->waiting && w->sent == 1 && w->received == 1 && w->writable == 0);
    w->guest_busy = true;
    net_limit_set(w->dev, &none);
    run(w, 5000000);
    assert_true(w->writable == 1 && w->waiting);
    w->guest_busy = false;
    w->dev->ops->poll(w->dev);
    assert_true(!w->waiting && w->received == 2);
    assert_int_equal(w->dev->ops->send(w->dev, &frame), 0);
}

static void rates_as_text(void **state)
{
    static const char *const bad[] = {"",    ":",     "1M:", ":1M", "x",  "-1",           "1MB",
                                      "1 M", "1:2:3", "7",   "1e3", "+1", "99999999999G", "9e"};
    struct net_rates r;
    struct err err;

    assert_int_equal(net_rates_parse("--net-rate", "80", &r, &err), 0);
    assert_true(r.to_guest == 10 && r.from_guest == 10);
    assert_int_equal(net_rates_parse("--net-rate", "10M:1g", &r, &err), 0);
    assert_true(r.to_guest == 1250000 && r.from_guest == 125000000);
    assert_int_equal(net_rates_parse("--net-rate", "0:64k", &r, &err), 0);
    assert_true(r.to_guest == 0 && r.from_guest == 8000);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        if (net_rates_parse("--net-rate", bad[i], &r, &err) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_limit_nothing_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_wait_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_rate_frees_who_waits, setup, teardown),
        cmocka_unit_test(rates_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
