/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) for the container runtime: a whole text becomes a tree in one arena, in one pass
 * and in place. jansson is the house's parser; a runtime that lives for three milliseconds wants
 * one without a hash table and an allocation for every member (docs/adr/0005-container.md has the
 * figures), and one that knows where a value stands, for messages.
 *
 * Stricter than the RFC where an ambiguity could be used: no duplicate names, no NUL in strings,
 * valid UTF-8 only, nesting and size are bounded.
 */
#pragma once

#include "container/arena.h"
#include <posada/err.h>
#include <stdbool.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    bool truth;     /* JSON_BOOL */
    bool seen;      /* somebody asked for it: what nobody asks for is unknown */
    unsigned count; /* of children; for a child of an array, see json_index() */
    uint32_t name_hash;
    const char *name; /* in an object; else NULL */
    const char *text; /* JSON_TEXT decoded, JSON_NUMBER as written */
    struct json *child, *last, *next, *parent;
};

/* Parses text[0 .. len), text[len] being NUL, and writes into it; the tree points into text and
 * arena. what: the text's name for messages. -EINVAL with line and column, -ENOMEM. */
int must_use json_parse(struct arena *arena, const char *what, char *text, size_t len,
                        struct json **ret_root, struct err *err);

/* The member, or NULL. Marks it as seen. */
struct json *json_get(const struct json *object, const char *name);
/* "process.rlimits[2].type" */
const char *json_path(const struct json *at, char *buf, size_t size);

/* Typed questions of somebody who reads a tree. The first failure sticks in code and err, so a
 * reader asks all it wants and looks once. An absent or null member gives the fallback. */
struct json_reader {
    struct arena *arena;
    const char *what;                          /* the document, for messages */
    void (*note)(void *arg, const char *text); /* hears of what is passed over; NULL: nobody */
    void *note_arg;
    int code;
    struct err *err;
};

const struct json *json_take(struct json_reader *r, const struct json *object, const char *name,
                             enum json_kind kind);
const char *json_take_text(struct json_reader *r, const struct json *object, const char *name);
bool json_take_bool(struct json_reader *r, const struct json *object, const char *name,
                    bool fallback);
int64_t json_take_int(struct json_reader *r, const struct json *object, const char *name,
                      int64_t min, int64_t max, int64_t fallback);
/* Above INT64_MAX too. */
uint64_t json_take_u64(struct json_reader *r, const struct json *object, const char *name,
                       uint64_t fallback);
/* An array of texts as a NULL-terminated list; NULL when absent. */
const char **json_take_texts(struct json_reader *r, const struct json *object, const char *name);
/* "WHAT: PATH: TEXT" as the reader's failure; always returns -EINVAL. */
int json_refuse(struct json_reader *r, const struct json *at, const char *fmt, ...) printf_fn(3, 4);

/* "WHAT: PATH: TEXT" to the reader's note. */
void json_note(struct json_reader *r, const struct json *at, const char *fmt, ...) printf_fn(3, 4);

/* Calls fn for each member below object that nobody asked for; not below such a member. */
void json_each_unseen(const struct json *object, void (*fn)(void *arg, const struct json *at),
                      void *arg);
/* The node and all below it count as asked for. */
void json_mark_seen(const struct json *at);
