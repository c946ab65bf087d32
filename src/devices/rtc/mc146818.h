/* SPDX-License-Identifier: Apache-2.0 */
/* The PC's real-time clock with its battery-backed bytes. Output 0: interrupt. */
#pragma once

#include <posada/device.h>

extern const struct device_ops mc146818_ops; /* ports 0x70, 0x71 */

/* A byte that survives resets, for firmware; index 0x10 to 0x7f. Before reset. */
void mc146818_set_byte(struct device *dev, uint8_t index, uint8_t val);
