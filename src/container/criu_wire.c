/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers as bytes. Contract: container/criu.h. */
#include "container/criu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void criu_append(struct criu_options *o, const void *data, size_t len)
{
    if (!o->failed && buf_append(&o->buf, data, len) < 0)
        o->failed = true;
}

static void criu_varint(struct criu_options *o, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    } while (value);
    bytes[n - 1] &= 0x7f;
    criu_append(o, bytes, n);
}

void criu_put_number(struct criu_options *o, unsigned field, uint64_t value)
{
    criu_varint(o, field << 3 | WIRE_VARINT);
    criu_varint(o, value);
}

void criu_put_bytes(struct criu_options *o, unsigned field, const void *data, size_t len)
{
    criu_varint(o, field << 3 | WIRE_BYTES);
    criu_varint(o, len);
    criu_append(o, data, len);
}

void criu_put_text(struct criu_options *o, unsigned field, const char *text)
{
    criu_put_bytes(o, field, text, strlen(text));
}

static int criu_put_fd(struct criu_options *o, int fd)
{
    if (o->fd_count == CRIU_FDS) {
        o->failed = true;
        return -1;
    }
    o->fds[o->fd_count] = fd;
    return CRIU_FIRST_FD + (int)o->fd_count++;
}

/* message inherit_fd { key = 1; fd = 2; } */
void criu_put_inherit(struct criu_options *o, const char *key, int fd)
{
    struct criu_options inner = {0};
    int number = criu_put_fd(o, fd);

    criu_put_text(&inner, 1, key);
    criu_put_number(&inner, 2, (uint64_t)number);
    criu_put_bytes(o, CRIU_INHERIT_FD, buf_data(&inner.buf), inner.buf.len);
    o->failed |= inner.failed;
    criu_options_done(&inner);
}

void criu_options_done(struct criu_options *o)
{
    buf_done(&o->buf);
}

struct criu_reader {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t criu_take_varint(struct criu_reader *r)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->bad = true;
    return 0;
}

/* One field: its number, and its number value or its bytes. False at the end. */
static bool criu_take_field(struct criu_reader *r, unsigned *ret_field, uint64_t *ret_value,
                            struct criu_reader *ret_bytes)
{
    uint64_t key, len;

    if (r->bad || r->at == r->end)
        return false;
    key = criu_take_varint(r);
    *ret_field = (unsigned)(key >> 3);
    *ret_bytes = (struct criu_reader){.at = r->end, .end = r->end};
    *ret_value = 0;
    len = (key & 7) == WIRE_FIXED64 ? 8 : (key & 7) == WIRE_FIXED32 ? 4 : 0;
    if ((key & 7) == WIRE_VARINT)
        *ret_value = criu_take_varint(r);
    else if ((key & 7) == WIRE_BYTES)
        len = criu_take_varint(r);
    else if (!len)
        r->bad = true;
    if (r->bad || len > (size_t)(r->end - r->at)) {
        r->bad = true;
        return false;
    }
    *ret_bytes = (struct criu_reader){.at = r->at, .end = r->at + len};
    r->at += len;
    return true;
}

static void criu_take_text(const struct criu_reader *bytes, char *buf, size_t size)
{
    size_t n = 0;

    for (const uint8_t *c = bytes->at; c < bytes->end && n < size - 1; c++)
        buf[n++] = *c >= ' ' && *c < 0x7f ? (char)*c : ' ';
    buf[n] = '\0';
}

/* The messages inside an answer: restore { pid = 1 }, notify { script = 1; pid = 2 }, features {
 * mem_track = 1 }, version { major = 1; minor = 2; gitid = 3; sublevel = 4 }. */
static void criu_parse_inner(unsigned kind, struct criu_reader *r, struct criu_answer *a)
{
    struct criu_reader bytes;
    unsigned field;
    uint64_t value;

    while (criu_take_field(r, &field, &value, &bytes)) {
        unsigned small = value > 1u << 30 ? 1u << 30 : (unsigned)value;

        if ((kind == 4 && field == 1) || (kind == 5 && field == 2))
            a->pid = (pid_t)small;
        else if (kind == 5 && field == 1)
            criu_take_text(&bytes, a->script, sizeof(a->script));
        else if (kind == 8 && field == 1)
            a->track_memory = value;
        else if (kind == 10 && field == 1)
            a->major = small;
        else if (kind == 10 && field == 2)
            a->minor = small;
        else if (kind == 10 && field == 4)
            a->patch = small;
    }
}

int criu_parse(const uint8_t *data, size_t len, struct criu_answer *ret)
{
    struct criu_reader r = {.at = data, .end = data + len}, bytes;
    struct criu_answer a = {0};
    unsigned field;
    uint64_t value;

    while (criu_take_field(&r, &field, &value, &bytes)) {
        switch (field) {
        case 1: a.type = (enum criu_type)(value & 0xff); break;
        case 2: a.success = value; break;
        case 7: a.error = (int)(value & 0xfff); break;
        case 9: criu_take_text(&bytes, a.message, sizeof(a.message)); break;
        case 4:
        case 5:
        case 8:
        case 10:
            criu_parse_inner(field, &bytes, &a);
            r.bad |= bytes.bad;
            break;
        default: break;
        }
    }
    if (r.bad)
        return -EBADMSG;
    *ret = a;
    return 0;
}
