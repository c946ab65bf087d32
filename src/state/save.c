/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the stream. Format: state.h. */
#include "base/bits.h"
#include "base/endian.h"
#include "state/format.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Grows by doubling; after a failed allocation it swallows everything. */
struct state_buffer {
    uint8_t *data;
    size_t len, room;
    bool failed;
};

/* len zeroed bytes and their padding at the end of the buffer; NULL when there is no memory. */
static uint8_t *buffer_add(struct state_buffer *b, size_t len)
{
    size_t need = b->len + align_up(len, 8);
    uint8_t *p;

    if (b->failed)
        return NULL;
    if (need > b->room || !b->data) {
        size_t room = need > 2 * b->room ? need : 2 * b->room;

        p = realloc(b->data, room);
        if (!p) {
            b->failed = true;
            return NULL;
        }
        b->data = p;
        b->room = room;
    }
    p = b->data + b->len;
    memset(p, 0, need - b->len);
    b->len = need;
    return p;
}

static void put_value(uint8_t *to, const void *from, enum state_type type)
{
    switch (type) {
    case STATE_TYPE_BOOL: *to = *(const bool *)from; break;
    case STATE_TYPE_U16: st_le16(to, *(const uint16_t *)from); break;
    case STATE_TYPE_U32: st_le32(to, *(const uint32_t *)from); break;
    case STATE_TYPE_U64: st_le64(to, *(const uint64_t *)from); break;
    default: *to = *(const uint8_t *)from; break;
    }
}

static void put_field(struct state_buffer *b, const struct state_field *f, const void *object)
{
    const char *from = (const char *)object + f->offset;
    unsigned size = state_type_size(f->type);
    size_t name_len = strlen(f->name);
    uint8_t *p = buffer_add(b, STATE_FIELD_HEADER);

    assert(name_len <= UINT8_MAX);
    if (p) {
        p[0] = (uint8_t)f->type;
        p[1] = (uint8_t)name_len;
        st_le32(p + 4, f->count);
    }
    p = buffer_add(b, name_len);
    if (p)
        memcpy(p, f->name, name_len);
    p = buffer_add(b, (size_t)f->count * size);
    for (uint32_t i = 0; p && i < f->count; i++)
        put_value(p + (size_t)i * size, from + (size_t)i * size, f->type);
}

static void put_object(struct state_buffer *b, const struct state_object *o)
{
    size_t start = b->len, type_len = strlen(o->type), name_len = strlen(o->name);
    uint32_t field_count = state_field_count(o->fields);
    uint8_t *p = buffer_add(b, STATE_RECORD_HEADER + 8);

    assert(type_len <= UINT8_MAX && name_len <= UINT8_MAX);
    if (p) {
        st_le32(p, STATE_KIND_OBJECT);
        st_le16(p + 8, o->version);
        p[10] = (uint8_t)type_len;
        p[11] = (uint8_t)name_len;
        st_le32(p + 12, field_count);
    }
    p = buffer_add(b, type_len + name_len);
    if (p) {
        memcpy(p, o->type, type_len);
        memcpy(p + type_len, o->name, name_len);
    }
    for (uint32_t i = 0; i < field_count; i++)
        put_field(b, &o->fields[i], o->object);
    if (!b->failed)
        st_le32(b->data + start + 4, (uint32_t)(b->len - start - STATE_RECORD_HEADER));
}

static void put_header(struct state_buffer *b)
{
    uint8_t *p = buffer_add(b, STATE_HEADER_SIZE);

    if (!p)
        return;
    memcpy(p, STATE_MAGIC, 8);
    st_le32(p + 8, STATE_FORMAT);
}

static void put_end(struct state_buffer *b)
{
    size_t covered = b->len;
    uint8_t *p = buffer_add(b, STATE_RECORD_HEADER + 8);

    if (!p)
        return;
    st_le32(p, STATE_KIND_END);
    st_le32(p + 4, 8);
    st_le64(p + 8, state_hash(b->data, covered));
}

int state_save(const struct state_object *objects, unsigned count, uint8_t **ret_data,
               size_t *ret_len, struct err *err)
{
    struct state_buffer b = {0};

    put_header(&b);
    for (unsigned i = 0; i < count; i++)
        put_object(&b, &objects[i]);
    put_end(&b);
    if (b.failed) {
        free(b.data);
        return err_set(err, -ENOMEM, "saving state: out of memory");
    }
    *ret_data = b.data;
    *ret_len = b.len;
    return 0;
}
