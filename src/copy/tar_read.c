/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading tar streams, cut anywhere. Contract: copy/tar.h.
 * Invariants: block holds `filled` bytes of a header, or text holds `filled` bytes of an extended
 * header's data; an entry was told exactly when in_entry is set.
 */
#include "copy/tar.h"

#include <errno.h>
#include <string.h>

enum { NAME_FIELD = 100, PREFIX_FIELD = 155, AT_PREFIX = 345 };

void copy_tar_begin(struct copy_tar_reader *r, const struct copy_tar_events *events)
{
    memset(r, 0, sizeof(*r));
    r->events = *events;
}

/* --- Numbers --- */
/* Octal text, or GNU's binary form; false: neither, or too large. */
static bool tar_number(const uint8_t *at, size_t len, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;

    if (at[0] & 0x80) {
        for (i = 0; i < len; i++) {
            if (v >> 55)
                return false;
            v = v << 8 | (i ? at[i] : (uint8_t)(at[i] & 0x7f));
        }
        *ret = v;
        return v <= INT64_MAX;
    }
    while (i < len && at[i] == ' ')
        i++;
    for (; i < len && at[i] >= '0' && at[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(at[i] - '0'); /* at most 12 digits */
    *ret = v;
    return i == len || at[i] == '\0' || at[i] == ' ';
}

static bool tar_decimal(const char *at, size_t len, uint64_t *ret)
{
    uint64_t v = 0;

    if (!len || len > 18)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(at[i] - '0');
    }
    *ret = v;
    return true;
}

/* --- Extended headers --- */
static bool tar_text(char *to, const char *from, size_t len)
{
    if (len >= COPY_NAME_MAX || memchr(from, '\0', len))
        return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

static bool tar_record(struct copy_tar_reader *r, const char *key, size_t key_len,
                       const char *value, size_t len)
{
    uint64_t total;

    if (r->extended == 'g') {
        if (key_len == 12 && !memcmp(key, "POSADA.total", 12) && tar_decimal(value, len, &total) &&
            r->events.total)
            r->events.total(r->events.arg, total);
        return true;
    }
    if (key_len == 4 && !memcmp(key, "path", 4))
        return r->has_name = tar_text(r->entry.name, value, len);
    if (key_len == 8 && !memcmp(key, "linkpath", 8))
        return r->has_link = tar_text(r->entry.link, value, len);
    if (key_len == 4 && !memcmp(key, "size", 4))
        return r->has_size = tar_decimal(value, len, &r->entry.size);
    return true;
}

/* "LENGTH KEY=VALUE\n" again and again. */
static bool tar_records(struct copy_tar_reader *r)
{
    const char *at = r->text, *end = r->text + r->filled;

    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at)), *equals, *last;
        uint64_t len;

        if (!space || !tar_decimal(at, (size_t)(space - at), &len) || len > (size_t)(end - at) ||
            len < (size_t)(space - at) + 4)
            return false;
        last = at + len - 1;
        equals = memchr(space + 1, '=', (size_t)(last - space - 1));
        if (!equals || *last != '\n' ||
            !tar_record(r, space + 1, (size_t)(equals - space - 1), equals + 1,
                        (size_t)(last - equals - 1)))
            return false;
        at = last + 1;
    }
    return true;
}

static bool tar_extended_done(struct copy_tar_reader *r)
{
    size_t len = strnlen(r->text, r->filled);

    switch (r->extended) {
    case 'L': return r->has_name = tar_text(r->entry.name, r->text, len);
    case 'K': return r->has_link = tar_text(r->entry.link, r->text, len);
    default: return tar_records(r);
    }
}

