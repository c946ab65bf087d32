/* SPDX-License-Identifier: Apache-2.0 */
/* Orders to a user network's helper, which answers well, badly or not at all. */
#include "net/orders.h"

#include "base/unit_test.h"
#include "host/locked_in.h"
#include "host/loop.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct house {
    struct loop *loop;
    struct net_orders orders;
    int helper, spare; /* another end of ours */
    unsigned heard;
    struct err err;
};

static void house_done(void *arg, const struct err *err)
{
    struct house *h = arg;

    h->heard++;
    h->err = *err;
}

static void house_helper(struct house *h)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    h->helper = pair[1];
    assert_int_equal(net_orders_connect(&h->orders, pair[0], NULL), 0);
}

static void house_open(struct house *h)
{
    *h = (struct house){.helper = -1};
    assert_int_equal(loop_new(NULL, &h->loop, NULL), 0);
    net_orders_init(&h->orders, h->loop);
}

static void house_close(struct house *h)
{
    net_orders_close(&h->orders);
    loop_free(h->loop);
    if (h->helper >= 0)
        close(h->helper);
}

static void house_stop(void *arg)
{
    loop_stop(arg);
}

static void house_turn(struct house *h)
{
    struct loop_timer *timer = loop_timer_new(h->loop, house_stop, h->loop);

    loop_timer_set(timer, 5000000);
    assert_int_equal(loop_run(h->loop, NULL), 0);
    loop_timer_free(timer);
}

static int house_give(struct house *h, struct err *err)
{
    return net_orders_give(&h->orders, NET_ORDER_ADD, "127.0.0.1:1:2/tcp", house_done, h, err);
}

static void house_answer(struct house *h, const void *data, size_t len)
{
    assert_int_equal(send(h->helper, data, len, 0), (ssize_t)len);
    house_turn(h);
}

static void test_order(void **state)
{
    const struct err good = {0};
    char text[NET_ORDER_MAX] = "";
    struct house h;
    struct err err;

    house_open(&h);
    assert_int_equal(house_give(&h, &err), -ENOTCONN);
    house_helper(&h);
    assert_int_equal(house_give(&h, &err), 0);
    assert_int_equal(recv(h.helper, text, sizeof(text) - 1, 0), 18);
    assert_string_equal(text, "+127.0.0.1:1:2/tcp");
    assert_int_equal(house_give(&h, &err), -EBUSY);
    house_answer(&h, &good, sizeof(good));
    assert_int_equal(h.heard, 1);
    assert_int_equal(h.err.code, 0);
    house_answer(&h, &good, sizeof(good)); /* nobody asked */
    assert_int_equal(h.heard, 1);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(net_orders_give(&h.orders, NET_ORDER_ADD, text, house_done, &h, &err),
                     -EINVAL);
    house_close(&h);
}

static void test_hostile_answers(void **state)
{
    struct err bad;
    struct house h;

    house_open(&h);
    house_helper(&h);
    memset(&bad, 'x', sizeof(bad)); /* no end, no code */
    bad.text[3] = '\033';
    assert_int_equal(house_give(&h, NULL), 0);
    house_answer(&h, &bad, sizeof(bad));
    assert_int_equal(h.heard, 1);
    assert_int_equal(h.err.code, -EIO);
    assert_int_equal(strlen(h.err.text), sizeof(bad.text) - 1);
    assert_null(strchr(h.err.text, '\033'));
    assert_int_equal(house_give(&h, NULL), 0);
    house_answer(&h, &bad, 3); /* short: it is not our helper */
    assert_int_equal(h.heard, 2);
    assert_int_equal(h.err.code, -EIO);
    assert_int_equal(house_give(&h, NULL), -ENOTCONN);
    house_close(&h);
}

static void test_another_helper(void **state)
{
    const struct err good = {0};
    struct house h;

    house_open(&h);
    house_helper(&h);
    assert_int_equal(house_give(&h, NULL), 0);
    close(h.helper);
    house_turn(&h);
    assert_int_equal(h.heard, 1);
    assert_int_equal(h.err.code, -EIO);
    house_helper(&h);
    assert_int_equal(house_give(&h, NULL), 0);
    net_orders_forget(&h.orders);
    assert_int_equal(house_give(&h, NULL), -EBUSY); /* until that one has come back */
    house_answer(&h, &good, sizeof(good));
    assert_int_equal(h.heard, 1);
    assert_int_equal(house_give(&h, NULL), 0);
    close(h.helper);
    house_helper(&h); /* before the end of the old one was seen */
    assert_int_equal(h.heard, 2);
    assert_int_equal(house_give(&h, NULL), 0);
    house_close(&h);
    assert_int_equal(h.heard, 2);
}

/* All that a sandboxed monitor does when its helper was started anew. */
static bool orders_go_on(void *arg)
{
    struct house *h = arg;
    const struct err good = {0};

    if (net_orders_connect(&h->orders, h->spare, NULL) || house_give(h, NULL) ||
        send(h->helper, &good, sizeof(good), 0) != sizeof(good))
        return false;
    house_turn(h);
    return h->heard == 1;
}

static void test_another_helper_in_the_sandbox(void **state)
{
    struct house h;

    house_open(&h);
    house_helper(&h);
    h.spare = dup(h.orders.fd);
    assert_true(locked_in(SANDBOX_MAIN, orders_go_on, &h));
    close(h.spare);
    house_close(&h);
}

RUN_TESTS(cmocka_unit_test(test_order), cmocka_unit_test(test_hostile_answers),
          cmocka_unit_test(test_another_helper),
          cmocka_unit_test(test_another_helper_in_the_sandbox))
