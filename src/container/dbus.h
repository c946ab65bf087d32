/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small D-Bus client for the few things a runtime asks systemd for (D-Bus Specification 0.43):
 * one connection, one call at a time, messages in the host's byte order. Our program is static,
 * libsystemd is not. What arrives is checked like any outside input.
 *
 * Left out: other authentication than EXTERNAL by socket credentials, descriptors in messages,
 * foreign byte order, serving objects.
 */
#pragma once

#include "base/buf.h"
#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { DBUS_MESSAGE_CAP = 16 << 20 };

/* A body under construction. Each value aligns itself; failed: no memory. */
struct dbus_body {
    struct buf buf;
    bool failed;
};
void dbus_put_u32(struct dbus_body *b, uint32_t value);
void dbus_put_u64(struct dbus_body *b, uint64_t value);
void dbus_put_bool(struct dbus_body *b, bool value);
void dbus_put_byte(struct dbus_body *b, uint8_t value);
void dbus_put_text(struct dbus_body *b, const char *text);      /* s, o */
void dbus_put_signature(struct dbus_body *b, const char *text); /* g; also a variant's head */
void dbus_put_struct(struct dbus_body *b);                      /* aligns, no more */
/* An array of elements that align to align bytes: *ret_at is dbus_end_array()'s. */
void dbus_begin_array(struct dbus_body *b, size_t align, size_t *ret_at);
void dbus_end_array(struct dbus_body *b, size_t align, size_t at);
void dbus_body_done(struct dbus_body *b);

enum dbus_type { DBUS_CALL = 1, DBUS_RETURN, DBUS_ERROR, DBUS_SIGNAL };

/* A received message. Texts point into the connection's buffer: gone with the next receive. */
struct dbus_message {
    enum dbus_type type;
    uint32_t serial, reply_to;
    const char *path, *interface, *member, *error, *signature; /* "" where not there */
    const uint8_t *body;
    size_t len, at; /* of the body; where dbus_get_*() reads next */
    bool bad;       /* a read went wrong: nothing read since counts */
};
uint32_t dbus_get_u32(struct dbus_message *m);
const char *dbus_get_text(struct dbus_message *m);      /* s, o; "" when bad */
const char *dbus_get_signature(struct dbus_message *m); /* "" when bad */

/* Length of the whole message that data starts, 0: too little is there; -EBADMSG. */
ssize_t dbus_measure(const uint8_t *data, size_t len);
/* data: a whole message, as measured, and writable for a moment. -EBADMSG. */
int must_use dbus_parse(const uint8_t *data, size_t len, struct dbus_message *ret);

struct dbus {
    int fd;
    uint32_t serial;
    bool daemon; /* a message bus between us and the service: calls need a destination */
    uint8_t *data;
    size_t len, room, used; /* received, and how much of it the last message was */
    void (*on_signal)(void *arg, struct dbus_message *m); /* hears what comes between */
    void *arg;
};

/* path: a socket, "@name" an abstract one. daemon: says hello to a bus. */
int must_use dbus_open(struct dbus *d, const char *path, bool daemon, struct err *err);
void dbus_close(struct dbus *d);

struct dbus_call {
    const char *service, *path, *interface, *member, *signature; /* signature NULL: no body */
    const struct dbus_body *body;
};
/* An error reply is -EREMOTEIO with the service's sentence; ret->error then holds its name. */
int must_use dbus_call(struct dbus *d, const struct dbus_call *c, struct dbus_message *ret,
                       struct err *err);
/* Hears signals until wanted(arg) or the time is over: -ETIMEDOUT. */
int must_use dbus_listen(struct dbus *d, bool (*wanted)(void *arg), int timeout_ms,
                         struct err *err);
