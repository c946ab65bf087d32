/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: net/orders.h. The helper's end is in user_helper.c. A monitor in its sandbox makes no
 * calls but these: no fcntl(2). */
#include "net/orders.h"

#include "base/text.h"
#include "host/loop.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void net_orders_init(struct net_orders *o, struct loop *loop)
{
    *o = (struct net_orders){.loop = loop, .fd = -1};
}

static void orders_done(struct net_orders *o, const struct err *err)
{
    net_order_fn done = o->done;

    o->done = NULL;
    if (done)
        done(o->arg, err);
}

static void orders_gone(struct net_orders *o)
{
    struct err err;

    loop_unwatch(o->loop, o->fd);
    (void)close(o->fd);
    o->fd = -1;
    (void)err_set(&err, -EIO, "the network's helper process has ended");
    orders_done(o, &err);
}

static void orders_event(void *arg, int fd, unsigned events)
{
    struct net_orders *o = arg;
    struct err err = {0};
    ssize_t n = recv(fd, &err, sizeof(err), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != (ssize_t)sizeof(err)) {
        orders_gone(o);
        return;
    }
    err.text[sizeof(err.text) - 1] = '\0';
    text_make_printable(err.text, strlen(err.text));
    if (err.code > 0)
        err.code = -EIO;
    orders_done(o, &err);
}

int net_orders_connect(struct net_orders *o, int fd, struct err *err)
{
    int r;

    if (o->fd >= 0)
        orders_gone(o);
    r = loop_watch(o->loop, fd, EPOLLIN, orders_event, o);
    if (r < 0) {
        (void)close(fd);
        return err_set(err, r, "network 'user': %s", strerror(-r));
    }
    o->fd = fd;
    return 0;
}

int net_orders_give(struct net_orders *o, char order, const char *text, net_order_fn done,
                    void *arg, struct err *err)
{
    char message[NET_ORDER_MAX];
    int n = snprintf(message, sizeof(message), "%c%s", order, text);

    if (o->fd < 0)
        return err_set(err, -ENOTCONN, "its user network is not there just now");
    if (o->done)
        return err_set(err, -EBUSY, "another change of its ports is under way; try again");
    if (n >= (int)sizeof(message))
        return err_set(err, -EINVAL, "port '%.60s' makes no sense", text);
    if (send(o->fd, message, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
        return err_set(err, -EIO, "its user network takes no orders: %s", strerror(errno));
    o->done = done;
    o->arg = arg;
    return 0;
}

static void orders_nobody(void *arg, const struct err *err)
{
}

void net_orders_forget(struct net_orders *o)
{
    if (o->done)
        o->done = orders_nobody;
}

void net_orders_close(struct net_orders *o)
{
    o->done = NULL;
    if (o->fd < 0)
        return;
    loop_unwatch(o->loop, o->fd);
    (void)close(o->fd);
    o->fd = -1;
}
