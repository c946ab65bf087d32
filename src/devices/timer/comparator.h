/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One time comparator a hart: a line that is high while time >= value. Shared by the ACLINT mtimer
 * (MTIP) and by Sstc (STIP). One timer serves all harts; it waits for the earliest value.
 */
#pragma once

#include <posada/device.h>

enum { COMPARATOR_HARTS = 64, COMPARATOR_DEFAULT_HZ = 10000000 };

struct comparators {
    struct clock *clock;
    struct timer timer;
    struct irq_line line[COMPARATOR_HARTS];
    unsigned harts;
    uint32_t ns_per_tick;
};

/* Frequency must divide 1 GHz; harts at most COMPARATOR_HARTS. Before device_init(). */
int must_use comparators_setup(struct comparators *c, unsigned harts, uint64_t hz, struct err *err);
/* From ops->init; a device that was not set up gets one hart and the default frequency. */
void comparators_init(struct comparators *c, struct device *dev);
void comparators_done(struct comparators *c);

uint64_t comparators_ticks(const struct comparators *c); /* the time they compare with */
/* Lines and timer from values[0..harts). */
void comparators_settle(struct comparators *c, const uint64_t *values);
