/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading in two passes over the same bytes: check all, then commit all. The stream is as hostile
 * as a file from a stranger. Format: state.h.
 */
#include "base/cleanup.h"
#include "base/endian.h"
#include "state/format.h"
#include <errno.h>
#include <inttypes.h>

static const struct state_object *find_object(const struct state_object *objects, unsigned count,
                                              struct state_text name)
{
    for (unsigned i = 0; i < count; i++) {
        if (state_text_is(name, objects[i].name))
            return &objects[i];
    }
    return NULL;
}

static const struct state_field *find_field(const struct state_object *o, struct state_text name)
{
    for (const struct state_field *f = o->fields; f->type != STATE_TYPE_END; f++) {
        if (state_text_is(name, f->name))
            return f;
    }
    return NULL;
}

static int check_values(const struct state_object *o, const struct state_field *f,
                        const struct state_saved_field *saved, struct err *err)
{
    if (f->type != saved->type || f->count != saved->count)
        return err_set(err, -EINVAL, "saved state of '%s': field '%s' has another type or length",
                       o->name, f->name);
    for (uint32_t i = 0; i < f->count; i++) {
        uint64_t value = state_value(saved->values, saved->type, i);

        if (value > f->max)
            return err_set(err, -EINVAL,
                           "saved state of '%s': field '%s' is %" PRIu64 ", at most %" PRIu64
                           " is legal",
                           o->name, f->name, value, f->max);
    }
    return 0;
}

/* Every saved field is known and seen once... */
static int check_fields(const struct state_object *o, const struct state_record *record,
                        bool seen[STATE_FIELDS_MAX], struct err *err)
{
    struct state_cursor c = record->fields;
    int r;

    for (uint32_t i = 0; i < record->field_count; i++) {
        struct state_saved_field saved;
        const struct state_field *f;

        r = state_next_field(&c, &saved, err);
        if (r)
            return r;
        f = find_field(o, saved.name);
        if (!f || seen[f - o->fields])
            return err_set(err, -EINVAL, "saved state of '%s': field '%.*s' is %s", o->name,
                           saved.name.len, saved.name.p, f ? "there twice" : "unknown");
        seen[f - o->fields] = true;
        r = check_values(o, f, &saved, err);
        if (r)
            return r;
    }
    return state_fields_end(record, &c, err);
}

/* ...and every known field was saved. */
static int check_record(const struct state_object *o, const struct state_record *record,
                        struct err *err)
{
    bool seen[STATE_FIELDS_MAX] = {false};
    uint32_t count = state_field_count(o->fields);
    int r;

    if (!state_text_is(record->type, o->type))
        return err_set(err, -EINVAL, "saved state of '%s' is of a '%.*s', the machine has a '%s'",
                       o->name, record->type.len, record->type.p, o->type);
    if (record->version != o->version)
        return err_set(err, -EINVAL, "saved state of '%s' has version %u; this posada reads %u",
                       o->name, record->version, o->version);
    r = check_fields(o, record, seen, err);
    if (r)
        return r;
    for (uint32_t i = 0; i < count; i++) {
        if (!seen[i])
            return err_set(err, -EINVAL, "saved state of '%s': field '%s' is missing", o->name,
                           o->fields[i].name);
    }
    return 0;
}

static int check_stream(const struct state_object *objects, unsigned count, struct state_cursor c,
                        bool *seen, struct err *err)
{
    struct state_record record;
    int r;

    while ((r = state_next_record(&c, &record, err)) > 0) {
        const struct state_object *o = find_object(objects, count, record.name);

        if (!o || seen[o - objects])
            return err_set(err, -EINVAL, "saved state: object '%.*s' is %s", record.name.len,
                           record.name.p, o ? "there twice" : "not in this machine");
        seen[o - objects] = true;
        r = check_record(o, &record, err);
        if (r)
            return r;
    }
    if (r)
        return r;
    for (unsigned i = 0; i < count; i++) {
        if (!seen[i])
            return err_set(err, -EINVAL, "saved state: object '%s' is missing", objects[i].name);
    }
    return 0;
}

/* --- Second pass: what was checked cannot fail --- */
static void set_value(void *to, enum state_type type, uint64_t value)
{
    switch (type) {
    case STATE_TYPE_BOOL: *(bool *)to = value; break;
    case STATE_TYPE_U16: *(uint16_t *)to = (uint16_t)value; break;
    case STATE_TYPE_U32: *(uint32_t *)to = (uint32_t)value; break;
    case STATE_TYPE_U64: *(uint64_t *)to = value; break;
    default: *(uint8_t *)to = (uint8_t)value; break;
    }
}

static void commit_record(const struct state_object *o, const struct state_record *record)
{
    struct state_cursor c = record->fields;
    struct state_saved_field saved;

    for (uint32_t i = 0; i < record->field_count && !state_next_field(&c, &saved, NULL); i++) {
        const struct state_field *f = find_field(o, saved.name);
        char *to = (char *)o->object + f->offset;

        for (uint32_t n = 0; n < f->count; n++, to += state_type_size(f->type))
            set_value(to, f->type, state_value(saved.values, f->type, n));
    }
}

static void commit_stream(const struct state_object *objects, unsigned count, struct state_cursor c)
{
    struct state_record record;

    while (state_next_record(&c, &record, NULL) > 0)
        commit_record(find_object(objects, count, record.name), &record);
}

int state_load(const struct state_object *objects, unsigned count, const uint8_t *data, size_t len,
               struct err *err)
{
    CLEANUP(free) bool *seen = calloc(count + 1, sizeof(*seen));
    struct state_cursor c;
    int r;

    if (!seen)
        return err_set(err, -ENOMEM, "loading state: out of memory");
    r = state_open(data, len, &c, err);
    if (!r)
        r = check_stream(objects, count, c, seen, err);
    if (!r)
        commit_stream(objects, count, c);
    return r;
}
