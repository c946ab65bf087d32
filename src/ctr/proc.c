/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's process as a stream. Contract: ctr/proc.h.
 *
 * Its end is its exit, not the end of its pipes: what it left in them is read first, but nobody
 * waits for a pipe that something else still holds open.
 */
#include "ctr/proc.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "host/loop.h"
#include "vm/control.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/agent.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

enum { PROC_OUT = 0, PROC_ERR = 1 };

struct proc_source {
    struct ctr_proc *proc;
    unsigned type;
    int fd; /* -1: over */
};

struct ctr_proc {
    struct stream stream;
    struct ctr_proc_config config;
    struct proc_source source[2];
    int in;        /* -1: none, or closed */
    int listen_fd; /* for the terminal's master; -1: none awaited */
    struct buf input;
    bool input_over; /* close it behind what waits */
    struct ctr_child child;
    bool started, ended, told, gone;
    int status;
    char tty_name[32];
    unsigned rows, columns; /* as a client told before there was a terminal */
};

/* --- output --- */

static void proc_close_source(struct proc_source *s)
{
    if (s->fd < 0)
        return;
    loop_unwatch(s->proc->config.loop, s->fd);
    if (s->fd == s->proc->in)
        s->proc->in = -1; /* a terminal's master is both */
    close(take_fd(&s->fd));
}

/* One piece; false when there is no more now, or for ever. */
static bool proc_read(struct proc_source *s)
{
    uint8_t data[AGENT_MAX_PAYLOAD];
    ssize_t n = s->fd < 0 ? 0 : read(s->fd, data, sizeof(data));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) { /* a terminal whose last process has left it: EIO */
        proc_close_source(s);
        return false;
    }
    if (!s->proc->gone)
        stream_output(&s->proc->stream, s->type, data, (size_t)n);
    if (s->proc->stream.log)
        guest_log_flush(s->proc->stream.log);
    return true;
}

static void proc_update(struct ctr_proc *p)
{
    bool stop = stream_congested(&p->stream);

    for (unsigned i = 0; i < ARRAY_LEN(p->source); i++) {
        unsigned events = stop ? 0u : EPOLLIN;

        if (p->source[i].fd == p->in && p->input.len)
            events |= EPOLLOUT;
        if (p->source[i].fd >= 0)
            (void)!loop_change(p->config.loop, p->source[i].fd, events);
    }
    if (p->in >= 0 && p->in != p->source[PROC_OUT].fd)
        (void)!loop_change(p->config.loop, p->in, p->input.len || p->input_over ? EPOLLOUT : 0u);
}

static void proc_accept(void *arg, int fd, unsigned events);

/* After its end: the rest of its output, as far as clients take it, then the word of it. */
static void proc_settle(struct ctr_proc *p)
{
    if (!p->ended || p->told)
        return;
    if (p->listen_fd >= 0) /* the terminal may have come and not been looked at */
        proc_accept(p, p->listen_fd, 0);
    for (unsigned i = 0; i < ARRAY_LEN(p->source); i++)
        while (!stream_congested(&p->stream) && proc_read(&p->source[i]))
            ;
    if (stream_congested(&p->stream) && (p->source[0].fd >= 0 || p->source[1].fd >= 0))
        return;
    p->told = true;
    p->config.ended(p->config.arg, p->status);
}

/* --- input --- */

static void proc_close_input(struct ctr_proc *p)
{
    size_t waiting = p->input.len;

    if (p->in >= 0 && p->in != p->source[PROC_OUT].fd) {
        loop_unwatch(p->config.loop, p->in);
        close(p->in);
    }
    p->in = -1;
    buf_consume(&p->input, waiting);
    stream_input_room(&p->stream, waiting);
}

static void proc_write(struct ctr_proc *p)
{
    ssize_t n = p->input.len ? write(p->in, buf_data(&p->input), p->input.len) : 0;

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        proc_close_input(p);
        return;
    }
    if (n > 0) {
        buf_consume(&p->input, (size_t)n);
        stream_input_room(&p->stream, (size_t)n);
    }
    if (!p->input.len && p->input_over && !p->config.tty_name)
        proc_close_input(p);
    proc_update(p);
}

static void proc_on_input(void *arg, int fd, unsigned events)
{
    struct ctr_proc *p = arg;

    if (events & EPOLLOUT)
        proc_write(p);
    else if (events & (EPOLLERR | EPOLLHUP))
        proc_close_input(p);
}

