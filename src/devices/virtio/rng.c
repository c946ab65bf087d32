/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy device (virtio 1.2, 5.4): one queue of writable buffers, filled with random bytes.
 * A request is answered with at most RNG_REQUEST_MAX bytes, so no request costs much.
 * Not modelled: rate limits (VIRTIO_RNG_F_LEAK and the like do not exist in 1.2).
 */
#include "rng.h"

#include "base/endian.h"
#include "devices/core/device.h"

#include <errno.h>

enum { RNG_QUEUE_SIZE = 64, RNG_REQUEST_MAX = 4096 };

struct virtio_rng {
    struct virtio_device v; /* must be first */
};

static const struct state_field rng_state[] = {
    VIRTIO_STATE(struct virtio_rng),
    STATE_END,
};

static uint32_t rng_fill(struct virtio_device *v, struct virtq *q, const struct virtq_chain *chain)
{
    uint32_t len = chain->in_len < RNG_REQUEST_MAX ? chain->in_len : RNG_REQUEST_MAX;
    uint8_t bytes[RNG_REQUEST_MAX];

    for (uint32_t i = 0; i < len; i += (uint32_t)sizeof(uint64_t))
        st_le64(bytes + i, v->dev.random());
    return (uint32_t)chain_write(q, chain, 0, bytes, len);
}

static void rng_handle(struct virtio_device *v, struct virtq *q)
{
    struct virtq_chain chain;

    while (virtq_pop(q, &chain))
        virtq_push(q, &chain, rng_fill(v, q, &chain));
}

static int rng_init(struct device *dev, struct err *err)
{
    if (!dev->random)
        return err_set(err, -EINVAL, "device '%s': has no source of randomness", dev->name);
    return virtio_init(dev, err);
}

static const struct virtio_class rng_class = {
    .id = VIRTIO_ID_RNG,
    .pci_class = 0x00ff00, /* unclassified, other */
    .handle = rng_handle,
};

const struct device_ops virtio_rng_ops = {
    .type = "virtio-rng",
    .instance_size = sizeof(struct virtio_rng),
    .mmio = VIRTIO_MMIO,
    .init = rng_init,
    .done = virtio_done,
    .reset = virtio_reset,
    .settle = virtio_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .quiesce = virtio_quiesce,
    .state_version = 1,
    .state = rng_state,
};

struct virtio_device *virtio_rng_new(const char *name)
{
    struct device *dev = device_new(&virtio_rng_ops, name);
    struct virtio_device *v;

    if (!dev)
        return NULL;
    v = container_of(dev, struct virtio_device, dev);
    virtio_setup(v, &rng_class, 0, 1, RNG_QUEUE_SIZE, 0);
    return v;
}
