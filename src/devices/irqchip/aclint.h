/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RISC-V ACLINT: three devices. mswi output n drives pin MSI of hart n, mtimer output n MTI.
 * A SiFive CLINT at base is mswi at base and mtimer at base + 0x4000.
 *
 * sswi output n is an edge, not a level: each set(..., true) is one interrupt, for the CPU to latch
 * in its SSIP; it never goes low.
 */
#pragma once

#include <posada/device.h>

extern const struct device_ops aclint_mswi_ops, aclint_sswi_ops, aclint_mtimer_ops;

/* Before device_init(). At most 64 harts; hz is the time base told to the guest. */
int must_use aclint_mswi_setup(struct device *dev, unsigned harts, struct err *err);
int must_use aclint_sswi_setup(struct device *dev, unsigned harts, struct err *err);
int must_use aclint_mtimer_setup(struct device *dev, unsigned harts, uint64_t hz, struct err *err);
