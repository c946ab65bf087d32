/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine without a guest, linked in place of src/vm/machine.c: the command line, the monitor,
 * the control socket and the sandbox are tested with it in seconds and without an image. Its
 * "guest" is the real agent, run on the host at the end of a socket pair; so commands "in the
 * guest" are the host's. A power-down is caught before the agent sees it.
 *
 * What the kernel's file name contains chooses how it behaves: "broken" cannot be built, "fatal"
 * dies over it, "mute"
 * has no agent, "sulk" says on its console that it panicked, "panic" dies at once, "crash" takes
 * the process down, "ends" powers off with 5. After a
 * while "late" panics on its console and falls silent, "quote" says the same but shows a prompt,
 * "reset" panics and resets.
 */
#include "base/buf.h"
#include "host/loop.h"
#include "host/sandbox_thread.h"
#include "vm/frame.h"
#include "vm/machine.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct machine {
    struct loop *loop;
    struct machine_io io_copy;
    struct machine_events events;
    const char *kernel;
    struct loop_timer *timer;
    pid_t agent;
    int agent_fd; /* -1: none */
    struct buf to_agent, frames;
    bool paused;
    unsigned lived; /* ticks */
};

static bool fake_is(const struct machine *m, const char *word)
{
    return m->kernel && strstr(m->kernel, word);
}

static void fake_print(struct machine *m, const char *text)
{
    struct chardev *dev = m->io_copy.console;

    (void)dev->ops->write(dev, (const uint8_t *)text, strlen(text));
}

/* --- the console: says everything back in capitals --- */

static size_t fake_console_receive(void *arg, const uint8_t *data, size_t len)
{
    struct machine *m = arg;

    for (size_t i = 0; i < len; i++) {
        char c[2] = {(char)(data[i] >= 'a' && data[i] <= 'z' ? data[i] - 32 : data[i])};

        fake_print(m, c);
        if (data[i] == '!')
            m->events.power(m->events.arg, POWER_OFF, 3);
    }
    return len;
}

/* --- the agent --- */

static size_t fake_agent_receive(void *arg, const uint8_t *data, size_t len)
{
    struct machine *m = arg;
    struct frame f;

    if (m->agent_fd < 0 || buf_append(&m->frames, data, len) < 0)
        return len;
    while (frame_peek(&m->frames, &f) > 0) {
        if (f.type == AGENT_SHUTDOWN)
            m->events.power(m->events.arg, POWER_OFF, 0);
        else
            (void)!frame_put(&m->to_agent, f.type, f.channel, f.data, f.len);
        frame_drop(&m->frames, &f);
    }
    (void)!loop_change(m->loop, m->agent_fd, EPOLLIN | (m->to_agent.len ? EPOLLOUT : 0u));
    return len;
}

