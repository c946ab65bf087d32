/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user network's helper is told while it runs: ports to forward from now on, or no longer.
 * A socket of its own beside the link, so that an answer never waits behind frames that the guest
 * does not take. One order at a time: an order's letter and net/forward.h's text of one port; the
 * answer is a struct err, whose text may be hostile.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

struct loop;

enum { NET_ORDER_ADD = '+', NET_ORDER_REMOVE = '-', NET_ORDER_MAX = 100 };

typedef void (*net_order_fn)(void *arg, const struct err *err);

/* The monitor's end. */
struct net_orders {
    struct loop *loop;
    int fd; /* -1: no helper */
    net_order_fn done;
    void *arg; /* of an order that is out; done NULL: none is */
};

/* Nobody to order. */
void net_orders_init(struct net_orders *o, struct loop *loop);
/* Takes fd over (also when it fails), in place of one that is gone. */
int must_use net_orders_connect(struct net_orders *o, int fd, struct err *err);
/* done hears how it went, once, if this returns 0: also when the helper dies. -EBUSY: another one
 * is out; -ENOTCONN: no helper. */
int must_use net_orders_give(struct net_orders *o, char order, const char *text, net_order_fn done,
                             void *arg, struct err *err);
/* Nobody waits any longer for the order that is out. */
void net_orders_forget(struct net_orders *o);
void net_orders_close(struct net_orders *o);
