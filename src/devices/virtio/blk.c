/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device (virtio 1.2, 5.2) over a struct blockdev.
 * Every request in flight has a record of its own; there are as many as ring entries, so none is
 * allocated while the guest runs. Data goes straight between the back end and guest memory.
 * Without the flush feature, or with the write-back cache turned off by the driver, each write
 * reaches stable storage before it completes (BLK_FUA).
 * Saved state has nothing in flight: quiesce() and reset() drain the back end.
 * Not modelled: geometry, zoned disks, secure erase, lifetime, resizing.
 */
#include "blk.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "base/iov.h"
#include "devices/core/device.h"

#include <errno.h>
#include <posada/blockdev.h>
#include <stdlib.h>

enum {
    F_SEG_MAX = 2,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,
};

enum { /* struct virtio_blk_config */
       CONFIG_CAPACITY = 0,
       CONFIG_SEG_MAX = 12,
       CONFIG_BLK_SIZE = 20,
       CONFIG_WRITEBACK = 32,
       CONFIG_QUEUES = 34,
       CONFIG_MAX_DISCARD = 36,
       CONFIG_MAX_DISCARD_SEG = 40,
       CONFIG_DISCARD_ALIGNMENT = 44,
       CONFIG_MAX_ZEROES = 48,
       CONFIG_MAX_ZEROES_SEG = 52,
       CONFIG_ZEROES_MAY_UNMAP = 56,
       CONFIG_SIZE = 60,
};

enum request_type {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13,
};

enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };
enum { SECTOR = 512, HEADER_SIZE = 16, RANGE_SIZE = 16, RANGE_UNMAP = 1 };
enum { SEG_MAX = VIRTIO_BLK_QUEUE_SIZE - 2 };
enum { ZEROES_MAX_SECTORS = 1 << 22 }; /* 2 GiB a discard or write-zeroes request */

struct blk_io {
    struct virtio_blk *blk;
    struct virtq *q;
    struct blk_io *next_free;
    struct blk_req req;
    uint32_t data_in; /* bytes of the writable part before the status byte */
    struct virtq_chain chain;
    struct iovec data[VIRTQ_CHAIN_MAX];
};

struct virtio_blk {
    struct virtio_device v; /* must be first */
    struct blockdev *backend;
    char serial[VIRTIO_BLK_SERIAL_MAX];
    struct blk_io *io; /* io_count: one for each ring entry */
    unsigned io_count,
        io_fresh; /* from io_fresh on none was ever used: no memory behind them yet */
    struct blk_io *free;
    struct virtq *serving; /* being served: who does that tells the driver in the end */
    bool write_through;    /* the driver turned the write-back cache off */
};

static const struct state_field blk_state[] = {
    VIRTIO_STATE(struct virtio_blk),
    STATE_BOOL(struct virtio_blk, write_through),
    STATE_END,
};

static struct virtio_blk *blk_of(struct virtio_device *v)
{
    return container_of(v, struct virtio_blk, v);
}

/* --- Completion --- */
static void blk_finish(struct blk_io *io, uint8_t status)
{
    struct virtio_blk *blk = io->blk;

    /* The status byte is the last writable one, wherever the buffers end. */
    if (blk->v.dma)
        (void)chain_write(io->q, &io->chain, io->data_in, &status, 1);
    virtq_push(io->q, &io->chain, io->data_in + 1);
    io->next_free = blk->free;
    blk->free = io;
}

static uint8_t status_of(int result)
{
    if (!result)
        return STATUS_OK;
    return result == -EOPNOTSUPP ? STATUS_UNSUPP : STATUS_IOERR;
}

static void blk_done(struct blk_req *req, int result)
{
    struct blk_io *io = container_of(req, struct blk_io, req);
    struct virtq *q = io->q;

    if (req->op == BLK_READ)
        chain_written(q, &io->chain, io->data_in); /* also after a failure: parts may be there */
    blk_finish(io, status_of(result));
    if (q != io->blk->serving)
        virtq_notify(q);
}

/* --- Requests --- */
/* Bytes [sector, sector + length) are on the disk and whole blocks. */
static bool range_ok(const struct virtio_blk *blk, uint64_t sector, uint64_t length)
{
    const struct blk_info *info = &blk->backend->info;
    uint64_t offset;

    return !ckd_mul(&offset, sector, (uint64_t)SECTOR) && length % info->block_size == 0 &&
           offset % info->block_size == 0 && range_within(offset, length, info->size);
}

static void blk_submit(struct blk_io *io, enum blk_op op, unsigned flags, uint64_t sector,
                       uint64_t length, unsigned iov_count)
{
    io->req = (struct blk_req){
        .op = op,
        .flags = flags,
        .offset = sector * SECTOR,
        .length = length,
        .iov = io->data,
        .iov_count = iov_count,
        .done = blk_done,
    };
    io->blk->backend->ops->submit(io->blk->backend, &io->req);
}

