/* SPDX-License-Identifier: Apache-2.0 */
/* The PC's 8254 timer and port 0x61. Output 0: counter 0's OUT, the system tick. */
#pragma once

#include "devices/bus/mmio.h"

enum { I8254_HZ = 1193182 };

extern const struct device_ops i8254_ops;
extern const struct mmio_window i8254_window;         /* ports 0x40 to 0x43 */
extern const struct mmio_window i8254_speaker_window; /* port 0x61: gate and OUT of counter 2 */
