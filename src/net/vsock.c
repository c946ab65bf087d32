/* SPDX-License-Identifier: Apache-2.0 */
/* What guest and host ask of each other: connections, in both directions. Contract: vsock.h. */
#include "net/vsock.h"

#include "base/cleanup.h"
#include "host/loop.h"
#include "host/pass.h"
#include "net/vsock_conn.h"
#include "net/vsock_dial.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_BATCH = 16 };
/* Where the ports of host programs begin and end: above what people choose. */
#define PORT_FIRST 0x40000000u
#define PORT_LAST  0x7fffffffu

static struct net_vsock *vsock_of(struct vsockdev *dev)
{
    return container_of(dev, struct net_vsock, dev);
}

static void vsock_ready(struct net_vsock *n)
{
    if (n->dev.front.ready)
        n->dev.front.ready(n->dev.front.arg);
}

/* --- A program on the host wants the guest --- */
static uint32_t vsock_own_port(struct net_vsock *n, uint32_t guest_port)
{
    do
        n->next_port = n->next_port >= PORT_LAST ? PORT_FIRST : n->next_port + 1;
    while (vsock_conn_find(n, guest_port, n->next_port)); /* fewer connections than ports */
    return n->next_port;
}

/* "CONNECT P": P in decimal, no more and no less. */
static bool vsock_parse_hello(const char *line, uint32_t *ret_port)
{
    static const char word[] = "CONNECT ";
    const char *digits = line + strlen(word);
    unsigned long port;

    if (strncmp(line, word, strlen(word)) != 0 || !*digits || strlen(digits) > 10 ||
        strspn(digits, "0123456789") != strlen(digits))
        return false;
    port = strtoul(digits, NULL, 10);
    *ret_port = (uint32_t)port;
    return port < UINT32_MAX; /* which stands for any */
}

/* The line, and not a byte of what follows: that is the guest's. 1: it is there; 0: not yet. */
static int vsock_read_line(struct vsock_conn *c)
{
    for (;;) {
        char byte;
        ssize_t r = recv(c->fd, &byte, 1, MSG_DONTWAIT);

        if (r < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (r <= 0 || c->line_len == VSOCK_LINE - 1)
            return -EPROTO;
        if (byte == '\n')
            return 1;
        c->line[c->line_len++] = byte;
    }
}

void vsock_hello(struct net_vsock *n, struct vsock_conn *c)
{
    int r = vsock_read_line(c);
    uint32_t port;

    if (!r)
        return;
    if (r < 0 || strlen(c->line) != c->line_len || !vsock_parse_hello(c->line, &port)) {
        vsock_conn_end(n, c);
        return;
    }
    c->state = VSOCK_OFFERED;
    c->guest_port = port;
    c->host_port = vsock_own_port(n, port);
    c->due = DUE_REQUEST;
    vsock_conn_watch(n, c);
}

static void vsock_accept(void *arg, int fd, unsigned events)
{
    struct net_vsock *n = arg;

    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct vsock_conn *c = client < 0 ? NULL : vsock_conn_new(n, VSOCK_HELLO, client);

        if (client < 0)
            break;
        if (c)
            vsock_conn_watch(n, c);
    }
    vsock_ready(n); /* making room may have reset others */
}

/* The guest has accepted. */
static void vsock_answered(struct net_vsock *n, struct vsock_conn *c)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "OK %u\n", c->host_port);

    c->state = VSOCK_OPEN;
    if (send(c->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) != len)
        vsock_conn_reset(n, c);
    else
        vsock_conn_watch(n, c);
}

/* --- The guest wants a program on the host --- */
static void vsock_helper_gone(struct net_vsock *n)
{
    loop_unwatch(n->loop, n->helper_fd);
    close(n->helper_fd);
    n->helper_fd = -1;
    for (unsigned i = n->top; i-- > 0;)
        if (n->conn[i].state == VSOCK_DIALING)
            vsock_conn_reset(n, &n->conn[i]);
    if (n->lost)
        n->lost(n->arg);
}

