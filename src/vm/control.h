/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a guest's process: one JSON object a line in each direction, until a
 * request (attach, console, exec) turns the connection into a stream of frames.
 *
 * Requests: {"op": OP, ...}; answers: {"ok": true, ...} or {"ok": false, "code": errno, "error":
 * TEXT}. What the operations do is up to the monitor (monitor_ops.c); here are connections.
 */
#pragma once

#include "base/buf.h"
#include "vm/stream.h"
#include <jansson.h>
#include <posada/err.h>

struct loop;
struct control;

struct control_events {
    /* One request. The handler answers by conn_answer()/conn_refuse(), now or later. */
    void (*request)(void *arg, struct conn *conn, const json_t *request);
    /* The connection is gone; nothing may be done with it any more. detached: it said so. */
    void (*gone)(void *arg, struct conn *conn, bool detached);
    void *arg;
};

struct conn {
    struct control *control;
    struct conn *next;
    int fd;
    struct buf in, out;
    bool owner;     /* the command line that started the guest */
    bool patient;   /* holds a stream back when it lags, instead of being dropped */
    bool waiting;   /* wants to hear of the guest's end */
    bool detached;  /* said that it leaves on purpose */
    bool last_word; /* nothing more is read; closed once all is written */
    bool failed;    /* to be taken out of service on the loop's next turn */
    bool dead;      /* taken out of service, freed by the loop */
    /* As a client of a stream: */
    struct stream *stream;
    struct conn *next_client;
    bool stalled; /* its next frame waits for input room */
    size_t input_unacked;
};

enum { CONN_REQUEST_MAX = 65536 }; /* with its newline */
enum { CONN_OUT_HIGH = 256 * 1024, CONN_OUT_DROP = 4 * CONN_OUT_HIGH, CONN_COUNT_MAX = 128 };

/* Binds and listens on the socket "control" in a directory. */
int must_use control_listen(int dir_fd, int *ret_fd, struct err *err);
/* Says on a descriptor that is no connection yet why nothing starts. */
void control_refuse_fd(int fd, const struct err *err);
/* Listens on listen_fd (taken over, -1: none). */
int must_use control_new(struct loop *loop, int listen_fd, const struct control_events *events,
                         struct control **ret, struct err *err);
void control_free(struct control *c);
/* Takes a connected descriptor over as a connection; NULL: no memory (the descriptor is closed). */
struct conn *control_adopt(struct control *c, int fd);
/* True when no connection has anything left to write. */
bool control_idle(const struct control *c);
void control_each(struct control *c, void (*fn)(void *arg, struct conn *conn), void *arg);

/* Answers; steals extra (NULL: none). */
void conn_answer(struct conn *conn, json_t *extra);
void conn_refuse(struct conn *conn, const struct err *err);
void conn_refuse_text(struct conn *conn, int code, const char *text);
/* A number of a request: otherwise, where there is none; max, where it is larger. */
unsigned control_number(const json_t *request, const char *key, unsigned otherwise, unsigned max);
/* Makes a connection a client of s: says so, then frames. rows and columns of the request count. */
void conn_join(struct conn *conn, struct stream *s, const json_t *request);
/* Makes a connection a client of a stream, from now on in frames. replay: the log's tail first. */
void conn_stream(struct conn *conn, struct stream *s, bool replay);
void conn_frame(struct conn *conn, unsigned type, const void *data, size_t len);
void conn_finish(struct conn *conn); /* closes once all is written */
void conn_resume_input(struct conn *conn);
