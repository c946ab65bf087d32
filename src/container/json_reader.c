/* SPDX-License-Identifier: Apache-2.0 */
/* Typed questions to a tree, with the place of what is wrong. Contract: container/json.h. */
#include "container/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const json_kind_names[] = {
    [JSON_NULL] = "null",   [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",
    [JSON_TEXT] = "a text", [JSON_ARRAY] = "an array",     [JSON_OBJECT] = "an object",
};

const char *json_path(const struct json *at, char *buf, size_t size)
{
    unsigned index = 0;
    char *here;
    size_t len;

    if (!at->parent) {
        snprintf(buf, size, "%s", "");
        return buf;
    }
    (void)json_path(at->parent, buf, size);
    len = strlen(buf);
    here = buf + len;
    if (at->name) {
        snprintf(here, size - len, "%s%s", len ? "." : "", at->name);
        return buf;
    }
    for (const struct json *c = at->parent->child; c != at; c = c->next)
        index++;
    snprintf(here, size - len, "[%u]", index);
    return buf;
}

int json_refuse(struct json_reader *r, const struct json *at, const char *fmt, ...)
{
    char path[160], text[300];
    va_list ap;

    if (r->code)
        return r->code;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)json_path(at, path, sizeof(path));
    return r->code = err_set(r->err, -EINVAL, "%s: %s%s%s", r->what, path, *path ? ": " : "", text);
}

void json_note(struct json_reader *r, const struct json *at, const char *fmt, ...)
{
    char path[160], text[300], whole[500];
    va_list ap;

    if (!r->note)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(whole, sizeof(whole), "%s: %s: %s", r->what, json_path(at, path, sizeof(path)), text);
    r->note(r->note_arg, whole);
}

const struct json *json_take(struct json_reader *r, const struct json *object, const char *name,
                             enum json_kind kind)
{
    const struct json *at = json_get(object, name);

    if (!at || at->kind == JSON_NULL)
        return NULL;
    if (at->kind != kind) {
        (void)json_refuse(r, at, "expected %s, found %s", json_kind_names[kind],
                          json_kind_names[at->kind]);
        return NULL;
    }
    return at;
}

const char *json_take_text(struct json_reader *r, const struct json *object, const char *name)
{
    const struct json *at = json_take(r, object, name, JSON_TEXT);

    return at ? at->text : NULL;
}

bool json_take_bool(struct json_reader *r, const struct json *object, const char *name,
                    bool fallback)
{
    const struct json *at = json_take(r, object, name, JSON_BOOL);

    return at ? at->truth : fallback;
}

/* "1e3" and "2.0" are numbers, but nobody writes an id or a limit that way. */
static bool json_is_whole(const char *text)
{
    return !text[strspn(text, "-0123456789")];
}

int64_t json_take_int(struct json_reader *r, const struct json *object, const char *name,
                      int64_t min, int64_t max, int64_t fallback)
{
    const struct json *at = json_take(r, object, name, JSON_NUMBER);
    long long value;

    if (!at)
        return fallback;
    errno = 0;
    value = strtoll(at->text, NULL, 10);
    if (!json_is_whole(at->text) || errno || value < min || value > max) {
        (void)json_refuse(r, at, "expected a whole number from %lld to %lld, found %.30s",
                          (long long)min, (long long)max, at->text);
        return fallback;
    }
    return value;
}

uint64_t json_take_u64(struct json_reader *r, const struct json *object, const char *name,
                       uint64_t fallback)
{
    const struct json *at = json_take(r, object, name, JSON_NUMBER);
    unsigned long long value;

    if (!at)
        return fallback;
    errno = 0;
    value = strtoull(at->text, NULL, 10);
    if (!json_is_whole(at->text) || *at->text == '-' || errno) {
        (void)json_refuse(r, at, "expected a whole number from 0 to 2^64-1, found %.30s", at->text);
        return fallback;
    }
    return value;
}

const char **json_take_texts(struct json_reader *r, const struct json *object, const char *name)
{
    const struct json *at = json_take(r, object, name, JSON_ARRAY);
    const char **list;
    unsigned n = 0;

    if (!at)
        return NULL;
    list = arena_get(r->arena, at->count + 1, sizeof(*list));
    if (!list) {
        r->code = err_set(r->err, -ENOMEM, "%s: no memory", r->what);
        return NULL;
    }
    for (struct json *c = at->child; c; c = c->next) {
        c->seen = true;
        if (c->kind != JSON_TEXT) {
            (void)json_refuse(r, c, "expected a text, found %s", json_kind_names[c->kind]);
            return NULL;
        }
        list[n++] = c->text;
    }
    return list;
}

void json_each_unseen(const struct json *object, void (*fn)(void *arg, const struct json *at),
                      void *arg)
{
    for (const struct json *c = object->child; c; c = c->next) {
        if (object->kind == JSON_OBJECT && !c->seen)
            fn(arg, c);
        else if (c->child)
            json_each_unseen(c, fn, arg);
    }
}

void json_mark_seen(const struct json *at)
{
    for (struct json *c = at->child; c; c = c->next) {
        c->seen = true;
        json_mark_seen(c);
    }
}
