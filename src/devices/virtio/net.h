/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network device (virtio 1.2, 5.1) over a struct netdev: one or more pairs of queues, a control
 * queue, checksum and segmentation offloads as far as the back end understands them.
 */
#pragma once

#include "virtio.h"

#include <posada/netdev.h>

enum { VIRTIO_NET_PAIRS_MAX = 8, VIRTIO_NET_QUEUE_SIZE = 256 }; /* and the control queue */

extern const struct device_ops virtio_net_ops;

/* The back end stays the caller's and must outlive the device; NULL: the cable is unplugged.
 * pairs: 1 to VIRTIO_NET_PAIRS_MAX. NULL without memory. */
struct virtio_device *virtio_net_new(const char *name, struct netdev *backend,
                                     const uint8_t mac[NET_MAC_SIZE], unsigned pairs);
