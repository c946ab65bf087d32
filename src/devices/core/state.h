/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and the clock as saved objects, for whoever composes a machine's state. */
#pragma once

#include "devices/core/device.h"
#include "state/state.h"

/* One object for each device that has state, in order of creation: at most set->count of them.
 * Their number. Calls quiesce() when the objects are for a save. */
unsigned device_set_objects(const struct device_set *set, bool for_save,
                            struct state_object *ret_objects);

/* The guest clock: filled from the clock for a save, applied to it after a load, while paused and
 * before the devices settle. */
struct clock_state {
    uint64_t now_ns, wall_ns;
};
void clock_state_get(struct clock_state *s, const struct clock *clock);
void clock_state_apply(const struct clock_state *s, struct clock *clock);
struct state_object clock_state_object(struct clock_state *s);

/* Devices and clock alone: what the device console, the fuzzers and tests save. */
int must_use device_set_save(const struct device_set *set, const struct clock *clock,
                             uint8_t **ret_data, size_t *ret_len, struct err *err);
int must_use device_set_load(const struct device_set *set, struct clock *clock, const uint8_t *data,
                             size_t len, struct err *err);
