/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of a stream. Contract: cli/attach.h. One loop over the connection, standard input and
 * signals. Until a command has started, the terminal stays as it is, so that Ctrl-C ends a start
 * that takes too long; afterwards raw mode hands it to the guest.
 */
#include "cli/attach.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/text.h"
#include "cli/keys.h"
#include "host/file.h"
#include "host/loop.h"
#include "host/terminal.h"
#include "vm/frame.h"
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum { PATIENCE_SIGNALS = 3, STATUS_NS = 1000000000 };

struct session {
    const struct attach *config;
    struct attach_result *result;
    struct loop *loop;
    struct loop_timer *timer; /* while starting: tells how long it takes */
    struct buf in, out;
    struct keys keys;
    size_t unacked; /* input sent, not taken by the guest yet */
    bool started, input_on, done, status_shown;
    unsigned waited, signals;
    int signal_fd;
    sigset_t old_mask;
    struct err *err;
    int failure;
};

static void session_end(struct session *s, enum attach_end end, unsigned code)
{
    if (s->done)
        return;
    s->done = true;
    s->result->end = end;
    s->result->code = code;
    loop_stop(s->loop);
}

/* --- what a starting guest lets people see --- */

static void session_hide_status(struct session *s)
{
    if (s->status_shown)
        (void)!write(STDERR_FILENO, "\r\033[K", 4);
    s->status_shown = false;
}

static void session_tick(void *arg)
{
    struct session *s = arg;
    char line[160];
    int n;

    if (s->started)
        return;
    s->waited++;
    n = snprintf(line, sizeof(line), "\r\033[Kguest '%s': starting: waiting for agent, %u s",
                 s->config->guest, s->waited);
    (void)!write(STDERR_FILENO, line, (size_t)n);
    s->status_shown = true;
    loop_timer_set(s->timer, STATUS_NS);
}

/* --- to the guest --- */

static void session_update(struct session *s)
{
    (void)!loop_change(s->loop, s->config->fd, EPOLLIN | (s->out.len ? EPOLLOUT : 0u));
    if (s->input_on)
        (void)!loop_change(s->loop, STDIN_FILENO, s->unacked < AGENT_WINDOW ? EPOLLIN : 0u);
}

static void session_frame(struct session *s, unsigned type, const void *data, size_t len)
{
    if (frame_put(&s->out, type, 0, data, len) < 0)
        session_end(s, ATTACH_LOST, 0);
    session_update(s);
}

static void session_send_size(struct session *s)
{
    unsigned rows, columns;
    uint8_t data[4];

    if (!s->config->tty || !terminal_size(STDIN_FILENO, &rows, &columns))
        return;
    st_le16(data, (uint16_t)rows);
    st_le16(data + 2, (uint16_t)columns);
    session_frame(s, AGENT_RESIZE, data, sizeof(data));
}

static void session_input_end(struct session *s)
{
    s->input_on = false;
    loop_unwatch(s->loop, STDIN_FILENO);
    session_frame(s, AGENT_STDIN, NULL, 0);
}

static void session_detach(struct session *s)
{
    uint8_t close_frame[FRAME_HEADER] = {AGENT_CLOSE};

    /* Behind what was typed before; small enough for any socket buffer. */
    (void)!send(s->config->fd, buf_data(&s->out), s->out.len, MSG_NOSIGNAL);
    (void)!send(s->config->fd, close_frame, sizeof(close_frame), MSG_NOSIGNAL);
    session_end(s, ATTACH_DETACHED, 0);
}

static void session_stdin(void *arg, int fd, unsigned events)
{
    struct session *s = arg;
    size_t room = AGENT_WINDOW - s->unacked;
    uint8_t data[AGENT_MAX_PAYLOAD], kept[AGENT_MAX_PAYLOAD + KEYS_MAX];
    size_t len;
    ssize_t n;

    room = room < AGENT_MAX_PAYLOAD - KEYS_MAX ? room : AGENT_MAX_PAYLOAD - KEYS_MAX;
    n = read(fd, data, room);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        session_input_end(s);
        return;
    }
    if (!s->config->tty) {
        s->unacked += (size_t)n;
        session_frame(s, AGENT_STDIN, data, (size_t)n);
        return;
    }
    if (keys_filter(&s->keys, data, (size_t)n, kept, &len)) {
        session_detach(s);
        return;
    }
    s->unacked += len;
    if (len)
        session_frame(s, AGENT_STDIN, kept, len);
}

