/* SPDX-License-Identifier: Apache-2.0 */
/* The device of test_probe.h. */
#include "test_probe.h"

#include "devices/core/device.h"

#include <assert.h>

static void probe_handle(struct virtio_device *v, struct virtq *q)
{
    struct probe *p = container_of(v, struct probe, v);
    struct virtq_chain chain;

    while (virtq_pop(q, &chain)) {
        p->taken++;
        if (!p->hold) {
            virtq_push(q, &chain, chain.in_len);
            continue;
        }
        assert(p->held_count < PROBE_HELD);
        p->held_queue[p->held_count] = q;
        p->held[p->held_count++] = chain;
    }
}

static void probe_reset(struct virtio_device *v, struct virtq *q)
{
    struct probe *p = container_of(v, struct probe, v);

    p->resets++;
    p->held_count = 0;
}

static const struct virtio_class probe_class = {
    .id = 60,
    .doorbells = true,
    .handle = probe_handle,
    .reset = probe_reset,
};

static const struct state_field probe_state[] = {
    VIRTIO_STATE(struct probe),
    STATE_END,
};

static const struct device_ops probe_ops = {
    .type = "virtio-probe",
    .instance_size = sizeof(struct probe),
    .mmio = VIRTIO_MMIO,
    .init = virtio_init,
    .done = virtio_done,
    .reset = virtio_reset,
    .settle = virtio_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .state_version = 1,
    .state = probe_state,
    .quiesce = virtio_quiesce,
};

struct probe *probe_new(void)
{
    struct device *dev = device_new(&probe_ops, "probe");

    assert(dev);
    struct probe *p = container_of(dev, struct probe, v.dev);

    virtio_setup(&p->v, &probe_class, 0, PROBE_QUEUES, 256, PROBE_CONFIG);
    return p;
}

void probe_return(struct probe *p, unsigned i, uint32_t written)
{
    virtq_push(p->held_queue[i], &p->held[i], written);
    virtq_notify(p->held_queue[i]);
}
