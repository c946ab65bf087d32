/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register file of virtio devices: virtio 1.2, 4.1.4 (common configuration, notifications, ISR
 * status, device configuration). It decides what a driver may do when; virtio.c does it.
 * Not modelled: notification data, administration virtqueues.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "internal.h"

enum { /* virtio_pci_common_cfg, 4.1.4.3 */
       COMMON_DEVICE_FEATURE_SELECT = 0,
       COMMON_DEVICE_FEATURE = 4,
       COMMON_DRIVER_FEATURE_SELECT = 8,
       COMMON_DRIVER_FEATURE = 12,
       COMMON_CONFIG_VECTOR = 16,
       COMMON_NUM_QUEUES = 18,
       COMMON_STATUS = 20,
       COMMON_GENERATION = 21,
       COMMON_QUEUE_SELECT = 22,
       COMMON_QUEUE_SIZE = 24,
       COMMON_QUEUE_VECTOR = 26,
       COMMON_QUEUE_ENABLE = 28,
       COMMON_QUEUE_NOTIFY_OFF = 30,
       COMMON_QUEUE_DESC = 32,
       COMMON_QUEUE_DRIVER = 40,
       COMMON_QUEUE_DEVICE = 48,
       COMMON_QUEUE_NOTIFY_DATA = 56,
       COMMON_QUEUE_RESET = 58,
};

/* Status bits a driver may set; NEEDS_RESET is ours. */
#define DRIVER_STATUS                                                                              \
    (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)

static void queue_reset(struct virtio_device *v, struct virtq *q)
{
    if (v->class->reset)
        v->class->reset(v, q);
    virtq_reset(q);
}

/* --- Common configuration --- */
static struct virtq *selected(struct virtio_device *v)
{
    return v->queue_select < v->queue_count ? &v->queue[v->queue_select] : NULL;
}

