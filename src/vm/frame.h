/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of posada/agent.h in byte queues: between monitor and guest, and monitor and client. */
#pragma once

#include "base/buf.h"
#include <posada/agent.h>
#include <stdbool.h>

struct frame {
    unsigned type, channel;
    const uint8_t *data; /* in the queue, until the next change of it */
    size_t len;
};

enum { FRAME_HEADER = 8 };

/* len at most AGENT_MAX_PAYLOAD; -ENOMEM. */
int must_use frame_put(struct buf *out, unsigned type, unsigned channel, const void *data,
                       size_t len);
int must_use frame_put_u32(struct buf *out, unsigned type, unsigned channel, uint32_t value);

/* Looks at the first frame: 1 and *ret, 0 when it is not complete yet, -EPROTO when it can never
 * be one. frame_drop() then takes it off. */
int must_use frame_peek(const struct buf *in, struct frame *ret);
void frame_drop(struct buf *in, const struct frame *f);

/* The u32 a frame carries; false when it is of another size. */
bool frame_u32(const struct frame *f, uint32_t *ret);
