/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comparators behind RISC-V's stimecmp CSR (Sstc extension 1.0). The CSR itself is the CPU's;
 * it tells every new value here. Output n drives pin STI of hart n.
 */
#pragma once

#include <posada/device.h>

extern const struct device_ops sstc_ops;

/* Before device_init(); hz is the time base told to the guest. */
int must_use sstc_setup(struct device *dev, unsigned harts, uint64_t hz, struct err *err);
/* A hart's stimecmp changed. All ones: no interrupt. Machine lock held. */
void sstc_set(struct device *dev, unsigned hart, uint64_t stimecmp);
