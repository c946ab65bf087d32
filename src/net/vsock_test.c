/* SPDX-License-Identifier: Apache-2.0 */
/* The host's end of a vsock, over real sockets and a guest in the test: connections both ways,
 * credit, ends of all kinds, and guests and clients that break the rules. */
#include "base/unit_test.h"
#include "host/locked_in.h"
#include "host/loop.h"
#include "host/pass.h"
#include "net/vsock.h"
#include "net/vsock_conn.h"
#include "net/vsock_dial.h"
#include "net/vsock_path.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { GUEST_ALLOC = 1 << 16, TURNS = 2000 };

struct fixture {
    struct loop *loop;
    struct loop_timer *timer;
    struct vsockdev *dev;
    int listen_fd, helper; /* the test's end of the helper's link */
    struct sockaddr_un address;
    uint8_t data[VSOCK_PACKET_MAX]; /* of the last packet */
    unsigned lost;
    uint32_t end; /* flags of the shutdown that is expected */
};

static void on_timer(void *arg)
{
    loop_stop(((struct fixture *)arg)->loop);
}

static void on_lost(void *arg)
{
    ((struct fixture *)arg)->lost++;
}

/* One round of what the sockets have to say. */
static void turn(struct fixture *f)
{
    loop_timer_set(f->timer, 200000);
    assert_int_equal(loop_run(f->loop, NULL), 0);
}

