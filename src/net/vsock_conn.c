/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of a virtio-vsock device (virtio 1.2, 5.10.6.3 to 5.10.6.6). A sender never has more
 * bytes under way than the receiver's buffer holds: each packet tells how large that is and how
 * many bytes have left it; the counters wrap. A guest that sends more than it may is reset.
 * Invariants: out never holds more than VSOCK_BUFFER bytes; fd's bytes are read only when the guest
 * has a buffer for them, so a guest that does not read stops the host's sender and fills nothing.
 */
#include "net/vsock_conn.h"

#include "base/iov.h"
#include "host/loop.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- The table --- */
struct vsock_conn *vsock_conn_find(struct net_vsock *n, uint32_t guest_port, uint32_t host_port)
{
    for (unsigned i = 0; i < n->top; i++) {
        struct vsock_conn *c = &n->conn[i];

        if (c->state > VSOCK_HELLO && c->guest_port == guest_port && c->host_port == host_port)
            return c;
    }
    return NULL;
}

/* One that owes nobody an answer: the host's client has said nothing, or is gone. */
static struct vsock_conn *conn_spare(struct net_vsock *n)
{
    for (unsigned i = 0; i < n->top; i++)
        if (n->conn[i].state == VSOCK_HELLO || n->conn[i].state == VSOCK_CLOSING)
            return &n->conn[i];
    return NULL;
}

struct vsock_conn *vsock_conn_new(struct net_vsock *n, enum vsock_state state, int fd)
{
    struct vsock_conn *c = NULL, *spare;

    for (unsigned i = 0; !c && i < VSOCK_CONNS; i++)
        c = n->conn[i].state == VSOCK_FREE ? &n->conn[i] : NULL;
    if (!c && (spare = conn_spare(n))) {
        vsock_conn_reset(n, spare);
        c = spare;
    }
    if (!c) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    *c = (struct vsock_conn){.state = state, .fd = fd};
    if (c - n->conn >= (ptrdiff_t)n->top)
        n->top = (unsigned)(c - n->conn) + 1;
    return c;
}

static void conn_close_fd(struct net_vsock *n, struct vsock_conn *c)
{
    if (c->listed)
        loop_unwatch(n->loop, c->fd);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->watched = 0;
    c->listed = false;
}

void vsock_conn_end(struct net_vsock *n, struct vsock_conn *c)
{
    conn_close_fd(n, c);
    buf_done(&c->out);
    *c = (struct vsock_conn){.fd = -1};
    while (n->top && n->conn[n->top - 1].state == VSOCK_FREE)
        n->top--;
}

void vsock_refuse(struct net_vsock *n, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
    if (n->rst_count < VSOCK_RESETS) /* else it hears of it when it sends more */
        n->rst[n->rst_count++] = (struct vsock_rst){guest_port, host_port, type};
}

void vsock_conn_reset(struct net_vsock *n, struct vsock_conn *c)
{
    if (c->state != VSOCK_HELLO && !(c->due & DUE_REQUEST)) /* the guest knows of it */
        vsock_refuse(n, c->guest_port, c->host_port, VSOCK_STREAM);
    vsock_conn_end(n, c);
}

/* --- The host's side --- */
static unsigned conn_wanted(const struct vsock_conn *c)
{
    unsigned out = c->out.len ? EPOLLOUT : 0;

    if (c->state == VSOCK_HELLO)
        return EPOLLIN;
    if (c->state == VSOCK_OFFERED)
        return EPOLLHUP;
    if (c->state != VSOCK_OPEN)
        return 0;
    if (c->readable)
        return out;
    return out | (c->told & VSOCK_NO_SEND || c->shut & VSOCK_NO_RECEIVE ? EPOLLHUP : EPOLLIN);
}

static void conn_on_event(void *arg, int fd, unsigned events)
{
    struct net_vsock *n = arg;

    for (unsigned i = 0; i < n->top; i++) {
        if (n->conn[i].state == VSOCK_FREE || n->conn[i].fd != fd)
            continue;
        vsock_conn_event(n, &n->conn[i], events);
        break;
    }
    if (n->dev.front.ready)
        n->dev.front.ready(n->dev.front.arg);
}

