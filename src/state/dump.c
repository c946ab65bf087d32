/* SPDX-License-Identifier: Apache-2.0 */
/* Any saved stream as text, without tables: for people, diffs and golden tests. Format: state.h. */
#include "state/format.h"
#include <inttypes.h>

static void print_text(struct state_text text, FILE *out)
{
    for (unsigned i = 0; i < text.len; i++) {
        char c = text.p[i];

        fputc(c > ' ' && c < 0x7f ? c : '?', out);
    }
}

/* Runs of one value are printed once: "0x0 x 96". */
static void print_values(const struct state_saved_field *f, FILE *out)
{
    for (uint32_t i = 0; i < f->count;) {
        uint64_t value = state_value(f->values, f->type, i);
        uint32_t run = 1;

        while (i + run < f->count && state_value(f->values, f->type, i + run) == value)
            run++;
        fprintf(out, " 0x%" PRIx64, value);
        if (run > 1)
            fprintf(out, " x %" PRIu32, run);
        i += run;
    }
    fputc('\n', out);
}

static void print_field(const struct state_saved_field *f, FILE *out)
{
    static const char *const types[] = {
        [STATE_TYPE_BOOL] = "bool", [STATE_TYPE_U8] = "u8",   [STATE_TYPE_U16] = "u16",
        [STATE_TYPE_U32] = "u32",   [STATE_TYPE_U64] = "u64",
    };

    fputs("    ", out);
    print_text(f->name, out);
    fprintf(out, " %s", types[f->type]);
    if (f->count != 1)
        fprintf(out, "[%" PRIu32 "]", f->count);
    print_values(f, out);
}

static int dump_record(const struct state_record *record, FILE *out, struct err *err)
{
    struct state_cursor c = record->fields;

    print_text(record->type, out);
    fputs(" '", out);
    print_text(record->name, out);
    fprintf(out, "' version %u\n", record->version);
    for (uint32_t i = 0; i < record->field_count; i++) {
        struct state_saved_field field;
        int r = state_next_field(&c, &field, err);

        if (r)
            return r;
        print_field(&field, out);
    }
    return state_fields_end(record, &c, err);
}

int state_dump(const uint8_t *data, size_t len, FILE *out, struct err *err)
{
    struct state_record record;
    struct state_cursor c;
    int r = state_open(data, len, &c, err);

    if (r)
        return r;
    while ((r = state_next_record(&c, &record, err)) > 0) {
        r = dump_record(&record, out, err);
        if (r)
            return r;
    }
    return r;
}
