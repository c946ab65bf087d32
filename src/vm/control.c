/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the control socket. Contract: vm/control.h.
 *
 * Invariants: a connection is freed only by conn_reap() on a fresh turn of the loop, so a callback
 * may end any connection, its own included; what is read from one connection and not yet understood
 * never exceeds CONN_REQUEST_MAX. Clients are trusted to act for the user, not to be free of bugs.
 */
#include "vm/control.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include "host/loop.h"
#include "vm/frame.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct control {
    struct loop *loop;
    int listen_fd;
    struct control_events events;
    struct conn *conns;
    unsigned count;
    uid_t user;   /* whose it is, besides root's */
    bool reaping; /* conn_reap() is posted */
    bool gone;    /* and frees it all */
};

/* --- life and death --- */

static void conn_leave_stream(struct conn *conn)
{
    struct stream *s = conn->stream;
    struct conn **link;

    if (!s)
        return;
    conn->stream = NULL;
    for (link = &s->clients; *link != conn; link = &(*link)->next_client)
        ;
    *link = conn->next_client;
    s->ops->left(s->arg, conn);
}

static void conn_free(struct conn *conn)
{
    close(conn->fd);
    buf_done(&conn->in);
    buf_done(&conn->out);
    conn->control->count--;
    free(conn);
}

static void conn_kill(struct conn *conn);

/* Ends what failed while it could not be ended, frees what ended. */
static void conn_reap(void *arg)
{
    struct control *c = arg;

    c->reaping = false;
    if (c->gone) {
        free(c);
        return;
    }
    for (struct conn *conn = c->conns; conn; conn = conn->next)
        if (conn->failed)
            conn_kill(conn);
    for (struct conn **link = &c->conns; *link;) {
        struct conn *conn = *link;

        if (!conn->dead) {
            link = &conn->next;
            continue;
        }
        *link = conn->next;
        conn_free(conn);
    }
}

static void conn_reap_soon(struct control *c)
{
    if (!c->reaping)
        c->reaping = loop_post(c->loop, conn_reap, c) == 0;
}

static void conn_kill(struct conn *conn)
{
    struct control *c = conn->control;

    if (conn->dead)
        return;
    conn->dead = true;
    loop_unwatch(c->loop, conn->fd);
    conn->out.len = 0;
    conn_leave_stream(conn);
    c->events.gone(c->events.arg, conn, conn->detached || conn->last_word);
    conn_reap_soon(c);
}

/* --- writing --- */

static void conn_update(struct conn *conn)
{
    /* A client that leaves is noticed even while nothing is read from it. */
    unsigned events = EPOLLRDHUP | (conn->out.len ? EPOLLOUT : 0u) | (conn->stalled ? 0u : EPOLLIN);

    if (!conn->dead)
        (void)!loop_change(conn->control->loop, conn->fd, events);
}

/* No memory for it, or it lags beyond all patience. It ends later: its stream is being walked. */
static void conn_put_failed(struct conn *conn)
{
    conn->failed = true;
    conn_reap_soon(conn->control);
}

void conn_frame(struct conn *conn, unsigned type, const void *data, size_t len)
{
    if (conn->dead || conn->failed)
        return;
    if (frame_put(&conn->out, type, 0, data, len) < 0 ||
        (!conn->patient && conn->out.len > CONN_OUT_DROP))
        conn_put_failed(conn);
    else
        conn_update(conn);
}

static void conn_json(struct conn *conn, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (!conn->dead && (!text || buf_append(&conn->out, text, strlen(text)) < 0 ||
                        buf_append(&conn->out, "\n", 1) < 0))
        conn_put_failed(conn);
    free(text);
    conn_update(conn);
}

void conn_answer(struct conn *conn, json_t *extra)
{
    json_t *json = extra ? extra : json_object();

    json_object_set_new(json, "ok", json_true());
    conn_json(conn, json);
}

void conn_refuse(struct conn *conn, const struct err *err)
{
    conn_json(conn, json_pack("{s:b, s:i, s:s}", "ok", 0, "code", err->code, "error", err->text));
}

void conn_refuse_text(struct conn *conn, int code, const char *text)
{
    struct err err;

    err_set(&err, code, "%s", text);
    conn_refuse(conn, &err);
}

