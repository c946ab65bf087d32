/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus messages as bytes ("Type System", "Message Protocol"). Contract: container/dbus.h. */
#include "container/dbus.h"

#include <errno.h>
#include <string.h>

enum { DBUS_HEADER = 16, DBUS_FIELD_CAP = 1 << 16 };

static void dbus_append(struct dbus_body *b, const void *data, size_t len)
{
    if (!b->failed && buf_append(&b->buf, data, len) < 0)
        b->failed = true;
}

static void dbus_align(struct dbus_body *b, size_t align)
{
    static const uint8_t zero[8];

    dbus_append(b, zero, (align - b->buf.len % align) % align);
}

void dbus_put_u32(struct dbus_body *b, uint32_t value)
{
    dbus_align(b, 4);
    dbus_append(b, &value, sizeof(value));
}

void dbus_put_u64(struct dbus_body *b, uint64_t value)
{
    dbus_align(b, 8);
    dbus_append(b, &value, sizeof(value));
}

void dbus_put_bool(struct dbus_body *b, bool value)
{
    dbus_put_u32(b, value);
}

void dbus_put_byte(struct dbus_body *b, uint8_t value)
{
    dbus_append(b, &value, 1);
}

void dbus_put_text(struct dbus_body *b, const char *text)
{
    dbus_put_u32(b, (uint32_t)strlen(text));
    dbus_append(b, text, strlen(text) + 1);
}

void dbus_put_signature(struct dbus_body *b, const char *text)
{
    dbus_put_byte(b, (uint8_t)strlen(text));
    dbus_append(b, text, strlen(text) + 1);
}

void dbus_put_struct(struct dbus_body *b)
{
    dbus_align(b, 8);
}

void dbus_begin_array(struct dbus_body *b, size_t align, size_t *ret_at)
{
    dbus_put_u32(b, 0);
    *ret_at = b->buf.len - 4;
    dbus_align(b, align);
}

/* The padding before the first element does not count. */
void dbus_end_array(struct dbus_body *b, size_t align, size_t at)
{
    size_t first = (at + 4 + align - 1) / align * align;
    uint32_t len;

    if (b->failed)
        return;
    len = (uint32_t)(b->buf.len - first);
    memcpy(buf_data(&b->buf) + at, &len, sizeof(len));
}

void dbus_body_done(struct dbus_body *b)
{
    buf_done(&b->buf);
}

static uint32_t dbus_peek(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static bool dbus_is_ours(uint8_t order)
{
    return order == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B');
}

/* "Message Format": byte order, type, flags, version, body's length, serial, fields' length. */
ssize_t dbus_measure(const uint8_t *data, size_t len)
{
    size_t body, fields, whole;

    if (len < DBUS_HEADER)
        return 0;
    body = dbus_peek(data + 4);
    fields = dbus_peek(data + 12);
    if (!dbus_is_ours(data[0]) || data[3] != 1 || fields > DBUS_FIELD_CAP ||
        body > DBUS_MESSAGE_CAP)
        return -EBADMSG;
    whole = DBUS_HEADER + (fields + 7) / 8 * 8 + body;
    return len < whole ? 0 : (ssize_t)whole;
}

/* Moves on to n bytes aligned to align; NULL: the message is over before. */
static const uint8_t *dbus_take(struct dbus_message *m, size_t align, size_t n)
{
    size_t at = (m->at + align - 1) / align * align;

    if (m->bad || at > m->len || m->len - at < n) {
        m->bad = true;
        return NULL;
    }
    m->at = at + n;
    return m->body + at;
}

uint32_t dbus_get_u32(struct dbus_message *m)
{
    const uint8_t *at = dbus_take(m, 4, 4);

    return at ? dbus_peek(at) : 0;
}

/* len bytes and a NUL, none within. */
static const char *dbus_get_bytes(struct dbus_message *m, size_t len)
{
    const uint8_t *at = len < DBUS_MESSAGE_CAP ? dbus_take(m, 1, len + 1) : NULL;

    if (at && !memchr(at, '\0', len) && !at[len])
        return (const char *)at;
    m->bad = true;
    return "";
}

const char *dbus_get_text(struct dbus_message *m)
{
    uint32_t len = dbus_get_u32(m);

    return m->bad ? "" : dbus_get_bytes(m, len);
}

const char *dbus_get_signature(struct dbus_message *m)
{
    const uint8_t *len = dbus_take(m, 1, 1);

    return len ? dbus_get_bytes(m, *len) : "";
}

/* One header field: a code and a variant, of the types that header fields have. */
static void dbus_parse_field(struct dbus_message *fields, struct dbus_message *ret)
{
    const uint8_t *code = dbus_take(fields, 8, 1);
    const char *type = dbus_get_signature(fields), *text = "";
    uint32_t number = 0;

    if (fields->bad || strlen(type) != 1)
        fields->bad = true;
    else if (*type == 's' || *type == 'o')
        text = dbus_get_text(fields);
    else if (*type == 'g')
        text = dbus_get_signature(fields);
    else if (*type == 'u')
        number = dbus_get_u32(fields);
    else
        fields->bad = true;
    if (fields->bad)
        return;
    switch (*code) {
    case 1: ret->path = text; break;
    case 2: ret->interface = text; break;
    case 3: ret->member = text; break;
    case 4: ret->error = text; break;
    case 5: ret->reply_to = number; break;
    case 8: ret->signature = text; break;
    default: break; /* destination, sender: nothing to us */
    }
}

int dbus_parse(const uint8_t *data, size_t len, struct dbus_message *ret)
{
    ssize_t whole = dbus_measure(data, len);
    struct dbus_message m = {
        .path = "", .interface = "", .member = "", .error = "", .signature = ""};
    struct dbus_message fields = {0};

    if (whole <= 0 || data[1] < DBUS_CALL || data[1] > DBUS_SIGNAL)
        return -EBADMSG;
    /* Alignment counts from the message's start, and its fields start aligned. */
    fields.body = data;
    fields.at = DBUS_HEADER;
    fields.len = DBUS_HEADER + dbus_peek(data + 12);
    m.type = (enum dbus_type)data[1];
    m.serial = dbus_peek(data + 8);
    while (!fields.bad && fields.at < fields.len)
        dbus_parse_field(&fields, &m);
    if (fields.bad)
        return -EBADMSG;
    m.len = dbus_peek(data + 4);
    m.body = data + (size_t)whole - m.len;
    *ret = m;
    return 0;
}
