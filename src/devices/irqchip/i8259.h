/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's pair of 8259A interrupt controllers as one device. Inputs: pins 0 to 15. Output 0: the
 * master's INT, which a CPU answers with i8259_acknowledge().
 */
#pragma once

#include "devices/bus/mmio.h"

extern const struct device_ops i8259_ops;

/* Master (2 ports), slave (2), edge/level control (2): where the board likes. */
enum { I8259_WINDOWS = 3 };
extern const struct mmio_window i8259_windows[I8259_WINDOWS];

/* The vector of the interrupt that INT stands for; a spurious one's when it is gone. */
uint8_t i8259_acknowledge(struct device *dev);
