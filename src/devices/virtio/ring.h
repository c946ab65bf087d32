/* SPDX-License-Identifier: Apache-2.0 */
/* Between queue.c and the two ring formats (split.c, packed.c): private to virtqueues. */
#pragma once

#include "queue.h"

#include <stdbool.h>

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_SIZE = 16 };

struct virtq_desc { /* a descriptor, copied in and decoded */
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next; /* split rings and their indirect tables */
    uint16_t id;   /* packed rings */
};

struct ring_ops {
    bool (*layout_ok)(const struct virtq *q);
    /* Collects the next available chain and moves past it. False: none, or broken. */
    bool (*take)(struct virtq *q, struct virtq_chain *chain);
    void (*untake)(struct virtq *q, unsigned slots);
    /* Writes used entries and moves past them; the driver sees all at once. */
    void (*put)(struct virtq *q, const struct virtq_used *used, unsigned count);
    /* Whether the driver wants to be told of what was put since the last call. */
    bool (*wants_interrupt)(struct virtq *q);
    /* Asks for no notifications until take() finds nothing; event index is negotiated. */
    void (*hush)(struct virtq *q);
};

extern const struct ring_ops split_ring_ops, packed_ring_ops;

/* Copies of ring memory; a failure breaks the device. */
bool ring_read(struct virtq *q, uint64_t addr, void *buf, size_t len);
bool ring_write(struct virtq *q, uint64_t addr, const void *buf, size_t len);
bool ring_read16(struct virtq *q, uint64_t addr, uint16_t *ret_val);

/* Breaks the device and returns false. */
bool ring_broken(struct virtq *q, const char *what);
/* Appends a buffer to the chain; false (broken) when it is not a legal one. */
bool chain_add(struct virtq *q, struct virtq_chain *chain, const struct virtq_desc *d);
/* An indirect descriptor that is legal where it stands: its table has *ret_count entries. */
bool ring_indirect_ok(struct virtq *q, const struct virtq_desc *d, uint32_t *ret_count);

/* The event index rule (virtio 1.2, 2.7.10): did a counter pass `event` on its way from old? */
static inline bool ring_passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}
