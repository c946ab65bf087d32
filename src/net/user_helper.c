/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper of a user network: libslirp between one socket with frames (base/net_frame.h) and the
 * host's sockets. It ends with its monitor's side of that socket; a container's has a tap instead
 * of the socket, and ends with the container.
 *
 * Frames come from a guest and are as hostile as libslirp can bear; the box (host/sandbox_helper.h)
 * is for the day it cannot. Checksums the guest left open are finished here, so its segments may be
 * as large as an IP packet. Frames to the guest wait in a queue when the guest is slow: past
 * NET_QUEUE_FULL, or two bursts of a low rate, nothing more is read from the host's side, past
 * NET_QUEUE_MAX frames are lost.
 */
#include "base/net_frame.h"
#include "host/process.h"
#include "net/forward.h"
#include "net/gate.h"
#include "net/helper.h"
#include "net/orders.h"
#include "net/queue.h"
#include "net/slirp.h"
#include "net/user.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, POLLS_MAX = 4096 };
enum { FIXED_ARGUMENTS = 3, USER_TIMERS = 4 };
enum { FORWARD_UDP = 1, FORWARD_V6ONLY = 2 }; /* libslirp's */

struct user_timer {
    SlirpTimerCb fn;
    void *arg;
    int64_t due_ms; /* INT64_MAX: off */
};

struct user {
    struct slirp_api api;
    Slirp *slirp;
    const char *guest;
    uint8_t mac[NET_MAC_SIZE];
    struct net_queue queue; /* to the monitor, or the tap */
    bool tap;
    bool started;         /* it is in its box */
    bool orders;          /* somebody may give it some */
    struct net_gate gate; /* a container's */
    struct pollfd poll[POLLS_MAX];
    unsigned polls;
    struct user_timer timer[USER_TIMERS];
    unsigned timers;
    uint8_t frame[NET_FRAME_MAX];
};

static int64_t user_now_ns(void *arg)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* --- To the guest --- */
static ssize_t user_send_packet(const void *data, size_t len, void *arg)
{
    /* libslirp has summed what it sends: the guest need not do it again. */
    const struct net_frame frame = {.checksum_valid = true};
    uint8_t message[NET_HEADER_SIZE + NET_FRAME_MAX];
    struct user *u = arg;

    if (len > NET_FRAME_MAX)
        return (ssize_t)len;
    net_header_encode(&frame, message);
    memcpy(message + NET_HEADER_SIZE, data, len);
    net_queue_send(&u->queue, message, NET_HEADER_SIZE + len);
    return (ssize_t)len;
}