static void proc_on_output(void *arg, int fd, unsigned events)
{
    struct proc_source *s = arg;
    struct ctr_proc *p = s->proc;

    if (events & EPOLLOUT && fd == p->in)
        proc_write(p);
    if (s->fd == fd && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        (void)proc_read(s);
    proc_update(p);
}

static int proc_watch_source(struct ctr_proc *p, unsigned i, int fd)
{
    int r = loop_watch(p->config.loop, fd, EPOLLIN, proc_on_output, &p->source[i]);

    if (r < 0)
        close(fd);
    else
        p->source[i].fd = fd;
    return r;
}

static int proc_watch_input(struct ctr_proc *p, int fd)
{
    int r = loop_watch(p->config.loop, fd, 0, proc_on_input, p);

    if (r < 0)
        close(fd);
    else
        p->in = fd;
    return r;
}

/* --- the terminal --- */

static void proc_size(const struct ctr_proc *p)
{
    struct winsize size = {.ws_row = (unsigned short)p->rows, .ws_col = (unsigned short)p->columns};

    if (p->config.tty_name && p->in >= 0 && p->rows && p->columns)
        (void)ioctl(p->in, TIOCSWINSZ, &size);
}

/* The one descriptor of a message; -1: none came. */
static int proc_receive_fd(int fd)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char text[256];
    struct iovec iov = {text, sizeof(text)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c;
    int got = -1;

    if (recvmsg(fd, &m, MSG_CMSG_CLOEXEC) < 0)
        return -1;
    c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&got, CMSG_DATA(c), sizeof(got));
    return got;
}

