/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, wiring and resetting devices: what boards, tests and tools use. What a device itself may
 * use is include/posada/device.h. Life of a device:
 *     device_new -> clock, mem, power, random set by the owner -> device_init -> on a bus
 *     -> device_reset_all -> ... -> device_free
 */
#pragma once

#include <posada/device.h>

enum { DEVICE_MAX = 128 };

/* All devices of one machine, in order of creation; that order is the order of reset and save. */
struct device_set {
    struct device *device[DEVICE_MAX];
    unsigned count;
};

/* A zeroed instance, not yet usable. NULL without memory. */
struct device *device_new(const struct device_ops *ops, const char *name);
/* Runs ops->init once the world is wired. */
int must_use device_init(struct device *dev, struct err *err);
/* Accepts NULL; ops->done must accept an instance whose init failed or never ran. */
void device_free(struct device *dev);

/* Takes the device over; -EEXIST for a name already there, -ENOSPC when full (dev stays yours). */
int must_use device_set_add(struct device_set *set, struct device *dev, struct err *err);
struct device *device_set_find(const struct device_set *set, const char *name); /* or NULL */
/* Frees all, the youngest first. */
void device_set_free(struct device_set *set);

/* Reset of every device's own state, then settle_all(). */
void device_reset_all(const struct device_set *set);
/* Derives the outputs of every device again, the youngest first: after a reset and after a state
 * load. An interrupt controller is older than what is wired to it. */
void device_settle_all(const struct device_set *set);

/* The type with this name, or NULL. Sorted table of all types: src/devices/registry.c. */
const struct device_ops *device_type_find(const char *type);
extern const struct device_ops *const device_registry[]; /* NULL-terminated */