/* --- From the guest --- */
static void user_input(struct user *u)
{
    uint8_t header[NET_HEADER_SIZE];
    struct iovec iov[] = {{header, sizeof(header)}, {u->frame, sizeof(u->frame)}};
    struct net_frame frame;

    for (unsigned i = 0; i < BATCH && !net_bucket_wait(&u->gate.from_guest); i++) {
        ssize_t n = readv(NET_HELPER_LINK_FD, iov, 2);

        if (n <= 0) {
            u->queue.over = n == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        if ((size_t)n < sizeof(header) ||
            !net_header_decode(header, (size_t)n - sizeof(header), &frame))
            continue;
        net_bucket_pay(&u->gate.from_guest, frame.length);
        net_finish_checksum(&frame, u->frame);
        u->api.input(u->slirp, u->frame, (int)frame.length);
    }
}

/* --- libslirp's wishes --- */
static void user_guest_error(const char *text, void *arg)
{
}

static void *user_timer_new(SlirpTimerCb fn, void *fn_arg, void *arg)
{
    struct user *u = arg;

    if (u->timers == USER_TIMERS)
        abort(); /* libslirp 4 has one */
    u->timer[u->timers] = (struct user_timer){fn, fn_arg, INT64_MAX};
    return &u->timer[u->timers++];
}

static void user_timer_free(void *timer, void *arg)
{
    ((struct user_timer *)timer)->due_ms = INT64_MAX;
}

static void user_timer_mod(void *timer, int64_t due_ms, void *arg)
{
    ((struct user_timer *)timer)->due_ms = due_ms;
}

static void user_poll_fd(int fd, void *arg)
{
}

static void user_notify(void *arg)
{
}

static const SlirpCb user_callbacks = {
    .send_packet = user_send_packet,
    .guest_error = user_guest_error,
    .clock_get_ns = user_now_ns,
    .timer_new = user_timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = user_poll_fd,
    .unregister_poll_fd = user_poll_fd,
    .notify = user_notify,
};

static void user_order(struct user *u);

/* --- Waiting --- */
static int user_add_poll(int fd, int events, void *arg)
{
    struct user *u = arg;
    short e =
        (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                (events & SLIRP_POLL_PRI ? POLLPRI : 0));

    if (u->polls == POLLS_MAX)
        return -1;
    u->poll[u->polls] = (struct pollfd){.fd = fd, .events = e};
    return (int)u->polls++;
}

static int user_get_revents(int i, void *arg)
{
    const struct user *u = arg;
    int r = i < 0 ? 0 : u->poll[i].revents;

    return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (r & POLLPRI ? SLIRP_POLL_PRI : 0) | (r & POLLERR ? SLIRP_POLL_ERR : 0) |
           (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void user_run_timers(struct user *u)
{
    int64_t now = user_now_ns(u) / 1000000;

    for (unsigned i = 0; i < u->timers; i++) {
        if (u->timer[i].due_ms > now)
            continue;
        u->timer[i].due_ms = INT64_MAX;
        u->timer[i].fn(u->timer[i].arg);
    }
}

static uint32_t user_timeout(const struct user *u)
{
    int64_t now = user_now_ns(NULL) / 1000000, wait = 60000;

    for (unsigned i = 0; i < u->timers; i++)
        if (u->timer[i].due_ms - now < wait)
            wait = u->timer[i].due_ms > now ? u->timer[i].due_ms - now : 0;
    return (uint32_t)wait;
}

/* At a low rate less may wait, or it would be old when it arrives. */
static size_t user_full(const struct user *u)
{
    size_t some = 2 * net_bucket_size(&u->gate.to_guest);

    return u->gate.to_guest.rate && some < NET_QUEUE_FULL ? some : NET_QUEUE_FULL;
}

/* While the guest takes nothing, the host's side has to wait, and only it. */
static void user_turn(struct user *u)
{
    int gate_ms = net_gate_look(&u->gate), r;
    bool stuck = u->queue.wait.len > user_full(u);
    uint32_t timeout = user_timeout(u);

    u->poll[0] =
        (struct pollfd){.fd = NET_HELPER_LINK_FD, .events = u->gate.from_open ? POLLIN : 0};
    if (u->queue.wait.len && u->gate.to_open)
        u->poll[0].events |= POLLOUT;
    u->poll[1] = (struct pollfd){.fd = u->tap ? NET_HELPER_LIFE_FD : -1, .events = POLLIN};
    u->poll[2] = (struct pollfd){.fd = u->orders ? NET_HELPER_ORDERS_FD : -1, .events = POLLIN};
    u->polls = 3;
    if (!stuck)
        u->api.fill(u->slirp, &timeout, user_add_poll, u);
    if (gate_ms >= 0 && (uint32_t)gate_ms < timeout)
        timeout = (uint32_t)gate_ms;
    r = poll(u->poll, u->polls, (int)timeout);
    u->queue.over = u->queue.over || u->poll[1].revents;
    if (u->poll[0].revents & POLLOUT)
        net_queue_flush(&u->queue);
    if (u->poll[0].revents & POLLIN)
        user_input(u);
    else if (u->poll[0].revents & (POLLHUP | POLLERR))
        u->queue.over = true;
    if (!stuck)
        u->api.poll(u->slirp, r < 0, user_get_revents, u);
    if (u->poll[2].revents) /* after libslirp: its sockets change */
        user_order(u);
    user_run_timers(u);
}

/* --- Start --- */
static void user_prefix(struct in6_addr *address)
{
    *address = (struct in6_addr){{{0xfd}}}; /* fd00::/64 */
}

static int user_make(struct user *u, struct err *err)
{
    SlirpConfig config = {
        .version = 4,
        .in_enabled = true,
        .vhostname = u->guest,
        .in6_enabled = true,
        .vprefix_len = 64,
        .if_mtu = NET_USER_MTU,
        .if_mru = NET_USER_MTU,
    };
    int r = slirp_load(&u->api, err);

    if (r < 0)
        return r;
    config.vnetwork.s_addr = htonl(0x0a000200);
    config.vnetmask.s_addr = htonl(0xffffff00);
    config.vhost.s_addr = htonl(0x0a000202);
    config.vnameserver.s_addr = htonl(0x0a000203);
    config.vdhcp_start.s_addr = htonl(0x0a00020f);
    user_prefix(&config.vprefix_addr6);
    user_prefix(&config.vhost6);
    user_prefix(&config.vnameserver6);
    config.vhost6.s6_addr[15] = 2;
    config.vnameserver6.s6_addr[15] = 3;
    u->slirp = u->api.new(&config, &user_callbacks, u);
    return u->slirp ? 0 : err_set(err, -EIO, "network 'user': libslirp does not start");
}

/* Where the guest will be: DHCP's first address, or the one it makes of its MAC. */
static socklen_t user_guest_address(const struct user *u, const struct net_forward *f,
                                    struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)address;

    *address = (struct sockaddr_storage){.ss_family = f->host.ss_family};
    if (f->host.ss_family == AF_INET) {
        v4->sin_addr.s_addr = htonl(0x0a00020f);
        v4->sin_port = htons(f->guest_port);
        return sizeof(*v4);
    }
    user_prefix(&v6->sin6_addr);
    memcpy(v6->sin6_addr.s6_addr + 8, u->mac, 3);
    v6->sin6_addr.s6_addr[8] ^= 2;
    v6->sin6_addr.s6_addr[11] = 0xff;
    v6->sin6_addr.s6_addr[12] = 0xfe;
    memcpy(v6->sin6_addr.s6_addr + 13, u->mac + 3, 3);
    v6->sin6_port = htons(f->guest_port);
    return sizeof(*v6);
}

static int user_forward_failed(const struct net_forward *f, int code, bool running, struct err *err)
{
    char host[NET_FORWARD_TEXT];
    const char *protocol = f->udp ? "UDP" : "TCP";

    net_forward_print_host(f, host);
    if (code == EADDRINUSE)
        return err_set(err, -EBUSY,
                       "port %s (%s) is taken by another program or guest; choose another with -p",
                       host, protocol);
    if (code == EACCES)
        return err_set(err, -EACCES,
                       running ? "port %s (%s): a network that runs has no right to ports this "
                                 "low; stop the guest and add it then"
                               : "port %s (%s): only root may use ports this low; choose another "
                                 "with -p",
                       host, protocol);
    return err_set(err, -code, "port %s (%s): %s", host, protocol, strerror(code));
}

static int user_forward(struct user *u, const char *text, struct err *err)
{
    struct sockaddr_storage guest;
    struct net_forward f;
    socklen_t guest_len;
    int r = net_forward_parse("port", text, &f, err);

    if (r < 0)
        return r;
    guest_len = user_guest_address(u, &f, &guest);
    errno = 0;
    r = u->api.add_forward(
        u->slirp, (const struct sockaddr *)&f.host, f.host_len, (const struct sockaddr *)&guest,
        guest_len, (f.udp ? FORWARD_UDP : 0) | (f.host.ss_family == AF_INET6 ? FORWARD_V6ONLY : 0));
    return r < 0 ? user_forward_failed(&f, errno ? errno : EIO, u->started, err) : 0;
}

/* Connections that came by it live on. */
static int user_forget(struct user *u, const char *text, struct err *err)
{
    struct net_forward f;
    int r = net_forward_parse("port", text, &f, err);

    if (!r && u->api.remove_forward(u->slirp, (const struct sockaddr *)&f.host, f.host_len,
                                    f.udp ? FORWARD_UDP : 0) < 0)
        r = err_set(err, -ENOENT, "port '%s' is not forwarded", text);
    return r;
}

static void user_order(struct user *u)
{
    char text[NET_ORDER_MAX + 1];
    ssize_t n = recv(NET_HELPER_ORDERS_FD, text, sizeof(text) - 1, MSG_DONTWAIT);
    struct err err = {0};
    int r;

    if (n <= 0) {
        u->orders = n < 0 && (errno == EAGAIN || errno == EINTR);
        return;
    }
    text[n] = '\0';
    r = *text == NET_ORDER_ADD      ? user_forward(u, text + 1, &err)
        : *text == NET_ORDER_REMOVE ? user_forget(u, text + 1, &err)
                                    : err_set(&err, -EINVAL, "no such order");
    if (r == 0)
        err = (struct err){0};
    (void)send(NET_HELPER_ORDERS_FD, &err, sizeof(err), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int user_start(struct user *u, char *const *arguments, unsigned count, struct err *err)
{
    static const char *const files[] = {"/etc/resolv.conf", NULL};
    const struct sandbox_helper box = {.name = "network helper",
                                       .uuid = arguments[1],
                                       .files = files,
                                       .internet = true,
                                       .listens = u->orders};
    int r;

    u->guest = arguments[0];
    u->queue.fd = NET_HELPER_LINK_FD;
    if (u->tap && net_gate_init(&u->gate, NET_HELPER_RATES_FD, err) < 0)
        return err->code;
    u->queue.bucket = u->tap ? &u->gate.to_guest : NULL;
    if (!net_mac_parse(arguments[2], u->mac))
        return err_set(err, -EINVAL, "MAC address '%.20s' is none", arguments[2]);
    r = user_make(u, err);
    for (unsigned i = FIXED_ARGUMENTS; !r && i < count; i++)
        r = user_forward(u, arguments[i], err);
    return r ? r : net_helper_enter(&box, err);
}

int net_user_main(char *const *arguments, unsigned count)
{
    struct user *u = calloc(1, sizeof(*u));
    struct err err = {0};
    int r;

    if (!u || count < FIXED_ARGUMENTS || fcntl(NET_HELPER_LINK_FD, F_SETFL, O_NONBLOCK) < 0)
        return EXIT_USAGE;
    (void)fcntl(NET_HELPER_LINK_FD, F_SETFD, FD_CLOEXEC);
    u->tap = net_helper_has_tap();
    u->orders = !u->tap;
    process_set_name("posada-net");
    signal(SIGPIPE, SIG_IGN);
    r = user_start(u, arguments, count, &err);
    if (net_helper_report(u->tap ? NET_HELPER_REPORT_FD : NET_HELPER_LINK_FD, &err) < 0)
        return EXIT_FAILED;
    u->started = true;
    while (!r && !u->queue.over)
        user_turn(u);
    return r ? EXIT_FAILED : EXIT_OK;
}
