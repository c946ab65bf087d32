/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device (virtio 1.2, 5.2) over a struct blockdev: read, write, flush, get-id, discard and
 * write-zeroes, many requests in flight on one or more queues.
 */
#pragma once

#include "virtio.h"

struct blockdev;

enum {
    VIRTIO_BLK_QUEUES_MAX = VIRTIO_QUEUES_SAVED,
    VIRTIO_BLK_QUEUE_SIZE = 128,
    VIRTIO_BLK_SERIAL_MAX = 20
};

extern const struct device_ops virtio_blk_ops;

/* The back end stays the caller's and must outlive the device. queues: of which the driver uses as
 * many as it likes, one a vCPU; at most VIRTIO_BLK_QUEUES_MAX are made. serial: at most 20 bytes,
 * what /dev/disk/by-id shows. NULL without memory. */
struct virtio_device *virtio_blk_new(const char *name, struct blockdev *backend, const char *serial,
                                     unsigned queues);
