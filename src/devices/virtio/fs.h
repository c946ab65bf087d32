/* SPDX-License-Identifier: Apache-2.0 */
/* File system device (virtio 1.2, 5.11) over a struct fsdev: a priority and some request queues. */
#pragma once

#include "virtio.h"

struct fsdev;

/* VIRTIO_FS_RECORDS: requests in flight. */
enum { VIRTIO_FS_REQUEST_QUEUES_MAX = 4, VIRTIO_FS_QUEUE_SIZE = 256, VIRTIO_FS_RECORDS = 32 };

extern const struct device_ops virtio_fs_ops;

/* The back end stays the caller's and must outlive the device; its tag must be set. NULL without
 * memory. */
struct virtio_device *virtio_fs_new(const char *name, struct fsdev *backend,
                                    unsigned request_queues);
