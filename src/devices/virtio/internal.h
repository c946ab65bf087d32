/* SPDX-License-Identifier: Apache-2.0 */
/* Between virtio.c and registers.c. */
#pragma once

#include "virtio.h"

/* The interrupt line follows the ISR status. */
void virtio_set_line(struct virtio_device *v);
/* Tells the transport. */
void virtio_queues_changed(struct virtio_device *v);
/* Serves every enabled queue in the mask. */
void virtio_kick_all(struct virtio_device *v, uint32_t queues);