/* --- Headers --- */
static bool tar_sum_right(const uint8_t *block)
{
    uint64_t told;
    unsigned sum = 0;

    for (unsigned i = 0; i < COPY_TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : block[i];
    return tar_number(block + 148, 8, &told) && told == sum;
}

static void tar_field(char *to, const uint8_t *at, size_t len)
{
    len = strnlen((const char *)at, len);
    memcpy(to, at, len);
    to[len] = '\0';
}

/* Long names of plain ustar are cut in two. */
static void tar_ustar_name(struct copy_entry *e, const uint8_t *block)
{
    char prefix[PREFIX_FIELD + 1];
    size_t len;

    tar_field(prefix, block + AT_PREFIX, PREFIX_FIELD);
    len = memcmp(block + 257, "ustar\0", 6) ? 0 : strlen(prefix);
    if (len) {
        memcpy(e->name, prefix, len);
        e->name[len++] = '/';
    }
    tar_field(e->name + len, block, NAME_FIELD);
}

static bool tar_is_extended(char type)
{
    return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

static int tar_bad(struct err *err, const char *what)
{
    return err_set(err, -EINVAL, "the stream is no tar archive, or a damaged one: %s", what);
}

static int tar_start(struct copy_tar_reader *r, char type, uint64_t mode, uint64_t mtime,
                     struct err *err)
{
    struct copy_entry *e = &r->entry;

    e->type = type == '\0' || type == '7' ? COPY_FILE : type;
    e->mode = mode & 07777;
    e->mtime = (int64_t)(mtime & INT64_MAX);
    if (e->type == COPY_FILE && e->name[0] && e->name[strlen(e->name) - 1] == '/')
        e->type = COPY_DIR; /* as before POSIX */
    if (e->type != COPY_FILE)
        e->size = 0;
    r->left = e->size;
    r->padding = (unsigned)(-e->size & (COPY_TAR_BLOCK - 1));
    r->in_entry = true;
    return r->events.entry(r->events.arg, e, err);
}

static int tar_header(struct copy_tar_reader *r, struct err *err)
{
    const uint8_t *b = r->block;
    uint64_t size, mode, mtime;
    char type = (char)b[156];

    if (!b[0] && !memcmp(b, b + 1, COPY_TAR_BLOCK - 1)) {
        r->ended = true;
        return 0;
    }
    if (!tar_sum_right(b) || !tar_number(b + 124, 12, &size) || !tar_number(b + 100, 8, &mode) ||
        !tar_number(b + 136, 12, &mtime))
        return tar_bad(err, "its header is wrong");
    r->padding = (unsigned)(-size & (COPY_TAR_BLOCK - 1));
    r->filled = 0;
    if (tar_is_extended(type)) {
        if (size > COPY_EXTENDED_MAX)
            return tar_bad(err, "an extended header is too long");
        r->extended = type;
        r->left = size;
        return 0;
    }
    if (!r->has_name)
        tar_ustar_name(&r->entry, b);
    if (!r->has_link)
        tar_field(r->entry.link, b + 157, NAME_FIELD);
    if (!r->has_size)
        r->entry.size = size;
    r->has_name = r->has_link = r->has_size = false;
    return tar_start(r, type, mode, mtime, err);
}

/* --- The stream --- */
static size_t tar_fill_block(struct copy_tar_reader *r, const uint8_t *data, size_t len)
{
    size_t n = COPY_TAR_BLOCK - r->filled < len ? COPY_TAR_BLOCK - r->filled : len;

    memcpy(r->block + r->filled, data, n);
    r->filled += n;
    return n;
}

static int tar_take(struct copy_tar_reader *r, const uint8_t *data, size_t n, struct err *err)
{
    if (!r->extended)
        return r->events.data(r->events.arg, data, n, err);
    memcpy(r->text + r->filled, data, n);
    r->filled += n;
    return 0;
}

/* All data of an entry or extended header are there. */
static int tar_finish(struct copy_tar_reader *r, struct err *err)
{
    bool fine;

    if (r->in_entry) {
        r->in_entry = false;
        r->entry.size = 0;
        return r->events.end(r->events.arg, err);
    }
    if (!r->extended)
        return 0;
    fine = tar_extended_done(r);
    r->extended = '\0';
    r->filled = 0;
    return fine ? 0 : tar_bad(err, "an extended header is wrong");
}

static bool tar_in_data(const struct copy_tar_reader *r)
{
    return r->left || r->in_entry || r->extended;
}

int copy_tar_feed(struct copy_tar_reader *r, const uint8_t *data, size_t len, struct err *err)
{
    int failed = 0;

    while (!failed && !r->ended && (len || (tar_in_data(r) && !r->left))) {
        size_t n;

        if (r->left) {
            n = r->left < len ? (size_t)r->left : len;
            failed = tar_take(r, data, n, err);
            r->left -= n;
        } else if (tar_in_data(r)) {
            n = 0;
            failed = tar_finish(r, err);
        } else if (r->padding) {
            n = r->padding < len ? r->padding : len;
            r->padding -= (unsigned)n;
        } else {
            n = tar_fill_block(r, data, len);
            if (r->filled == COPY_TAR_BLOCK) {
                r->filled = 0;
                failed = tar_header(r, err);
            }
        }
        data += n;
        len -= n;
    }
    return failed;
}