static bool writes_through(const struct virtio_blk *blk)
{
    return blk->write_through || !virtio_has(&blk->v, F_FLUSH);
}

static void blk_read_write(struct blk_io *io, bool write, uint64_t sector)
{
    struct virtio_blk *blk = io->blk;
    const struct virtq_chain *chain = &io->chain;
    uint32_t len = write ? chain->out_len - HEADER_SIZE : io->data_in;

    if (!len || !range_ok(blk, sector, len) || (write && blk->backend->info.read_only)) {
        blk_finish(io, STATUS_IOERR);
        return;
    }
    unsigned iov_count =
        write ? iov_slice(chain->iov, chain->out_count, HEADER_SIZE, len, io->data)
              : iov_slice(chain->iov + chain->out_count, chain->in_count, 0, len, io->data);
    blk_submit(io, write ? BLK_WRITE : BLK_READ, write && writes_through(blk) ? BLK_FUA : 0, sector,
               len, iov_count);
}

/* Discard and write-zeroes: exactly one range a request (max_*_seg is 1). */
static void blk_range(struct blk_io *io, bool zeroes)
{
    struct virtio_blk *blk = io->blk;
    uint8_t range[RANGE_SIZE];

    if (!virtio_has(&blk->v, zeroes ? F_WRITE_ZEROES : F_DISCARD) ||
        io->chain.out_len != HEADER_SIZE + RANGE_SIZE) {
        blk_finish(io, STATUS_UNSUPP);
        return;
    }
    (void)chain_read(&io->chain, HEADER_SIZE, range, sizeof(range));
    uint64_t sector = ld_le64(range);
    uint32_t sectors = ld_le32(range + 8), flags = ld_le32(range + 12);

    if (flags & ~(zeroes ? RANGE_UNMAP : 0u)) {
        blk_finish(io, STATUS_UNSUPP);
    } else if (sectors > ZEROES_MAX_SECTORS || !range_ok(blk, sector, (uint64_t)sectors * SECTOR) ||
               blk->backend->info.read_only || !sectors) {
        blk_finish(io, STATUS_IOERR);
    } else {
        unsigned req_flags = flags & RANGE_UNMAP ? BLK_MAY_UNMAP : 0;

        if (zeroes && writes_through(blk))
            req_flags |= BLK_FUA;
        blk_submit(io, zeroes ? BLK_WRITE_ZEROES : BLK_DISCARD, req_flags, sector,
                   (uint64_t)sectors * SECTOR, 0);
    }
}

static void blk_get_id(struct blk_io *io)
{
    if (io->data_in < VIRTIO_BLK_SERIAL_MAX) {
        blk_finish(io, STATUS_IOERR);
        return;
    }
    (void)chain_write(io->q, &io->chain, 0, io->blk->serial, VIRTIO_BLK_SERIAL_MAX);
    blk_finish(io, STATUS_OK);
}

static void blk_begin(struct blk_io *io)
{
    uint8_t header[HEADER_SIZE];

    (void)chain_read(&io->chain, 0, header, sizeof(header));
    uint64_t sector = ld_le64(header + 8);

    switch (ld_le32(header)) {
    case TYPE_IN: blk_read_write(io, false, sector); break;
    case TYPE_OUT: blk_read_write(io, true, sector); break;
    case TYPE_FLUSH: blk_submit(io, BLK_FLUSH, 0, 0, 0, 0); break;
    case TYPE_GET_ID: blk_get_id(io); break;
    case TYPE_DISCARD: blk_range(io, false); break;
    case TYPE_WRITE_ZEROES: blk_range(io, true); break;
    default: blk_finish(io, STATUS_UNSUPP); break;
    }
}

/* The record to use next; it stays free until somebody takes it. One is always free: each stands
 * for at least one ring entry in flight. */
static struct blk_io *blk_free_record(struct virtio_blk *blk)
{
    if (!blk->free && blk->io_fresh < blk->io_count) {
        blk->free = &blk->io[blk->io_fresh++];
        blk->free->blk = blk;
    }
    return blk->free;
}

static void blk_handle(struct virtio_device *v, struct virtq *q)
{
    struct virtio_blk *blk = blk_of(v);
    struct blk_io *io;

    blk->serving = q;
    while ((io = blk_free_record(blk)) && virtq_pop(q, &io->chain)) {
        if (io->chain.out_len < HEADER_SIZE || !io->chain.in_len) {
            virtio_broken(v, "queue %u: request without header or status", q->index);
            break;
        }
        blk->free = io->next_free;
        io->q = q;
        io->data_in = io->chain.in_len - 1;
        blk_begin(io);
    }
    blk_start(blk->backend);
    blk->serving = NULL;
}

