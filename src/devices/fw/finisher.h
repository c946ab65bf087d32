/* SPDX-License-Identifier: Apache-2.0 */
/* SiFive test finisher: how a RISC-V guest powers off, resets or reports failure. */
#pragma once

#include <posada/device.h>

/* What is written to offset 0; FAIL carries an exit code in its upper half. */
enum { FINISHER_FAIL = 0x3333, FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

extern const struct device_ops finisher_ops;
