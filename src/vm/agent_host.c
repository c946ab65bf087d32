/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host side of the agent protocol. Contract: vm/agent_host.h; frames: posada/agent.h.
 *
 * Invariants: a channel is free, in use, or closing (nobody listens, but the guest has not said
 * EXIT yet, so its number cannot be given away); unacknowledged output of a channel never exceeds
 * AGENT_WINDOW, or the stream is closed; bytes waiting for the guest never exceed OUT_CAP.
 * Not modelled: several agents in one guest.
 */
#include "vm/agent_host.h"

#include "base/endian.h"
#include "base/text.h"
#include "vm/frame.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUT_CAP = 2 * AGENT_CHANNELS * AGENT_WINDOW,
    INFO_CAP = 1024,
    ACK_STEP = AGENT_WINDOW / 8, /* acknowledge at least this often */
    WHY_MAX = 200,
};

struct agent_session {
    struct agent_host *host;
    struct agent_session_events events;
    unsigned channel; /* 0: free */
    bool started, closing;
    size_t in_flight; /* stdin sent, not acknowledged */
    size_t unacked;   /* output received, not acknowledged */
    size_t ack_due;   /* of these, consumed here and to be acknowledged */
};

struct agent_host {
    struct chardev chardev; /* must be first */
    struct agent_events events;
    struct agent_session sessions[AGENT_CHANNELS]; /* [0] is never used */
    struct buf in, out;
    char info[INFO_CAP]; /* "key=value\0"... of the last HELLO, ends with an empty one */
    bool ready;
    bool broken; /* protocol error: deaf until the port is opened again */
    bool pushing;
};

/* --- to the guest --- */

static void agent_push(struct agent_host *host)
{
    const struct chardev_front *front = &host->chardev.front;

    if (host->pushing || !front->receive)
        return;
    host->pushing = true;
    while (host->out.len) {
        size_t n = front->receive(front->arg, buf_data(&host->out), host->out.len);

        if (!n)
            break;
        buf_consume(&host->out, n);
    }
    host->pushing = false;
}

static int agent_send(struct agent_host *host, unsigned type, unsigned channel, const void *data,
                      size_t len)
{
    int r;

    if (!host->ready)
        return -ENOTCONN;
    if (host->out.len + FRAME_HEADER + len > OUT_CAP)
        return -ENOBUFS;
    r = frame_put(&host->out, type, channel, data, len);
    if (!r)
        agent_push(host);
    return r;
}

static int agent_send_u32(struct agent_host *host, unsigned type, unsigned channel, uint32_t value)
{
    uint8_t data[4];

    st_le32(data, value);
    return agent_send(host, type, channel, data, sizeof(data));
}

/* --- sessions --- */

static void session_end(struct agent_session *s, unsigned code, const char *why)
{
    struct agent_session_events events = s->events;
    bool tell = !s->closing;

    *s = (struct agent_session){0};
    if (tell)
        events.ended(events.arg, code, why);
}

static void agent_end_all(struct agent_host *host, const char *why)
{
    for (unsigned i = 1; i < AGENT_CHANNELS; i++)
        if (host->sessions[i].channel)
            session_end(&host->sessions[i], EXIT_RUN_FAILED, why);
}

static void agent_lose(struct agent_host *host, const char *why)
{
    bool was_ready = host->ready;

    host->ready = false;
    buf_done(&host->out);
    agent_end_all(host, why);
    if (was_ready)
        host->events.lost(host->events.arg, why);
}

/* Fixed and variable part of EXEC; strings go over one after the other, each with its NUL. */
static int exec_add_strings(struct buf *b, char *const *strings, uint32_t *ret_count)
{
    int r = 0;

    *ret_count = 0;
    for (; !r && strings && *strings; strings++) {
        r = buf_append(b, *strings, strlen(*strings) + 1);
        ++*ret_count;
    }
    return r;
}

static int exec_encode(const struct agent_exec *exec, struct buf *b)
{
    const char *user = exec->user ? exec->user : "", *workdir = exec->workdir ? exec->workdir : "";
    uint8_t head[16] = {0};
    uint32_t argc = 0, envc = 0;
    int r;

    r = buf_append(b, head, sizeof(head));
    if (!r)
        r = exec_add_strings(b, exec->argv, &argc);
    if (!r)
        r = exec_add_strings(b, exec->env, &envc);
    if (!r)
        r = buf_append(b, user, strlen(user) + 1);
    if (!r)
        r = buf_append(b, workdir, strlen(workdir) + 1);
    if (r < 0)
        return r;
    st_le32(buf_data(b), (exec->tty ? (uint32_t)AGENT_EXEC_TTY : 0) |
                             (exec->open_stdin ? (uint32_t)AGENT_EXEC_STDIN : 0) |
                             (exec->own ? (uint32_t)AGENT_EXEC_OWN : 0));
    st_le16(buf_data(b) + 4, (uint16_t)exec->rows);
    st_le16(buf_data(b) + 6, (uint16_t)exec->columns);
    st_le32(buf_data(b) + 8, argc);
    st_le32(buf_data(b) + 12, envc);
    return b->len > AGENT_MAX_PAYLOAD ? -E2BIG : 0;
}

