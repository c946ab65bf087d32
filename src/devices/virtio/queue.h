/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues, device side: split (virtio 1.2, 2.7) and packed (2.8) rings behind one interface,
 * with indirect descriptors and event index.
 *
 * Each descriptor is copied in once and checked on the copy; a chain is bounded in length and in
 * bytes, its buffers are RAM in full, readable ones stand before writable ones. Anything else
 * breaks the device (virtio_broken), so a device sees only legal chains. Their bytes, however, are
 * the guest's and may change at any time: read a field once, by chain_read().
 */
#pragma once

#include <posada/state.h>
#include <posada/types.h>
#include <sys/uio.h>

struct virtio_device;

enum {
    VIRTQ_SIZE_MAX = 256,  /* entries of a ring */
    VIRTQ_CHAIN_MAX = 256, /* buffers of a chain */
    VIRTQ_BUDGET = 512,    /* chains taken for one notification */
};

struct virtq {
    struct virtio_device *v;
    unsigned index;
    uint16_t size_max;
    unsigned budget;   /* chains virtq_pop() may still take before work is put off */
    unsigned inflight; /* ring entries taken and not given back; 0 when quiesced */
    bool notify;       /* something was pushed since the driver was last told */

    /* State, saved by VIRTQ_STATE. Addresses: descriptor, driver (avail) and device (used) area. */
    bool enabled;
    uint16_t size, vector;
    uint64_t desc, driver, device;
    uint16_t next;      /* split: free-running avail index; packed: slot */
    uint16_t used;      /* split: free-running used index; packed: slot */
    uint16_t signalled; /* value of used when the driver was last told */
    bool next_wrap, used_wrap, signalled_wrap, signalled_valid;
};

#define VIRTQ_STATE(S, q)                                                                          \
    STATE_BOOL(S, q.enabled), STATE_U16_MAX(S, q.size, VIRTQ_SIZE_MAX), STATE_U16(S, q.vector),    \
        STATE_U64(S, q.desc), STATE_U64(S, q.driver), STATE_U64(S, q.device),                      \
        STATE_U16(S, q.next), STATE_U16(S, q.used), STATE_U16(S, q.signalled),                     \
        STATE_BOOL(S, q.next_wrap), STATE_BOOL(S, q.used_wrap), STATE_BOOL(S, q.signalled_wrap),   \
        STATE_BOOL(S, q.signalled_valid)

/* A chain of buffers: iov[0..out_count) is for the device to read, the next in_count to write. */
struct virtq_chain {
    uint16_t id;    /* head (split) or buffer id (packed) */
    uint16_t slots; /* ring entries it takes: 1 (split) or as many as its descriptors (packed) */
    unsigned out_count, in_count;
    uint32_t out_len, in_len; /* bytes */
    struct iovec iov[VIRTQ_CHAIN_MAX];
    uint64_t gpa[VIRTQ_CHAIN_MAX];
};

/* A chain to be given back. */
struct virtq_used {
    uint16_t id, slots; /* of the chain */
    uint32_t written;   /* bytes of its writable part that were filled */
};

void virtq_reset(struct virtq *q);
/* Checks size and areas of a queue the driver enables; false breaks nothing, the queue stays off.
 */
bool virtq_enable(struct virtq *q);

/* Takes the next available chain; false: none, or work is put off, or the device is broken. */
bool virtq_pop(struct virtq *q, struct virtq_chain *chain);
/* Undoes the last virtq_pop(): the chain stays available. */
void virtq_unpop(struct virtq *q, const struct virtq_chain *chain);
/* Gives a chain back, `written` bytes of its writable part being filled. Any order. */
void virtq_push(struct virtq *q, const struct virtq_chain *chain, uint32_t written);
/* The same with several chains, of which the driver sees all or none. */
void virtq_push_all(struct virtq *q, const struct virtq_used *used, unsigned count);
/* Undoes the last pops, whose chains took that many slots together. */
void virtq_unpop_slots(struct virtq *q, unsigned slots);
/* Tells the driver about pushed chains if it wants to know. Call once after a batch. */
void virtq_notify(struct virtq *q);

/* No notifications until virtq_pop() next finds nothing: of a queue of buffers that are wanted only
 * once there is something to put into them. Without event index the driver goes on notifying. */
void virtq_hush(struct virtq *q);

/* Copies between a buffer and the chain's readable (writable) part from `offset` on: the number of
 * bytes that were there to copy. chain_write() reports the bytes as written to memory. */
size_t chain_read(const struct virtq_chain *chain, size_t offset, void *buf, size_t len);
size_t chain_write(struct virtq *q, const struct virtq_chain *chain, size_t offset, const void *buf,
                   size_t len);
/* Reports the first len bytes of the writable part, filled through iov, as written to memory. */
void chain_written(struct virtq *q, const struct virtq_chain *chain, size_t len);
