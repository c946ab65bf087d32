/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console device (virtio 1.2, 5.3) with several ports over character back ends. Port 0 is the
 * guest's hvc0 and has a window size; the others are named ports (/dev/virtio-ports/NAME).
 *
 * Each chardev's front is filled in by virtio_console_new(). Bytes for a port are refused until
 * the guest has opened it; chardev_ops.can_receive() then asks for them. Linux writes to hvc0
 * spinning: a back end that takes no bytes for long stops a vCPU of the guest, so a console with
 * nobody attached should take and drop (or log) what it is given.
 */
#pragma once

#include "virtio.h"

struct chardev;

enum { VIRTIO_CONSOLE_PORTS = 2, VIRTIO_CONSOLE_NAME_MAX = 32 };

struct virtio_console_port_config {
    struct chardev *chardev; /* NULL: output is dropped, no input */
    const char *name;        /* NULL for port 0, the console */
};

extern const struct device_ops virtio_console_ops;

/* count ports, at most VIRTIO_CONSOLE_PORTS; the first is the console. NULL without memory. */
struct virtio_device *virtio_console_new(const char *name,
                                         const struct virtio_console_port_config *ports,
                                         unsigned count);
