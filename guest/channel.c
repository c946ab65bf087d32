/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command of the host's: its pipes or terminal, flow control and its end.
 * What is watched is a function of the state, derived in channel_settle(). The last frame of a
 * channel is EXIT (or FAILED): it is sent once the child is reaped and the output it left behind
 * was passed on. Descendants that keep the pipes open do not delay it: a pipe or terminal holds at
 * most AFTER_EXIT bytes of the child's own.
 */
#include "agent.h"

#include "base/endian.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { AFTER_EXIT = 128 * 1024 };

static void channel_free(struct agent *a, struct channel *c)
{
    source_close(a, &c->status);
    source_close(a, &c->in);
    source_close(a, &c->out);
    source_close(a, &c->err);
    free(c->input.data);
    c->input = (struct fifo){0};
    c->state = CHANNEL_FREE;
}

static void channel_signal(const struct channel *c, int signal)
{
    if (c->reaped)
        return;
    if (kill(-c->pid, signal) < 0) /* just forked: no group of its own yet */
        (void)kill(c->pid, signal);
}

void channel_hangup(struct agent *a, struct channel *c)
{
    if (c->state == CHANNEL_FREE)
        return;
    channel_signal(c, SIGHUP);
    channel_signal(c, SIGCONT);
    channel_free(a, c); /* closing the terminal's master hangs up its foreground group too */
}

/* Starting */