void vsock_conn_watch(struct net_vsock *n, struct vsock_conn *c)
{
    unsigned wanted = c->fd < 0 ? 0 : conn_wanted(c);
    int r;

    if (wanted == c->watched)
        return;
    r = c->listed ? loop_change(n->loop, c->fd, wanted)
                  : loop_watch(n->loop, c->fd, wanted, conn_on_event, n);
    c->listed = c->listed || !r;
    c->watched = wanted;
    if (r < 0)
        vsock_conn_reset(n, c);
}

/* Nobody is there any more. What it sent before has been read. */
static void conn_gone(struct net_vsock *n, struct vsock_conn *c)
{
    conn_close_fd(n, c);
    buf_done(&c->out);
    c->readable = false;
    c->told = VSOCK_NEITHER;
    c->due |= DUE_SHUTDOWN;
    c->state = VSOCK_CLOSING;
}

/* What follows from a connection's state. May end it. */
static void conn_settle(struct net_vsock *n, struct vsock_conn *c)
{
    if (c->state == VSOCK_OPEN && c->shut & VSOCK_NO_SEND && !c->out.len && !c->half) {
        c->half = true;
        (void)shutdown(c->fd, SHUT_WR);
    }
    if (c->shut == VSOCK_NEITHER && !c->out.len && c->state >= VSOCK_OPEN)
        vsock_conn_reset(n, c); /* what the guest waits for after it has shut down */
    else
        vsock_conn_watch(n, c);
}

static void conn_forwarded(struct vsock_conn *c, size_t len)
{
    c->fwd_cnt += (uint32_t)len;
    if (c->fwd_cnt - c->fwd_told >= VSOCK_BUFFER / 4)
        c->due |= DUE_CREDIT;
}

/* Bytes written, 0 when none can be now; negative: the other side is gone. */
static ssize_t conn_write(const struct vsock_conn *c, const struct iovec *iov, unsigned count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    ssize_t r = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

    return r < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) ? 0 : r;
}

/* Nobody reads any more; what was sent before that is still the guest's. */
static void conn_deafen(struct net_vsock *n, struct vsock_conn *c)
{
    conn_forwarded(c, c->out.len);
    buf_done(&c->out);
    c->half = c->deaf = true;
    if (c->told & VSOCK_NO_SEND)
        conn_gone(n, c);
    else
        c->readable = !(c->shut & VSOCK_NO_RECEIVE);
}

static void conn_flush(struct net_vsock *n, struct vsock_conn *c)
{
    while (c->out.len) {
        const struct iovec iov = {buf_data(&c->out), c->out.len};
        ssize_t r = conn_write(c, &iov, 1);

        if (r < 0)
            conn_deafen(n, c);
        if (r <= 0)
            return;
        buf_consume(&c->out, (size_t)r);
        conn_forwarded(c, (size_t)r);
    }
}

