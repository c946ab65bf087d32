/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny virtio driver in memory, for tests of any virtio device: it negotiates, lays rings (split
 * or packed) in guest RAM, adds chains and collects used ones; and it can write ring memory raw,
 * to play a hostile driver. Registers are accessed as a transport would. Aborts the test on its
 * own mistakes.
 */
#pragma once

#include "virtio.h"

#include "mem/mem.h"

enum {
    DRV_RAM = 0x80000000,
    DRV_RAM_SIZE = 0x1200000, /* so that 256 buffers can be more than 4 GiB */
    DRV_USED = 0x200000,      /* the part the driver itself uses */
    DRV_QUEUE = DRV_RAM,      /* queue i's areas: 28 KiB each */
    DRV_QUEUE_STRIDE = 0x7000,
    DRV_DRIVER_AREA = 0x4000, /* from the queue's start */
    DRV_DEVICE_AREA = 0x6000,
    DRV_TABLES = DRV_RAM + 0x80000, /* indirect tables, one a page by head */
    DRV_DATA = DRV_RAM + 0x100000,  /* buffers: 1 MiB */
    DRV_QUEUE_SIZE = 16,
};

enum { DRV_NEXT = 1, DRV_WRITE = 2, DRV_INDIRECT = 4 };

struct drv_buf {
    uint64_t gpa;
    uint32_t len;
    bool writable;
};

struct drv_queue {
    uint16_t size;
    uint16_t free_head;     /* next descriptor (split) or slot (packed) to use */
    uint16_t avail_idx;     /* split */
    uint16_t used_seen;     /* split: counter; packed: slot */
    bool wrap, used_wrap;   /* packed */
    uint16_t slots_of[256]; /* packed: ring slots of buffer id */
    uint16_t added;         /* avail entries (split) or slots (packed) since drv_wants_kick() */
};

struct drv {
    struct mem *mem;
    struct clock *clock;
    struct virtio_device *v;
    bool packed, indirect, event;
    unsigned interrupts; /* rising edges of the line */
    bool line;
    struct drv_queue q[VIRTIO_QUEUES_MAX];
};

_Static_assert(VIRTIO_QUEUES_MAX *DRV_QUEUE_STRIDE <= DRV_TABLES - DRV_QUEUE, "no area overlaps");

/* Makes RAM and a manual clock, wires and initialises v, resets it. */
void drv_attach(struct drv *d, struct virtio_device *v);
void drv_done(struct drv *d); /* frees v, RAM, clock */
/* Status up to FEATURES_OK with these driver features; false: the device refused them. */
bool drv_negotiate(struct drv *d, uint64_t features);
/* Gives queue i its areas and turns it on. */
void drv_queue_up(struct drv *d, unsigned i, uint16_t size);
/* drv_negotiate(VERSION_1 | features), all queues, DRIVER_OK. */
void drv_start(struct drv *d, uint64_t features);

uint32_t drv_read(struct drv *d, uint32_t off, unsigned size);
void drv_write(struct drv *d, uint32_t off, unsigned size, uint32_t val);
void drv_kick(struct drv *d, unsigned queue);
bool drv_broken(struct drv *d);
/* Resets the device and has one chain served: it must work after anything a driver did. For
 * devices whose queue 0 takes a writable buffer. */
bool drv_revives(struct drv *d);

/* Makes a chain available without a kick; its id. */
uint16_t drv_add(struct drv *d, unsigned queue, const struct drv_buf *bufs, unsigned count);
/* Whether the device wants to be told of what was added since the last call. */
bool drv_wants_kick(struct drv *d, unsigned queue);
/* The next used chain; false: none. */
bool drv_used(struct drv *d, unsigned queue, uint16_t *ret_id, uint32_t *ret_len);

/* Raw ring memory. desc_raw: index in queue's ring; `last` is next (split) or id (packed). */
void drv_desc_at(struct drv *d, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
                 uint16_t flags_or_id, uint16_t next_or_flags);
uint64_t drv_area_desc(unsigned queue);
uint64_t drv_area_driver(unsigned queue);
uint64_t drv_area_device(unsigned queue);
void drv_put16(struct drv *d, uint64_t gpa, uint16_t val);
uint16_t drv_get16(struct drv *d, uint64_t gpa);
uint8_t drv_get8(struct drv *d, uint64_t gpa);
void drv_put(struct drv *d, uint64_t gpa, const void *bytes, size_t len);
void drv_get(struct drv *d, uint64_t gpa, void *bytes, size_t len);
