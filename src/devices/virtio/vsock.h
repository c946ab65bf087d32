/* SPDX-License-Identifier: Apache-2.0 */
/* Socket device (virtio 1.2, 5.10): stream connections with the host, over a struct vsockdev. */
#pragma once

#include "virtio.h"

struct vsockdev;

extern const struct device_ops virtio_vsock_ops;

/* cid: the guest's address, at least VSOCK_CID_MIN and 32 bits. The back end stays the caller's and
 * must outlive the device. NULL without memory. */
struct virtio_device *virtio_vsock_new(const char *name, struct vsockdev *backend, uint32_t cid);
