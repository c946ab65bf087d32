/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between a tap and a hub. Contract: net/pump.h. */
#include "net/pump.h"

#include "base/net_frame.h"
#include "host/process.h"
#include "net/gate.h"
#include "net/helper.h"
#include "net/queue.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { PUMP_BATCH = 64 };

struct pump {
    struct net_queue tap, hub;
    struct net_gate gate;
    uint8_t message[NET_HEADER_SIZE + NET_FRAME_MAX];
};

/* Neither side is believed: a message that is no frame goes nowhere. */
static void pump_move(struct pump *p, struct net_queue *from, struct net_queue *to,
                      struct net_bucket *bucket)
{
    struct net_frame frame;

    for (unsigned i = 0; i < PUMP_BATCH && !from->over && !net_bucket_wait(bucket); i++) {
        ssize_t n = read(from->fd, p->message, sizeof(p->message));

        if (n <= 0) {
            from->over = n == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        if (n > NET_HEADER_SIZE &&
            net_header_decode(p->message, (size_t)n - NET_HEADER_SIZE, &frame)) {
            net_bucket_pay(bucket, frame.length);
            net_queue_send(to, p->message, (size_t)n);
        }
    }
}

static void pump_turn(struct pump *p)
{
    int wait_ms = net_gate_look(&p->gate);
    struct pollfd at[] = {{.fd = p->tap.fd, .events = p->gate.from_open ? POLLIN : 0},
                          {.fd = p->hub.fd, .events = p->gate.to_open ? POLLIN : 0},
                          {.fd = NET_HELPER_LIFE_FD, .events = POLLIN}};
    struct net_queue *queue[] = {&p->tap, &p->hub};
    struct net_bucket *bucket[] = {&p->gate.from_guest, &p->gate.to_guest};

    for (unsigned i = 0; i < 2; i++)
        if (queue[i]->wait.len)
            at[i].events |= POLLOUT;
    (void)poll(at, 3, wait_ms);
    for (unsigned i = 0; i < 2; i++) {
        if (at[i].revents & POLLOUT)
            net_queue_flush(queue[i]);
        if (at[i].revents & POLLIN)
            pump_move(p, queue[i], queue[1 - i], bucket[i]);
        else if (at[i].revents & (POLLHUP | POLLERR))
            queue[i]->over = true;
    }
    p->tap.over = p->tap.over || at[2].revents;
}

int net_pump_main(void)
{
    static const struct sandbox_helper box = {.name = "network pump", .uuid = "00000000"};
    struct pump *p = calloc(1, sizeof(*p));
    struct err err = {0};

    if (!p || !net_helper_has_tap() || fcntl(NET_HELPER_LINK_FD, F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(NET_HELPER_MORE_FD, F_SETFL, O_NONBLOCK) < 0)
        return EXIT_USAGE;
    process_set_name("posada-pump");
    signal(SIGPIPE, SIG_IGN);
    p->tap.fd = NET_HELPER_LINK_FD;
    p->hub.fd = NET_HELPER_MORE_FD;
    if (net_gate_init(&p->gate, NET_HELPER_RATES_FD, &err) == 0)
        (void)!net_helper_enter(&box, &err);
    if (net_helper_report(NET_HELPER_REPORT_FD, &err) < 0 || err.code)
        return EXIT_FAILED;
    close(NET_HELPER_REPORT_FD);
    while (!p->tap.over && !p->hub.over)
        pump_turn(p);
    return EXIT_OK;
}
