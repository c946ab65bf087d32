/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a saved stream; every length comes from outside and is checked. Format: state.h. */
#include "state/format.h"
#include "base/bits.h"
#include "base/endian.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

unsigned state_type_size(unsigned type)
{
    switch (type) {
    case STATE_TYPE_BOOL:
    case STATE_TYPE_U8: return 1;
    case STATE_TYPE_U16: return 2;
    case STATE_TYPE_U32: return 4;
    case STATE_TYPE_U64: return 8;
    default: return 0;
    }
}

uint32_t state_field_count(const struct state_field *f)
{
    uint32_t n = 0;

    while (f[n].type != STATE_TYPE_END)
        n++;
    assert(n <= STATE_FIELDS_MAX);
    return n;
}

uint64_t state_value(const uint8_t *values, enum state_type type, uint32_t index)
{
    const uint8_t *p = values + (size_t)index * state_type_size(type);

    switch (type) {
    case STATE_TYPE_U16: return ld_le16(p);
    case STATE_TYPE_U32: return ld_le32(p);
    case STATE_TYPE_U64: return ld_le64(p);
    default: return *p;
    }
}

bool state_text_is(struct state_text text, const char *s)
{
    return strlen(s) == text.len && !memcmp(text.p, s, text.len);
}

uint64_t state_hash(const uint8_t *data, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Takes len bytes and their padding to 8; NULL when they are not there or the padding is not 0. */
static const uint8_t *state_take(struct state_cursor *c, uint64_t len)
{
    const uint8_t *p = c->p;

    if (len > c->left || align_up(len, 8) > c->left)
        return NULL;
    for (uint64_t i = len; i < align_up(len, 8); i++) {
        if (p[i])
            return NULL;
    }
    c->p += align_up(len, 8);
    c->left -= align_up(len, 8);
    return p;
}

static int state_cut(struct err *err)
{
    return err_set(err, -EINVAL, "saved state is cut short or damaged");
}

int state_open(const uint8_t *data, size_t len, struct state_cursor *ret_records, struct err *err)
{
    const uint8_t *end;

    if (len < STATE_HEADER_SIZE + STATE_RECORD_HEADER + 8 || !is_aligned(len, 8) ||
        memcmp(data, STATE_MAGIC, 8))
        return err_set(err, -EINVAL,
                       "not a saved state: it does not begin with " STATE_MAGIC " or is cut short");
    if (ld_le32(data + 8) != STATE_FORMAT || ld_le32(data + 12))
        return err_set(err, -EINVAL, "saved state has format %" PRIu32 "; this posada reads %d",
                       ld_le32(data + 8), STATE_FORMAT);
    end = data + len - STATE_RECORD_HEADER - 8;
    if (ld_le32(end) != STATE_KIND_END || ld_le32(end + 4) != 8 ||
        ld_le64(end + 8) != state_hash(data, (size_t)(end - data)))
        return state_cut(err);
    *ret_records = (struct state_cursor){.p = data + STATE_HEADER_SIZE,
                                         .left = (size_t)(end - data) - STATE_HEADER_SIZE};
    return 0;
}

static int state_parse_object(struct state_cursor c, struct state_record *ret_record,
                              struct err *err)
{
    struct state_record r;
    const uint8_t *head = state_take(&c, 8), *text;

    if (!head)
        return state_cut(err);
    r.version = ld_le16(head);
    r.type.len = head[2];
    r.name.len = head[3];
    r.field_count = ld_le32(head + 4);
    text = state_take(&c, (uint64_t)r.type.len + r.name.len);
    if (!text)
        return state_cut(err);
    r.type.p = (const char *)text;
    r.name.p = (const char *)text + r.type.len;
    r.fields = c;
    *ret_record = r;
    return 1;
}

int state_next_record(struct state_cursor *c, struct state_record *ret_record, struct err *err)
{
    struct state_cursor payload;
    const uint8_t *head;

    if (!c->left)
        return 0;
    head = state_take(c, STATE_RECORD_HEADER);
    if (!head || ld_le32(head) != STATE_KIND_OBJECT || !is_aligned(ld_le32(head + 4), 8))
        return state_cut(err);
    payload.left = ld_le32(head + 4);
    payload.p = state_take(c, payload.left);
    if (!payload.p)
        return state_cut(err);
    return state_parse_object(payload, ret_record, err);
}

int state_next_field(struct state_cursor *c, struct state_saved_field *ret_field, struct err *err)
{
    const uint8_t *head = state_take(c, STATE_FIELD_HEADER), *name, *values;
    struct state_saved_field f;

    if (!head || !state_type_size(head[0]) || ld_le16(head + 2))
        return state_cut(err);
    f.type = head[0];
    f.count = ld_le32(head + 4);
    name = state_take(c, head[1]);
    values = name ? state_take(c, (uint64_t)f.count * state_type_size(f.type)) : NULL;
    if (!values)
        return state_cut(err);
    f.name = (struct state_text){.p = (const char *)name, .len = head[1]};
    f.values = values;
    *ret_field = f;
    return 0;
}

int state_fields_end(const struct state_record *record, const struct state_cursor *c,
                     struct err *err)
{
    if (!c->left)
        return 0;
    return err_set(err, -EINVAL, "saved state of '%.*s' has bytes behind its last field",
                   record->name.len, record->name.p);
}