/* --- The device --- */
static void blk_drain(struct virtio_blk *blk)
{
    if (blk->backend)
        blk->backend->ops->drain(blk->backend);
}

static void blk_quiesce(struct device *dev)
{
    blk_drain(container_of(dev, struct virtio_blk, v.dev));
    virtio_quiesce(dev);
}

static void blk_set_write_through(struct virtio_blk *blk, bool on)
{
    blk->write_through = on;
    blk->v.config[CONFIG_WRITEBACK] = !on;
}

static void blk_reset(struct virtio_device *v, struct virtq *q)
{
    blk_drain(blk_of(v));
    if (!q)
        blk_set_write_through(blk_of(v), blk_of(v)->backend->info.write_through);
}

static void blk_settle(struct device *dev)
{
    struct virtio_blk *blk = container_of(dev, struct virtio_blk, v.dev);

    blk_set_write_through(blk, blk->write_through);
    virtio_settle(dev);
}

static void blk_config_write(struct virtio_device *v, unsigned off, unsigned size, uint32_t val)
{
    if (off == CONFIG_WRITEBACK && size == 1 && val < 2 && virtio_has(v, F_CONFIG_WCE))
        blk_set_write_through(blk_of(v), !val);
    else
        guest_error_write(&v->dev, VIRTIO_REG_CONFIG + off, val);
}

static void blk_free(struct device *dev)
{
    struct virtio_blk *blk = container_of(dev, struct virtio_blk, v.dev);

    blk_drain(blk);
    virtio_done(dev);
    free(blk->io);
}

static const struct virtio_class blk_class = {
    .id = VIRTIO_ID_BLK,
    .pci_class = 0x018000, /* mass storage controller, other */
    .doorbells = true,
    .handle = blk_handle,
    .reset = blk_reset,
    .config_write = blk_config_write,
};

const struct device_ops virtio_blk_ops = {
    .type = "virtio-blk",
    .instance_size = sizeof(struct virtio_blk),
    .mmio = VIRTIO_MMIO,
    .init = virtio_init,
    .done = blk_free,
    .reset = virtio_reset,
    .settle = blk_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .state_version = 1,
    .state = blk_state,
    .quiesce = blk_quiesce,
};

static uint64_t blk_features(const struct blk_info *info, unsigned queues)
{
    uint64_t features = BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | BIT(F_CONFIG_WCE);

    if (queues > 1)
        features |= BIT(F_MQ);
    if (info->read_only)
        return features | BIT(F_RO);
    if (info->can_discard)
        features |= BIT(F_DISCARD);
    if (info->can_write_zeroes)
        features |= BIT(F_WRITE_ZEROES);
    return features;
}

static void blk_fill_config(struct virtio_blk *blk, unsigned queues)
{
    const struct blk_info *info = &blk->backend->info;
    uint8_t *config = blk->v.config;

    st_le64(config + CONFIG_CAPACITY, info->size / SECTOR);
    st_le32(config + CONFIG_SEG_MAX, SEG_MAX);
    st_le32(config + CONFIG_BLK_SIZE, info->block_size);
    st_le16(config + CONFIG_QUEUES, (uint16_t)queues);
    st_le32(config + CONFIG_MAX_DISCARD, ZEROES_MAX_SECTORS);
    st_le32(config + CONFIG_MAX_DISCARD_SEG, 1);
    st_le32(config + CONFIG_DISCARD_ALIGNMENT, info->block_size / SECTOR);
    st_le32(config + CONFIG_MAX_ZEROES, ZEROES_MAX_SECTORS);
    st_le32(config + CONFIG_MAX_ZEROES_SEG, 1);
    config[CONFIG_ZEROES_MAY_UNMAP] = 1;
    blk_set_write_through(blk, info->write_through);
}

struct virtio_device *virtio_blk_new(const char *name, struct blockdev *backend, const char *serial,
                                     unsigned queues)
{
    struct device *dev = device_new(&virtio_blk_ops, name);
    struct virtio_blk *blk;

    if (!dev)
        return NULL;
    if (queues > VIRTIO_BLK_QUEUES_MAX)
        queues = VIRTIO_BLK_QUEUES_MAX;
    if (!queues)
        queues = 1;
    blk = container_of(dev, struct virtio_blk, v.dev);
    blk->io_count = queues * VIRTIO_BLK_QUEUE_SIZE;
    blk->io = calloc(blk->io_count, sizeof(*blk->io));
    if (!blk->io) {
        device_free(dev);
        return NULL;
    }
    blk->backend = backend;
    memcpy(blk->serial, serial, strnlen(serial, sizeof(blk->serial)));
    virtio_setup(&blk->v, &blk_class, blk_features(&backend->info, queues), queues,
                 VIRTIO_BLK_QUEUE_SIZE, CONFIG_SIZE);
    blk_fill_config(blk, queues);
    return &blk->v;
}