unsigned control_number(const json_t *request, const char *key, unsigned otherwise, unsigned max)
{
    const json_t *v = json_object_get(request, key);
    json_int_t n = json_integer_value(v);

    if (!json_is_integer(v) || n < 0)
        return otherwise;
    return n > max ? max : (unsigned)n;
}

void conn_finish(struct conn *conn)
{
    conn->last_word = true;
    conn_update(conn);
    /* With nothing to write this wakes nobody, so do it now. */
    if (!conn->out.len)
        conn_kill(conn);
}

static void conn_write(struct conn *conn)
{
    ssize_t n = send(conn->fd, buf_data(&conn->out), conn->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_kill(conn);
        return;
    }
    if (n > 0)
        buf_consume(&conn->out, (size_t)n);
    if (!conn->out.len && conn->last_word) {
        conn_kill(conn);
        return;
    }
    if (conn->stream && !stream_congested(conn->stream))
        conn->stream->ops->relieved(conn->stream->arg);
    conn_update(conn);
}

/* --- reading --- */

static int conn_frame_in(struct conn *conn, const struct frame *f)
{
    struct stream *s = conn->stream;
    uint32_t signal;

    switch (f->type) {
    case AGENT_STDIN: {
        int r = s->ops->input(s->arg, f->data, f->len);

        if (!r)
            conn->input_unacked += f->len;
        return r;
    }
    case AGENT_RESIZE:
        if (f->len == 4 && s->ops->resize)
            s->ops->resize(s->arg, ld_le16(f->data), ld_le16(f->data + 2));
        return 0;
    case AGENT_SIGNAL:
        if (frame_u32(f, &signal) && s->ops->signal)
            s->ops->signal(s->arg, signal);
        return 0;
    case AGENT_CLOSE: conn->detached = true; return -ECONNRESET;
    default: return 0;
    }
}

static int conn_parse_frames(struct conn *conn)
{
    struct frame f;
    int r;

    while (conn->stream && (r = frame_peek(&conn->in, &f)) != 0) {
        if (r > 0)
            r = conn_frame_in(conn, &f);
        conn->stalled = r == -ENOBUFS;
        if (r < 0)
            return conn->stalled ? 0 : r;
        if (conn->dead)
            return 0;
        frame_drop(&conn->in, &f);
    }
    return 0;
}

static int conn_request(struct conn *conn, const char *text, size_t len)
{
    struct control *c = conn->control;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(json)) {
        json_decref(json);
        return -EPROTO;
    }
    c->events.request(c->events.arg, conn, json);
    json_decref(json);
    return 0;
}

static int conn_parse_lines(struct conn *conn)
{
    while (!conn->stream && !conn->last_word && conn->in.len) {
        uint8_t *start = buf_data(&conn->in), *end = memchr(start, '\n', conn->in.len);
        size_t len;
        int r;

        if (!end)
            return 0;
        len = (size_t)(end - start);
        r = conn_request(conn, (const char *)start, len);
        if (r < 0 || conn->dead)
            return r;
        buf_consume(&conn->in, len + 1);
    }
    return 0;
}

static void conn_parse(struct conn *conn)
{
    int r = conn_parse_lines(conn);

    if (!r && !conn->dead)
        r = conn_parse_frames(conn);
    if (conn->last_word)
        buf_consume(&conn->in, conn->in.len);
    if (r < 0 || (conn->in.len >= CONN_REQUEST_MAX && !conn->stalled))
        conn_kill(conn);
    else
        conn_update(conn);
}

void conn_resume_input(struct conn *conn)
{
    if (!conn->stalled || conn->dead)
        return;
    conn->stalled = false;
    conn_parse(conn);
}

static void conn_read(struct conn *conn)
{
    uint8_t data[16384];
    size_t room = CONN_REQUEST_MAX > conn->in.len ? CONN_REQUEST_MAX - conn->in.len : 0;
    ssize_t n = recv(conn->fd, data, room < sizeof(data) ? room : sizeof(data), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || buf_append(&conn->in, data, (size_t)n) < 0)
        conn_kill(conn);
    else
        conn_parse(conn);
}

static void conn_ready(void *arg, int fd, unsigned events)
{
    struct conn *conn = arg;

    if (events & EPOLLOUT)
        conn_write(conn);
    if (conn->dead)
        return;
    if (conn->stalled && events & (EPOLLRDHUP | EPOLLHUP))
        conn_kill(conn);
    else if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
        conn_read(conn);
}

