/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of test_driver.h: virtio 1.2, 2.7 and 2.8, driver side, as plainly as possible. */
#include "test_driver.h"

#include "base/bits.h"
#include "base/endian.h"
#include "devices/bus/mmio.h"
#include "devices/core/device.h"

#include <assert.h>

enum { AVAIL = 1 << 7, USED = 1 << 15 };

static void line_set(void *sink, unsigned pin, bool level)
{
    struct drv *d = sink;

    d->line = level;
    d->interrupts += level;
}

static uint64_t test_random(void)
{
    return UINT64_C(0x0123456789abcdef);
}

void drv_attach(struct drv *d, struct virtio_device *v)
{
    struct device *dev = &v->dev;

    *d = (struct drv){.v = v, .mem = mem_new(), .clock = clock_new(NULL)};
    assert(d->mem && d->clock);
    int r = mem_add_ram(d->mem, GPA(DRV_RAM), DRV_RAM_SIZE, NULL);

    dev->mem = d->mem;
    dev->clock = d->clock;
    dev->random = test_random;
    irq_connect(&v->irq, line_set, d, 0);
    r = r ? r : device_init(dev, NULL);
    assert(!r);
    dev->ops->reset(dev);
    dev->ops->settle(dev);
}

void drv_done(struct drv *d)
{
    device_free(&d->v->dev);
    mem_free(d->mem);
    clock_free(d->clock);
}

/* --- Registers --- */
uint32_t drv_read(struct drv *d, uint32_t off, unsigned size)
{
    const struct device_ops *ops = d->v->dev.ops;

    return mmio_access_ok(&ops->mmio, off, size) ? (uint32_t)ops->read(&d->v->dev, off, size) : 0;
}

void drv_write(struct drv *d, uint32_t off, unsigned size, uint32_t val)
{
    const struct device_ops *ops = d->v->dev.ops;

    if (mmio_access_ok(&ops->mmio, off, size))
        ops->write(&d->v->dev, off, size, val);
}

void drv_kick(struct drv *d, unsigned queue)
{
    drv_write(d, VIRTIO_REG_NOTIFY + VIRTIO_NOTIFY_STRIDE * queue, 2, queue);
}

bool drv_broken(struct drv *d)
{
    return drv_read(d, 20, 1) & VIRTIO_NEEDS_RESET;
}