static void vsock_dial(struct net_vsock *n, const struct vsock_packet *p)
{
    const struct vsock_dial dial = {p->guest_port, p->host_port, 0};
    struct vsock_conn *c = n->helper_fd < 0 ? NULL : vsock_conn_new(n, VSOCK_DIALING, -1);

    if (!c) {
        vsock_refuse(n, p->guest_port, p->host_port, VSOCK_STREAM);
        return;
    }
    c->guest_port = p->guest_port;
    c->host_port = p->host_port;
    vsock_conn_credit(c, p);
    if (pass_send(n->helper_fd, &dial, sizeof(dial), NULL, 0) < 0)
        vsock_conn_reset(n, c);
}

static void vsock_dialled(struct net_vsock *n, const struct vsock_dial *dial, int fd)
{
    struct vsock_conn *c = vsock_conn_find(n, dial->guest_port, dial->host_port);

    if (!c || c->state != VSOCK_DIALING) { /* the guest no longer wants it */
        if (fd >= 0)
            close(fd);
    } else if (fd < 0) {
        vsock_conn_reset(n, c);
    } else {
        c->fd = fd;
        c->state = VSOCK_OPEN;
        c->due = DUE_RESPONSE;
        vsock_conn_watch(n, c);
    }
}

static void vsock_on_helper(void *arg, int fd, unsigned events)
{
    struct net_vsock *n = arg;
    struct vsock_dial dial;
    int socket_fd, r;

    while ((r = pass_receive(fd, &dial, sizeof(dial), &socket_fd, 1)) > 0)
        vsock_dialled(n, &dial, socket_fd);
    if (r < 0)
        vsock_helper_gone(n);
    vsock_ready(n);
}

/* --- Packets --- */
static void vsock_known(struct net_vsock *n, struct vsock_conn *c, const struct vsock_packet *p,
                        const struct iovec *iov, unsigned count)
{
    vsock_conn_credit(c, p);
    if (p->op == VSOCK_RESPONSE && c->state == VSOCK_OFFERED && !(c->due & DUE_REQUEST))
        vsock_answered(n, c);
    else if (p->op == VSOCK_REQUEST || p->op == VSOCK_RESPONSE || c->state < VSOCK_OPEN)
        vsock_conn_reset(n, c);
    else if (p->op == VSOCK_RW)
        vsock_conn_data(n, c, iov, count, p->len);
    else if (p->op == VSOCK_SHUTDOWN)
        vsock_conn_shutdown(n, c, p->flags);
    else if (p->op == VSOCK_CREDIT_REQUEST)
        c->due |= DUE_CREDIT;
    else if (p->op != VSOCK_CREDIT_UPDATE)
        vsock_conn_reset(n, c);
}

static void vsock_packet(struct vsockdev *dev, const struct vsock_packet *p,
                         const struct iovec *iov, unsigned count)
{
    struct net_vsock *n = vsock_of(dev);
    struct vsock_conn *c = vsock_conn_find(n, p->guest_port, p->host_port);

    if (p->type != VSOCK_STREAM) {
        if (p->op != VSOCK_RST)
            vsock_refuse(n, p->guest_port, p->host_port, p->type);
    } else if (c && p->op == VSOCK_RST) {
        vsock_conn_end(n, c);
    } else if (c) {
        vsock_known(n, c, p, iov, count);
    } else if (p->op == VSOCK_REQUEST) {
        vsock_dial(n, p);
    } else if (p->op != VSOCK_RST) {
        vsock_refuse(n, p->guest_port, p->host_port, VSOCK_STREAM);
    }
}

static bool vsock_pending(struct vsockdev *dev)
{
    struct net_vsock *n = vsock_of(dev);

    if (n->rst_count)
        return true;
    for (unsigned i = 0; i < n->top; i++)
        if (vsock_conn_pending(&n->conn[i]))
            return true;
    return false;
}

