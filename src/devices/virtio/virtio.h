/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part that all virtio devices share: device status, feature negotiation, the register file,
 * configuration space and its generation, interrupts. Virtio 1.2, modern only.
 *
 * The register file is laid out as virtio-pci's four structures (4.1.4) at fixed offsets of one
 * region; a transport maps that region and carries interrupts. Queues: queue.h.
 *
 * A driver that breaks the rules of a queue gets DEVICE_NEEDS_RESET and a stopped device; nothing
 * it does stops the process. Work done for one notification is bounded: what is left over
 * continues from a timer, so that a driver which keeps adding buffers cannot hold the machine lock.
 */
#pragma once

#include "queue.h"

#include <posada/device.h>

enum { /* the register file */
       VIRTIO_REG_COMMON = 0x0000,
       VIRTIO_REG_ISR = 0x1000,
       VIRTIO_REG_CONFIG = 0x2000,
       VIRTIO_REG_NOTIFY = 0x3000,
       VIRTIO_REG_SIZE = 0x4000,
       VIRTIO_COMMON_SIZE = 64,
       VIRTIO_NOTIFY_STRIDE = 4, /* bytes from one queue's notification address to the next */
};

enum virtio_id {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_RNG = 4,
    VIRTIO_ID_VSOCK = 19,
    VIRTIO_ID_FS = 26,
};

enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

enum virtio_feature { /* bit numbers */
                      VIRTIO_F_INDIRECT_DESC = 28,
                      VIRTIO_F_EVENT_IDX = 29,
                      VIRTIO_F_VERSION_1 = 32,
                      VIRTIO_F_RING_PACKED = 34,
                      VIRTIO_F_RING_RESET = 40,
};

enum {
    VIRTIO_QUEUES_MAX = 17,
    VIRTIO_QUEUES_SAVED = 8, /* by VIRTIO_STATE; who has more saves the others himself */
    VIRTIO_CONFIG_MAX = 64,
    VIRTIO_NO_VECTOR = 0xffff,
    VIRTIO_ISR_QUEUE = 1,
    VIRTIO_ISR_CONFIG = 2,
};

struct virtio_device;

/* What one device type adds. Callbacks run with the machine lock held, only while DRIVER_OK is set
 * and the device is not broken, except reset() and config_write(). */
struct virtio_class {
    enum virtio_id id;
    uint32_t pci_class; /* class code a PCI transport shows */
    /* What handle() does takes longer than a guest should wait for its notification to be over:
     * queues have doorbells where the machine has them (posada/doorbell.h). */
    bool doorbells;
    /* Buffers were made available (or work was left over): serve virtq_pop() until it is false. */
    void (*handle)(struct virtio_device *v, struct virtq *q);
    void (*started)(struct virtio_device *v); /* DRIVER_OK was set; optional */
    /* The device (q NULL) or one queue goes back to its reset state: finish or forget what is in
     * flight, nothing may touch guest memory afterwards. Optional. */
    void (*reset)(struct virtio_device *v, struct virtq *q);
    /* Optional: the driver wrote configuration space. */
    void (*config_write)(struct virtio_device *v, unsigned off, unsigned size, uint32_t val);
};

/* The way to the guest. Any of these may be NULL: such a device is polled (tests). */
struct virtio_transport {
    /* Message for a vector; false: messages are off, use the interrupt line. */
    bool (*message)(void *arg, uint16_t vector);
    void *arg;
    unsigned vectors;                  /* 0: vectors cannot be chosen */
    void (*queues_changed)(void *arg); /* some may be served now, or no longer */
};

/* A queue's doorbell; the transport's. */
struct virtio_bell {
    struct virtio_device *v;
    struct doorbell *bell; /* NULL: none */
    uint64_t at;           /* 0: nowhere */
};

struct virtio_device {
    struct device dev; /* must be first */
    const struct virtio_class *class;
    struct virtio_transport transport;
    struct irq_line irq; /* level: derived from isr */
    struct virtio_bell bell[VIRTIO_QUEUES_MAX];
    struct timer timer; /* continues bounded work */
    bool timer_armed;
    bool dma;          /* the transport lets the device reach memory: derived */
    uint64_t features; /* offered */
    unsigned queue_count;
    unsigned config_size;
    uint8_t config[VIRTIO_CONFIG_MAX]; /* as the driver reads it, little-endian */

