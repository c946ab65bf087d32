/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device for tests of the common part: two queues. It takes chains when notified and
 * gives them back at once, or keeps them until probe_return() when `hold` is set.
 */
#pragma once

#include "virtio.h"

enum { PROBE_HELD = 64, PROBE_QUEUES = 2, PROBE_CONFIG = 8 };

struct probe {
    struct virtio_device v; /* must be first */
    bool hold;
    unsigned taken, resets, held_count;
    struct virtq_chain held[PROBE_HELD];
    struct virtq *held_queue[PROBE_HELD];
};

struct probe *probe_new(void);
/* Gives held chain i back, `written` bytes written, and tells the driver. */
void probe_return(struct probe *p, unsigned i, uint32_t written);
