/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames over a descriptor with messages. At most one received frame waits here, for a guest that
 * has no buffers; then the descriptor is not read, and the other side feels it.
 * Each wake-up reads a bounded number of frames, so that a flood does not hold the machine lock.
 */
#include "net/port.h"

#include "base/net_frame.h"
#include "host/loop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_BATCH = 64, PORT_IOV_MAX = 1024 };

struct net_port {
    struct netdev dev; /* must be first */
    struct netdev_ops ops;
    struct loop *loop;
    int fd; /* -1: the other side is gone */
    unsigned watched;
    bool full;    /* send() said so: writable() is due */
    bool waiting; /* frame holds one for the guest */
    uint64_t bad; /* messages dropped */
    void (*offload)(int fd, uint32_t offloads);
    void (*lost)(void *arg);
    void *arg;
    size_t length;
    uint8_t header[NET_HEADER_SIZE];
    uint8_t frame[NET_FRAME_MAX];
};

static struct net_port *port_of(struct netdev *dev)
{
    return container_of(dev, struct net_port, dev);
}

static void port_gone(struct net_port *p)
{
    if (p->fd < 0)
        return;
    loop_unwatch(p->loop, p->fd);
    close(p->fd);
    p->fd = -1;
    if (p->dev.front.link)
        p->dev.front.link(p->dev.front.arg, false);
    if (p->lost)
        p->lost(p->arg);
}

static void port_watch(struct net_port *p)
{
    unsigned events = (p->waiting ? 0u : EPOLLIN) | (p->full ? EPOLLOUT : 0u);

    if (p->fd < 0 || events == p->watched)
        return;
    p->watched = events;
    if (loop_change(p->loop, p->fd, events) < 0)
        port_gone(p);
}

/* --- Guest to the world --- */
static bool port_retry_later(int code)
{
    return code == EAGAIN || code == ENOBUFS || code == ENOMEM;
}

static int port_send(struct netdev *dev, const struct net_frame *frame)
{
    struct net_port *p = port_of(dev);
    uint8_t header[NET_HEADER_SIZE];
    struct iovec iov[PORT_IOV_MAX];
    ssize_t n;

    if (p->fd < 0 || frame->iov_count >= PORT_IOV_MAX)
        return 0;
    net_header_encode(frame, header);
    iov[0] = (struct iovec){header, sizeof(header)};
    memcpy(iov + 1, frame->iov, frame->iov_count * sizeof(*iov));
    do
        n = writev(p->fd, iov, (int)frame->iov_count + 1);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    if (port_retry_later(errno)) {
        p->full = true;
        port_watch(p);
        return -EAGAIN;
    }
    if (errno == EPIPE || errno == ECONNRESET)
        port_gone(p);
    return 0; /* lost */
}

/* --- The world to the guest --- */
/* 1: a frame is in the buffer; 0: none now; negative: the other side is gone. */
static int port_read(struct net_port *p)
{
    struct iovec iov[] = {{p->header, sizeof(p->header)}, {p->frame, sizeof(p->frame)}};
    ssize_t n = readv(p->fd, iov, 2);

    if (n < 0)
        return port_retry_later(errno) || errno == EINTR ? 0 : -errno;
    if (!n)
        return -EPIPE;
    p->length = (size_t)n < sizeof(p->header) ? 0 : (size_t)n - sizeof(p->header);
    return 1;
}

static bool port_deliver(struct net_port *p)
{
    const struct iovec iov = {p->frame, p->length};
    struct net_frame frame;

    p->waiting = false;
    if (!net_header_decode(p->header, p->length, &frame)) {
        p->bad++;
        return true;
    }
    frame.iov = &iov;
    frame.iov_count = 1;
    p->waiting = p->dev.front.receive && p->dev.front.receive(p->dev.front.arg, &frame) == -EAGAIN;
    return !p->waiting;
}

static void port_receive(struct net_port *p)
{
    for (unsigned i = 0; i < PORT_BATCH && p->fd >= 0; i++) {
        int r = port_read(p);

        if (r < 0)
            port_gone(p);
        if (r <= 0 || !port_deliver(p))
            break;
    }
}

static void port_poll(struct netdev *dev)
{
    struct net_port *p = port_of(dev);

    if (!p->waiting)
        return;
    if (port_deliver(p))
        port_watch(p);
}

static void port_event(void *arg, int fd, unsigned events)
{
    struct net_port *p = arg;

    if (events & EPOLLOUT && p->full) {
        p->full = false;
        if (p->dev.front.writable)
            p->dev.front.writable(p->dev.front.arg);
    }
    if (p->fd >= 0 && !p->waiting && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        port_receive(p);
    else if (p->fd >= 0 && events & (EPOLLHUP | EPOLLERR))
        port_gone(p);
    port_watch(p);
}

static void port_driver_takes(struct netdev *dev, uint32_t offloads)
{
    struct net_port *p = port_of(dev);

    if (p->fd >= 0 && p->offload)
        p->offload(p->fd, offloads);
}

/* --- Life --- */
int net_port_reconnect(struct netdev *dev, int fd)
{
    struct net_port *p = port_of(dev);
    bool was_full = p->full;
    int r = p->fd >= 0 ? -EBUSY : loop_watch(p->loop, fd, EPOLLIN, port_event, p);

    if (r < 0) {
        close(fd);
        return r;
    }
    p->fd = fd;
    p->watched = EPOLLIN;
    p->waiting = false; /* a frame of the old one is lost with it */
    p->full = false;    /* first: what is called now may send until it is full again */
    if (p->dev.front.link)
        p->dev.front.link(p->dev.front.arg, true);
    if (was_full && p->dev.front.writable)
        p->dev.front.writable(p->dev.front.arg);
    return 0;
}

static void port_close(struct netdev *dev)
{
    struct net_port *p = port_of(dev);

    if (p->fd >= 0) {
        loop_unwatch(p->loop, p->fd);
        close(p->fd);
    }
    free(p);
}

void netdev_close(struct netdev *dev)
{
    if (dev)
        dev->ops->close(dev);
}

int net_port_new(struct loop *loop, int fd, const struct net_port_config *config,
                 struct netdev **ret_dev, struct err *err)
{
    struct net_port *p = calloc(1, sizeof(*p));

    if (!p || loop_watch(loop, fd, EPOLLIN, port_event, p) < 0) {
        close(fd);
        free(p);
        return err_set(err, -ENOMEM, "network %s: out of memory", config->name);
    }
    p->ops = (struct netdev_ops){config->kind, port_send, port_poll, port_close, port_driver_takes};
    p->dev = (struct netdev){.ops = &p->ops, .offloads = config->offloads, .mtu = config->mtu};
    (void)snprintf(p->dev.name, sizeof(p->dev.name), "%s", config->name);
    p->loop = loop;
    p->fd = fd;
    p->watched = EPOLLIN;
    p->offload = config->offload;
    p->lost = config->lost;
    p->arg = config->arg;
    *ret_dev = &p->dev;
    return 0;
}
