/* SPDX-License-Identifier: Apache-2.0 */
/* Queue of bytes. Moves its content to the front instead of growing when that makes room. */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int buf_make_room(struct buf *b, size_t len)
{
    size_t room = b->room ? b->room : 256;
    uint8_t *grown;

    if (len > SIZE_MAX / 4 - b->len)
        return -ENOMEM;
    if (b->head && b->len + len <= b->room) {
        memmove(b->base, buf_data(b), b->len);
        b->head = 0;
        return 0;
    }
    while (room < b->head + b->len + len)
        room *= 2;
    grown = realloc(b->base, room);
    if (!grown)
        return -ENOMEM;
    b->base = grown;
    b->room = room;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
    if (!len)
        return 0;
    if (b->head + b->len + len > b->room && buf_make_room(b, len) < 0)
        return -ENOMEM;
    memcpy(buf_data(b) + b->len, data, len);
    b->len += len;
    return 0;
}

void buf_consume(struct buf *b, size_t len)
{
    b->head += len;
    b->len -= len;
    if (!b->len)
        b->head = 0;
}

void buf_done(struct buf *b)
{
    free(b->base);
    *b = (struct buf){0};
}
