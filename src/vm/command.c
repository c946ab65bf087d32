/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in the guest as a stream. Output the clients have not room for is not acknowledged to
 * the guest, so it stops by itself (agent.h, "Flow control").
 */
#include "vm/command.h"

#include "vm/control.h"
#include <errno.h>
#include <stdlib.h>

struct command {
    struct stream stream;
    struct command_config config;
    struct agent_session *session; /* NULL: not started, or ended */
    bool started;
    unsigned rows, columns; /* as a client told before it started */
    size_t held;            /* output passed on, not acknowledged yet */
};

static void command_settle(struct command *c)
{
    size_t held = c->held;

    if (!c->session || stream_congested(&c->stream))
        return;
    c->held = 0;
    agent_session_consumed(c->session, held);
}

/* --- from the agent --- */

static void command_on_started(void *arg, uint32_t pid)
{
    struct command *c = arg;

    stream_started(&c->stream, pid);
    if (c->config.started)
        c->config.started(c->config.arg);
}

static void command_on_output(void *arg, unsigned type, const uint8_t *data, size_t len)
{
    struct command *c = arg;

    stream_output(&c->stream, type, data, len);
    if (c->stream.log)
        guest_log_flush(c->stream.log);
    c->held += len;
    command_settle(c);
}

static void command_on_room(void *arg, size_t bytes)
{
    struct command *c = arg;

    stream_input_room(&c->stream, bytes);
}

static void command_on_ended(void *arg, unsigned code, const char *why)
{
    struct command *c = arg;

    c->session = NULL;
    if (c->stream.log)
        guest_log_flush(c->stream.log);
    stream_end(&c->stream, code, why);
    if (c->config.ended)
        c->config.ended(c->config.arg, code, why);
    command_free(c);
}

static const struct agent_session_events command_events = {
    .started = command_on_started,
    .output = command_on_output,
    .input_room = command_on_room,
    .ended = command_on_ended,
};

/* --- from the clients --- */

static int command_input(void *arg, const uint8_t *data, size_t len)
{
    struct command *c = arg;

    return c->session ? agent_session_stdin(c->session, data, len) : -ENOBUFS;
}

static void command_resize(void *arg, unsigned rows, unsigned columns)
{
    struct command *c = arg;

    c->rows = rows;
    c->columns = columns;
    if (c->session)
        (void)!agent_session_resize(c->session, rows, columns);
}

static void command_signal(void *arg, unsigned signal)
{
    struct command *c = arg;

    if (c->session)
        (void)!agent_session_signal(c->session, signal);
}

static void command_relieved(void *arg)
{
    command_settle(arg);
}

/* Who leaves by the detach keys wants the command to go on. */
static void command_left(void *arg, const struct conn *conn)
{
    struct command *c = arg;

    if (conn->detached)
        c->config.lives_on = true;
    if (c->stream.clients || c->config.lives_on || c->stream.ended)
        command_settle(c);
    else
        command_free(c);
}

static const struct stream_ops command_stream_ops = {
    .input = command_input,
    .resize = command_resize,
    .signal = command_signal,
    .relieved = command_relieved,
    .left = command_left,
};

/* --- the whole --- */

struct command *command_new(const struct command_config *config)
{
    struct command *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->config = *config;
    stream_init(&c->stream, &command_stream_ops, c, config->log);
    return c;
}

int command_start(struct command *c, struct agent_host *agent, const struct agent_exec *exec,
                  struct err *err)
{
    struct agent_session_events events = command_events;
    struct agent_exec sized = *exec;
    int r;

    events.arg = c;
    if (c->rows && c->columns) {
        sized.rows = c->rows;
        sized.columns = c->columns;
    }
    r = agent_host_exec(agent, &sized, &events, &c->session, err);
    if (r < 0)
        return r;
    c->started = true;
    for (struct conn *conn = c->stream.clients, *next; conn; conn = next) {
        next = conn->next_client;
        conn_resume_input(conn); /* what was typed ahead */
    }
    return 0;
}

bool command_is_started(const struct command *c)
{
    return c->started;
}

struct stream *command_stream(struct command *c)
{
    return &c->stream;
}

void command_free(struct command *c)
{
    if (!c)
        return;
    if (c->session)
        agent_session_close(c->session);
    free(c);
}
