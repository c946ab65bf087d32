/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test rig: one device (or a small group, "pci") on a bus of its own, with RAM for DMA, a manual
 * clock, repeatable random numbers, serial lines and a disk, and no CPU. What the device console,
 * the fuzzers and the device tests stand on. Single thread, no lock.
 */
#pragma once

#include "devices/bus/mmio.h"
#include "devices/core/device.h"
#include "devices/core/state.h"
#include <posada/blockdev.h>
#include <posada/chardev.h>
#include <posada/fsdev.h>
#include <posada/netdev.h>
#include <posada/vsockdev.h>

enum {
    RIG_REGISTERS = 0x10000000,
    RIG_WINDOW = 0x40000000, /* of "pci" */
    RIG_WINDOW_SIZE = 0x100000,
    RIG_RAM_SIZE = 1 << 20,
    RIG_DISK_SIZE = 1 << 16,
    RIG_LINE_BUFFER = 4096,
    RIG_LINES = 2,
    RIG_SHARE_REQUESTS = 8,
    RIG_IRQS = 128,
};
#define RIG_RAM UINT64_C(0x80000000)

/* The far end of a serial line. */
struct rig_chardev {
    struct chardev chardev; /* must be first */
    uint8_t out[RIG_LINE_BUFFER], in[RIG_LINE_BUFFER];
    size_t out_len, in_len;
    size_t room; /* bytes it still takes from the device; SIZE_MAX: any number */
};

/* A disk in memory; requests wait until rig_disk_complete(). */
struct rig_disk {
    struct blockdev blockdev; /* must be first */
    struct blk_req *waiting;
    uint8_t data[RIG_DISK_SIZE];
};

/* The far end of a network cable: counts what it gets. */
struct rig_net {
    struct netdev netdev; /* must be first */
    bool full;            /* takes no frames */
    uint64_t frames, bytes;
};

/* A file server that keeps requests until rig_share_complete(). */
struct rig_share {
    struct fsdev fsdev; /* must be first */
    struct fs_req *waiting[RIG_SHARE_REQUESTS];
    unsigned count;
    bool full; /* said so */
};

/* The host's end of a vsock: counts packets, and has some for the guest. */
struct rig_vsock {
    struct vsockdev vsockdev; /* must be first */
    unsigned waiting;         /* packets for the guest */
    uint64_t packets, bytes;
};

struct rig_region {
    uint64_t base;
    struct device_mmio access;
};

enum { RIG_FLASH_SIZE = 0x4000 };

struct rig {
    const char *type;
    struct clock *clock;
    struct mem *mem;
    struct mmio_bus *bus;
    struct device_set set;
    struct device *dev; /* the one commands are about; also the first of the set */
    struct rig_region region[2];
    unsigned region_count;
    void (*prepare)(struct rig *rig); /* what a driver does first; NULL: nothing */
    unsigned edges[RIG_IRQS];         /* rising edges of each output */
    unsigned messages;                /* MSI-X messages of "pci" */
    struct rig_chardev line[RIG_LINES];
    struct rig_disk disk;
    uint8_t flash[RIG_FLASH_SIZE];
    struct rig_net net;
    struct rig_share share;
    struct rig_vsock vsock;
    bool has_twin; /* the fuzzers': compared with another rig just now */
    struct power_sink power;
    unsigned power_requests, power_code;
    enum power_action power_action;
};

/* Types the rig can build: the registry's and groups. NULL-terminated. */
extern const char *const rig_types[];

/* seed: of the device's random numbers. -ENOENT for an unknown type. */
int must_use rig_new(const char *type, uint64_t seed, struct rig **ret_rig, struct err *err);
void rig_free(struct rig *rig);

/* For rig_types.c: takes a new device over and wires it; at a base other than 0 it goes on the bus.
 * dev NULL: -ENOMEM. */
int must_use rig_add(struct rig *rig, struct device *dev, uint64_t base, struct err *err);
int must_use rig_add_window(struct rig *rig, struct device *dev, uint64_t base,
                            const struct mmio_window *window, struct err *err);
int must_use rig_build(struct rig *rig, struct err *err);

/* Accesses to the first region as a CPU would make them; false: refused. */
bool rig_read(struct rig *rig, uint64_t off, unsigned size, uint64_t *ret_val);
bool rig_write(struct rig *rig, uint64_t off, unsigned size, uint64_t val);
void rig_reset(struct rig *rig);
/* Bytes at the far end of a line; what does not fit the buffer is dropped. */
void rig_type(struct rig *rig, unsigned line, const void *data, size_t len);
/* Lets the far end take `room` more bytes. */
void rig_line_room(struct rig *rig, unsigned line, size_t room);
/* Ends the oldest waiting disk request: carries it out, or only reports `result` if not 0. */
bool rig_disk_complete(struct rig *rig, int result);
/* Answers the n-th waiting request (of however many) with len bytes, as far as there is room. */
bool rig_share_complete(struct rig *rig, unsigned n, const void *data, size_t len);
/* Lets the far end of the cable take frames, or not. */
void rig_net_full(struct rig *rig, bool full);
/* A frame from there, behind its header (base/net_frame.h); false: refused, or no device. */
bool rig_net_frame(struct rig *rig, const uint8_t *header, const void *data, size_t len);
/* Number of interrupt outputs, and one's level. */
unsigned rig_irq_count(struct rig *rig);
bool rig_irq(struct rig *rig, unsigned n);

/* A small generator of repeatable random numbers (xorshift64*). */
uint64_t rig_random(uint64_t *state);
