/* SPDX-License-Identifier: Apache-2.0 */
/* A byte queue of fixed size in memory of the caller's. Never grows: who puts must ask for room. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fifo {
    uint8_t *data;
    size_t size, head, used;
};

static inline size_t fifo_room(const struct fifo *f)
{
    return f->size - f->used;
}

/* Appends len bytes, at most fifo_room(). */
static inline void fifo_put(struct fifo *f, const void *data, size_t len)
{
    size_t tail = (f->head + f->used) % (f->size ? f->size : 1);
    size_t first = len < f->size - tail ? len : f->size - tail;

    if (!len)
        return;
    memcpy(f->data + tail, data, first);
    memcpy(f->data, (const uint8_t *)data + first, len - first);
    f->used += len;
}

/* The oldest bytes that lie together: how many, and where. */
static inline size_t fifo_front(const struct fifo *f, const uint8_t **ret_data)
{
    size_t together = f->size - f->head;

    *ret_data = f->data + f->head;
    return f->used < together ? f->used : together;
}

static inline void fifo_drop(struct fifo *f, size_t len)
{
    f->used -= len;
    f->head = f->used ? (f->head + len) % f->size : 0;
}
