/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to write: state, lists, events. Commas and quoting come by themselves; what does not fit in
 * memory shows as out->failed in the end. */
#pragma once

#include "base/buf.h"
#include <stdbool.h>

struct out {
    struct buf buf;
    bool pretty; /* lines with two spaces a level */
    bool failed, comma;
    unsigned depth;
};

void out_begin(struct out *o, const char *name, char bracket); /* name NULL: inside an array */
void out_end(struct out *o, char bracket);
void out_text(struct out *o, const char *name, const char *text); /* NULL text: null */
void out_int(struct out *o, const char *name, int64_t value);
void out_u64(struct out *o, const char *name, uint64_t value);
void out_bool(struct out *o, const char *name, bool value);
void out_texts(struct out *o, const char *name, const char *const *texts);
/* The text as a quoted JSON string, nothing before it. */
void out_quoted(struct out *o, const char *text);
void out_raw(struct out *o, const char *text);
void out_done(struct out *o);