/* Connections take turns, so that one that always has something starves nobody. */
static bool vsock_next(struct vsockdev *dev, struct vsock_packet *ret_p, const struct iovec *iov,
                       unsigned count)
{
    struct net_vsock *n = vsock_of(dev);

    if (n->rst_count) {
        const struct vsock_rst *rst = &n->rst[--n->rst_count];

        *ret_p = (struct vsock_packet){.guest_port = rst->guest_port,
                                       .host_port = rst->host_port,
                                       .type = rst->type,
                                       .op = VSOCK_RST};
        return true;
    }
    for (unsigned i = 0; i < n->top; i++) {
        unsigned at = (n->turn + i) % n->top;

        if (vsock_conn_pending(&n->conn[at]) &&
            vsock_conn_next(n, &n->conn[at], ret_p, iov, count)) {
            n->turn = at + 1;
            return true;
        }
    }
    return false;
}

/* A client that the guest has not heard of may wait on: for a guest that restarts. */
static void vsock_reset(struct vsockdev *dev)
{
    struct net_vsock *n = vsock_of(dev);

    for (unsigned i = n->top; i-- > 0;) {
        struct vsock_conn *c = &n->conn[i];

        if (c->state != VSOCK_FREE && c->state != VSOCK_HELLO && !(c->due & DUE_REQUEST))
            vsock_conn_end(n, c);
    }
    n->rst_count = 0;
}

static const struct vsockdev_ops vsock_ops = {
    .packet = vsock_packet,
    .pending = vsock_pending,
    .next = vsock_next,
    .reset = vsock_reset,
};

/* --- Life --- */
int net_vsock_reconnect(struct vsockdev *dev, int helper_fd)
{
    struct net_vsock *n = vsock_of(dev);
    int r =
        n->helper_fd >= 0 ? -EBUSY : loop_watch(n->loop, helper_fd, EPOLLIN, vsock_on_helper, n);

    if (r < 0)
        close(helper_fd);
    else
        n->helper_fd = helper_fd;
    return r;
}

void net_vsock_close(struct vsockdev *dev)
{
    struct net_vsock *n = dev ? vsock_of(dev) : NULL;

    if (!n)
        return;
    for (unsigned i = n->top; i-- > 0;)
        vsock_conn_end(n, &n->conn[i]);
    for (unsigned i = 0; i < 2; i++) {
        int fd = i ? n->listen_fd : n->helper_fd;

        if (fd >= 0) {
            loop_unwatch(n->loop, fd);
            close(fd);
        }
    }
    free(n);
}

static int vsock_watch(struct loop *loop, int *fd, loop_fd_fn fn, struct net_vsock *n, int *ret_fd)
{
    int r = *fd < 0 ? 0 : loop_watch(loop, *fd, EPOLLIN, fn, n);

    if (!r)
        *ret_fd = take_fd(fd);
    return r;
}

int net_vsock_new(struct loop *loop, int listen_fd, int helper_fd,
                  const struct net_vsock_config *config, struct vsockdev **ret_dev, struct err *err)
{
    struct net_vsock *n = calloc(1, sizeof(*n));
    int r = n ? 0 : -ENOMEM;

    if (n)
        *n = (struct net_vsock){.dev.ops = &vsock_ops,
                                .loop = loop,
                                .listen_fd = -1,
                                .helper_fd = -1,
                                .lost = config->lost,
                                .arg = config->arg,
                                .next_port = PORT_FIRST};
    if (!r)
        r = vsock_watch(loop, &listen_fd, vsock_accept, n, &n->listen_fd);
    if (!r)
        r = vsock_watch(loop, &helper_fd, vsock_on_helper, n, &n->helper_fd);
    if (!r) {
        *ret_dev = &n->dev;
        return 0;
    }
    net_vsock_close(n ? &n->dev : NULL);
    if (listen_fd >= 0)
        close(listen_fd);
    if (helper_fd >= 0)
        close(helper_fd);
    return err_set(err, r, "vsock %s: %s", config->path, strerror(-r));
}
