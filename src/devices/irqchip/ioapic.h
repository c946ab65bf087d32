/* SPDX-License-Identifier: Apache-2.0 */
/* I/O APIC with up to 24 pins: turns their levels into messages to local APICs. */
#pragma once

#include <posada/device.h>

enum { IOAPIC_PINS = 24 };

extern const struct device_ops ioapic_ops;

struct ioapic_sink {
    void (*message)(void *arg, uint64_t address, uint32_t data);
    /* What a pin sends from now on, when it is not masked. Optional. */
    void (*route)(void *arg, unsigned pin, bool masked, uint64_t address, uint32_t data);
    void *arg;
};

/* Before device_init(). Without a sink messages go nowhere. */
void ioapic_connect(struct device *dev, const struct ioapic_sink *sink);
/* How many pins it says it has, at most IOAPIC_PINS (the default): kernels touch every pin several
 * times at start. Before device_init(). */
void ioapic_set_pins(struct device *dev, unsigned pins);
/* A CPU has ended a level-triggered interrupt. Machine lock held. */
void ioapic_end(struct device *dev, uint8_t vector);