bool drv_negotiate(struct drv *d, uint64_t features)
{
    d->packed = features >> VIRTIO_F_RING_PACKED & 1;
    d->event = features >> VIRTIO_F_EVENT_IDX & 1;
    drv_write(d, 20, 1, VIRTIO_ACKNOWLEDGE);
    drv_write(d, 20, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (unsigned i = 0; i < 2; i++) {
        drv_write(d, 8, 4, i);
        drv_write(d, 12, 4, (uint32_t)(features >> (32 * i)));
    }
    drv_write(d, 20, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    return drv_read(d, 20, 1) & VIRTIO_FEATURES_OK;
}

uint64_t drv_area_desc(unsigned queue)
{
    return DRV_QUEUE + (uint64_t)DRV_QUEUE_STRIDE * queue;
}

uint64_t drv_area_driver(unsigned queue)
{
    return drv_area_desc(queue) + DRV_DRIVER_AREA;
}

uint64_t drv_area_device(unsigned queue)
{
    return drv_area_desc(queue) + DRV_DEVICE_AREA;
}

static void write64(struct drv *d, uint32_t off, uint64_t val)
{
    drv_write(d, off, 4, (uint32_t)val);
    drv_write(d, off + 4, 4, (uint32_t)(val >> 32));
}

void drv_queue_up(struct drv *d, unsigned i, uint16_t size)
{
    int r = mem_fill(d->mem, GPA(drv_area_desc(i)), 0, DRV_QUEUE_STRIDE);

    assert(!r);
    d->q[i] = (struct drv_queue){.size = size, .wrap = true, .used_wrap = true};
    drv_write(d, 22, 2, i);
    drv_write(d, 24, 2, size);
    write64(d, 32, drv_area_desc(i));
    write64(d, 40, drv_area_driver(i));
    write64(d, 48, drv_area_device(i));
    drv_write(d, 28, 2, 1);
}

void drv_start(struct drv *d, uint64_t features)
{
    bool ok = drv_negotiate(d, features | BIT(VIRTIO_F_VERSION_1));

    assert(ok);
    for (unsigned i = 0; i < d->v->queue_count; i++)
        drv_queue_up(d, i, DRV_QUEUE_SIZE);
    drv_write(d, 20, 1, 15);
}

/* --- Memory --- */
void drv_put(struct drv *d, uint64_t gpa, const void *bytes, size_t len)
{
    int r = mem_write(d->mem, GPA(gpa), bytes, len);

    assert(!r);
}

void drv_get(struct drv *d, uint64_t gpa, void *bytes, size_t len)
{
    int r = mem_read(d->mem, GPA(gpa), bytes, len);

    assert(!r);
}

void drv_put16(struct drv *d, uint64_t gpa, uint16_t val)
{
    uint8_t raw[2];

    st_le16(raw, val);
    drv_put(d, gpa, raw, sizeof(raw));
}

uint16_t drv_get16(struct drv *d, uint64_t gpa)
{
    uint8_t raw[2];

    drv_get(d, gpa, raw, sizeof(raw));
    return ld_le16(raw);
}

uint8_t drv_get8(struct drv *d, uint64_t gpa)
{
    uint8_t byte;

    drv_get(d, gpa, &byte, 1);
    return byte;
}

void drv_desc_at(struct drv *d, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
                 uint16_t at12, uint16_t at14)
{
    uint8_t raw[16];

    st_le64(raw, addr);
    st_le32(raw + 8, len);
    st_le16(raw + 12, at12);
    st_le16(raw + 14, at14);
    drv_put(d, table + UINT64_C(16) * i, raw, sizeof(raw));
}

/* --- Split --- */
static uint16_t split_add(struct drv *d, unsigned queue, const struct drv_buf *bufs, unsigned n)
{
    struct drv_queue *q = &d->q[queue];
    uint16_t head = q->free_head;
    uint64_t table = d->indirect ? DRV_TABLES + UINT64_C(4096) * head : drv_area_desc(queue);
    unsigned at = d->indirect ? 0 : head, mod = d->indirect ? 256 : q->size;

    for (unsigned i = 0; i < n; i++) {
        unsigned flags = (bufs[i].writable ? DRV_WRITE : 0) | (i + 1 < n ? DRV_NEXT : 0);

        drv_desc_at(d, table, (at + i) % mod, bufs[i].gpa, bufs[i].len, (uint16_t)flags,
                    (uint16_t)((at + i + 1) % mod));
    }
    if (d->indirect)
        drv_desc_at(d, drv_area_desc(queue), head, table, 16 * n, DRV_INDIRECT, 0);
    q->free_head = (uint16_t)((head + (d->indirect ? 1 : n)) % q->size);
    drv_put16(d, drv_area_driver(queue) + 4 + UINT64_C(2) * (q->avail_idx % q->size), head);
    drv_put16(d, drv_area_driver(queue) + 2, ++q->avail_idx);
    q->added++;
    return head;
}

static bool split_used(struct drv *d, unsigned queue, uint16_t *ret_id, uint32_t *ret_len)
{
    struct drv_queue *q = &d->q[queue];
    uint64_t used = drv_area_device(queue);
    uint8_t elem[8];

    if (drv_get16(d, used + 2) == q->used_seen)
        return false;
    drv_get(d, used + 4 + UINT64_C(8) * (q->used_seen++ % q->size), elem, sizeof(elem));
    *ret_id = (uint16_t)ld_le32(elem);
    *ret_len = ld_le32(elem + 4);
    return true;
}

/* --- Packed --- */
static void packed_step(uint16_t *slot, bool *wrap, unsigned by, uint16_t size)
{
    unsigned next = *slot + by;

    if (next >= size) {
        next -= size;
        *wrap = !*wrap;
    }
    *slot = (uint16_t)next;
}

static uint16_t packed_add(struct drv *d, unsigned queue, const struct drv_buf *bufs, unsigned n)
{
    struct drv_queue *q = &d->q[queue];
    uint16_t id = q->free_head, slot = q->free_head;
    bool wrap = q->wrap;
    uint64_t table = DRV_TABLES + UINT64_C(4096) * id;
    unsigned slots = d->indirect ? 1 : n;

    for (unsigned i = 0; i < n; i++) {
        unsigned flags = bufs[i].writable ? DRV_WRITE : 0;

        if (d->indirect) {
            drv_desc_at(d, table, i, bufs[i].gpa, bufs[i].len, 0, (uint16_t)flags);
            continue;
        }
        flags |= (i + 1 < n ? DRV_NEXT : 0) | (unsigned)(wrap ? AVAIL : USED);
        drv_desc_at(d, drv_area_desc(queue), slot, bufs[i].gpa, bufs[i].len, id, (uint16_t)flags);
        packed_step(&slot, &wrap, 1, q->size);
    }
    if (d->indirect)
        drv_desc_at(d, drv_area_desc(queue), slot, table, 16 * n, id,
                    (uint16_t)(DRV_INDIRECT | (wrap ? AVAIL : USED)));
    q->slots_of[id] = (uint16_t)slots;
    q->added = (uint16_t)(q->added + slots);
    packed_step(&q->free_head, &q->wrap, slots, q->size);
    return id;
}

static bool packed_used(struct drv *d, unsigned queue, uint16_t *ret_id, uint32_t *ret_len)
{
    struct drv_queue *q = &d->q[queue];
    uint8_t raw[16];

    drv_get(d, drv_area_desc(queue) + UINT64_C(16) * q->used_seen, raw, sizeof(raw));
    uint16_t flags = ld_le16(raw + 14), want = q->used_wrap ? AVAIL | USED : 0;

    if ((flags & (AVAIL | USED)) != want)
        return false;
    *ret_id = ld_le16(raw + 12);
    *ret_len = ld_le32(raw + 8);
    packed_step(&q->used_seen, &q->used_wrap, q->slots_of[*ret_id % 256], q->size);
    return true;
}

/* virtio 1.2, 2.7.7.2, 2.8.10: did the index pass `event` with the last `added` steps to `now`? */
static bool event_passed(uint16_t event, uint16_t now, uint16_t added)
{
    return (uint16_t)(now - event - 1) < added;
}

static bool split_wants_kick(struct drv *d, unsigned queue, uint16_t added)
{
    const struct drv_queue *q = &d->q[queue];
    uint64_t area = drv_area_device(queue);

    if (!d->event)
        return !(drv_get16(d, area) & 1);
    return event_passed(drv_get16(d, area + 4 + UINT64_C(8) * q->size), q->avail_idx, added);
}

static bool packed_wants_kick(struct drv *d, unsigned queue, uint16_t added)
{
    const struct drv_queue *q = &d->q[queue];
    uint16_t where = drv_get16(d, drv_area_device(queue));
    uint16_t flags = drv_get16(d, drv_area_device(queue) + 2) & 3, event = where & 0x7fff;

    if (flags != 2)
        return flags == 0;
    if (!(where & 0x8000) != !q->wrap)
        event = (uint16_t)(event - q->size);
    return event_passed(event, q->free_head, added);
}

bool drv_wants_kick(struct drv *d, unsigned queue)
{
    uint16_t added = d->q[queue].added;

    d->q[queue].added = 0;
    return d->packed ? packed_wants_kick(d, queue, added) : split_wants_kick(d, queue, added);
}

uint16_t drv_add(struct drv *d, unsigned queue, const struct drv_buf *bufs, unsigned count)
{
    return d->packed ? packed_add(d, queue, bufs, count) : split_add(d, queue, bufs, count);
}

bool drv_used(struct drv *d, unsigned queue, uint16_t *ret_id, uint32_t *ret_len)
{
    return d->packed ? packed_used(d, queue, ret_id, ret_len)
                     : split_used(d, queue, ret_id, ret_len);
}

bool drv_revives(struct drv *d)
{
    const struct drv_buf one = {DRV_DATA, 16, true};
    uint32_t len;
    uint16_t id;

    drv_write(d, 20, 1, 0);
    if (drv_read(d, 20, 1))
        return false;
    d->indirect = false;
    drv_start(d, 0);
    drv_add(d, 0, &one, 1);
    drv_kick(d, 0);
    return drv_used(d, 0, &id, &len) && !drv_broken(d);
}
