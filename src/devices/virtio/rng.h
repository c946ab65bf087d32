/* SPDX-License-Identifier: Apache-2.0 */
/* Entropy device (virtio 1.2, 5.4): fills buffers from dev->random. */
#pragma once

#include "virtio.h"

extern const struct device_ops virtio_rng_ops;

/* NULL without memory. */
struct virtio_device *virtio_rng_new(const char *name);
