/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File system device (virtio 1.2, 5.11): carries FUSE requests between the guest's driver and a
 * struct fsdev, and understands none of them. Queue 0 has priority (FORGET, INTERRUPT), the others
 * carry all else.
 *
 * Each request in flight has a record; a few are kept for queue 0, so that requests which wait for
 * a slow file system do not hold it up. What finds no record stays in the ring.
 * Saved state has nothing in flight. What the server knows of the guest (nodes, open files) is not
 * saved: after a load a driver gets ESTALE and has to mount again.
 * Not modelled: DAX window, notification queue.
 */
#include "fs.h"

#include "base/bits.h"
#include "base/endian.h"
#include "devices/core/device.h"

#include <errno.h>
#include <posada/fsdev.h>
#include <stdlib.h>

enum { CONFIG_TAG = 0, CONFIG_QUEUES = FSDEV_TAG_MAX, CONFIG_SIZE = 40 };
enum { QUEUE_PRIORITY = 0, RECORDS_FIRST = 2 /* for the priority queue alone */ };

struct fs_io {
    struct virtio_fs *fs;
    struct virtq *q; /* NULL: free */
    struct fs_io *next_free;
    struct fs_req req;
    struct virtq_chain chain;
};

struct virtio_fs {
    struct virtio_device v; /* must be first */
    struct fsdev *backend;
    unsigned request_queues;
    struct fs_io *io; /* VIRTIO_FS_RECORDS of them */
    struct fs_io *free;
    unsigned free_count;
    bool full;        /* the back end said so */
    uint32_t waiting; /* queues that found no record */
};

static const struct state_field fs_state[] = {
    VIRTIO_STATE(struct virtio_fs),
    STATE_END,
};

static struct virtio_fs *fs_of(struct virtio_device *v)
{
    return container_of(v, struct virtio_fs, v);
}

/* --- Records --- */
static struct fs_io *fs_take(struct virtio_fs *fs, struct virtq *q)
{
    struct fs_io *io = fs->free;

    if (fs->full || fs->free_count <= (q->index == QUEUE_PRIORITY ? 0 : RECORDS_FIRST)) {
        fs->waiting |= 1u << q->index;
        return NULL;
    }
    fs->free = io->next_free;
    fs->free_count--;
    io->q = q;
    return io;
}

static void fs_give(struct fs_io *io)
{
    struct virtio_fs *fs = io->fs;

    io->q = NULL;
    io->next_free = fs->free;
    fs->free = io;
    fs->free_count++;
}

static void fs_serve_waiting(struct virtio_fs *fs)
{
    uint32_t waiting = fs->waiting;

    fs->waiting = 0;
    for (unsigned i = 0; waiting && i < fs->v.queue_count; i++)
        if (waiting >> i & 1)
            virtio_kick(&fs->v, i);
}

/* --- Requests --- */
static void fs_done(struct fs_req *req, size_t written)
{
    struct fs_io *io = container_of(req, struct fs_io, req);
    struct virtio_fs *fs = io->fs;
    struct virtq *q = io->q;

    if (fs->v.dma)
        chain_written(q, &io->chain, written);
    virtq_push(q, &io->chain, (uint32_t)written);
    fs_give(io);
    virtq_notify(q);
    if (fs->waiting)
        fs_serve_waiting(fs);
}

/* False: the back end is full and the chain went back. */
static bool fs_start(struct fs_io *io)
{
    struct virtio_fs *fs = io->fs;
    struct virtq *q = io->q;

    io->req = (struct fs_req){
        .request = io->chain.iov,
        .request_count = io->chain.out_count,
        .request_len = io->chain.out_len,
        .reply = io->chain.iov + io->chain.out_count,
        .reply_count = io->chain.in_count,
        .reply_len = io->chain.in_len,
        .done = fs_done,
    };
    if (!fs->backend->ops->submit(fs->backend, &io->req))
        return true;
    fs->full = true;
    fs->waiting |= 1u << q->index;
    virtq_unpop(q, &io->chain);
    return false;
}