static void proc_accept(void *arg, int fd, unsigned events)
{
    struct ctr_proc *p = arg;
    CLEANUP(fd) int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    int master = client < 0 ? -1 : proc_receive_fd(client);

    if (client < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_unwatch(p->config.loop, fd);
    close(take_fd(&p->listen_fd));
    (void)!unlinkat(p->config.tty_dir, p->config.tty_name, 0);
    if (master < 0)
        return;
    (void)fcntl(master, F_SETFL, O_NONBLOCK);
    if (proc_watch_source(p, PROC_OUT, master) == 0)
        p->in = master;
    proc_size(p);
    proc_update(p);
}

static int proc_listen(struct ctr_proc *p, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    (void)!unlinkat(p->config.tty_dir, p->config.tty_name, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                   p->config.tty_dir, p->config.tty_name);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return err_set(err, -errno, "terminal's socket: %s", strerror(errno));
    r = loop_watch(p->config.loop, fd, EPOLLIN, proc_accept, p);
    if (r < 0)
        return err_set(err, r, "terminal's socket: %s", strerror(-r));
    p->listen_fd = take_fd(&fd);
    return 0;
}

/* --- from the clients --- */

static int proc_input(void *arg, const uint8_t *data, size_t len)
{
    struct ctr_proc *p = arg;

    if (p->ended || (p->started && p->in < 0))
        return 0; /* nobody reads it */
    if (p->input.len + len > AGENT_WINDOW)
        return -ENOBUFS;
    if (buf_append(&p->input, data, len) < 0)
        return -ENOMEM;
    p->input_over = p->input_over || !len;
    proc_update(p);
    return 0;
}

static void proc_resize(void *arg, unsigned rows, unsigned columns)
{
    struct ctr_proc *p = arg;

    p->rows = rows;
    p->columns = columns;
    proc_size(p);
}

static void proc_stream_signal(void *arg, unsigned signal)
{
    ctr_proc_signal(arg, signal);
}

static void proc_relieved(void *arg)
{
    struct ctr_proc *p = arg;

    proc_update(p);
    proc_settle(p);
}

/* Who leaves by the detach keys wants it to go on. */
static void proc_left(void *arg, const struct conn *conn)
{
    struct ctr_proc *p = arg;

    if (conn->detached)
        p->config.lives_on = true;
    if (p->stream.clients || p->config.lives_on || p->stream.ended || p->gone) {
        proc_relieved(p);
        return;
    }
    p->gone = true;
    p->config.abandoned(p->config.arg);
}

static const struct stream_ops proc_stream_ops = {
    .input = proc_input,
    .resize = proc_resize,
    .signal = proc_stream_signal,
    .relieved = proc_relieved,
    .left = proc_left,
};

/* --- the whole --- */

struct ctr_proc *ctr_proc_new(const struct ctr_proc_config *config)
{
    struct ctr_proc *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->config = *config;
    if (config->tty_name) {
        (void)snprintf(p->tty_name, sizeof(p->tty_name), "%s", config->tty_name);
        p->config.tty_name = p->tty_name;
    }
    p->in = p->listen_fd = p->child.pidfd = -1;
    p->source[PROC_OUT] = (struct proc_source){p, AGENT_STDOUT, -1};
    p->source[PROC_ERR] = (struct proc_source){p, AGENT_STDERR, -1};
    stream_init(&p->stream, &proc_stream_ops, p, config->log);
    return p;
}

void ctr_proc_close_ends(int fds[3])
{
    for (unsigned i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(take_fd(&fds[i]));
}

static int proc_pipes(struct ctr_proc *p, int fds[3])
{
    int ends[2];

    for (unsigned i = 0; i < 3; i++) {
        if (i == 0 && !p->config.open_stdin)
            continue;
        if (pipe2(ends, O_CLOEXEC) < 0)
            return -errno;
        fds[i] = ends[i ? 1 : 0];
        (void)fcntl(ends[i ? 0 : 1], F_SETFL, O_NONBLOCK);
        if ((i ? proc_watch_source(p, i - 1, ends[0]) : proc_watch_input(p, ends[1])) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* What the process has open it may also read, so it is never told that nobody else does. */
static int proc_fifo(int dir_fd, const char *name, bool make, int *ret_theirs)
{
    int fd;

    if (make && mkfifoat(dir_fd, name, 0600) < 0)
        return -errno;
    fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (ret_theirs)
        *ret_theirs = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (ret_theirs && *ret_theirs < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

static int proc_fifos(struct ctr_proc *p, int dir_fd, int *fds)
{
    static const char *const names[] = {"out", "err"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        int fd;

        if (fds)
            (void)!unlinkat(dir_fd, names[i], 0);
        fd = proc_fifo(dir_fd, names[i], fds != NULL, fds ? &fds[i + 1] : NULL);
        if (fd < 0)
            return fd;
        if (proc_watch_source(p, i, fd) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int proc_stdin(struct ctr_proc *p, int fds[3])
{
    int ends[2];

    if (!p->config.open_stdin)
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fds[0] = ends[0];
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return proc_watch_input(p, ends[1]);
}

static int proc_open(struct ctr_proc *p, int dir_fd, int ret_fds[3], struct err *err)
{
    int r;

    ret_fds[0] = ret_fds[1] = ret_fds[2] = -1;
    if (p->config.tty_name) {
        r = proc_listen(p, err);
    } else {
        r = dir_fd < 0 ? proc_pipes(p, ret_fds) : proc_fifos(p, dir_fd, ret_fds);
        if (!r && dir_fd >= 0)
            r = proc_stdin(p, ret_fds);
        if (r < 0)
            (void)err_set(err, r, "pipes: %s", strerror(-r));
    }
    if (r < 0)
        ctr_proc_close_ends(ret_fds);
    return r;
}

int ctr_proc_open(struct ctr_proc *p, int ret_fds[3], struct err *err)
{
    return proc_open(p, -1, ret_fds, err);
}

int ctr_proc_open_fifos(struct ctr_proc *p, int dir_fd, int ret_fds[3], struct err *err)
{
    return proc_open(p, dir_fd, ret_fds, err);
}

int ctr_proc_adopt_fifos(struct ctr_proc *p, int dir_fd, struct err *err)
{
    int r = proc_fifos(p, dir_fd, NULL);

    return r < 0 ? err_set(err, r, "pipes: %s", strerror(-r)) : 0;
}

static void proc_child_ended(void *arg, int status)
{
    ctr_proc_ended(arg, status);
}

int ctr_proc_started(struct ctr_proc *p, pid_t pid, struct err *err)
{
    int r = ctr_child_watch(&p->child, p->config.loop, pid, proc_child_ended, p, err);

    if (r < 0)
        return r;
    p->started = true;
    ctr_proc_announce(p);
    proc_update(p);
    return 0;
}

void ctr_proc_announce(struct ctr_proc *p)
{
    stream_started(&p->stream, (uint32_t)p->child.pid);
    for (struct conn *conn = p->stream.clients, *next; conn; conn = next) {
        next = conn->next_client;
        conn_resume_input(conn); /* what was typed ahead */
    }
}

void ctr_proc_ended(struct ctr_proc *p, int status)
{
    p->ended = true;
    p->status = status;
    proc_settle(p);
}

struct stream *ctr_proc_stream(struct ctr_proc *p)
{
    return &p->stream;
}

void ctr_proc_signal(const struct ctr_proc *p, unsigned signal)
{
    if (p->started)
        ctr_child_signal(&p->child, (int)signal);
}

void ctr_proc_free(struct ctr_proc *p)
{
    if (!p)
        return;
    ctr_child_forget(&p->child);
    if (p->listen_fd >= 0) {
        loop_unwatch(p->config.loop, p->listen_fd);
        close(p->listen_fd);
        (void)!unlinkat(p->config.tty_dir, p->config.tty_name, 0);
    }
    proc_close_input(p);
    proc_close_source(&p->source[PROC_OUT]);
    proc_close_source(&p->source[PROC_ERR]);
    buf_done(&p->input);
    free(p);
}
