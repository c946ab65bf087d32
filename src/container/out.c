/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to write. Contract: container/out.h. */
#include "container/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void out_raw(struct out *o, const char *text)
{
    if (!o->failed && buf_append(&o->buf, text, strlen(text)) < 0)
        o->failed = true;
}

void out_quoted(struct out *o, const char *text)
{
    char escape[8];

    out_raw(o, "\"");
    for (const char *c = text; *c; c++) {
        size_t plain = 0;

        while (c[plain] && c[plain] != '"' && c[plain] != '\\' && (unsigned char)c[plain] >= 0x20)
            plain++;
        if (plain && buf_append(&o->buf, c, plain) < 0)
            o->failed = true;
        c += plain;
        if (!*c)
            break;
        if (*c == '\n')
            snprintf(escape, sizeof(escape), "\\n");
        else if (*c == '"' || *c == '\\')
            snprintf(escape, sizeof(escape), "\\%c", *c);
        else
            snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(unsigned char)*c);
        out_raw(o, escape);
    }
    out_raw(o, "\"");
}

static void out_line(struct out *o)
{
    if (!o->pretty)
        return;
    out_raw(o, "\n");
    for (unsigned i = 0; i < o->depth; i++)
        out_raw(o, "  ");
}

static void out_before(struct out *o, const char *name)
{
    if (o->comma)
        out_raw(o, ",");
    if (o->depth)
        out_line(o);
    if (name) {
        out_quoted(o, name);
        out_raw(o, o->pretty ? ": " : ":");
    }
    o->comma = true;
}

void out_begin(struct out *o, const char *name, char bracket)
{
    out_before(o, name);
    out_raw(o, bracket == '{' ? "{" : "[");
    o->depth++;
    o->comma = false;
}

void out_end(struct out *o, char bracket)
{
    o->depth--;
    if (o->comma)
        out_line(o);
    out_raw(o, bracket == '}' ? "}" : "]");
    o->comma = true;
}

void out_text(struct out *o, const char *name, const char *text)
{
    out_before(o, name);
    if (text)
        out_quoted(o, text);
    else
        out_raw(o, "null");
}

void out_int(struct out *o, const char *name, int64_t value)
{
    char text[24];

    out_before(o, name);
    snprintf(text, sizeof(text), "%" PRId64, value);
    out_raw(o, text);
}

void out_u64(struct out *o, const char *name, uint64_t value)
{
    char text[24];

    out_before(o, name);
    snprintf(text, sizeof(text), "%" PRIu64, value);
    out_raw(o, text);
}

void out_bool(struct out *o, const char *name, bool value)
{
    out_before(o, name);
    out_raw(o, value ? "true" : "false");
}

void out_texts(struct out *o, const char *name, const char *const *texts)
{
    out_begin(o, name, '[');
    for (; *texts; texts++)
        out_text(o, NULL, *texts);
    out_end(o, ']');
}

void out_done(struct out *o)
{
    buf_done(&o->buf);
}
