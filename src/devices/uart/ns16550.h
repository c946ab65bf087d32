/* SPDX-License-Identifier: Apache-2.0 */
/* 16550A UART over a character back end. Output 0: interrupt. */
#pragma once

#include <posada/chardev.h>
#include <posada/device.h>

enum { NS16550_CLOCK_HZ = 3686400 }; /* what the FDT's clock-frequency says */

extern const struct device_ops ns16550_ops;

/* Connects the line; the front end becomes the UART. Without a back end, output is swallowed and
 * nothing arrives. Before device_init() or with the machine lock held. */
void ns16550_attach(struct device *dev, struct chardev *chardev);
