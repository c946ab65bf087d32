/* SPDX-License-Identifier: Apache-2.0 */
/* Devices without a machine around them. Contract: rig.h; which devices: rig_types.c. */
#include "rig.h"
#include "base/checked.h"
#include "base/iov.h"
#include "base/net_frame.h"
#include <assert.h>
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

/* --- The share --- */
static int share_submit(struct fsdev *dev, struct fs_req *req)
{
    struct rig_share *share = container_of(dev, struct rig_share, fsdev);

    share->full = share->count == RIG_SHARE_REQUESTS;
    if (share->full)
        return -EAGAIN;
    share->waiting[share->count++] = req;
    return 0;
}

bool rig_share_complete(struct rig *rig, unsigned n, const void *data, size_t len)
{
    struct rig_share *share = &rig->share;
    struct fs_req *req;

    if (!share->count)
        return false;
    n %= share->count;
    req = share->waiting[n];
    share->waiting[n] = share->waiting[--share->count];
    req->done(req, iov_fill(req->reply, req->reply_count, 0, data, len));
    if (share->full && share->fsdev.front.ready) {
        share->full = false;
        share->fsdev.front.ready(share->fsdev.front.arg);
    }
    return true;
}

static void share_forget(struct fsdev *dev)
{
    container_of(dev, struct rig_share, fsdev)->count = 0;
}

static void share_drain(struct fsdev *dev)
{
    struct rig_share *share = container_of(dev, struct rig_share, fsdev);

    while (rig_share_complete(container_of(share, struct rig, share), 0, NULL, 0))
        ;
}

static const struct fsdev_ops share_ops = {
    .submit = share_submit, .forget = share_forget, .drain = share_drain};

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

void rig_type(struct rig *rig, unsigned n, const void *data, size_t len)
{
    struct rig_chardev *line = &rig->line[n];

    if (len > RIG_LINE_BUFFER - line->in_len)
        len = RIG_LINE_BUFFER - line->in_len;
    if (len)
        memcpy(line->in + line->in_len, data, len);
    line->in_len += len;
    line_offer(&line->chardev);
}

void rig_line_room(struct rig *rig, unsigned n, size_t room)
{
    struct chardev_front *front = &rig->line[n].chardev.front;

    rig->line[n].room = room;
    if (room && front->writable)
        front->writable(front->arg);
}

/* --- The disk --- */
static void disk_submit(struct blockdev *dev, struct blk_req *req)
{
    struct rig_disk *disk = container_of(dev, struct rig_disk, blockdev);
    struct blk_req **end = &disk->waiting;

    while (*end)
        end = &(*end)->next;
    req->next = NULL;
    *end = req;
}

static int disk_transfer(struct rig_disk *disk, const struct blk_req *req)
{
    uint64_t at = req->offset;

    if (req->op != BLK_READ && req->op != BLK_WRITE)
        return 0;
    if (!range_within(req->offset, req->length, RIG_DISK_SIZE))
        return -EINVAL;
    for (unsigned i = 0; i < req->iov_count; i++) {
        if (!range_within(at, req->iov[i].iov_len, RIG_DISK_SIZE))
            return -EINVAL;
        if (req->op == BLK_READ)
            memcpy(req->iov[i].iov_base, disk->data + at, req->iov[i].iov_len);
        else
            memcpy(disk->data + at, req->iov[i].iov_base, req->iov[i].iov_len);
        at += req->iov[i].iov_len;
    }
    return 0;
}

bool rig_disk_complete(struct rig *rig, int result)
{
    struct blk_req *req = rig->disk.waiting;

    if (!req)
        return false;
    rig->disk.waiting = req->next;
    req->done(req, result ? result : disk_transfer(&rig->disk, req));
    return true;
}

static void disk_drain(struct blockdev *dev)
{
    struct rig_disk *disk = container_of(dev, struct rig_disk, blockdev);

    while (rig_disk_complete(container_of(disk, struct rig, disk), 0))
        ;
}

static const struct blockdev_ops disk_ops = {
    .format = "memory", .submit = disk_submit, .drain = disk_drain};

/* --- The network --- */
static int net_send(struct netdev *dev, const struct net_frame *frame)
{
    struct rig_net *net = container_of(dev, struct rig_net, netdev);
    size_t len = 0;

    if (net->full)
        return -EAGAIN;
    for (unsigned i = 0; i < frame->iov_count; i++)
        len += frame->iov[i].iov_len;
    if (len != frame->length)
        abort(); /* the device's promise */
    net->frames++;
    net->bytes += len;
    return 0;
}

static const struct netdev_ops net_ops = {.kind = "memory", .send = net_send};

void rig_net_full(struct rig *rig, bool full)
{
    const struct netdev_front *front = &rig->net.netdev.front;

    rig->net.full = full;
    if (!full && front->writable)
        front->writable(front->arg);
}