static struct agent_session *agent_free_session(struct agent_host *host)
{
    for (unsigned i = 1; i < AGENT_CHANNELS; i++)
        if (!host->sessions[i].channel) {
            host->sessions[i] = (struct agent_session){.host = host, .channel = i};
            return &host->sessions[i];
        }
    return NULL;
}

int agent_host_exec(struct agent_host *host, const struct agent_exec *exec,
                    const struct agent_session_events *events, struct agent_session **ret_session,
                    struct err *err)
{
    struct agent_session *s;
    struct buf b = {0};
    int r;

    if (!host->ready)
        return err_set(err, -ENOTCONN, "the guest's agent is not there");
    s = agent_free_session(host);
    if (!s)
        return err_set(err, -EBUSY, "the guest already runs %d commands", AGENT_CHANNELS - 1);
    r = exec_encode(exec, &b);
    if (!r)
        r = agent_send(host, AGENT_EXEC, s->channel, buf_data(&b), b.len);
    buf_done(&b);
    if (r < 0) {
        s->channel = 0;
        return err_set(err, r, "command '%.100s': %s", exec->argv[0],
                       r == -E2BIG ? "command, arguments and environment exceed 16 KiB"
                                   : "the guest's agent is overloaded");
    }
    s->events = *events;
    *ret_session = s;
    return 0;
}

int agent_session_stdin(struct agent_session *s, const uint8_t *data, size_t len)
{
    if (len > AGENT_WINDOW - s->in_flight)
        return -ENOBUFS;
    do {
        size_t part = len < AGENT_MAX_PAYLOAD ? len : AGENT_MAX_PAYLOAD;
        int r = agent_send(s->host, AGENT_STDIN, s->channel, data, part);

        if (r < 0)
            return r;
        s->in_flight += part;
        data += part;
        len -= part;
    } while (len);
    return 0;
}

void agent_session_consumed(struct agent_session *s, size_t bytes)
{
    s->ack_due += bytes;
    if (s->ack_due < ACK_STEP && s->ack_due < s->unacked)
        return;
    if (!s->ack_due || agent_send_u32(s->host, AGENT_ACK, s->channel, (uint32_t)s->ack_due) < 0)
        return;
    s->unacked -= s->ack_due;
    s->ack_due = 0;
}

int agent_session_resize(struct agent_session *s, unsigned rows, unsigned columns)
{
    uint8_t data[4];

    st_le16(data, (uint16_t)rows);
    st_le16(data + 2, (uint16_t)columns);
    return agent_send(s->host, AGENT_RESIZE, s->channel, data, sizeof(data));
}

int agent_session_signal(struct agent_session *s, unsigned signal)
{
    return agent_send_u32(s->host, AGENT_SIGNAL, s->channel, signal);
}

void agent_session_close(struct agent_session *s)
{
    size_t pending = s->unacked - s->ack_due;

    s->closing = true;
    (void)agent_send(s->host, AGENT_CLOSE, s->channel, NULL, 0);
    agent_session_consumed(s, pending); /* the command must not hang on a full window */
}

/* --- from the guest --- */

static int agent_hello(struct agent_host *host, const struct frame *f)
{
    if (f->len < 4 || ld_le32(f->data) != AGENT_VERSION)
        return -EPROTO;
    memset(host->info, 0, sizeof(host->info));
    memcpy(host->info, f->data + 4, f->len - 4 < INFO_CAP - 2 ? f->len - 4 : INFO_CAP - 2);
    text_make_printable(host->info, INFO_CAP);
    if (host->ready)
        return 0;
    host->ready = true;
    host->events.ready(host->events.arg);
    return 0;
}

static int agent_mounted(struct agent_host *host, const struct frame *f)
{
    if (f->len != 8)
        return -EPROTO;
    if (host->events.mounted)
        host->events.mounted(host->events.arg, ld_le32(f->data), ld_le32(f->data + 4));
    return 0;
}

static int agent_own_frame(struct agent_host *host, const struct frame *f)
{
    switch (f->type) {
    case AGENT_HELLO: return agent_hello(host, f);
    case AGENT_MOUNTED: return agent_mounted(host, f);
    default: return 0;
    }
}

static int session_output(struct agent_session *s, const struct frame *f)
{
    if (!s->started || f->len > AGENT_WINDOW - s->unacked)
        return -EPROTO;
    s->unacked += f->len;
    if (s->closing)
        agent_session_consumed(s, f->len);
    else
        s->events.output(s->events.arg, f->type, f->data, f->len);
    return 0;
}

static int session_ack(struct agent_session *s, const struct frame *f)
{
    uint32_t bytes;

    if (!frame_u32(f, &bytes) || bytes > s->in_flight)
        return -EPROTO;
    s->in_flight -= bytes;
    if (!s->closing)
        s->events.input_room(s->events.arg, bytes);
    return 0;
}

static int session_started(struct agent_session *s, const struct frame *f)
{
    uint32_t pid;

    if (s->started || !frame_u32(f, &pid))
        return -EPROTO;
    s->started = true;
    if (!s->closing)
        s->events.started(s->events.arg, pid);
    return 0;
}

