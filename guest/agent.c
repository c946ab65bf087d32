/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's agent: runs commands for the host over the port AGENT_PORT. Protocol and flow
 * control: include/posada/agent.h. One epoll loop, no threads. The host is not trusted to keep the
 * protocol: whatever breaks it hangs up every command and starts the stream anew with HELLO.
 *
 * Usage: agent             (waits for the port)
 *        agent --fd N      (speaks over an open descriptor and ends with it: tests)
 */
#include "agent.h"

#include "base/endian.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static struct agent agent;

int source_watch(struct agent *a, struct source *s, unsigned events, unsigned channel,
                 enum source_kind kind)
{
    struct epoll_event e = {.events = events, .data.u64 = channel << 8 | kind};
    int op = !s->watched ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (s->fd < 0 || s->watched == events)
        return 0;
    if (epoll_ctl(a->epoll, op, s->fd, &e) < 0)
        return -errno;
    s->watched = events;
    return 0;
}

void source_close(struct agent *a, struct source *s)
{
    if (s->fd < 0)
        return;
    (void)source_watch(a, s, 0, 0, SRC_PORT);
    (void)close(s->fd);
    *s = (struct source){.fd = -1};
}

/* Asks whoever started us (init) to power down, in its own language. */
static void agent_shutdown(uint32_t action)
{
    bool reboot = action == AGENT_REBOOT;
    int signal;

    if (access("/run/systemd/system", F_OK) == 0 && getppid() == 1)
        signal = SIGRTMIN + (reboot ? 5 : 4);
    else
        signal = reboot ? SIGTERM : SIGUSR2; /* as busybox's init */
    (void)kill(getppid(), signal);
}

static void agent_frame(void *arg, const struct agent_frame *f, const uint8_t *payload)
{
    struct agent *a = arg;

    if (f->channel) {
        if (!channel_frame(a, &a->channels[f->channel], f, payload))
            a->port.bad = true;
    } else if (f->type == AGENT_PING) {
        port_send_hello(&a->port);
    } else if (f->type == AGENT_MOUNT) {
        if (!mount_frame(&a->port, payload, f->length))
            a->port.bad = true;
    } else if (f->type == AGENT_SHUTDOWN) {
        if (f->length != 4 || ld_le32(payload) > AGENT_REBOOT)
            a->port.bad = true;
        else
            agent_shutdown(ld_le32(payload));
    }
}

static void agent_hangup_all(struct agent *a)
{
    for (unsigned i = 1; i < AGENT_CHANNELS; i++)
        channel_hangup(a, &a->channels[i]);
}

static void agent_open_port(struct agent *a, int fd)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.u64 = SRC_PORT};

    port_reset(&a->port);
    a->port.fd = fd;
    a->port.connected = false;
    a->port.readable = a->port.writable = true;
    if (epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        exit(1);
}

/* The host broke the protocol. Closing the port tells it so. */
static void agent_restart_port(struct agent *a)
{
    agent_hangup_all(a);
    if (a->test_port)
        exit(2);
    (void)close(a->port.fd);
    agent_open_port(a, port_find(AGENT_PORT));
}

static void agent_pump_port(struct agent *a)
{
    bool was = a->port.connected;

    port_receive(&a->port, agent_frame, a);
    if (was && !a->port.connected) {
        agent_hangup_all(a);
        port_reset(&a->port);
    }
    if (!a->port.connected && a->test_port)
        exit(0);
}

static void agent_reap(struct agent *a)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        mount_reaped(&a->port, pid, status);
        for (unsigned i = 1; i < AGENT_CHANNELS; i++)
            if (a->channels[i].state != CHANNEL_FREE && a->channels[i].pid == pid)
                channel_reaped(a, &a->channels[i], status);
    }
}

static void agent_signal(struct agent *a)
{
    struct signalfd_siginfo si;

    while (read(a->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
        if (si.ssi_signo == SIGTERM)
            a->ending = true;
    agent_reap(a);
}

static void agent_event(struct agent *a, const struct epoll_event *e)
{
    enum source_kind kind = e->data.u64 & 0xff;
    unsigned channel = (unsigned)(e->data.u64 >> 8);

    if (kind == SRC_PORT)
        a->port.readable = a->port.writable = true;
    else if (kind == SRC_SIGNAL)
        agent_signal(a);
    else
        channel_event(a, &a->channels[channel], kind, e->events);
}

/* Everything that follows from the state, after every batch of events. */
static void agent_settle(struct agent *a)
{
    bool busy = false;

    agent_pump_port(a);
    for (unsigned i = 1; i < AGENT_CHANNELS; i++) {
        channel_settle(a, &a->channels[i]);
        busy |= a->channels[i].state != CHANNEL_FREE;
    }
    a->stalled = a->port.out.used >= OUT_LOW;
    port_flush(&a->port);
    if (a->port.bad)
        agent_restart_port(a);
    if (a->ending && !busy && (!a->port.out.used || !a->port.connected))
        exit(0);
}

/* Somebody waited for room in the port's queue, and now there is: no event will say so. */
static bool agent_must_settle(const struct agent *a)
{
    return a->stalled && a->port.out.used < OUT_LOW;
}

static void agent_signals(struct agent *a)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = SRC_SIGNAL};
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, no end would be told */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (a->signals < 0 || epoll_ctl(a->epoll, EPOLL_CTL_ADD, a->signals, &e) < 0)
        exit(1);
}

static void agent_loop(struct agent *a)
{
    struct epoll_event events[32];
    int n;

    for (;;) {
        agent_settle(a);
        n = epoll_wait(a->epoll, events, 32, agent_must_settle(a) ? 0 : -1);
        if (n < 0 && errno != EINTR)
            exit(1);
        for (int i = 0; i < n; i++)
            agent_event(a, &events[i]);
    }
}

static int agent_test_fd(const char *text)
{
    int fd = atoi(text);

    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        exit(1);
    return fd;
}

int main(int argc, char **argv)
{
    struct agent *a = &agent;
    int fd;

    a->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (a->epoll < 0)
        return 1;
    for (unsigned i = 0; i < AGENT_CHANNELS; i++)
        a->channels[i].id = (uint16_t)i;
    a->test_port = argc == 3 && strcmp(argv[1], "--fd") == 0;
    fd = a->test_port ? agent_test_fd(argv[2]) : port_find(AGENT_PORT);
    agent_signals(a); /* until here SIGTERM ends us */
    agent_open_port(a, fd);
    agent_loop(a);
}