/* --- streams --- */

static void conn_replay(void *arg, const uint8_t *data, size_t len)
{
    for (size_t done = 0; done < len; done += AGENT_MAX_PAYLOAD)
        conn_frame(arg, AGENT_STDOUT, data + done,
                   len - done < AGENT_MAX_PAYLOAD ? len - done : AGENT_MAX_PAYLOAD);
}

void conn_stream(struct conn *conn, struct stream *s, bool replay)
{
    conn->stream = s;
    conn->next_client = s->clients;
    s->clients = conn;
    if (replay && s->log)
        guest_log_tail(s->log, conn_replay, conn);
}

void conn_join(struct conn *conn, struct stream *s, const json_t *request)
{
    unsigned rows = control_number(request, "rows", 0, UINT16_MAX);
    unsigned columns = control_number(request, "columns", 0, UINT16_MAX);

    conn_answer(conn, NULL);
    conn->patient = conn->owner;
    conn_stream(conn, s, json_is_true(json_object_get(request, "replay")));
    if (rows && columns && s->ops->resize)
        s->ops->resize(s->arg, rows, columns);
}

/* --- the socket --- */

/* Binds by way of the directory's descriptor: a path may be longer than a socket name can be. */
int control_listen(int dir_fd, int *ret_fd, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)!unlinkat(dir_fd, "control", 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/control", dir_fd);
    /* umask is 077: the socket is born with mode 0700; connecting needs write permission. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 16) < 0 ||
        fchmodat(dir_fd, "control", 0600, 0) < 0)
        return err_set(err, -errno, "control socket: %s", strerror(errno));
    *ret_fd = take_fd(&fd);
    return 0;
}

void control_refuse_fd(int fd, const struct err *err)
{
    json_t *json = json_pack("{s:b, s:i, s:s}", "ok", 0, "code", err->code, "error", err->text);
    CLEANUP(free) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (text) {
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
        (void)!send(fd, "\n", 1, MSG_NOSIGNAL);
    }
}

struct conn *control_adopt(struct control *c, int fd)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (!conn || loop_watch(c->loop, fd, EPOLLIN, conn_ready, conn) < 0) {
        free(conn);
        close(fd);
        return NULL;
    }
    conn->control = c;
    conn->fd = fd;
    conn->next = c->conns;
    c->conns = conn;
    c->count++;
    return conn;
}

/* The socket's mode keeps others out; this holds even where a file system ignores modes. */
static bool control_may_talk(const struct control *c, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    return peer.uid == 0 || peer.uid == c->user;
}

static void control_accept(void *arg, int fd, unsigned events)
{
    struct control *c = arg;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0)
        return;
    if (c->count >= CONN_COUNT_MAX || !control_may_talk(c, client))
        close(client);
    else
        (void)control_adopt(c, client);
}

int control_new(struct loop *loop, int listen_fd, const struct control_events *events,
                struct control **ret, struct err *err)
{
    struct control *c = calloc(1, sizeof(*c));

    if (!c || (listen_fd >= 0 && loop_watch(loop, listen_fd, EPOLLIN, control_accept, c) < 0)) {
        free(c);
        return err_set(err, -ENOMEM, "cannot set up the control socket: out of memory");
    }
    c->loop = loop;
    c->listen_fd = listen_fd;
    c->events = *events;
    c->user = getuid();
    *ret = c;
    return 0;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    for (struct conn *conn = c->conns, *next; conn; conn = next) {
        next = conn->next;
        if (!conn->dead)
            loop_unwatch(c->loop, conn->fd);
        conn_free(conn);
    }
    if (c->listen_fd >= 0) {
        loop_unwatch(c->loop, c->listen_fd);
        close(c->listen_fd);
    }
    c->conns = NULL;
    c->gone = c->reaping;
    if (!c->gone)
        free(c);
}

bool control_idle(const struct control *c)
{
    for (const struct conn *conn = c->conns; conn; conn = conn->next)
        if (!conn->dead && conn->out.len)
            return false;
    return true;
}

void control_each(struct control *c, void (*fn)(void *arg, struct conn *conn), void *arg)
{
    for (struct conn *conn = c->conns; conn; conn = conn->next)
        if (!conn->dead)
            fn(arg, conn);
}
