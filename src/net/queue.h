/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on their way out of a helper process, over a socket that may be full. */
#pragma once

#include "base/buf.h"
#include "net/rate.h"

#include <stdbool.h>

enum { NET_QUEUE_FULL = 512 << 10, NET_QUEUE_MAX = 8 << 20 };

struct net_queue {
    int fd;                    /* does not block */
    bool over;                 /* the other side is gone */
    struct buf wait;           /* messages, each behind its length: at most NET_QUEUE_MAX bytes */
    struct net_bucket *bucket; /* optional: sends only what this lets pass */
};

/* Sends in order; a message that finds the queue at its limit is lost, as on any wire. */
void net_queue_send(struct net_queue *q, const uint8_t *message, size_t len);
void net_queue_flush(struct net_queue *q); /* the socket takes messages again */
