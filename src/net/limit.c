/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket for each way. Contract: net/limit.h. */
#include "net/limit.h"

#include "host/loop.h"
#include "net/port.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct limit_bucket {
    struct net_bucket tokens;
    struct loop_timer *timer;
    bool held; /* somebody waits for the timer */
};

struct net_limit {
    struct netdev dev; /* must be first */
    struct netdev *inner;
    struct limit_bucket to_guest, from_guest;
};

static struct net_limit *limit_of(struct netdev *dev)
{
    return container_of(dev, struct net_limit, dev);
}

/* --- Buckets --- */
/* False: not yet; the timer says when. */
static bool bucket_may_pass(struct limit_bucket *b)
{
    uint64_t wait = net_bucket_wait(&b->tokens);

    if (!wait)
        return true;
    b->held = true;
    loop_timer_set(b->timer, wait);
    return false;
}

/* Nobody waits any longer than the new rate wants. */
static void bucket_set(struct limit_bucket *b, uint64_t rate)
{
    if (net_bucket_set(&b->tokens, rate) && b->held)
        loop_timer_set(b->timer, 0);
}

/* --- The device in the middle --- */
static int limit_send(struct netdev *dev, const struct net_frame *frame)
{
    struct net_limit *l = limit_of(dev);
    int r = bucket_may_pass(&l->from_guest) ? l->inner->ops->send(l->inner, frame) : -EAGAIN;

    if (!r)
        net_bucket_pay(&l->from_guest.tokens, frame->length);
    return r;
}

static void limit_poll(struct netdev *dev)
{
    struct net_limit *l = limit_of(dev);

    if (l->inner->ops->poll)
        l->inner->ops->poll(l->inner);
}

static int limit_receive(void *arg, const struct net_frame *frame)
{
    struct net_limit *l = arg;
    int r;

    if (!l->dev.front.receive)
        return 0;
    if (!bucket_may_pass(&l->to_guest))
        return -EAGAIN;
    r = l->dev.front.receive(l->dev.front.arg, frame);
    if (!r)
        net_bucket_pay(&l->to_guest.tokens, frame->length);
    return r;
}

static void limit_writable(void *arg)
{
    struct net_limit *l = arg;

    if (l->dev.front.writable)
        l->dev.front.writable(l->dev.front.arg);
}

static void limit_link(void *arg, bool up)
{
    struct net_limit *l = arg;

    if (l->dev.front.link)
        l->dev.front.link(l->dev.front.arg, up);
}

static void limit_let_in(void *arg)
{
    struct net_limit *l = arg;

    l->to_guest.held = false;
    limit_poll(&l->dev);
}

static void limit_let_out(void *arg)
{
    struct net_limit *l = arg;

    l->from_guest.held = false;
    limit_writable(l);
}

/* --- Life --- */
static void limit_free(struct net_limit *l)
{
    loop_timer_free(l->to_guest.timer);
    loop_timer_free(l->from_guest.timer);
    free(l);
}

static void limit_driver_takes(struct netdev *dev, uint32_t offloads)
{
    struct net_limit *l = limit_of(dev);

    if (l->inner->ops->driver_takes)
        l->inner->ops->driver_takes(l->inner, offloads);
}

static void limit_close(struct netdev *dev)
{
    struct net_limit *l = limit_of(dev);

    netdev_close(l->inner);
    limit_free(l);
}

void net_limit_set(struct netdev *dev, const struct net_rates *rates)
{
    struct net_limit *l = limit_of(dev);

    bucket_set(&l->to_guest, rates->to_guest);
    bucket_set(&l->from_guest, rates->from_guest);
}

int net_limit_new(struct loop *loop, struct netdev *inner, const struct net_rates *rates,
                  struct netdev **ret_dev, struct err *err)
{
    static const struct netdev_ops ops = {"limit", limit_send, limit_poll, limit_close,
                                          limit_driver_takes};
    struct net_limit *l = calloc(1, sizeof(*l));

    if (l) {
        l->to_guest.timer = loop_timer_new(loop, limit_let_in, l);
        l->from_guest.timer = loop_timer_new(loop, limit_let_out, l);
    }
    if (!l || !l->to_guest.timer || !l->from_guest.timer) {
        int r = err_set(err, -ENOMEM, "network '%s': out of memory", inner->name);

        if (l)
            limit_free(l);
        netdev_close(inner);
        return r;
    }
    l->dev = (struct netdev){.ops = &ops, .offloads = inner->offloads, .mtu = inner->mtu};
    memcpy(l->dev.name, inner->name, sizeof(l->dev.name));
    l->inner = inner;
    inner->front = (struct netdev_front){limit_receive, limit_writable, limit_link, l};
    net_limit_set(&l->dev, rates);
    *ret_dev = &l->dev;
    return 0;
}
