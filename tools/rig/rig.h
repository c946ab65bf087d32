/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test rig: one device on a bus of its own, with RAM for DMA, a manual clock, repeatable random
 * numbers and a character back end, and no CPU. What the device console, the fuzzers and the
 * device tests stand on. Single thread, no lock.
 */
#pragma once

#include "devices/bus/mmio.h"
#include "devices/core/device.h"
#include "devices/core/state.h"
#include <posada/chardev.h>

enum { RIG_REGISTERS = 0x10000000, RIG_RAM_SIZE = 1 << 20, RIG_LINE_BUFFER = 4096 };
#define RIG_RAM UINT64_C(0x80000000)

/* The far end of a serial line. */
struct rig_chardev {
    struct chardev chardev; /* must be first */
    uint8_t out[RIG_LINE_BUFFER], in[RIG_LINE_BUFFER];
    size_t out_len, in_len;
    size_t room; /* bytes it still takes from the device; SIZE_MAX: any number */
};

struct rig {
    struct clock *clock;
    struct mem *mem;
    struct mmio_bus *bus;
    struct device_set set;
    struct device *dev;
    struct rig_chardev line;
    struct power_sink power;
    unsigned power_requests, power_code;
    enum power_action power_action;
};

/* seed: of the device's random numbers. */
int must_use rig_new(const struct device_ops *ops, uint64_t seed, struct rig **ret_rig,
                     struct err *err);
void rig_free(struct rig *rig);

/* Register accesses as a CPU would make them; false: refused. */
bool rig_read(struct rig *rig, uint64_t off, unsigned size, uint64_t *ret_val);
bool rig_write(struct rig *rig, uint64_t off, unsigned size, uint64_t val);
void rig_reset(struct rig *rig);
/* Bytes at the far end of the line; what does not fit the buffer is dropped. */
void rig_type(struct rig *rig, const void *data, size_t len);
/* Lets the far end take `room` more bytes. */
void rig_line_room(struct rig *rig, size_t room);
/* Number of interrupt outputs, and one's level. */
unsigned rig_irq_count(struct rig *rig);
bool rig_irq(struct rig *rig, unsigned n);

/* A small generator of repeatable random numbers (xorshift64*). */
uint64_t rig_random(uint64_t *state);