void vsock_conn_event(struct net_vsock *n, struct vsock_conn *c, unsigned events)
{
    if (c->state == VSOCK_HELLO) {
        vsock_hello(n, c);
        return;
    }
    if (c->state == VSOCK_OFFERED) {
        vsock_conn_reset(n, c);
        return;
    }
    if (c->out.len && events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        conn_flush(n, c);
    if (c->state == VSOCK_OPEN && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (c->told & VSOCK_NO_SEND || c->shut & VSOCK_NO_RECEIVE)
            conn_gone(n, c); /* nothing to read, and the rest is over as well */
        else
            c->readable = true;
    }
    conn_settle(n, c);
}

/* --- From the guest --- */
void vsock_conn_credit(struct vsock_conn *c, const struct vsock_packet *p)
{
    c->peer_alloc = p->buf_alloc;
    c->peer_fwd = p->fwd_cnt;
    c->asked = false;
}

static uint32_t conn_credit(const struct vsock_conn *c)
{
    uint32_t under_way = c->sent - c->peer_fwd;

    return under_way < c->peer_alloc ? c->peer_alloc - under_way : 0;
}

/* Keeps iov's bytes from skip on until the host's side takes them. */
static int conn_keep(struct vsock_conn *c, const struct iovec *iov, unsigned count, size_t skip)
{
    for (unsigned i = 0; i < count; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        if (buf_append(&c->out, (const uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip) < 0)
            return -ENOMEM;
        skip = 0;
    }
    return 0;
}

void vsock_conn_data(struct net_vsock *n, struct vsock_conn *c, const struct iovec *iov,
                     unsigned count, uint32_t len)
{
    ssize_t r = 0;

    if (c->state == VSOCK_CLOSING) /* it does not know yet */
        return;
    if (c->shut & VSOCK_NO_SEND || len > VSOCK_BUFFER - c->out.len) {
        vsock_conn_reset(n, c);
        return;
    }
    if (c->deaf)
        r = len;
    else if (!c->out.len && len)
        r = conn_write(c, iov, count);
    if (r < 0) {
        conn_deafen(n, c);
        r = len;
    }
    conn_forwarded(c, (size_t)r);
    if (conn_keep(c, iov, count, (size_t)r) < 0)
        vsock_conn_reset(n, c);
    else
        conn_settle(n, c);
}

void vsock_conn_shutdown(struct net_vsock *n, struct vsock_conn *c, unsigned flags)
{
    c->shut |= flags & VSOCK_NEITHER;
    if (c->shut & VSOCK_NO_RECEIVE)
        c->readable = false;
    conn_settle(n, c);
}

/* --- To the guest --- */
bool vsock_conn_pending(struct vsock_conn *c)
{
    if (c->readable && !conn_credit(c) && !c->asked) {
        c->asked = true;
        c->due |= DUE_ASK;
    }
    return c->due || (c->readable && conn_credit(c));
}

/* The host's side has said its last byte: it may still listen. Whether it does tell no bytes that
 * are sent: a vCPU may send, but not ask by poll(2). */
static void conn_ended(struct net_vsock *n, struct vsock_conn *c)
{
    c->readable = false;
    c->told |= VSOCK_NO_SEND;
    c->due |= DUE_SHUTDOWN;
    if (send(c->fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE)
        conn_gone(n, c);
}

/* Reads into the guest's buffer as much as it may be sent. False: the packet is another one now. */
static bool conn_read(struct net_vsock *n, struct vsock_conn *c, struct vsock_packet *p,
                      const struct iovec *iov, unsigned count)
{
    struct iovec part[16];
    unsigned parts = iov_window(iov, count, 0, conn_credit(c), part, 16);
    ssize_t r = readv(c->fd, part, (int)parts);

    if (r > 0) {
        c->sent += (uint32_t)r;
        p->op = VSOCK_RW;
        p->len = (uint32_t)r;
        return true;
    }
    if (r == 0 || (errno != EAGAIN && errno != EINTR))
        conn_ended(n, c);
    else
        c->readable = false;
    vsock_conn_watch(n, c);
    return false;
}

static uint16_t conn_take_due(struct vsock_conn *c, struct vsock_packet *p)
{
    static const struct {
        enum vsock_due due;
        enum vsock_op op;
    } order[] = {{DUE_REQUEST, VSOCK_REQUEST},
                 {DUE_RESPONSE, VSOCK_RESPONSE},
                 {DUE_SHUTDOWN, VSOCK_SHUTDOWN},
                 {DUE_CREDIT, VSOCK_CREDIT_UPDATE},
                 {DUE_ASK, VSOCK_CREDIT_REQUEST}};

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (!(c->due & order[i].due))
            continue;
        c->due &= ~(unsigned)order[i].due;
        p->flags = order[i].op == VSOCK_SHUTDOWN ? c->told : 0;
        return (uint16_t)order[i].op;
    }
    return 0;
}

bool vsock_conn_next(struct net_vsock *n, struct vsock_conn *c, struct vsock_packet *p,
                     const struct iovec *iov, unsigned count)
{
    *p = (struct vsock_packet){.guest_port = c->guest_port,
                               .host_port = c->host_port,
                               .type = VSOCK_STREAM,
                               .buf_alloc = VSOCK_BUFFER,
                               .fwd_cnt = c->fwd_cnt};
    p->op = conn_take_due(c, p);
    if (!p->op && c->readable && conn_credit(c) && !conn_read(n, c, p, iov, count))
        p->op = conn_take_due(c, p);
    if (!p->op)
        return false;
    c->fwd_told = c->fwd_cnt;
    c->due &= ~(unsigned)DUE_CREDIT; /* every packet tells */
    return true;
}
