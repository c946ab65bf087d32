/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a vsock between three that are hostile: a guest whose packets are nonsense,
 * host programs that say anything and leave, a helper that answers what nobody asked (and dies, and
 * is another one). No connection may hold more than it is allowed, no packet may be longer than its
 * room, and after all that the guest can be forgotten.
 * As a program of its own: fuzz_vsock_random [SEED [INPUTS]].
 */
#include "net/vsock.h"

#include "host/loop.h"
#include "host/pass.h"
#include "input.h"
#include "net/vsock_conn.h"
#include "net/vsock_dial.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENTS = 8, STEPS = 400, ROOM = 4096 };

struct hosts {
    struct loop *loop;
    struct loop_timer *timer;
    struct vsockdev *dev;
    struct sockaddr_un address; /* where dev listens */
    socklen_t address_len;
    int helper;
    int client[CLIENTS];
    bool lost;
};

static void hosts_stop(void *arg)
{
    loop_stop(((struct hosts *)arg)->loop);
}

static void hosts_lost(void *arg)
{
    ((struct hosts *)arg)->lost = true;
}

static struct net_vsock *hosts_inside(struct hosts *h)
{
    return container_of(h->dev, struct net_vsock, dev);
}

/* A helper's link: our end is kept, the other one returned. */
static int hosts_helper(struct hosts *h)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        fuzz_die("no socket pair");
    if (h->helper >= 0)
        close(h->helper);
    h->helper = pair[0];
    return pair[1];
}

static void hosts_up(struct hosts *h)
{
    const struct net_vsock_config config = {
        .guest = "g", .path = "/x", .lost = hosts_lost, .arg = h};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *h = (struct hosts){.address.sun_family = AF_UNIX, .helper = -1};
    memset(h->client, -1, sizeof(h->client));
    h->address_len = sizeof(h->address);
    if (loop_new(NULL, &h->loop, NULL) < 0 || fd < 0 ||
        bind(fd, (struct sockaddr *)&h->address, sizeof(sa_family_t)) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&h->address, &h->address_len) < 0)
        fuzz_die("no socket");
    h->timer = loop_timer_new(h->loop, hosts_stop, h);
    if (net_vsock_new(h->loop, fd, hosts_helper(h), &config, &h->dev, NULL) < 0)
        fuzz_die("no vsock");
}

static void hosts_turn(struct hosts *h)
{
    loop_timer_set(h->timer, 1000);
    if (loop_run(h->loop, NULL) < 0)
        fuzz_die("the loop fails");
}

/* --- The three --- */
static void guest_sends(struct hosts *h, struct fuzz_input *in)
{
    static uint8_t bytes[VSOCK_PACKET_MAX];
    struct net_vsock *n = hosts_inside(h);
    unsigned about = fuzz_byte(in);
    struct vsock_packet p = {.op = (uint16_t)(fuzz_byte(in) % 9),
                             .type = about & 1 && about & 2 && about & 4 ? 9 : VSOCK_STREAM,
                             .guest_port = fuzz_byte(in) & 3,
                             .host_port = fuzz_byte(in) & 3,
                             .flags = fuzz_byte(in),
                             .buf_alloc = (uint32_t)fuzz_take(in, 4),
                             .fwd_cnt = (uint32_t)fuzz_take(in, 4)};
    struct iovec iov[2] = {{bytes, 0}, {bytes + 7, 0}};

    if (n->top && about & 8) { /* about a connection there is */
        p.guest_port = n->conn[about % n->top].guest_port;
        p.host_port = n->conn[about % n->top].host_port;
    }
    if (p.op == VSOCK_RW)
        p.len = (uint32_t)fuzz_take(in, 2) + (about & 16 ? 1 : 0);
    iov[0].iov_len = p.len < 7 ? p.len : 7;
    iov[1].iov_len = p.len - iov[0].iov_len;
    if (iov[1].iov_len > sizeof(bytes) - 7)
        iov[1].iov_len = sizeof(bytes) - 7;
    p.len = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
    h->dev->ops->packet(h->dev, &p, iov, p.len ? 2 : 0);
}

static void guest_hears(struct hosts *h, struct fuzz_input *in)
{
    static uint8_t bytes[ROOM];
    size_t room = fuzz_take(in, 2) % ROOM + 1;
    const struct iovec iov[] = {{bytes, room / 2}, {bytes + room / 2, room - room / 2}};
    struct vsock_packet p = {0};

    if (h->dev->ops->pending(h->dev) && h->dev->ops->next(h->dev, &p, iov, 2) && p.len > room)
        fuzz_die("a packet longer than its room");
}

