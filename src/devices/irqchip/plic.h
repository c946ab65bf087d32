/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RISC-V platform-level interrupt controller. Inputs 1..sources are level-triggered wires
 * (plic_ops.input); output n is the external interrupt of context n: with M and S mode on every
 * hart, context 2h drives pin MEI of hart h and context 2h+1 its SEI.
 */
#pragma once

#include <posada/device.h>

enum { PLIC_SOURCES_MAX = 95, PLIC_CONTEXTS_MAX = 128, PLIC_PRIORITY_MAX = 7 };

extern const struct device_ops plic_ops;

/* Before device_init(); the default is PLIC_SOURCES_MAX sources and two contexts. */
int must_use plic_setup(struct device *dev, unsigned sources, unsigned contexts, struct err *err);