static void fs_handle(struct virtio_device *v, struct virtq *q)
{
    struct virtio_fs *fs = fs_of(v);
    struct fs_io *io;

    while ((io = fs_take(fs, q))) {
        bool taken = virtq_pop(q, &io->chain);

        if (taken && (io->chain.out_len < FSDEV_IN_HEADER ||
                      (io->chain.in_len && io->chain.in_len < FSDEV_OUT_HEADER))) {
            virtio_broken(v, "queue %u: request without a whole header", q->index);
            taken = false;
        }
        if (!taken || !fs_start(io)) {
            fs_give(io);
            return;
        }
    }
}

static void fs_ready(void *arg)
{
    struct virtio_fs *fs = arg;

    fs->full = false;
    fs_serve_waiting(fs);
}

/* --- The device --- */
/* A queue alone cannot be taken out of what is in flight, so all of it is. */
static void fs_reset(struct virtio_device *v, struct virtq *q)
{
    struct virtio_fs *fs = fs_of(v);

    if (q)
        fs->backend->ops->drain(fs->backend);
    else
        fs->backend->ops->forget(fs->backend);
    for (unsigned i = 0; !q && i < VIRTIO_FS_RECORDS; i++)
        if (fs->io[i].q)
            fs_give(&fs->io[i]);
    fs->waiting &= q ? ~(1u << q->index) : 0;
}

static void fs_quiesce(struct device *dev)
{
    struct virtio_fs *fs = container_of(dev, struct virtio_fs, v.dev);

    fs->backend->ops->drain(fs->backend);
    virtio_quiesce(dev);
}

static void fs_free(struct device *dev)
{
    struct virtio_fs *fs = container_of(dev, struct virtio_fs, v.dev);

    if (fs->backend) {
        fs->backend->ops->forget(fs->backend);
        fs->backend->front = (struct fsdev_front){0};
    }
    virtio_done(dev);
    free(fs->io);
}

static const struct virtio_class fs_class = {
    .id = VIRTIO_ID_FS,
    .pci_class = 0x018000, /* mass storage controller, other */
    .doorbells = true,
    .handle = fs_handle,
    .reset = fs_reset,
};

const struct device_ops virtio_fs_ops = {
    .type = "virtio-fs",
    .instance_size = sizeof(struct virtio_fs),
    .mmio = VIRTIO_MMIO,
    .init = virtio_init,
    .done = fs_free,
    .reset = virtio_reset,
    .settle = virtio_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .state_version = 1,
    .state = fs_state,
    .quiesce = fs_quiesce,
};

static int must_use fs_alloc_records(struct virtio_fs *fs)
{
    fs->io = calloc(VIRTIO_FS_RECORDS, sizeof(*fs->io));
    if (!fs->io)
        return -ENOMEM;
    for (unsigned i = 0; i < VIRTIO_FS_RECORDS; i++) {
        fs->io[i].fs = fs;
        fs_give(&fs->io[i]);
    }
    return 0;
}

struct virtio_device *virtio_fs_new(const char *name, struct fsdev *backend,
                                    unsigned request_queues)
{
    struct device *dev = device_new(&virtio_fs_ops, name);
    struct virtio_fs *fs;

    if (!dev)
        return NULL;
    fs = container_of(dev, struct virtio_fs, v.dev);
    if (fs_alloc_records(fs) < 0) {
        device_free(dev);
        return NULL;
    }
    fs->backend = backend;
    fs->request_queues = request_queues;
    virtio_setup(&fs->v, &fs_class, 0, 1 + request_queues, VIRTIO_FS_QUEUE_SIZE, CONFIG_SIZE);
    memcpy(fs->v.config + CONFIG_TAG, backend->tag, strnlen(backend->tag, FSDEV_TAG_MAX));
    st_le32(fs->v.config + CONFIG_QUEUES, request_queues);
    backend->front = (struct fsdev_front){.ready = fs_ready, .arg = fs};
    return &fs->v;
}
