/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the pieces of a saved stream, shared by load and dump. Format: state.h. */
#pragma once

#include "state/state.h"

#define STATE_MAGIC "POSADAST"

enum { STATE_FORMAT = 1, STATE_HEADER_SIZE = 16, STATE_RECORD_HEADER = 8, STATE_FIELD_HEADER = 8 };
enum state_kind { STATE_KIND_END = 0, STATE_KIND_OBJECT = 1 };

/* What is still to be read. */
struct state_cursor {
    const uint8_t *p;
    size_t left;
};

struct state_text { /* not terminated */
    const char *p;
    uint8_t len;
};

struct state_record {
    struct state_text type, name;
    uint16_t version;
    uint32_t field_count;
    struct state_cursor fields;
};

struct state_saved_field {
    enum state_type type;
    struct state_text name;
    uint32_t count;
    const uint8_t *values;
};

/* Bytes of an element; 0 for a type that does not exist. */
unsigned state_type_size(unsigned type);
/* Fields of a table; a table longer than STATE_FIELDS_MAX is our bug. */
uint32_t state_field_count(const struct state_field *f);
uint64_t state_value(const uint8_t *values, enum state_type type, uint32_t index);
bool state_text_is(struct state_text text, const char *s);
uint64_t state_hash(const uint8_t *data, size_t len);

/* Checks header and hash, leaves the cursor on the records. */
int must_use state_open(const uint8_t *data, size_t len, struct state_cursor *ret_records,
                        struct err *err);
/* The next record: 1, or 0 at the end of the stream. */
int must_use state_next_record(struct state_cursor *c, struct state_record *ret_record,
                               struct err *err);
/* The next field of a record; call record.field_count times, then state_fields_end(). */
int must_use state_next_field(struct state_cursor *c, struct state_saved_field *ret_field,
                              struct err *err);
int must_use state_fields_end(const struct state_record *record, const struct state_cursor *c,
                              struct err *err);