bool rig_net_frame(struct rig *rig, const uint8_t *header, const void *data, size_t len)
{
    const struct netdev_front *front = &rig->net.netdev.front;
    const struct iovec iov = {(void *)(uintptr_t)data, len};
    struct net_frame frame;

    if (!front->receive || !net_header_decode(header, len, &frame))
        return false;
    frame.iov = &iov;
    frame.iov_count = 1;
    return !front->receive(front->arg, &frame);
}

/* --- Vsock: what the guest sends comes back twice as often, with as many bytes as fit --- */
static struct rig_vsock *rig_vsock_of(struct vsockdev *dev)
{
    return container_of(dev, struct rig_vsock, vsockdev);
}

static void vsock_packet(struct vsockdev *dev, const struct vsock_packet *p,
                         const struct iovec *iov, unsigned count)
{
    struct rig_vsock *s = rig_vsock_of(dev);

    if (iov_length(iov, count) != p->len)
        abort(); /* the device's promise */
    s->packets++;
    s->bytes += p->len;
    s->waiting += s->waiting < 16 ? 2 : 0;
}

static bool vsock_pending(struct vsockdev *dev)
{
    return rig_vsock_of(dev)->waiting > 0;
}

static bool vsock_next(struct vsockdev *dev, struct vsock_packet *ret_p, const struct iovec *iov,
                       unsigned count)
{
    struct rig_vsock *s = rig_vsock_of(dev);
    size_t len = iov_length(iov, count);

    (void)iov_fill(iov, count, 0, NULL, len);
    *ret_p = (struct vsock_packet){.type = VSOCK_STREAM, .op = VSOCK_RW, .len = (uint32_t)len};
    return s->waiting-- % 3; /* now and then there is none after all */
}

static void vsock_reset(struct vsockdev *dev)
{
    rig_vsock_of(dev)->waiting = 0;
}

static const struct vsockdev_ops vsock_ops = {vsock_packet, vsock_pending, vsock_next, vsock_reset};

/* --- Life --- */
static void rig_edge(void *sink, unsigned pin, bool level)
{
    struct rig *rig = sink;

    rig->edges[pin] += level;
}

int rig_add(struct rig *rig, struct device *dev, uint64_t base, struct err *err)
{
    int r;

    if (!dev)
        return err_set(err, -ENOMEM, "rig: out of memory");
    r = device_set_add(&rig->set, dev, err);
    if (r) {
        device_free(dev);
        return r;
    }
    dev->clock = rig->clock;
    dev->mem = rig->mem;
    dev->power = &rig->power;
    dev->random = rig_device_random;
    r = device_init(dev, err);
    if (r || !base || !dev->ops->mmio.size)
        return r;
    rig->region[rig->region_count++] = (struct rig_region){base, dev->ops->mmio};
    return mmio_bus_add(rig->bus, GPA(base), dev, err);
}

int rig_add_window(struct rig *rig, struct device *dev, uint64_t base,
                   const struct mmio_window *window, struct err *err)
{
    rig->region[rig->region_count++] = (struct rig_region){base, window->access};
    return mmio_bus_add_window(rig->bus, GPA(base), window, dev, err);
}

static void rig_connect(struct rig *rig)
{
    assert(rig->set.count); /* rig_build() puts the device in question first */
    rig->dev = rig->set.device[0];
    for (unsigned i = 0; i < rig_irq_count(rig) && i < RIG_IRQS; i++)
        irq_connect(rig->dev->ops->irq(rig->dev, i), rig_edge, rig, i);
}

static int rig_assemble(struct rig *rig, struct err *err)
{
    int r;

    rig->clock = clock_new(NULL);
    rig->mem = mem_new();
    rig->bus = mmio_bus_new(NULL);
    if (!rig->clock || !rig->mem || !rig->bus)
        return err_set(err, -ENOMEM, "rig: out of memory");
    r = mem_add_ram(rig->mem, GPA(RIG_RAM), RIG_RAM_SIZE, err);
    return r ? r : rig_build(rig, err);
}

int rig_new(const char *type, uint64_t seed, struct rig **ret_rig, struct err *err)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    int r;

    if (!rig)
        return err_set(err, -ENOMEM, "rig: out of memory");
    rig_seed = seed;
    rig->type = type;
    rig->power = (struct power_sink){.request = rig_power, .arg = rig};
    for (unsigned i = 0; i < RIG_LINES; i++)
        rig->line[i] = (struct rig_chardev){.chardev.ops = &line_ops, .room = SIZE_MAX};
    rig->disk.blockdev = (struct blockdev){
        .ops = &disk_ops, .info = {.size = RIG_DISK_SIZE, .block_size = 512}, .name = "disk 'rig'"};
    rig->share.fsdev = (struct fsdev){.ops = &share_ops, .tag = "rig"};
    rig->net.netdev = (struct netdev){.ops = &net_ops, .offloads = UINT32_MAX, .mtu = 9000};
    rig->vsock.vsockdev.ops = &vsock_ops;
    r = rig_assemble(rig, err);
    if (r) {
        rig_free(rig);
        return r;
    }
    rig_connect(rig);
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