static void client_does(struct hosts *h, struct fuzz_input *in)
{
    static const char hello[][24] = {
        "CONNECT 1\n", "CONNECT 2\nearly", "CONNECT 4294967295\n", "CONNECT 00000000001\n", "CONN",
        "\n"};
    static uint8_t bytes[8192];
    int *fd = &h->client[fuzz_byte(in) % CLIENTS];
    unsigned how = fuzz_byte(in);

    if (*fd < 0) {
        *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(*fd, (const struct sockaddr *)&h->address, h->address_len);
        how %= sizeof(hello) / sizeof(hello[0]);
        (void)!send(*fd, hello[how], strlen(hello[how]), MSG_NOSIGNAL);
    } else if (how % 4 == 0) {
        close(*fd);
        *fd = -1;
    } else if (how % 4 == 1) {
        (void)shutdown(*fd, how & 4 ? SHUT_WR : SHUT_RD);
    } else if (how & 4) {
        (void)!recv(*fd, bytes, sizeof(bytes), 0);
    } else {
        (void)!send(*fd, bytes, fuzz_take(in, 2) % sizeof(bytes), MSG_NOSIGNAL);
    }
}

static void helper_does(struct hosts *h, struct fuzz_input *in)
{
    struct vsock_dial dial = {.host_port = 1};
    unsigned how = fuzz_byte(in);
    int fds[2], none;

    if (how % 16 == 0) { /* it dies, and there is another one */
        close(h->helper);
        h->helper = -1;
        hosts_turn(h);
        if (h->lost && net_vsock_reconnect(h->dev, hosts_helper(h)) < 0)
            fuzz_die("no other helper");
        h->lost = false;
        return;
    }
    if (h->helper < 0)
        return;
    if (how & 16)
        (void)!pass_receive(h->helper, &dial, sizeof(dial), &none, 1);
    if (how & 32)
        dial.guest_port = (uint32_t)fuzz_take(in, 4) & 3;
    dial.code = how & 64 ? -ECONNREFUSED : 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        fuzz_die("no socket pair");
    (void)!pass_send(h->helper, &dial, how % 16 == 1 ? 3 : sizeof(dial), fds, how % 3);
    close(fds[0]);
    for (unsigned i = CLIENTS; i-- > 0 && fds[1] >= 0;)
        if (h->client[i] < 0) { /* the program that was reached: from now on it does as others */
            h->client[i] = fds[1];
            fds[1] = -1;
        }
    if (fds[1] >= 0)
        close(fds[1]);
}

/* One connection each way, so that short inputs get far. */
static void hosts_begin(struct hosts *h)
{
    static const uint8_t hello[] = {0, 1}, agree[] = {16 + 3}; /* asked for 3, gives a connection */
    struct fuzz_input in = {agree, sizeof(agree)};
    struct vsock_packet p = {.op = VSOCK_REQUEST, .type = VSOCK_STREAM, .buf_alloc = ROOM};
    uint8_t room[64];
    const struct iovec iov = {room, sizeof(room)};

    p.guest_port = 3;
    p.host_port = 3;
    h->dev->ops->packet(h->dev, &p, NULL, 0);
    helper_does(h, &in);
    in = (struct fuzz_input){hello, sizeof(hello)};
    client_does(h, &in);
    for (unsigned i = 0; i < 4; i++) {
        hosts_turn(h);
        if (!h->dev->ops->pending(h->dev) || !h->dev->ops->next(h->dev, &p, &iov, 1) ||
            p.op != VSOCK_REQUEST)
            continue;
        p.op = VSOCK_RESPONSE;
        p.buf_alloc = ROOM;
        h->dev->ops->packet(h->dev, &p, NULL, 0);
    }
    for (unsigned i = 0; i < 2; i++)
        if (hosts_inside(h)->conn[i].state != VSOCK_OPEN)
            fuzz_die("the connections to begin with are not there");
}

static void hosts_check(struct hosts *h)
{
    const struct net_vsock *n = hosts_inside(h);

    for (unsigned i = 0; i < n->top; i++)
        if (n->conn[i].out.len > VSOCK_BUFFER)
            fuzz_die("a connection holds more than it may");
}

static void hosts_down(struct hosts *h)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (h->client[i] >= 0)
            close(h->client[i]);
    hosts_turn(h);
    h->dev->ops->reset(h->dev);
    net_vsock_close(h->dev);
    if (h->helper >= 0)
        close(h->helper);
    loop_timer_free(h->timer);
    loop_free(h->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    struct hosts h;

    hosts_up(&h);
    hosts_begin(&h);
    for (unsigned i = 0; i < STEPS && in.left; i++) {
        switch (fuzz_byte(&in) % 6) {
        case 0:
        case 1: guest_sends(&h, &in); break;
        case 2: guest_hears(&h, &in); break;
        case 3: client_does(&h, &in); break;
        case 4: helper_does(&h, &in); break;
        default: hosts_turn(&h);
        }
        hosts_check(&h);
    }
    hosts_down(&h);
    return 0;
}