static int channel_pair(int ours_is_read, int *ours, int *childs)
{
    int p[2];

    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    *ours = p[!ours_is_read];
    *childs = p[ours_is_read];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int channel_open_terminal(struct channel *c, const struct command *cmd, int stdio[3])
{
    struct winsize size = {.ws_row = (uint16_t)cmd->rows, .ws_col = (uint16_t)cmd->columns};
    int unlock = 0;

    c->out.fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (c->out.fd < 0 || ioctl(c->out.fd, TIOCSPTLCK, &unlock) < 0)
        return -errno;
    stdio[0] = ioctl(c->out.fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (stdio[0] < 0)
        return -errno;
    (void)ioctl(c->out.fd, TIOCSWINSZ, &size);
    stdio[1] = stdio[2] = stdio[0];
    /* A descriptor of its own for writing: epoll then treats terminal and pipes alike. */
    c->in.fd = fcntl(c->out.fd, F_DUPFD_CLOEXEC, 3);
    return c->in.fd < 0 ? -errno : 0;
}

static int channel_open_pipes(struct channel *c, const struct command *cmd, int stdio[3])
{
    int r;

    if (cmd->flags & AGENT_EXEC_STDIN) {
        r = channel_pair(0, &c->in.fd, &stdio[0]);
    } else {
        stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        r = stdio[0] < 0 ? -errno : 0;
    }
    if (r == 0)
        r = channel_pair(1, &c->out.fd, &stdio[1]);
    return r < 0 ? r : channel_pair(1, &c->err.fd, &stdio[2]);
}

static int channel_spawn(struct channel *c, const struct command *cmd, const int stdio[3])
{
    int status = -1, r = channel_pair(1, &c->status.fd, &status);

    if (r < 0)
        return r;
    c->pid = fork();
    r = c->pid < 0 ? -errno : 0;
    if (c->pid == 0)
        spawn_exec(cmd, stdio, status);
    (void)close(status);
    return r;
}

static int channel_start(struct channel *c, const struct command *cmd)
{
    int stdio[3] = {-1, -1, -1}, r = 0;

    if (cmd->flags & (AGENT_EXEC_STDIN | AGENT_EXEC_TTY)) {
        c->input = (struct fifo){.data = malloc(AGENT_WINDOW), .size = AGENT_WINDOW};
        r = c->input.data ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = c->tty ? channel_open_terminal(c, cmd, stdio) : channel_open_pipes(c, cmd, stdio);
    if (r == 0)
        r = channel_spawn(c, cmd, stdio);
    for (int i = 0; i < 3; i++)
        if (stdio[i] >= 0 && (i == 0 || stdio[i] != stdio[i - 1]))
            (void)close(stdio[i]);
    return r;
}

static void channel_fail(struct agent *a, struct channel *c, uint32_t code, const char *text)
{
    uint8_t payload[4 + sizeof(((struct spawn_failure *)0)->text)];
    size_t len = strnlen(text, sizeof(payload) - 4);

    st_le32(payload, code);
    memcpy(payload + 4, text, len);
    port_send(&a->port, AGENT_FAILED, c->id, payload, 4 + len);
    channel_free(a, c);
}

static void channel_exec(struct agent *a, struct channel *c, const uint8_t *payload, size_t len)
{
    struct command cmd = {0};
    int r = command_parse(&cmd, payload, len);

    c->status.fd = c->in.fd = c->out.fd = c->err.fd = -1;
    c->state = CHANNEL_STARTING;
    c->tty = cmd.flags & AGENT_EXEC_TTY;
    c->reaped = c->input_ended = c->terminal_idle = false;
    c->input_last = '\n';
    c->unacked = 0;
    c->pid = 0;
    if (r == 0)
        r = channel_start(c, &cmd);
    if (r == -EINVAL)
        channel_fail(a, c, 126, "the request to run a command is malformed");
    else if (r < 0)
        channel_fail(a, c, 126, strerror(-r));
    command_done(&cmd);
}

/* The status pipe: end of file is a successful exec. */
static void channel_started(struct agent *a, struct channel *c)
{
    struct spawn_failure f;
    ssize_t n = read(c->status.fd, &f, sizeof(f));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == (ssize_t)sizeof(f)) {
        f.text[sizeof(f.text) - 1] = '\0';
        channel_fail(a, c, f.code, f.text);
        return;
    }
    source_close(a, &c->status);
    c->state = CHANNEL_RUNNING;
    port_send_u32(&a->port, AGENT_STARTED, c->id, (uint32_t)c->pid);
}

/* Input */

static void channel_ack(struct agent *a, struct channel *c, size_t bytes)
{
    if (bytes)
        port_send_u32(&a->port, AGENT_ACK, c->id, (uint32_t)bytes);
}

/* Nobody will read it: what came and what comes is dropped. */
static void channel_input_closed(struct agent *a, struct channel *c)
{
    channel_ack(a, c, c->input.used);
    fifo_drop(&c->input, c->input.used);
    source_close(a, &c->in);
}

/* End of input for a terminal is its EOF character, twice behind an unfinished line. */
static void channel_input_end(struct agent *a, struct channel *c)
{
    struct termios t;
    uint8_t eof[2];

    if (c->tty && tcgetattr(c->in.fd, &t) == 0 && (t.c_lflag & ICANON)) {
        eof[0] = eof[1] = t.c_cc[VEOF];
        (void)!write(c->in.fd, eof, c->input_last == '\n' ? 1 : 2);
    }
    source_close(a, &c->in);
}

static void channel_write_input(struct agent *a, struct channel *c, unsigned events)
{
    const uint8_t *data;
    size_t len, taken = 0;
    ssize_t n = 0;

    while (c->in.fd >= 0 && (len = fifo_front(&c->input, &data)) > 0) {
        n = write(c->in.fd, data, len);
        if (n <= 0)
            break;
        c->input_last = data[n - 1];
        fifo_drop(&c->input, (size_t)n);
        taken += (size_t)n;
    }
    channel_ack(a, c, taken);
    if (n < 0 && errno != EINTR && (errno != EAGAIN || (events & (EPOLLERR | EPOLLHUP))))
        channel_input_closed(a, c);
}

static bool channel_input(struct agent *a, struct channel *c, const uint8_t *data, size_t len)
{
    if (c->in.fd < 0) {
        channel_ack(a, c, len);
        return true;
    }
    if (c->input_ended || len > fifo_room(&c->input))
        return false;
    c->input_ended = len == 0;
    fifo_put(&c->input, data, len);
    if (c->state == CHANNEL_RUNNING)
        channel_write_input(a, c, 0);
    return true;
}

/* Output */

/* A terminal's reader sees EIO while nobody has it open, which a command may do before it exits:
 * closing our side then would hang it up. */
static void channel_output_ended(struct agent *a, struct channel *c, enum source_kind kind,
                                 struct source *s)
{
    if (c->tty)
        c->terminal_idle = true;
    else
        source_close(a, s);
    if (kind == SRC_OUT && !c->reaped)
        port_send(&a->port, AGENT_STDOUT, c->id, NULL, 0);
}

static void channel_read_output(struct agent *a, struct channel *c, enum source_kind kind)
{
    struct source *s = kind == SRC_ERR ? &c->err : &c->out;
    size_t *left = &c->after_exit[kind == SRC_ERR];
    uint8_t data[AGENT_MAX_PAYLOAD];
    size_t room = AGENT_WINDOW - c->unacked;
    ssize_t n;

    if (s->fd < 0 || room == 0 || a->port.out.used >= OUT_LOW)
        return;
    n = read(s->fd, data, room < sizeof(data) ? room : sizeof(data));
    if (n > 0) {
        port_send(&a->port, kind == SRC_ERR ? AGENT_STDERR : AGENT_STDOUT, c->id, data, (size_t)n);
        c->unacked += (uint32_t)n;
        *left -= (size_t)n < *left ? (size_t)n : *left;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        channel_output_ended(a, c, kind, s);
        *left = 0;
    } else if (errno == EAGAIN) {
        *left = 0;
    }
}

/* After the child's end: what it left in the pipes, without waiting for other holders. */
static void channel_drain(struct agent *a, struct channel *c)
{
    static const enum source_kind kinds[2] = {SRC_OUT, SRC_ERR};

    for (int i = 0; i < 2; i++) {
        struct source *s = i ? &c->err : &c->out;

        while (s->fd >= 0 && c->after_exit[i] && c->unacked < AGENT_WINDOW &&
               a->port.out.used < OUT_LOW)
            channel_read_output(a, c, kinds[i]);
    }
}

static bool channel_said_all(const struct channel *c)
{
    return c->reaped && (c->out.fd < 0 || !c->after_exit[0]) &&
           (c->err.fd < 0 || !c->after_exit[1]);
}

/* Frames, events, end */

static void channel_resize(const struct channel *c, const uint8_t *payload)
{
    struct winsize size = {.ws_row = ld_le16(payload), .ws_col = ld_le16(payload + 2)};

    if (c->tty && c->out.fd >= 0)
        (void)ioctl(c->out.fd, TIOCSWINSZ, &size);
}

static bool channel_frame_signal(const struct channel *c, uint32_t signal)
{
    if (signal < 1 || signal > 64)
        return false;
    channel_signal(c, (int)signal);
    return true;
}

bool channel_frame(struct agent *a, struct channel *c, const struct agent_frame *f,
                   const uint8_t *payload)
{
    bool is_free = c->state == CHANNEL_FREE;
    uint32_t acked;

    if (f->type == AGENT_EXEC) {
        if (is_free)
            channel_exec(a, c, payload, f->length);
        return is_free; /* a channel in use is not the host's to give away */
    }
    if (is_free)
        return true; /* crossed our EXIT on its way */
    switch (f->type) {
    case AGENT_STDIN: return channel_input(a, c, payload, f->length);
    case AGENT_RESIZE:
        if (f->length == 4)
            channel_resize(c, payload);
        return f->length == 4;
    case AGENT_SIGNAL: return f->length == 4 && channel_frame_signal(c, ld_le32(payload));
    case AGENT_ACK:
        acked = f->length == 4 ? ld_le32(payload) : UINT32_MAX;
        if (acked > c->unacked)
            return false;
        c->unacked -= acked;
        return true;
    case AGENT_CLOSE:
        channel_hangup(a, c);
        port_send_u32(&a->port, AGENT_EXIT, c->id, 128 + SIGHUP);
        return true;
    default: return true;
    }
}

void channel_event(struct agent *a, struct channel *c, enum source_kind kind, unsigned events)
{
    if (kind == SRC_STATUS && c->state == CHANNEL_STARTING && c->status.fd >= 0)
        channel_started(a, c);
    else if (kind == SRC_IN && c->state == CHANNEL_RUNNING)
        channel_write_input(a, c, events);
    else if ((kind == SRC_OUT || kind == SRC_ERR) && c->state == CHANNEL_RUNNING)
        channel_read_output(a, c, kind);
}

void channel_reaped(struct agent *a, struct channel *c, int wait_status)
{
    c->reaped = true;
    c->exit_code =
        WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    c->after_exit[0] = c->after_exit[1] = AFTER_EXIT;
    if (c->state == CHANNEL_STARTING)
        channel_started(a, c); /* the child is gone, so the pipe has its end */
}

void channel_settle(struct agent *a, struct channel *c)
{
    bool may_read = c->unacked < AGENT_WINDOW && a->port.out.used < OUT_LOW;
    unsigned read_events;

    if (c->state == CHANNEL_FREE)
        return;
    if (c->state == CHANNEL_STARTING) {
        (void)source_watch(a, &c->status, EPOLLIN, c->id, SRC_STATUS);
        return;
    }
    if (c->in.fd >= 0 && c->input_ended && !c->input.used)
        channel_input_end(a, c);
    if (c->reaped)
        channel_drain(a, c);
    if (channel_said_all(c)) {
        port_send_u32(&a->port, AGENT_EXIT, c->id, (uint32_t)c->exit_code);
        channel_free(a, c);
        return;
    }
    /* Once reaped, output is drained here whenever the host makes room. */
    read_events = may_read && !c->reaped && !c->terminal_idle ? EPOLLIN : 0;
    (void)source_watch(a, &c->out, read_events, c->id, SRC_OUT);
    (void)source_watch(a, &c->err, read_events, c->id, SRC_ERR);
    (void)source_watch(a, &c->in, c->input.used ? EPOLLOUT : 0, c->id, SRC_IN);
}
