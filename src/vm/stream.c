/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One source of output, many watchers. Contract: vm/stream.h. A patient watcher (the one a command
 * was started for) holds the source back when it lags, so nothing is lost in a pipe; others are
 * dropped when they lag too far, so that a forgotten terminal cannot stop a guest.
 */
#include "vm/control.h"

#include "base/endian.h"
#include "vm/frame.h"
#include <stdio.h>

void stream_init(struct stream *s, const struct stream_ops *ops, void *arg, struct guest_log *log)
{
    *s = (struct stream){.ops = ops, .arg = arg, .log = log};
}

bool stream_congested(const struct stream *s)
{
    for (const struct conn *c = s->clients; c; c = c->next_client)
        if (c->patient && c->out.len > CONN_OUT_HIGH)
            return true;
    return false;
}

void stream_output(struct stream *s, unsigned type, const uint8_t *data, size_t len)
{
    if (s->log && len)
        guest_log_add(s->log, data, len);
    for (struct conn *c = s->clients, *next; c; c = next) {
        next = c->next_client;
        for (size_t done = 0; done < len || (!len && !done); done += AGENT_MAX_PAYLOAD) {
            size_t part = len - done < AGENT_MAX_PAYLOAD ? len - done : AGENT_MAX_PAYLOAD;

            conn_frame(c, type, data + done, part);
        }
    }
}

void stream_started(struct stream *s, uint32_t pid)
{
    uint8_t data[4];

    st_le32(data, pid);
    for (struct conn *c = s->clients; c; c = c->next_client)
        conn_frame(c, AGENT_STARTED, data, sizeof(data));
}

static void stream_say_end(struct conn *c, unsigned code, const char *why)
{
    char data[300];
    int n = why ? snprintf(data + 4, sizeof(data) - 4, "%s", why) : 0;

    if (n >= (int)sizeof(data) - 4)
        n = (int)sizeof(data) - 5;
    st_le32(data, code);
    conn_frame(c, why ? AGENT_FAILED : AGENT_EXIT, data, 4 + (size_t)n);
}

void stream_end(struct stream *s, unsigned code, const char *why)
{
    struct conn *c;

    s->ended = true;
    while ((c = s->clients)) {
        stream_say_end(c, code, why);
        s->clients = c->next_client;
        c->stream = NULL;
        conn_finish(c);
    }
}

void stream_input_room(struct stream *s, size_t bytes)
{
    for (struct conn *c = s->clients, *next; c; c = next) {
        size_t mine = bytes < c->input_unacked ? bytes : c->input_unacked;
        uint8_t data[4];

        next = c->next_client;
        bytes -= mine;
        c->input_unacked -= mine;
        st_le32(data, (uint32_t)mine);
        if (mine)
            conn_frame(c, AGENT_ACK, data, sizeof(data));
        conn_resume_input(c);
    }
}
