/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's devices lead to by way of helper processes: networks, a vsock, shares. One that
 * ends is told to the keeper, which starts another and sends the new ends here (vm/helpers.h);
 * until then the cable is out, connections are refused, files give errors.
 */
#include "host/loop.h"
#include "host/pass.h"
#include "net/vsock.h"
#include "vm/helpers.h"
#include "vm/monitor.h"
#include "vm/monitor_state.h"
#include <errno.h>
#include <posada/log.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* --- losing one --- */

/* What will be done about it, for the log. */
static const char *links_ask(const struct monitor *m, unsigned number)
{
    return monitor_tell_keeper(m, (uint8_t)(MONITOR_LOST + number))
               ? "another one is being started"
               : "the guest goes on without until it is started again";
}

static void links_net_lost(void *arg, unsigned number, bool again)
{
    const struct monitor *m = arg;
    const char *name = m->config.net[number].network;

    if (again)
        log_warn("guest '%s': network '%s' is gone: its helper process has ended; %s",
                 m->guest->name, name, links_ask(m, HELPER_NET + number));
    else
        log_warn("guest '%s': network '%s' is gone: the interface does not answer any more; the "
                 "guest goes on without until it is started again",
                 m->guest->name, name);
}

static void links_vsock_lost(void *arg)
{
    const struct monitor *m = arg;

    log_warn("guest '%s': vsock %s: its helper process has ended, so the guest cannot reach the "
             "host's sockets; %s",
             m->guest->name, m->config.vsock, links_ask(m, HELPER_VSOCK));
}

static void links_share_lost(void *arg, unsigned number)
{
    const struct monitor *m = arg;
    const struct vm_share *share = &m->config.share[number];

    log_warn("guest '%s': share '%s' is gone: its helper process has ended; the guest gets errors "
             "at '%s'; %s",
             m->guest->name, share->host, share->guest, links_ask(m, HELPER_SHARE + number));
}

/* --- getting another one --- */

static void links_close_fds(const int *fds)
{
    for (unsigned i = 0; i < HELPER_FDS_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int links_reconnect(struct monitor *m, unsigned number, const int *fds)
{
    if (number < HELPER_VSOCK && fds[0] >= 0)
        return networks_reconnect(&m->net, number - HELPER_NET, fds);
    if (number == HELPER_VSOCK && m->vsock && fds[0] >= 0)
        return net_vsock_reconnect(m->vsock, fds[0]);
    if (number > HELPER_VSOCK && number < HELPERS && fds[0] >= 0 && fds[1] >= 0)
        return shares_reconnect(&m->shares, number - HELPER_SHARE, fds);
    links_close_fds(fds);
    return -EINVAL;
}

static void links_on_keeper(void *arg, int fd, unsigned events)
{
    struct monitor *m = arg;
    int fds[HELPER_FDS_MAX], r;
    uint8_t number;

    while ((r = pass_receive(fd, &number, sizeof(number), fds, HELPER_FDS_MAX)) > 0) {
        r = links_reconnect(m, number, fds);
        if (r < 0)
            log_warn("guest '%s': a new helper process cannot be used: %s", m->guest->name,
                     strerror(-r));
    }
    if (r < 0) /* the keeper is gone, and nobody else speaks there */
        loop_unwatch(m->loop, fd);
}

/* --- opening --- */

static int links_open_nets(struct monitor *m, struct err *err)
{
    const struct networks_events events = {.lost = links_net_lost, .arg = m};
    const struct net_vsock_config vsock = {.guest = m->guest->name,
                                           .path = m->config.vsock,
                                           .log_fd = STDERR_FILENO,
                                           .lost = links_vsock_lost,
                                           .arg = m};
    int r = networks_open(&m->net, m->loop, &m->config, &events, STDERR_FILENO, err);

    if (!r && m->config.vsock)
        r = net_vsock_open(m->loop, &vsock, &m->vsock, err);
    return r;
}

static int links_open_shares(struct monitor *m, struct err *err)
{
    const struct shares_events events = {
        .mounted = monitor_on_shares, .lost = links_share_lost, .arg = m};

    return shares_open(&m->shares, m->loop, &m->config, &events, STDERR_FILENO, err);
}

/* Helper processes are children nobody waits for; they end with their socket, at the latest.
 * Without one nothing changes: what a child inherits is not ours to decide. */
int monitor_open_links(struct monitor *m, struct err *err)
{
    int r = links_open_nets(m, err);

    if (!r)
        r = links_open_shares(m, err);
    if (m->config.net_count || m->config.vsock || m->config.share_count)
        signal(SIGCHLD, SIG_IGN);
    if (!r && m->event_fd >= 0 && loop_watch(m->loop, m->event_fd, EPOLLIN, links_on_keeper, m) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    return r;
}

void monitor_close_links(struct monitor *m)
{
    networks_close(&m->net);
    shares_close(&m->shares);
    net_vsock_close(m->vsock);
}
