/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets. A frame may pass while the balance is not negative, and is paid afterwards: so a
 * frame larger than the bucket passes, too, and the next one waits the longer.
 */
#include "net/limit.h"

#include "host/loop.h"
#include "net/port.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What may pass at once after a pause: a twentieth of a second's bytes, some frames at least. */
enum { LIMIT_BURST_PART = 20, LIMIT_BURST_MIN = 1 << 16, LIMIT_BITS = 8 };
#define NS_PER_SECOND  UINT64_C(1000000000)
#define LIMIT_RATE_MAX UINT64_C(1000000000000) /* bytes a second */

struct limit_bucket {
    uint64_t rate;   /* bytes a second, 0: no limit */
    int64_t balance; /* bytes */
    uint64_t when;   /* it was right, ns of CLOCK_MONOTONIC */
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

static uint64_t limit_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* --- Buckets --- */
static int64_t bucket_size(const struct limit_bucket *b)
{
    uint64_t size = b->rate / LIMIT_BURST_PART;

    return (int64_t)(size > LIMIT_BURST_MIN ? size : LIMIT_BURST_MIN);
}

static void bucket_fill(struct limit_bucket *b)
{
    uint64_t now = limit_now(), passed = now - b->when;
    unsigned __int128 bytes = (unsigned __int128)passed * b->rate / NS_PER_SECOND;

    if (!bytes && passed < NS_PER_SECOND)
        return; /* a part of a byte: it counts later */
    b->when = now;
    b->balance = bytes > (uint64_t)(bucket_size(b) - b->balance) ? bucket_size(b)
                                                                 : b->balance + (int64_t)bytes;
}

/* False: not yet; the timer says when. */
static bool bucket_may_pass(struct limit_bucket *b)
{
    if (!b->rate)
        return true;
    bucket_fill(b);
    if (b->balance >= 0)
        return true;
    b->held = true;
    loop_timer_set(b->timer, (uint64_t)-b->balance * NS_PER_SECOND / b->rate + 1);
    return false;
}

static void bucket_pay(struct limit_bucket *b, size_t bytes)
{
    if (b->rate)
        b->balance -= (int64_t)bytes;
}

/* Nobody waits any longer than the new rate wants. */
static void bucket_set(struct limit_bucket *b, uint64_t rate)
{
    if (b->rate == rate)
        return;
    b->rate = rate < LIMIT_RATE_MAX ? rate : LIMIT_RATE_MAX;
    b->balance = 0;
    b->when = limit_now();
    if (b->held)
        loop_timer_set(b->timer, 0);
}

/* --- The device in the middle --- */
static int limit_send(struct netdev *dev, const struct net_frame *frame)
{
    struct net_limit *l = limit_of(dev);
    int r = bucket_may_pass(&l->from_guest) ? l->inner->ops->send(l->inner, frame) : -EAGAIN;

    if (!r)
        bucket_pay(&l->from_guest, frame->length);
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
        bucket_pay(&l->to_guest, frame->length);
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

/* --- Rates as text --- */
static bool rate_parse(const char *text, const char **ret_end, uint64_t *ret)
{
    static const char units[] = "kmg";
    const char *unit;
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        if (__builtin_mul_overflow(*ret, UINT64_C(1000), ret))
            return false;
    *ret_end = end + (unit != NULL);
    if (errno || *ret / LIMIT_BITS > LIMIT_RATE_MAX || (*ret && *ret < LIMIT_BITS))
        return false;
    *ret /= LIMIT_BITS;
    return true;
}

int net_rates_parse(const char *option, const char *text, struct net_rates *ret, struct err *err)
{
    struct net_rates rates;
    const char *end;
    bool good = rate_parse(text, &end, &rates.to_guest);

    rates.from_guest = rates.to_guest;
    if (good && *end == ':')
        good = rate_parse(end + 1, &end, &rates.from_guest);
    if (!good || *end)
        return err_set(err, -EINVAL,
                       "%s %.40s: expected bits a second as 10M, or to and from the guest as "
                       "10M:1G (K, M and G are thousands; 0 is no limit)",
                       option, text);
    *ret = rates;
    return 0;
}
