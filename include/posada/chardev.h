/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end: the byte stream behind a UART or a virtio-console port. Both directions have
 * back-pressure, so a flooding side can fill no memory. Event loop, machine lock held.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

struct chardev;

struct chardev_front { /* the device's side; set by the device before first use */
    /* Bytes for the guest: how many were taken; the rest is offered again after
     * chardev_ops.can_receive(). */
    size_t (*receive)(void *arg, const uint8_t *data, size_t len);
    void (*writable)(void *arg);           /* the back end takes bytes again */
    void (*peer)(void *arg, bool present); /* somebody attached or left (carrier) */
    void (*resized)(void *arg, unsigned columns, unsigned rows);
    void *arg;
};

struct chardev_ops {
    /* Bytes from the guest: how many were taken. Fewer than len: front.writable() follows. */
    size_t (*write)(struct chardev *dev, const uint8_t *data, size_t len);
    void (*can_receive)(struct chardev *dev); /* the device has room again */
    void (*guest_open)(struct chardev *dev,
                       bool open); /* virtio-console port open/close; optional */
};

struct chardev {
    const struct chardev_ops *ops;
    struct chardev_front front;
};