static void session_start_input(struct session *s)
{
    int r;

    s->started = true;
    session_hide_status(s);
    if (s->config->tty) {
        s->failure = terminal_raw(STDIN_FILENO, s->err);
        if (s->failure < 0)
            session_end(s, ATTACH_LOST, 0);
        session_send_size(s);
    }
    if (!s->config->input)
        return;
    r = loop_watch(s->loop, STDIN_FILENO, EPOLLIN, session_stdin, s);
    if (r < 0)
        session_frame(s, AGENT_STDIN, NULL, 0); /* closed, or nothing to read from */
    else
        s->input_on = true;
}

/* --- from the guest --- */

static void session_print(struct session *s, int fd, const struct frame *f)
{
    int r;

    session_hide_status(s);
    r = file_write_all(fd, f->data, f->len);
    if (!r)
        return;
    snprintf(s->result->text, sizeof(s->result->text), "standard %s: %s; the rest of it is lost",
             fd == STDOUT_FILENO ? "output" : "error", strerror(-r));
    if (r == -EPIPE)
        session_end(s, ATTACH_CANCELLED, SIGPIPE);
    else
        session_end(s, ATTACH_FAILED, EXIT_RUN_FAILED);
}

static void session_failed(struct session *s, const struct frame *f)
{
    unsigned code = f->len >= 4 ? ld_le32(f->data) : EXIT_RUN_FAILED;
    int len = f->len > 4 ? (int)f->len - 4 : 0;

    snprintf(s->result->text, sizeof(s->result->text), "%.*s", len, (const char *)f->data + 4);
    text_make_printable(s->result->text, sizeof(s->result->text));
    session_end(s, ATTACH_FAILED, code);
}

static void session_frame_in(struct session *s, const struct frame *f)
{
    uint32_t v = 0;

    switch (f->type) {
    case AGENT_STARTED:
        if (!s->started)
            session_start_input(s);
        break;
    case AGENT_STDOUT: session_print(s, STDOUT_FILENO, f); break;
    case AGENT_STDERR: session_print(s, STDERR_FILENO, f); break;
    case AGENT_ACK:
        if (frame_u32(f, &v) && v <= s->unacked)
            s->unacked -= v;
        session_update(s);
        break;
    case AGENT_EXIT:
        (void)frame_u32(f, &v);
        session_end(s, ATTACH_EXITED, v);
        break;
    case AGENT_FAILED: session_failed(s, f); break;
    default: break;
    }
}

static void session_read(struct session *s)
{
    uint8_t data[65536];
    ssize_t n = recv(s->config->fd, data, sizeof(data), MSG_DONTWAIT);
    struct frame f;
    int r;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || buf_append(&s->in, data, (size_t)n) < 0) {
        session_end(s, ATTACH_LOST, 0);
        return;
    }
    while (!s->done && (r = frame_peek(&s->in, &f)) != 0) {
        if (r < 0) {
            session_end(s, ATTACH_LOST, 0);
            return;
        }
        session_frame_in(s, &f);
        frame_drop(&s->in, &f);
    }
}