static void fake_agent_ready(void *arg, int fd, unsigned events)
{
    struct machine *m = arg;
    struct chardev *dev = m->io_copy.agent;
    uint8_t data[4096];
    ssize_t n;

    if (events & EPOLLOUT) {
        n = send(fd, buf_data(&m->to_agent), m->to_agent.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            buf_consume(&m->to_agent, (size_t)n);
        (void)!loop_change(m->loop, fd, EPOLLIN | (m->to_agent.len ? EPOLLOUT : 0u));
    }
    if (m->paused || !(events & (EPOLLIN | EPOLLHUP)))
        return;
    n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    if (n > 0)
        (void)dev->ops->write(dev, data, (size_t)n);
    else if (n == 0)
        loop_unwatch(m->loop, fd);
}

/* Before the sandbox closes: it starts programs as the guest would. */
static int fake_agent_start(struct machine *m, struct err *err)
{
    const char *program = getenv("POSADA_FAKE_AGENT");
    int pair[2];

    if (!program || fake_is(m, "mute") || fake_is(m, "sulk"))
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "fake agent: %s", strerror(errno));
    m->agent = fork();
    if (m->agent == 0) {
        char fd[16];

        snprintf(fd, sizeof(fd), "%d", fcntl(pair[1], F_DUPFD, 0));
        execl(program, program, "--fd", fd, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    m->agent_fd = pair[0];
    return 0;
}

/* --- the machine --- */

#define FAKE_PANIC "Kernel panic - not syncing: fake"

/* What a kernel says that gives up later. True: said already. */
static bool fake_panics(struct machine *m)
{
    bool is = fake_is(m, "late") || fake_is(m, "quote") || fake_is(m, "reset");

    if (!is || !m->lived++) {
        loop_timer_set(m->timer, is ? 300000000 : UINT64_MAX);
        return false;
    }
    fake_print(m, "[ 9.0] " FAKE_PANIC "\n");
    if (!fake_is(m, "reset"))
        fake_print(m, "[ 9.0] ---[ end " FAKE_PANIC " ]---\n");
    if (fake_is(m, "quote"))
        fake_print(m, "$ ");
    if (fake_is(m, "reset"))
        m->events.power(m->events.arg, POWER_RESET, 0);
    return true;
}

static void fake_tick(void *arg)
{
    struct machine *m = arg;
    struct chardev *agent = m->io_copy.agent;

    if (fake_is(m, "sulk"))
        fake_print(m, "\33[1m[ 1.0] Kernel panic - not syncing: no init\n");
    else if (fake_is(m, "panic"))
        m->events.power(m->events.arg, POWER_PANIC, 0);
    else if (fake_is(m, "crash"))
        abort();
    else if (fake_is(m, "ends"))
        m->events.power(m->events.arg, POWER_OFF, 5);
    if (fake_panics(m) || m->agent_fd < 0)
        return;
    agent->ops->guest_open(agent, true);
    if (loop_watch(m->loop, m->agent_fd, EPOLLIN, fake_agent_ready, m) < 0)
        abort();
}

int machine_new(const struct vm_config *config, struct loop *loop, pthread_mutex_t *lock,
                const struct machine_io *io, const struct machine_events *events,
                struct machine **ret_machine, struct err *err)
{
    struct machine *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->loop = loop;
    m->io_copy = *io;
    m->events = *events;
    m->kernel = config->kernel;
    m->agent_fd = -1;
    m->timer = loop_timer_new(loop, fake_tick, m);
    io->console->front = (struct chardev_front){.receive = fake_console_receive, .arg = m};
    io->agent->front = (struct chardev_front){.receive = fake_agent_receive, .arg = m};
    *ret_machine = m;
    if (fake_is(m, "fatal"))
        abort();
    if (fake_is(m, "broken"))
        return err_set(err, -ENOEXEC, "kernel %s: not a kernel", config->kernel);
    return fake_agent_start(m, err);
}

int machine_start(struct machine *m, struct err *err)
{
    int r = sandbox_enter_thread(SANDBOX_MAIN);

    if (r)
        return err_set(err, r, "fake machine: its thread cannot be locked in");
    fake_print(m, "fake machine\n");
    loop_timer_set(m->timer, 1000000);
    return 0;
}

void machine_pause(struct machine *m)
{
    m->paused = true;
}

void machine_resume(struct machine *m)
{
    m->paused = false;
}

bool machine_paused(const struct machine *m)
{
    return m->paused;
}

void machine_stop(struct machine *m)
{
    if (m->agent_fd >= 0)
        close(m->agent_fd); /* the agent hangs up its commands and leaves */
    m->agent_fd = -1;
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    machine_stop(m);
    buf_done(&m->to_agent);
    buf_done(&m->frames);
    free(m);
}

const char *machine_engine_name(const struct machine *m)
{
    return "fake";
}

struct engine *machine_engine(struct machine *m)
{
    static const struct engine_ops ops = {.name = "fake"};
    static struct engine engine = {.ops = &ops};

    return &engine;
}

struct clock *machine_clock(struct machine *m)
{
    return NULL;
}

unsigned machine_stats(struct machine *m, struct engine_stat *stats, unsigned room)
{
    stats[0] = (struct engine_stat){.name = "fakes", .value = 1};
    stats[1] = (struct engine_stat){.name = "fake_level", .value = 5, .gauge = true};
    return 2;
}