static int session_exit(struct agent_session *s, const struct frame *f)
{
    uint32_t code;

    if (!s->started || !frame_u32(f, &code))
        return -EPROTO;
    session_end(s, code & 0xff, NULL);
    return 0;
}

static int session_failed(struct agent_session *s, const struct frame *f)
{
    char why[WHY_MAX] = "the guest could not start the command";
    uint32_t code;

    if (s->started || f->len < 4)
        return -EPROTO;
    code = ld_le32(f->data);
    if (code != EXIT_CANNOT_INVOKE && code != EXIT_COMMAND_NOT_FOUND)
        code = EXIT_CANNOT_INVOKE;
    if (f->len > 4)
        snprintf(why, sizeof(why), "%.*s", (int)(f->len - 4), (const char *)f->data + 4);
    text_make_printable(why, strlen(why));
    session_end(s, code, why);
    return 0;
}

static int agent_frame_in(struct agent_host *host, const struct frame *f)
{
    struct agent_session *s = &host->sessions[f->channel];

    if (f->channel == 0)
        return agent_own_frame(host, f);
    if (!s->channel)
        return 0;
    switch (f->type) {
    case AGENT_STARTED: return session_started(s, f);
    case AGENT_STDOUT:
    case AGENT_STDERR: return session_output(s, f);
    case AGENT_EXIT: return session_exit(s, f);
    case AGENT_FAILED: return session_failed(s, f);
    case AGENT_ACK: return session_ack(s, f);
    default: return 0;
    }
}

static int agent_parse(struct agent_host *host)
{
    struct frame f;
    int r;

    while ((r = frame_peek(&host->in, &f)) > 0) {
        r = agent_frame_in(host, &f);
        if (r < 0)
            return r;
        if (!host->in.len) /* a callback saw the port close */
            return 0;
        frame_drop(&host->in, &f);
    }
    return r;
}

/* Everything is taken: the windows bound what a guest may send, a frame bounds what is kept. */
static size_t agent_write(struct chardev *dev, const uint8_t *data, size_t len)
{
    struct agent_host *host = container_of(dev, struct agent_host, chardev);

    for (size_t done = 0; done < len && !host->broken;) {
        size_t part = len - done < AGENT_MAX_PAYLOAD ? len - done : AGENT_MAX_PAYLOAD;

        if (buf_append(&host->in, data + done, part) < 0 || agent_parse(host) < 0) {
            host->broken = true;
            buf_done(&host->in);
            agent_lose(host, "the guest's agent broke the protocol");
        }
        done += part;
    }
    return len;
}

static void agent_can_receive(struct chardev *dev)
{
    agent_push(container_of(dev, struct agent_host, chardev));
}

static void agent_guest_open(struct chardev *dev, bool open)
{
    struct agent_host *host = container_of(dev, struct agent_host, chardev);

    host->broken = false;
    buf_done(&host->in);
    agent_lose(host, "the guest's agent went away");
}

static const struct chardev_ops agent_chardev_ops = {
    .write = agent_write,
    .can_receive = agent_can_receive,
    .guest_open = agent_guest_open,
};

/* --- the whole --- */

struct agent_host *agent_host_new(const struct agent_events *events)
{
    struct agent_host *host = calloc(1, sizeof(*host));

    if (!host)
        return NULL;
    host->chardev.ops = &agent_chardev_ops;
    host->events = *events;
    return host;
}

void agent_host_free(struct agent_host *host)
{
    if (!host)
        return;
    agent_end_all(host, "the guest ended");
    buf_done(&host->in);
    buf_done(&host->out);
    free(host);
}

struct chardev *agent_host_chardev(struct agent_host *host)
{
    return &host->chardev;
}

bool agent_host_ready(const struct agent_host *host)
{
    return host->ready;
}

const char *agent_host_info(const struct agent_host *host, const char *key)
{
    size_t len = strlen(key);

    for (const char *p = host->info; *p; p += strlen(p) + 1)
        if (!strncmp(p, key, len) && p[len] == '=')
            return p + len + 1;
    return NULL;
}

int agent_host_shutdown(struct agent_host *host, enum agent_shutdown how)
{
    return agent_send_u32(host, AGENT_SHUTDOWN, 0, how);
}

int agent_host_mount(struct agent_host *host, uint32_t number, bool read_only, const char *tag,
                     const char *path)
{
    struct buf b = {0};
    uint8_t head[8];
    int r;

    st_le32(head, number);
    st_le32(head + 4, read_only ? (uint32_t)AGENT_MOUNT_READ_ONLY : 0);
    r = buf_append(&b, head, sizeof(head));
    if (!r)
        r = buf_append(&b, tag, strlen(tag) + 1);
    if (!r)
        r = buf_append(&b, path, strlen(path) + 1);
    if (!r)
        r = b.len > AGENT_MAX_PAYLOAD ? -ENAMETOOLONG
                                      : agent_send(host, AGENT_MOUNT, 0, buf_data(&b), b.len);
    buf_done(&b);
    return r;
}