static uint32_t feature_word(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void common_image_queue(const struct virtq *q, uint8_t *image)
{
    st_le16(image + COMMON_QUEUE_SIZE, q->size);
    st_le16(image + COMMON_QUEUE_VECTOR, q->vector);
    st_le16(image + COMMON_QUEUE_ENABLE, q->enabled);
    st_le16(image + COMMON_QUEUE_NOTIFY_OFF, (uint16_t)q->index);
    st_le64(image + COMMON_QUEUE_DESC, q->desc);
    st_le64(image + COMMON_QUEUE_DRIVER, q->driver);
    st_le64(image + COMMON_QUEUE_DEVICE, q->device);
    st_le16(image + COMMON_QUEUE_NOTIFY_DATA, (uint16_t)q->index);
}

static void common_image(struct virtio_device *v, uint8_t *image)
{
    const struct virtq *q = selected(v);

    memset(image, 0, VIRTIO_COMMON_SIZE);
    st_le32(image + COMMON_DEVICE_FEATURE_SELECT, v->feature_select);
    st_le32(image + COMMON_DEVICE_FEATURE, feature_word(v->features, v->feature_select));
    st_le32(image + COMMON_DRIVER_FEATURE_SELECT, v->driver_feature_select);
    st_le32(image + COMMON_DRIVER_FEATURE,
            feature_word(v->driver_features, v->driver_feature_select));
    st_le16(image + COMMON_CONFIG_VECTOR, v->config_vector);
    st_le16(image + COMMON_NUM_QUEUES, (uint16_t)v->queue_count);
    image[COMMON_STATUS] = v->status;
    image[COMMON_GENERATION] = v->config_generation;
    st_le16(image + COMMON_QUEUE_SELECT, v->queue_select);
    if (q)
        common_image_queue(q, image);
}

static uint64_t load(const uint8_t *bytes, unsigned size)
{
    return size == 1 ? bytes[0] : size == 2 ? ld_le16(bytes) : ld_le32(bytes);
}

static uint64_t common_read(struct virtio_device *v, uint32_t off, unsigned size)
{
    uint8_t image[VIRTIO_COMMON_SIZE];

    if (!range_within(off, size, sizeof(image)))
        return guest_error_read(&v->dev, off);
    common_image(v, image);
    return load(image + off, size);
}

static void write_driver_feature(struct virtio_device *v, uint32_t val)
{
    unsigned shift = 32 * v->driver_feature_select;

    if (v->status & VIRTIO_FEATURES_OK || v->driver_feature_select > 1) {
        guest_error(&v->dev, "features written at a wrong time or place");
        return;
    }
    v->driver_features = bits_set(v->driver_features, shift, 32, val);
}

static bool features_acceptable(const struct virtio_device *v)
{
    return !(v->driver_features & ~v->features) && virtio_has(v, VIRTIO_F_VERSION_1);
}

static void driver_ok(struct virtio_device *v)
{
    v->status |= VIRTIO_DRIVER_OK;
    if (v->class->started)
        v->class->started(v);
    virtio_kick_all(v, UINT32_MAX);
}

static void write_status(struct virtio_device *v, uint8_t val)
{
    uint8_t set = val & DRIVER_STATUS & (uint8_t)~v->status;

    if (!val) {
        virtio_reset(&v->dev);
        virtio_set_line(v);
        return;
    }
    if (v->status & DRIVER_STATUS & (uint8_t)~val)
        guest_error(&v->dev, "status 0x%x clears bits", val);
    v->status |= set & (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FAILED);
    if (set & VIRTIO_FEATURES_OK) {
        if (features_acceptable(v))
            v->status |= VIRTIO_FEATURES_OK;
        else
            guest_error(&v->dev, "driver wants features 0x%llx, which cannot be had",
                        (unsigned long long)v->driver_features);
    }
    if (!(set & VIRTIO_DRIVER_OK))
        return;
    if (v->status & VIRTIO_FEATURES_OK)
        driver_ok(v);
    else
        guest_error(&v->dev, "DRIVER_OK before FEATURES_OK");
}

static uint16_t valid_vector(const struct virtio_device *v, uint64_t val)
{
    return val < v->transport.vectors ? (uint16_t)val : VIRTIO_NO_VECTOR;
}

static void write_queue_enable(struct virtio_device *v, struct virtq *q, uint64_t val)
{
    if (val != 1 || q->enabled || !(v->status & VIRTIO_FEATURES_OK)) {
        guest_error(&v->dev, "queue %u: enabled at a wrong time", q->index);
        return;
    }
    (void)virtq_enable(q); /* refused: reads as off, and was counted */
}

static void write_queue_reset(struct virtio_device *v, struct virtq *q, uint64_t val)
{
    if (val != 1 || !virtio_has(v, VIRTIO_F_RING_RESET)) {
        guest_error(&v->dev, "queue %u: bad queue reset", q->index);
        return;
    }
    queue_reset(v, q);
    v->pending &= ~(1u << q->index);
}

/* Size and addresses, which must stand still while the queue is on. */
static void write_queue_layout(struct virtio_device *v, struct virtq *q, uint32_t off, uint64_t val)
{
    uint64_t *field = off < COMMON_QUEUE_DRIVER   ? &q->desc
                      : off < COMMON_QUEUE_DEVICE ? &q->driver
                                                  : &q->device;

    if (q->enabled) {
        guest_error(&v->dev, "queue %u: changed while it is on", q->index);
        return;
    }
    if (off != COMMON_QUEUE_SIZE) {
        *field = bits_set(*field, off & 4 ? 32 : 0, 32, val);
        return;
    }
    if (!val || val > q->size_max)
        guest_error(&v->dev, "queue %u: bad size %u", q->index, (unsigned)val);
    else
        q->size = (uint16_t)val;
}

static void write_queue(struct virtio_device *v, uint32_t off, uint64_t val)
{
    struct virtq *q = selected(v);

    if (!q) {
        guest_error(&v->dev, "queue %u does not exist", v->queue_select);
        return;
    }
    switch (off) {
    case COMMON_QUEUE_VECTOR: q->vector = valid_vector(v, val); break;
    case COMMON_QUEUE_ENABLE: write_queue_enable(v, q, val); break;
    case COMMON_QUEUE_RESET: write_queue_reset(v, q, val); break;
    default: write_queue_layout(v, q, off, val); break;
    }
}

/* Width of the writable field that starts at off, 0 for none. */
static unsigned common_width(uint32_t off)
{
    switch (off) {
    case COMMON_STATUS: return 1;
    case COMMON_CONFIG_VECTOR:
    case COMMON_QUEUE_SELECT:
    case COMMON_QUEUE_SIZE:
    case COMMON_QUEUE_VECTOR:
    case COMMON_QUEUE_ENABLE:
    case COMMON_QUEUE_RESET: return 2;
    case COMMON_DEVICE_FEATURE_SELECT:
    case COMMON_DRIVER_FEATURE_SELECT:
    case COMMON_DRIVER_FEATURE:
    case COMMON_QUEUE_DESC:
    case COMMON_QUEUE_DESC + 4:
    case COMMON_QUEUE_DRIVER:
    case COMMON_QUEUE_DRIVER + 4:
    case COMMON_QUEUE_DEVICE:
    case COMMON_QUEUE_DEVICE + 4: return 4;
    default: return 0;
    }
}

static void common_write(struct virtio_device *v, uint32_t off, unsigned size, uint64_t val)
{
    if (size != common_width(off)) {
        guest_error_write(&v->dev, off, val);
        return;
    }
    switch (off) {
    case COMMON_DEVICE_FEATURE_SELECT: v->feature_select = (uint32_t)val; break;
    case COMMON_DRIVER_FEATURE_SELECT: v->driver_feature_select = (uint32_t)val; break;
    case COMMON_DRIVER_FEATURE: write_driver_feature(v, (uint32_t)val); break;
    case COMMON_CONFIG_VECTOR: v->config_vector = valid_vector(v, val); break;
    case COMMON_STATUS: write_status(v, (uint8_t)val); break;
    case COMMON_QUEUE_SELECT: v->queue_select = (uint16_t)val; break;
    default: write_queue(v, off, val); break;
    }
    virtio_queues_changed(v);
}

/* --- The register file --- */
static uint64_t read_isr(struct virtio_device *v)
{
    uint8_t isr = v->isr;

    v->isr = 0; /* reading acknowledges */
    virtio_set_line(v);
    return isr;
}

static uint64_t config_read(struct virtio_device *v, uint32_t off, unsigned size)
{
    if (!range_within(off, size, v->config_size))
        return guest_error_read(&v->dev, VIRTIO_REG_CONFIG + off);
    return load(v->config + off, size);
}

static void config_write(struct virtio_device *v, uint32_t off, unsigned size, uint64_t val)
{
    if (!v->class->config_write || !range_within(off, size, v->config_size))
        guest_error_write(&v->dev, VIRTIO_REG_CONFIG + off, val);
    else
        v->class->config_write(v, off, size, (uint32_t)val);
}

static void notify_write(struct virtio_device *v, uint32_t off, uint64_t val)
{
    unsigned queue = off / VIRTIO_NOTIFY_STRIDE;

    if (queue >= v->queue_count || !v->queue[queue].enabled || !virtio_running(v))
        guest_error_write(&v->dev, VIRTIO_REG_NOTIFY + off, val);
    else
        virtio_kick(v, queue);
}

uint64_t virtio_read(struct device *dev, uint32_t off, unsigned size)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    if (off < VIRTIO_REG_ISR)
        return common_read(v, off, size);
    if (off < VIRTIO_REG_CONFIG)
        return off == VIRTIO_REG_ISR ? read_isr(v) : guest_error_read(dev, off);
    if (off < VIRTIO_REG_NOTIFY)
        return config_read(v, off - VIRTIO_REG_CONFIG, size);
    return 0; /* notification areas are write-only */
}

void virtio_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    if (off < VIRTIO_REG_ISR)
        common_write(v, off, size, val);
    else if (off < VIRTIO_REG_CONFIG)
        guest_error_write(dev, off, val);
    else if (off < VIRTIO_REG_NOTIFY)
        config_write(v, off - VIRTIO_REG_CONFIG, size, val);
    else
        notify_write(v, off - VIRTIO_REG_NOTIFY, val);
}