static int up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct net_vsock_config config = {.guest = "g", .path = "/test", .lost = on_lost, .arg = f};
    int pair[2];

    assert_non_null(f);
    assert_int_equal(loop_new(NULL, &f->loop, NULL), 0);
    f->timer = loop_timer_new(f->loop, on_timer, f);
    f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    f->address.sun_family = AF_UNIX; /* abstract, of a name the kernel chooses */
    assert_int_equal(bind(f->listen_fd, (struct sockaddr *)&f->address, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(f->listen_fd, SOMAXCONN), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->helper = pair[0];
    assert_int_equal(net_vsock_new(f->loop, f->listen_fd, pair[1], &config, &f->dev, NULL), 0);
    *state = f;
    return 0;
}

static int down(void **state)
{
    struct fixture *f = *state;

    net_vsock_close(f->dev);
    if (f->helper >= 0)
        close(f->helper);
    loop_timer_free(f->timer);
    loop_free(f->loop);
    free(f);
    return 0;
}

static struct net_vsock *inside(struct fixture *f)
{
    return container_of(f->dev, struct net_vsock, dev);
}

/* --- The guest --- */
static struct vsock_packet packet(enum vsock_op op, uint32_t guest_port, uint32_t host_port)
{
    return (struct vsock_packet){.guest_port = guest_port,
                                 .host_port = host_port,
                                 .type = VSOCK_STREAM,
                                 .op = (uint16_t)op,
                                 .buf_alloc = GUEST_ALLOC};
}

static void guest_sends(struct fixture *f, struct vsock_packet p, const void *data, size_t len)
{
    const struct iovec iov[] = {{(void *)(uintptr_t)data, len / 2},
                                {(uint8_t *)(uintptr_t)data + len / 2, len - len / 2}};

    p.len = (uint32_t)len;
    f->dev->ops->packet(f->dev, &p, iov, len ? 2 : 0);
}

static void guest_says(struct fixture *f, enum vsock_op op, const struct vsock_packet *about,
                       unsigned flags)
{
    struct vsock_packet p = packet(op, about->guest_port, about->host_port);

    p.flags = flags;
    guest_sends(f, p, NULL, 0);
}

/* What the guest hears next, without waiting. */
static bool guest_hears_now(struct fixture *f, struct vsock_packet *p)
{
    const struct iovec iov[] = {{f->data, 100}, {f->data + 100, sizeof(f->data) - 100}};

    return f->dev->ops->pending(f->dev) && f->dev->ops->next(f->dev, p, iov, 2);
}

static struct vsock_packet guest_hears(struct fixture *f, enum vsock_op op)
{
    struct vsock_packet p = {0};

    for (unsigned i = 0; i < TURNS && !guest_hears_now(f, &p); i++)
        turn(f);
    assert_int_equal(p.op, op);
    return p;
}

static void guest_hears_nothing(struct fixture *f)
{
    struct vsock_packet p;

    for (unsigned i = 0; i < 5; i++) {
        turn(f);
        assert_false(guest_hears_now(f, &p));
    }
}

/* --- The host --- */
static int client(struct fixture *f, const char *text)
{
    struct sockaddr_un address;
    socklen_t len = sizeof(address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(getsockname(f->listen_fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

/* Exactly this, then nothing for now. */
static void host_reads(struct fixture *f, int fd, const char *text)
{
    char got[256];
    size_t at = 0, len = strlen(text);

    for (unsigned i = 0; i < TURNS && at < len; i++) {
        ssize_t n = recv(fd, got + at, len - at, 0);

        at += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            turn(f);
    }
    assert_int_equal(at, len);
    assert_memory_equal(got, text, len);
}

static void host_reads_end(struct fixture *f, int fd)
{
    char byte;
    ssize_t n = -1;

    for (unsigned i = 0; i < TURNS && n < 0; i++) {
        n = recv(fd, &byte, 1, 0);
        if (n < 0 && errno == ECONNRESET)
            n = 0;
        if (n < 0)
            turn(f);
    }
    assert_int_equal(n, 0);
}

/* An open connection that a host program began: its ports, and its descriptor. */
static struct vsock_packet connected(struct fixture *f, int *ret_fd)
{
    struct vsock_packet p;
    char ok[32];

    *ret_fd = client(f, "CONNECT 52\n");
    p = guest_hears(f, VSOCK_REQUEST);
    assert_int_equal(p.guest_port, 52);
    guest_says(f, VSOCK_RESPONSE, &p, 0);
    (void)snprintf(ok, sizeof(ok), "OK %u\n", p.host_port);
    host_reads(f, *ret_fd, ok);
    return p;
}

/* One that the guest began. */
static struct vsock_packet dialled(struct fixture *f, uint32_t port, int *ret_fd)
{
    struct vsock_packet p = packet(VSOCK_REQUEST, 1000, port);
    struct vsock_dial dial;
    int none, pair[2];

    guest_sends(f, p, NULL, 0);
    assert_int_equal(pass_receive(f->helper, &dial, sizeof(dial), &none, 1), 1);
    assert_int_equal(dial.host_port, port);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    dial.code = 0;
    assert_int_equal(pass_send(f->helper, &dial, sizeof(dial), &pair[0], 1), 0);
    close(pair[0]);
    (void)guest_hears(f, VSOCK_RESPONSE);
    *ret_fd = pair[1];
    return p;
}

/* --- Both ways --- */
static void a_client_reaches_the_guest(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p, q;
    int fd;

    p = connected(f, &fd);
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    q = guest_hears(f, VSOCK_RW);
    assert_int_equal(q.len, 5);
    assert_memory_equal(f->data, "hello", 5);
    assert_int_equal(q.buf_alloc, VSOCK_BUFFER);
    guest_sends(f, packet(VSOCK_RW, p.guest_port, p.host_port), "good day", 8);
    host_reads(f, fd, "good day");
    close(fd);
    q = guest_hears(f, VSOCK_SHUTDOWN);
    assert_int_equal(q.flags, VSOCK_NEITHER);
    guest_says(f, VSOCK_RST, &p, 0);
    assert_int_equal(inside(f)->top, 0);
    guest_hears_nothing(f);
}

static void bytes_behind_the_line_are_the_guests(void **state)
{
    struct fixture *f = *state;
    int fd = client(f, "CONNECT 4294967294\nearly");
    struct vsock_packet p = guest_hears(f, VSOCK_REQUEST);

    assert_int_equal(p.guest_port, 4294967294u);
    guest_hears_nothing(f); /* not before it has accepted */
    guest_says(f, VSOCK_RESPONSE, &p, 0);
    assert_int_equal(guest_hears(f, VSOCK_RW).len, 5);
    assert_memory_equal(f->data, "early", 5);
    close(fd);
}

static void the_guest_reaches_a_program(void **state)
{
    struct fixture *f = *state;
    int fd;
    struct vsock_packet p = dialled(f, 7, &fd);

    guest_sends(f, packet(VSOCK_RW, 1000, 7), "ping", 4);
    host_reads(f, fd, "ping");
    assert_int_equal(send(fd, "pong", 4, 0), 4);
    assert_int_equal(guest_hears(f, VSOCK_RW).len, 4);
    guest_says(f, VSOCK_SHUTDOWN, &p, VSOCK_NEITHER);
    (void)guest_hears(f, VSOCK_RST);
    host_reads_end(f, fd);
    assert_int_equal(inside(f)->top, 0);
    close(fd);
}

static void nobody_there_is_a_reset(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p = packet(VSOCK_REQUEST, 1000, 9);
    struct vsock_dial dial;
    int fd;

    guest_sends(f, p, NULL, 0);
    assert_int_equal(pass_receive(f->helper, &dial, sizeof(dial), &fd, 1), 1);
    dial.code = -ECONNREFUSED;
    assert_int_equal(pass_send(f->helper, &dial, sizeof(dial), NULL, 0), 0);
    p = guest_hears(f, VSOCK_RST);
    assert_int_equal(p.guest_port, 1000);
    assert_int_equal(p.host_port, 9);

    fd = client(f, "CONNECT 1\n");
    p = guest_hears(f, VSOCK_REQUEST);
    guest_says(f, VSOCK_RST, &p, 0);
    host_reads_end(f, fd);
    close(fd);
    assert_int_equal(inside(f)->top, 0);
}

static void a_lost_helper_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p = packet(VSOCK_REQUEST, 1000, 9);

    guest_sends(f, p, NULL, 0);
    close(f->helper);
    f->helper = -1;
    (void)guest_hears(f, VSOCK_RST);
    guest_sends(f, p, NULL, 0);
    (void)guest_hears(f, VSOCK_RST);
    assert_int_equal(f->lost, 1);
}

static void another_helper_goes_on(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p = packet(VSOCK_REQUEST, 1001, 9);
    int pair[2], before, after;

    (void)dialled(f, 7, &before);
    assert_int_equal(net_vsock_reconnect(f->dev, dup(0)), -EBUSY);
    close(f->helper);
    turn(f);
    guest_sends(f, p, NULL, 0);
    (void)guest_hears(f, VSOCK_RST);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->helper = pair[0];
    assert_int_equal(net_vsock_reconnect(f->dev, pair[1]), 0);
    (void)dialled(f, 8, &after);
    guest_sends(f, packet(VSOCK_RW, 1000, 7), "ping", 4); /* the old connection is whole */
    host_reads(f, before, "ping");
    close(before);
    close(after);
    assert_int_equal(f->lost, 1);
}

/* --- Credit --- */
static void the_guest_gets_what_it_has_room_for(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p, q;
    int fd;

    p = connected(f, &fd);
    q = packet(VSOCK_CREDIT_UPDATE, p.guest_port, p.host_port);
    q.buf_alloc = 10;
    guest_sends(f, q, NULL, 0);
    assert_int_equal(send(fd, "0123456789abcdef", 16, 0), 16);
    assert_int_equal(guest_hears(f, VSOCK_RW).len, 10);
    (void)guest_hears(f, VSOCK_CREDIT_REQUEST);
    guest_hears_nothing(f);
    q.fwd_cnt = 4;
    guest_sends(f, q, NULL, 0);
    assert_int_equal(guest_hears(f, VSOCK_RW).len, 4);
    q.fwd_cnt = 14;
    guest_sends(f, q, NULL, 0);
    assert_int_equal(guest_hears(f, VSOCK_RW).len, 2);
    assert_memory_equal(f->data, "ef", 2);
    q.fwd_cnt = 100000; /* more than it ever got: no credit rather than much */
    guest_sends(f, q, NULL, 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    (void)guest_hears(f, VSOCK_CREDIT_REQUEST);
    guest_hears_nothing(f);
    close(fd);
}

static void the_guest_hears_of_room(void **state)
{
    static const uint8_t block[32768];
    struct fixture *f = *state;
    struct vsock_packet p, q;
    uint64_t sent = 0, read_back = 0;
    uint32_t window = VSOCK_BUFFER, told = 0;
    uint8_t back[4096];
    int fd;

    p = connected(f, &fd);
    while (read_back < (8 << 20)) {
        if (sent - told + sizeof(block) <= window && sent < (8 << 20)) {
            guest_sends(f, packet(VSOCK_RW, p.guest_port, p.host_port), block, sizeof(block));
            sent += sizeof(block);
            assert_true(inside(f)->conn[0].out.len <= VSOCK_BUFFER);
            continue;
        }
        ssize_t n = recv(fd, back, sizeof(back), 0);

        read_back += n > 0 ? (uint64_t)n : 0;
        if (n < 0)
            turn(f);
        if (guest_hears_now(f, &q)) {
            assert_int_equal(q.op, VSOCK_CREDIT_UPDATE);
            told = q.fwd_cnt;
        }
    }
    assert_int_equal(read_back, sent);
    close(fd);
}

static void sending_too_much_is_a_reset(void **state)
{
    static const uint8_t block[65536];
    struct fixture *f = *state;
    struct vsock_packet p;
    int fd;

    p = connected(f, &fd);
    for (unsigned i = 0; i < 100 && !inside(f)->rst_count; i++)
        guest_sends(f, packet(VSOCK_RW, p.guest_port, p.host_port), block, sizeof(block));
    (void)guest_hears(f, VSOCK_RST);
    assert_int_equal(inside(f)->top, 0);
    close(fd);
}

/* --- Ends --- */
static void each_side_may_stop_sending(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p, q;
    int fd;

    p = connected(f, &fd);
    assert_int_equal(send(fd, "last", 4, 0), 4);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(guest_hears(f, VSOCK_RW).len, 4);
    q = guest_hears(f, VSOCK_SHUTDOWN);
    assert_int_equal(q.flags, VSOCK_NO_SEND);
    guest_sends(f, packet(VSOCK_RW, p.guest_port, p.host_port), "answer", 6);
    host_reads(f, fd, "answer");
    guest_says(f, VSOCK_SHUTDOWN, &p, VSOCK_NO_SEND);
    host_reads_end(f, fd);
    close(fd);
    q = guest_hears(f, VSOCK_SHUTDOWN);
    assert_int_equal(q.flags, VSOCK_NEITHER);
    guest_says(f, VSOCK_SHUTDOWN, &p, VSOCK_NEITHER);
    (void)guest_hears(f, VSOCK_RST);
    assert_int_equal(inside(f)->top, 0);
}

/* On a vCPU: the guest reads the last bytes and hears what is over. */
static bool guest_hears_the_end(void *arg)
{
    struct fixture *f = arg;
    struct vsock_packet p;

    return guest_hears_now(f, &p) && p.op == VSOCK_RW && guest_hears_now(f, &p) &&
           p.op == VSOCK_SHUTDOWN && p.flags == f->end;
}

static void a_vcpu_tells_who_stops_sending(void **state)
{
    struct fixture *f = *state;
    int fd;

    (void)connected(f, &fd);
    assert_int_equal(send(fd, "last", 4, 0), 4);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    turn(f);
    f->end = VSOCK_NO_SEND;
    assert_true(locked_in(SANDBOX_VCPU, guest_hears_the_end, f));
    close(fd);
}

static void a_vcpu_tells_who_left(void **state)
{
    struct fixture *f = *state;
    int fd;

    (void)connected(f, &fd);
    assert_int_equal(send(fd, "last", 4, 0), 4);
    close(fd);
    turn(f);
    f->end = VSOCK_NEITHER;
    assert_true(locked_in(SANDBOX_VCPU, guest_hears_the_end, f));
}

/* A program that has said all and left: the guest gets that, though it goes on talking. */
static void words_of_one_who_left_arrive(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p, q;
    int fd;

    p = connected(f, &fd);
    assert_int_equal(send(fd, "farewell", 8, 0), 8);
    close(fd);
    for (unsigned i = 0; i < 5; i++) {
        guest_sends(f, packet(VSOCK_RW, p.guest_port, p.host_port), "still here?", 11);
        turn(f);
    }
    q = guest_hears(f, VSOCK_RW);
    assert_int_equal(q.len, 8);
    assert_memory_equal(f->data, "farewell", 8);
    assert_int_equal(q.fwd_cnt, 55); /* taken, and thrown away */
    assert_int_equal(guest_hears(f, VSOCK_SHUTDOWN).flags, VSOCK_NEITHER);
    guest_says(f, VSOCK_RST, &p, 0);
    assert_int_equal(inside(f)->top, 0);
}

static void a_driver_that_starts_anew_ends_all(void **state)
{
    struct fixture *f = *state;
    int fd, waiting = client(f, "CONNECT 53\n");

    for (unsigned i = 0; i < TURNS && !f->dev->ops->pending(f->dev); i++)
        turn(f);
    f->dev->ops->reset(f->dev); /* the guest has not heard of that one yet */
    assert_int_equal(guest_hears(f, VSOCK_REQUEST).guest_port, 53);
    (void)connected(f, &fd);
    f->dev->ops->reset(f->dev);
    host_reads_end(f, fd);
    host_reads_end(f, waiting);
    assert_int_equal(inside(f)->top, 0);
    close(fd);
    close(waiting);
}

/* --- Those who break the rules --- */
static void bad_lines_end_a_client(void **state)
{
    static const char *const lines[] = {"connect 52\n",
                                        "CONNECT\n",
                                        "CONNECT \n",
                                        "CONNECT -1\n",
                                        "CONNECT 52 \n",
                                        "CONNECT 0x34\n",
                                        "CONNECT 4294967295\n",
                                        "CONNECT 4294967296\n",
                                        "CONNECT 99999999999999999999\n",
                                        "\n",
                                        "CONNECT 52\r\n",
                                        "CONNECT 5555555555555555555555555555555"};
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        int fd = client(f, lines[i]);

        host_reads_end(f, fd);
        close(fd);
    }
    guest_hears_nothing(f);
    assert_int_equal(inside(f)->top, 0);
}

static void silent_clients_keep_nobody_out(void **state)
{
    struct fixture *f = *state;
    int silent[VSOCK_CONNS + 50], fd;

    for (unsigned i = 0; i < ARRAY_LEN(silent); i++) {
        silent[i] = client(f, "CONN");
        turn(f);
    }
    (void)connected(f, &fd);
    close(fd);
    for (unsigned i = 0; i < ARRAY_LEN(silent); i++)
        close(silent[i]);
}

static void nonsense_is_reset(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p = packet(VSOCK_RW, 5, 6);

    guest_sends(f, p, "x", 1); /* to no connection */
    (void)guest_hears(f, VSOCK_RST);
    guest_says(f, VSOCK_RST, &p, 0); /* is never answered */
    guest_hears_nothing(f);
    p.type = 99;
    guest_sends(f, p, NULL, 0);
    p = guest_hears(f, VSOCK_RST);
    assert_int_equal(p.type, 99);
    for (unsigned op = 0; op < 70000; op += op < 9 ? 1 : 777) {
        int fd;

        if (op == VSOCK_RST || op == VSOCK_RW || op == VSOCK_SHUTDOWN ||
            op == VSOCK_CREDIT_UPDATE || op == VSOCK_CREDIT_REQUEST || op > UINT16_MAX)
            continue;
        p = connected(f, &fd);
        guest_says(f, (enum vsock_op)op, &p, 0);
        (void)guest_hears(f, VSOCK_RST);
        host_reads_end(f, fd);
        close(fd);
    }
}

static uint64_t hostile_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* A guest and clients that do anything in any order; afterwards all works. */
static void any_order_is_survived(void **state)
{
    static const uint8_t block[65536];
    struct fixture *f = *state;
    uint64_t seed = 88172645463325252u;
    int fds[8], fd;

    memset(fds, -1, sizeof(fds));
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t r = hostile_random(&seed);
        unsigned n = r >> 8 & 7;
        struct vsock_packet p = packet((enum vsock_op)(r >> 16 & 7), r >> 20 & 3, r >> 24 & 3);
        struct vsock_dial dial;
        int none;

        p.buf_alloc = (uint32_t)(r >> 32) >> (r >> 28 & 31);
        p.fwd_cnt = (uint32_t)(r >> 40 & 0xff);
        p.flags = (uint32_t)(r >> 48 & 3);
        if (inside(f)->top && r >> 52 & 1) { /* about a connection there is */
            p.guest_port = inside(f)->conn[n % inside(f)->top].guest_port;
            p.host_port = inside(f)->conn[n % inside(f)->top].host_port;
        }
        switch (r & 7) {
        case 0:
        case 1:
        case 2: guest_sends(f, p, block, p.op == VSOCK_RW ? (r >> 33) % sizeof(block) : 0); break;
        case 3: (void)guest_hears_now(f, &p); break;
        case 4:
            if (fds[n] >= 0)
                close(fds[n]);
            fds[n] = client(f, r >> 60 & 1 ? "CONNECT 2\nhello" : "CONN");
            break;
        case 5:
            if (fds[n] >= 0)
                (void)!send(fds[n], block, 1000, MSG_NOSIGNAL);
            break;
        case 6:
            if (fds[n] >= 0)
                (void)!recv(fds[n], f->data, sizeof(f->data), 0);
            break;
        default:
            if (pass_receive(f->helper, &dial, sizeof(dial), &none, 1) > 0)
                assert_int_equal(
                    pass_send(f->helper, &dial, sizeof(dial), &fds[n], fds[n] >= 0 && r >> 59 & 1),
                    0);
            if (!(r >> 53 & 15))
                turn(f);
        }
        for (unsigned c = 0; c < inside(f)->top; c++)
            assert_true(inside(f)->conn[c].out.len <= VSOCK_BUFFER);
    }
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (unsigned i = 0; i < TURNS && inside(f)->top; i++) {
        f->dev->ops->reset(f->dev);
        turn(f);
    }
    (void)connected(f, &fd);
    close(fd);
}

/* --- The path --- */
static void paths_are_checked(void **state)
{
    char folder[] = "/tmp/posada-vsock-XXXXXX", path[64];
    struct vsock_path p;
    int fd;

    assert_int_equal(vsock_path_split("/a/b", &p, NULL), 0);
    assert_string_equal(p.dir, "/a");
    assert_string_equal(p.name, "b");
    assert_int_equal(vsock_path_split("/b", &p, NULL), 0);
    assert_string_equal(p.dir, "/");
    assert_int_equal(vsock_path_split("a/b", &p, NULL), -EINVAL);
    assert_int_equal(vsock_path_split("/a/", &p, NULL), -EINVAL);
    assert_int_equal(vsock_path_split("", &p, NULL), -EINVAL);

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    fd = creat(path, 0600);
    net_vsock_tidy(path);
    assert_int_equal(access(path, F_OK), 0); /* no socket */
    close(fd);
    assert_int_equal(unlink(path), 0);
    {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 1), 0);
    }
    net_vsock_tidy(path);
    assert_int_equal(access(path, F_OK), 0); /* somebody listens */
    close(fd);
    net_vsock_tidy(path);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
RUN_TESTS(TEST(a_client_reaches_the_guest), TEST(bytes_behind_the_line_are_the_guests),
          TEST(the_guest_reaches_a_program), TEST(nobody_there_is_a_reset),
          TEST(a_lost_helper_is_told_once), TEST(another_helper_goes_on),
          TEST(the_guest_gets_what_it_has_room_for), TEST(the_guest_hears_of_room),
          TEST(sending_too_much_is_a_reset), TEST(each_side_may_stop_sending),
          TEST(a_vcpu_tells_who_stops_sending), TEST(a_vcpu_tells_who_left),
          TEST(words_of_one_who_left_arrive), TEST(a_driver_that_starts_anew_ends_all),
          TEST(bad_lines_end_a_client), TEST(silent_clients_keep_nobody_out),
          TEST(nonsense_is_reset), TEST(any_order_is_survived), cmocka_unit_test(paths_are_checked))
