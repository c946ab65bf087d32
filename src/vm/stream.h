/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of bytes of the guest (console, a command) and the clients that watch it. Output goes
 * to all of them and to a log; input comes from any. Clients talk in frames of posada/agent.h on
 * channel 0. Event loop, machine lock held.
 */
#pragma once

#include "vm/guest_log.h"
#include <stdbool.h>

struct conn;

struct stream_ops {
    /* Takes all, or nothing with -ENOBUFS: stream_input_room() follows. len 0: end of file. */
    int (*input)(void *arg, const uint8_t *data, size_t len);
    void (*resize)(void *arg, unsigned rows, unsigned columns); /* optional */
    void (*signal)(void *arg, unsigned signal);                 /* optional */
    /* Clients have taken enough of the output: go on. */
    void (*relieved)(void *arg);
    /* A client went away. Perhaps the last that held the source back; nothing may be output from
     * inside. */
    void (*left)(void *arg, const struct conn *conn);
};

struct stream {
    const struct stream_ops *ops;
    void *arg;
    struct guest_log *log; /* NULL: none */
    struct conn *clients;
    bool ended;
};

void stream_init(struct stream *s, const struct stream_ops *ops, void *arg, struct guest_log *log);
/* True when clients lag so far behind that the source has to wait for relieved(). */
bool stream_congested(const struct stream *s);
/* type: AGENT_STDOUT or AGENT_STDERR. */
void stream_output(struct stream *s, unsigned type, const uint8_t *data, size_t len);
void stream_started(struct stream *s, uint32_t pid);
/* Tells all clients the end (why NULL: code is the command's own) and lets them go. */
void stream_end(struct stream *s, unsigned code, const char *why);
/* The guest took that many bytes of input. */
void stream_input_room(struct stream *s, size_t bytes);