static void session_ready(void *arg, int fd, unsigned events)
{
    struct session *s = arg;

    if (events & EPOLLOUT) {
        ssize_t n = send(fd, buf_data(&s->out), s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            buf_consume(&s->out, (size_t)n);
        session_update(s);
    }
    if (events & (EPOLLIN | EPOLLHUP))
        session_read(s);
}

/* --- signals --- */

static void session_signal(void *arg, int fd, unsigned events)
{
    struct session *s = arg;
    struct signalfd_siginfo info;
    uint8_t data[4];

    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGWINCH) {
        session_send_size(s);
        return;
    }
    /* A command that runs hears of it first; one that will not listen must not hold us. */
    if (!s->config->command || !s->started || info.ssi_signo == SIGHUP ||
        ++s->signals >= PATIENCE_SIGNALS) {
        session_end(s, ATTACH_CANCELLED, info.ssi_signo);
        return;
    }
    st_le32(data, info.ssi_signo);
    session_frame(s, AGENT_SIGNAL, data, sizeof(data));
}

static int session_watch_signals(struct session *s)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGWINCH};
    sigset_t set;

    sigemptyset(&set);
    for (unsigned i = 0; i < ARRAY_LEN(wanted); i++) {
        struct sigaction now;

        /* nohup and background shells ignore some on purpose. */
        if (wanted[i] == SIGWINCH ||
            (!sigaction(wanted[i], NULL, &now) && now.sa_handler != SIG_IGN))
            sigaddset(&set, wanted[i]);
    }
    sigprocmask(SIG_BLOCK, &set, &s->old_mask);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return -errno;
    return loop_watch(s->loop, s->signal_fd, EPOLLIN, session_signal, s);
}

/* --- the whole --- */

static int session_open(struct session *s, struct err *err)
{
    int r = keys_parse(&s->keys, s->config->keys, err);

    if (!r)
        r = loop_new(NULL, &s->loop, err);
    if (r < 0)
        return r;
    r = session_watch_signals(s);
    if (!r)
        r = loop_watch(s->loop, s->config->fd, EPOLLIN, session_ready, s);
    s->timer = loop_timer_new(s->loop, session_tick, s);
    if (r < 0 || !s->timer)
        return err_set(err, r < 0 ? r : -ENOMEM, "cannot attach to guest '%s': %s",
                       s->config->guest, strerror(r < 0 ? -r : ENOMEM));
    return 0;
}

static void session_close(struct session *s)
{
    terminal_restore();
    session_hide_status(s);
    loop_free(s->loop);
    buf_done(&s->in);
    buf_done(&s->out);
    if (s->signal_fd >= 0) {
        close(s->signal_fd);
        sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
    }
}

int attach_run(const struct attach *a, struct attach_result *ret, struct err *err)
{
    struct session s = {.config = a, .result = ret, .signal_fd = -1, .err = err};
    int r = session_open(&s, err);

    *ret = (struct attach_result){0};
    if (!r) {
        if (a->tty && !a->quiet)
            fprintf(stderr, "Attached to guest '%s'; detach with %s.\r\n", a->guest, s.keys.text);
        if (!a->command)
            session_start_input(&s);
        else if (isatty(STDERR_FILENO))
            loop_timer_set(s.timer, 2ull * STATUS_NS);
        s.waited = 1;
        r = loop_run(s.loop, err);
    }
    if (!r)
        r = s.failure;
    session_close(&s);
    return r;
}

int attach_keys_check(const char *keys, struct err *err)
{
    struct keys parsed;

    return keys_parse(&parsed, keys, err);
}

int attach_exit_code(const struct attach_result *result)
{
    switch (result->end) {
    case ATTACH_EXITED: return (int)result->code;
    case ATTACH_DETACHED: return EXIT_OK;
    case ATTACH_CANCELLED: return EXIT_SIGNAL_BASE + (int)result->code;
    case ATTACH_FAILED: fprintf(stderr, "posada: %s\n", result->text); return (int)result->code;
    case ATTACH_LOST: break;
    }
    fprintf(stderr, "posada: the guest's process went away without a word; see posada ps -a\n");
    return EXIT_RUN_FAILED;
}

void attach_add_size(void *json_request)
{
    unsigned rows, columns;

    if (!terminal_size(STDIN_FILENO, &rows, &columns))
        return;
    json_object_set_new(json_request, "rows", json_integer(rows));
    json_object_set_new(json_request, "columns", json_integer(columns));
}
