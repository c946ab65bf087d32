/* SPDX-License-Identifier: Apache-2.0 */
/* One device without a machine around it. Contract: rig.h. */
#include "rig.h"
#include "devices/uart/ns16550.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rig_seed; /* struct device.random has no argument: one rig at a time */

uint64_t rig_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 1;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t rig_device_random(void)
{
    return rig_random(&rig_seed);
}

static void rig_power(void *arg, enum power_action action, unsigned code)
{
    struct rig *rig = arg;

    rig->power_requests++;
    rig->power_action = action;
    rig->power_code = code;
}

/* --- The line --- */
static size_t line_write(struct chardev *dev, const uint8_t *data, size_t len)
{
    struct rig_chardev *line = container_of(dev, struct rig_chardev, chardev);
    size_t taken = len < line->room ? len : line->room;
    size_t kept = RIG_LINE_BUFFER - line->out_len;

    kept = taken < kept ? taken : kept;
    memcpy(line->out + line->out_len, data, kept);
    line->out_len += kept;
    if (line->room != SIZE_MAX)
        line->room -= taken;
    return taken;
}

static void line_offer(struct chardev *dev)
{
    struct rig_chardev *line = container_of(dev, struct rig_chardev, chardev);
    uint8_t data[RIG_LINE_BUFFER];
    size_t len = line->in_len, taken;

    if (!len || !dev->front.receive)
        return;
    memcpy(data, line->in, len);
    line->in_len = 0; /* the device may ask again from inside receive() */
    taken = dev->front.receive(dev->front.arg, data, len);
    memmove(line->in + (len - taken), line->in, line->in_len);
    memcpy(line->in, data + taken, len - taken);
    line->in_len += len - taken;
}

static const struct chardev_ops line_ops = {.write = line_write, .can_receive = line_offer};

void rig_type(struct rig *rig, const void *data, size_t len)
{
    struct rig_chardev *line = &rig->line;

    if (len > RIG_LINE_BUFFER - line->in_len)
        len = RIG_LINE_BUFFER - line->in_len;
    memcpy(line->in + line->in_len, data, len);
    line->in_len += len;
    line_offer(&line->chardev);
}

void rig_line_room(struct rig *rig, size_t room)
{
    struct chardev_front *front = &rig->line.chardev.front;

    rig->line.room = room;
    if (room && front->writable)
        front->writable(front->arg);
}

/* --- Life --- */
static int rig_wire(struct rig *rig, struct err *err)
{
    struct device *dev = rig->dev;
    int r = mem_add_ram(rig->mem, GPA(RIG_RAM), RIG_RAM_SIZE, err);

    if (r)
        return r;
    dev->clock = rig->clock;
    dev->mem = rig->mem;
    dev->power = &rig->power;
    dev->random = rig_device_random;
    if (dev->ops == &ns16550_ops)
        ns16550_attach(dev, &rig->line.chardev);
    r = device_init(dev, err);
    if (!r && dev->ops->mmio.size)
        r = mmio_bus_add(rig->bus, GPA(RIG_REGISTERS), dev, err);
    return r;
}

int rig_new(const struct device_ops *ops, uint64_t seed, struct rig **ret_rig, struct err *err)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    int r;

    if (!rig)
        return err_set(err, -ENOMEM, "rig: out of memory");
    rig_seed = seed;
    rig->power = (struct power_sink){.request = rig_power, .arg = rig};
    rig->line = (struct rig_chardev){.chardev.ops = &line_ops, .room = SIZE_MAX};
    rig->clock = clock_new(NULL);
    rig->mem = mem_new();
    rig->bus = mmio_bus_new(NULL);
    rig->dev = device_new(ops, "dev");
    if (!rig->clock || !rig->mem || !rig->bus || !rig->dev)
        r = err_set(err, -ENOMEM, "rig: out of memory");
    else
        r = device_set_add(&rig->set, rig->dev, err);
    if (!r)
        r = rig_wire(rig, err);
    if (r) {
        rig_free(rig);
        return r;
    }
    rig_reset(rig);
    *ret_rig = rig;
    return 0;
}

void rig_free(struct rig *rig)
{
    if (!rig)
        return;
    device_set_free(&rig->set);
    mmio_bus_free(rig->bus);
    mem_free(rig->mem);
    clock_free(rig->clock);
    free(rig);
}

void rig_reset(struct rig *rig)
{
    device_reset_all(&rig->set);
}

/* --- Accesses --- */
bool rig_read(struct rig *rig, uint64_t off, unsigned size, uint64_t *ret_val)
{
    return mmio_bus_read(rig->bus, GPA(RIG_REGISTERS + off), size, ret_val);
}

bool rig_write(struct rig *rig, uint64_t off, unsigned size, uint64_t val)
{
    return mmio_bus_write(rig->bus, GPA(RIG_REGISTERS + off), size, val);
}

unsigned rig_irq_count(struct rig *rig)
{
    unsigned n = 0;

    while (rig->dev->ops->irq && rig->dev->ops->irq(rig->dev, n))
        n++;
    return n;
}

bool rig_irq(struct rig *rig, unsigned n)
{
    return rig->dev->ops->irq(rig->dev, n)->level;
}
