/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing queue of bytes: appended at the end, consumed at the front. The holder bounds it: a
 * buffer fed from outside needs a cap checked before buf_append(). {0} is an empty one.
 */
#pragma once

#include <posada/types.h>

struct buf {
    uint8_t *base;
    size_t head, len, room; /* content: base[head .. head + len) */
};

static inline uint8_t *buf_data(const struct buf *b)
{
    return b->base + b->head;
}

int must_use buf_append(struct buf *b, const void *data, size_t len); /* -ENOMEM, all or nothing */
void buf_consume(struct buf *b, size_t len);                          /* at most b->len */
void buf_done(struct buf *b);                                         /* empty again, no memory */
