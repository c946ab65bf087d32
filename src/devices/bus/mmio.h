/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory-mapped register bus: guest-physical regions to devices. Regions are added while the
 * machine is built and stay, so lookups take no lock; the machine lock is held around callbacks.
 *
 * An access of a width the device does not have, or misaligned for it, or across its end, never
 * reaches the device: it counts as a guest error and, like an address with nothing behind it, is
 * refused (the CPU takes an access fault).
 */
#pragma once

#include "mem/mem.h"
#include <posada/device.h>
#include <pthread.h>

struct mmio_bus;

/* lock is the machine lock, taken by mmio_bus_io()'s functions; NULL: none (single thread).
 * NULL without memory. */
struct mmio_bus *mmio_bus_new(pthread_mutex_t *lock);
void mmio_bus_free(struct mmio_bus *bus); /* devices stay */

/* Puts ops->mmio.size bytes of the device at gpa. -EEXIST where they overlap another region. */
int must_use mmio_bus_add(struct mmio_bus *bus, gpa_t gpa, struct device *dev, struct err *err);

/* A device with more than one register window (a host bridge) adds each by a table of its own. */
struct mmio_window {
    struct device_mmio access; /* size, widths */
    uint64_t (*read)(struct device *dev, uint32_t off, unsigned size);
    void (*write)(struct device *dev, uint32_t off, unsigned size, uint64_t val);
};
int must_use mmio_bus_add_window(struct mmio_bus *bus, gpa_t gpa, const struct mmio_window *window,
                                 struct device *dev, struct err *err);

/* The hook for mem_set_io(); takes the lock. */
struct mem_io mmio_bus_io(struct mmio_bus *bus);

/* The same accesses for a caller that already holds the machine lock. */
bool mmio_bus_read(struct mmio_bus *bus, gpa_t gpa, unsigned size, uint64_t *ret_val);
bool mmio_bus_write(struct mmio_bus *bus, gpa_t gpa, unsigned size, uint64_t val);

/* Rule of one access to one window, without a bus; false: refused (nothing is counted). */
bool mmio_access_ok(const struct device_mmio *access, uint64_t off, unsigned size);