    /* State, saved by VIRTIO_STATE. */
    uint8_t status;
    uint8_t isr;
    uint8_t config_generation;
    uint16_t queue_select;
    uint16_t config_vector;
    uint32_t feature_select, driver_feature_select;
    uint64_t driver_features;
    uint32_t pending; /* queues with work left over */
    struct virtq queue[VIRTIO_QUEUES_MAX];
};

/* Fields of the common part in the state table of device type S, whose first member is `v`, with
 * the first VIRTIO_QUEUES_SAVED queues. */
#define VIRTIO_STATE(S)                                                                            \
    STATE_U8(S, v.status), STATE_U8_MAX(S, v.isr, 3), STATE_U8(S, v.config_generation),            \
        STATE_U16(S, v.queue_select), STATE_U16(S, v.config_vector),                               \
        STATE_U32(S, v.feature_select), STATE_U32(S, v.driver_feature_select),                     \
        STATE_U64(S, v.driver_features), STATE_U32(S, v.pending), VIRTQ_STATE(S, v.queue[0]),      \
        VIRTQ_STATE(S, v.queue[1]), VIRTQ_STATE(S, v.queue[2]), VIRTQ_STATE(S, v.queue[3]),        \
        VIRTQ_STATE(S, v.queue[4]), VIRTQ_STATE(S, v.queue[5]), VIRTQ_STATE(S, v.queue[6]),        \
        VIRTQ_STATE(S, v.queue[7])

/* For ops->init/done/reset/settle/read/write of a device type: these are the functions, or are
 * called by the type's own. */
int must_use virtio_init(struct device *dev, struct err *err);
void virtio_done(struct device *dev);
void virtio_reset(struct device *dev);
void virtio_settle(struct device *dev);
uint64_t virtio_read(struct device *dev, uint32_t off, unsigned size);
void virtio_write(struct device *dev, uint32_t off, unsigned size, uint64_t val);
struct irq_line *virtio_irq(struct device *dev, unsigned n);
void virtio_quiesce(struct device *dev);
#define VIRTIO_MMIO                                                                                \
    {                                                                                              \
        .size = VIRTIO_REG_SIZE, .access_min = 1, .access_max = 4                                  \
    }

/* Called by a type's x_new(). features: the type's own bits; those of the rings are added. */
void virtio_setup(struct virtio_device *v, const struct virtio_class *class, uint64_t features,
                  unsigned queue_count, uint16_t queue_size, unsigned config_size);

static inline bool virtio_has(const struct virtio_device *v, unsigned feature)
{
    return v->driver_features >> feature & 1;
}

/* Takes back the offer of a feature; before the device is initialised. */
void virtio_without(struct virtio_device *v, enum virtio_feature feature);

/* DRIVER_OK and not broken: queues may be served. */
bool virtio_running(const struct virtio_device *v);
/* Serves a queue as if it had been notified: for back ends that have room or data again. */
void virtio_kick(struct virtio_device *v, unsigned queue);
/* config[] was changed: new generation, and the driver is told. */
void virtio_config_changed(struct virtio_device *v);
/* Sends the used-buffer notification of a queue (queue.c calls it when the driver wants one). */
void virtio_interrupt(struct virtio_device *v, uint16_t vector);
/* The driver broke a rule: DEVICE_NEEDS_RESET, no further queue work, counted as guest error. */
void virtio_broken(struct virtio_device *v, const char *fmt, ...) printf_fn(2, 3);
/* Serves this queue again a little later (queue.c, when a budget is spent). */
void virtio_put_off(struct virtio_device *v, unsigned queue);
/* For transports: a queue's doorbell rang. */
void virtio_ring(void *bell);
/* For transports: memory access was allowed or forbidden. */
void virtio_set_dma(struct virtio_device *v, bool on);
