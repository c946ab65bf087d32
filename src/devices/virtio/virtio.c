/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Common part of virtio devices: virtio 1.2, section 2: set-up, interrupts, serving queues.
 * Invariants: features are fixed once FEATURES_OK is set; a queue's addresses are fixed while it is
 * enabled; no queue is served before DRIVER_OK, while broken, or without memory access.
 * Registers: registers.c. Not modelled: legacy and transitional interfaces, in-order.
 */
#include "virtio.h"

#include "internal.h"

#include "base/bits.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { CONTINUE_DELAY_NS = 20000 };

/* --- Set-up --- */
/* Does the table of the device's state have that queue? */
static bool virtio_saves(const struct virtio_device *v, unsigned queue)
{
    const size_t at = offsetof(struct virtio_device, queue) + queue * sizeof(v->queue[0]);
    const struct state_field *f = v->dev.ops->state;

    while (f && f->name && (f->offset < at || f->offset >= at + sizeof(v->queue[0])))
        f++;
    return f && f->name;
}

void virtio_setup(struct virtio_device *v, const struct virtio_class *class, uint64_t features,
                  unsigned queue_count, uint16_t queue_size, unsigned config_size)
{
    assert(queue_count <= VIRTIO_QUEUES_MAX && (!queue_count || virtio_saves(v, queue_count - 1)));
    v->class = class;
    v->features = features | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX) |
                  BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_RING_RESET);
    v->queue_count = queue_count;
    v->config_size = config_size;
    v->config_vector = VIRTIO_NO_VECTOR;
    v->dma = true;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        struct virtq *q = &v->queue[i];

        q->v = v;
        q->index = i;
        q->size_max = i < queue_count ? queue_size : 0;
        virtq_reset(q);
    }
}

void virtio_without(struct virtio_device *v, enum virtio_feature feature)
{
    v->features &= ~BIT(feature);
}

int virtio_init(struct device *dev, struct err *err)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    if (!v->class)
        return err_set(err, -EINVAL, "device '%s': a %s is made by its own function", dev->name,
                       dev->ops->type);
    if (!dev->mem)
        return err_set(err, -EINVAL, "device '%s': has no memory to reach", dev->name);
    if (dev->clock)
        timer_init(&v->timer, dev->clock, dev);
    return 0;
}

void virtio_done(struct device *dev)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    if (v->timer.clock)
        timer_done(&v->timer);
}

void virtio_set_line(struct virtio_device *v)
{
    irq_set(&v->irq, v->isr != 0);
}

void virtio_reset(struct device *dev)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    if (v->class->reset)
        v->class->reset(v, NULL);
    v->status = v->isr = v->config_generation = 0;
    v->queue_select = 0;
    v->config_vector = VIRTIO_NO_VECTOR;
    v->feature_select = v->driver_feature_select = 0;
    v->driver_features = 0;
    v->pending = 0;
    for (unsigned i = 0; i < v->queue_count; i++)
        virtq_reset(&v->queue[i]);
}

/* --- Interrupts and errors --- */
static void signal_driver(struct virtio_device *v, uint16_t vector, uint8_t isr)
{
    if (v->transport.message && v->transport.message(v->transport.arg, vector))
        return;
    v->isr |= isr;
    virtio_set_line(v);
}

void virtio_interrupt(struct virtio_device *v, uint16_t vector)
{
    signal_driver(v, vector, VIRTIO_ISR_QUEUE);
}

void virtio_config_changed(struct virtio_device *v)
{
    v->config_generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        signal_driver(v, v->config_vector, VIRTIO_ISR_CONFIG);
}

void virtio_broken(struct virtio_device *v, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (v->status & VIRTIO_NEEDS_RESET)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    guest_error(&v->dev, "%s: needs a reset", text);
    v->status |= VIRTIO_NEEDS_RESET;
    if (v->status & VIRTIO_DRIVER_OK)
        signal_driver(v, v->config_vector, VIRTIO_ISR_CONFIG);
}

/* --- Serving queues --- */
bool virtio_running(const struct virtio_device *v)
{
    return (v->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

void virtio_kick(struct virtio_device *v, unsigned queue)
{
    struct virtq *q = &v->queue[queue];

    if (!virtio_running(v) || !v->dma || !q->enabled)
        return;
    q->budget = VIRTQ_BUDGET;
    v->class->handle(v, q);
    virtq_notify(q);
}

void virtio_kick_all(struct virtio_device *v, uint32_t queues)
{
    for (unsigned i = 0; i < v->queue_count; i++) {
        if (queues >> i & 1)
            virtio_kick(v, i);
    }
}

/* Late for a queue that is off by now: no mistake of the guest's. */
void virtio_ring(void *bell)
{
    struct virtio_device *v = ((struct virtio_bell *)bell)->v;

    virtio_kick(v, (unsigned)((struct virtio_bell *)bell - v->bell));
}

void virtio_queues_changed(struct virtio_device *v)
{
    if (v->transport.queues_changed)
        v->transport.queues_changed(v->transport.arg);
}

static void arm(struct virtio_device *v)
{
    if (v->timer_armed || !v->timer.clock)
        return;
    v->timer_armed = true;
    timer_set(&v->timer, CONTINUE_DELAY_NS);
}

void virtio_put_off(struct virtio_device *v, unsigned queue)
{
    v->pending |= 1u << queue;
    arm(v);
}

void virtio_set_dma(struct virtio_device *v, bool on)
{
    bool was = v->dma;

    v->dma = on;
    if (on && !was)
        virtio_kick_all(v, UINT32_MAX);
}

struct irq_line *virtio_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &container_of(dev, struct virtio_device, dev)->irq;
}

/* Back ends of another run do not know what they owe us: look at every queue again. */
void virtio_quiesce(struct device *dev)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    for (unsigned i = 0; i < v->queue_count; i++) {
        if (v->queue[i].enabled)
            virtio_put_off(v, i);
    }
}

/* Fired: the timer we armed is idle again. */
static bool timer_fired(struct virtio_device *v)
{
    if (!v->timer_armed || v->timer.deadline_ns != TIMER_OFF)
        return false;
    v->timer_armed = false;
    return true;
}

void virtio_settle(struct device *dev)
{
    struct virtio_device *v = container_of(dev, struct virtio_device, dev);

    /* Loaded nonsense; a driver's own is refused by FEATURES_OK and may be read back until then. */
    if (v->status & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK))
        v->driver_features &= v->features;
    if (timer_fired(v)) {
        uint32_t pending = v->pending;

        v->pending = 0;
        virtio_kick_all(v, pending);
    }
    if (v->pending)
        arm(v);
    virtio_set_line(v);
    virtio_queues_changed(v);
}
