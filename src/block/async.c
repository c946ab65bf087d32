/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's requests, each by the cheapest way that cannot make the guest wait for somebody else:
 *   1. what one transfer answers and the host's page cache can take or give at once is done on the
 *      spot (RWF_NOWAIT), no thread is woken;
 *   2. other transfers of that kind go through io_uring: reads that must wait for the disk, and
 *      everything with direct I/O;
 *   3. the rest - new clusters, flushes, discards, buffered writes that a file system cannot
 * promise not to wait in - is the worker threads' (pool.c), and all of it where there is no
 * io_uring. Whatever goes wrong in 1 or 2 (short, interrupted, refused) is done again by 3, whose
 * answer stands. Buffered writes do not take way 2: the kernel would only hand them to threads of
 * its own. Measured: docs/disks.md.
 */
#include "async.h"

#include "host/loop.h"
#include "pool.h"
#include "raw_io.h"
#include "req_list.h"
#include "ring.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

/* Bytes done on the spot in one start(), before others get their turn. */
enum { ASYNC_NOW_MAX = 2 << 20, ASYNC_FILES_MAX = BLK_CHAIN_MAX };

struct async_io { /* a transfer in the ring */
    struct blk_req *req;
    struct blk_direct direct;
    struct async_io *next;
};

struct async {
    struct blockdev dev; /* must be first */
    struct blk_store *store;
    struct loop *loop;
    struct blk_pool *pool;
    struct blk_ring *ring; /* NULL: none */
    struct async_io io[BLK_RING_ENTRIES], *free;
    struct req_list submitted;
    bool no_write_now; /* the file system does not have such writes */
    bool write_through, ignore_flush;
};

static struct async *async_of(struct blockdev *dev)
{
    return container_of(dev, struct async, dev);
}

/* --- The ring --- */
static void async_ring_done(struct async *a, struct async_io *io, int result)
{
    struct blk_req *req = io->req;

    io->direct.store->ops->end_direct(io->direct.store, &io->direct);
    io->next = a->free;
    a->free = io;
    if (result >= 0 && (uint64_t)result == req->length)
        req->done(req, 0);
    else
        blk_pool_add(a->pool, req);
}

static bool async_reap(struct async *a, bool wait)
{
    void *tag;
    int result;

    if (!a->ring || !blk_ring_next(a->ring, wait, &tag, &result))
        return false;
    async_ring_done(a, tag, result);
    return true;
}

static void async_ready(void *arg, int fd, unsigned events)
{
    while (async_reap(arg, false))
        ;
}

/* --- One request --- */
/* Tries to be done on the spot. */
static bool async_now(struct async *a, const struct blk_req *req, const struct blk_direct *direct)
{
    bool write = req->op == BLK_WRITE;
    off_t at = (off_t)direct->offset;
    ssize_t n;

    if (direct->align > 1 || (write && (a->no_write_now || req->flags & BLK_FUA)))
        return false;
    n = write ? pwritev2(direct->fd, req->iov, (int)req->iov_count, at, RWF_NOWAIT)
              : preadv2(direct->fd, req->iov, (int)req->iov_count, at, RWF_NOWAIT);
    if (n < 0 && write && (errno == EOPNOTSUPP || errno == EINVAL))
        a->no_write_now = true;
    return n >= 0 && (uint64_t)n == req->length;
}

static bool async_in_ring(struct async *a, struct async_io *io)
{
    const struct blk_direct *direct = &io->direct;

    if (!a->ring || (direct->align == 1 && io->req->op == BLK_WRITE))
        return false;
    return raw_aligned(io->req, direct->align) &&
           blk_ring_add(a->ring, direct->fd, direct->offset, io->req, io);
}

/* True: done or on its way. now: may be done on the spot. */
static bool async_direct(struct async *a, struct blk_req *req, bool now)
{
    const struct blk_store_ops *ops = a->store->ops;
    struct async_io *io = a->free;
    bool done = false;

    if ((req->op != BLK_READ && req->op != BLK_WRITE) || !req->length || !io ||
        !ops->begin_direct || blk_store_check(a->store, req) ||
        !ops->begin_direct(a->store, req, &io->direct))
        return false;
    io->req = req;
    if (now)
        done = async_now(a, req, &io->direct);
    if (!done && async_in_ring(a, io)) {
        a->free = io->next;
        return true;
    }
    io->direct.store->ops->end_direct(io->direct.store, &io->direct);
    if (done)
        req->done(req, 0);
    return done;
}

static void async_prepare(const struct async *a, struct blk_req *req)
{
    if (a->write_through && (req->op == BLK_WRITE || req->op == BLK_WRITE_ZEROES))
        req->flags |= BLK_FUA;
    if (a->ignore_flush)
        req->flags &= ~(unsigned)BLK_FUA;
}

/* --- The back end --- */
static void async_submit(struct blockdev *dev, struct blk_req *req)
{
    struct async *a = async_of(dev);

    async_prepare(a, req);
    req_list_push(&a->submitted, req);
}

static void async_start(struct blockdev *dev)
{
    struct async *a = async_of(dev);
    uint64_t now = 0;
    struct blk_req *req;

    while ((req = req_list_pop(&a->submitted))) {
        uint64_t length = req->length;

        if (a->ignore_flush && req->op == BLK_FLUSH)
            req->done(req, 0);
        else if (!async_direct(a, req, now + length <= ASYNC_NOW_MAX))
            blk_pool_add(a->pool, req);
        else
            now += length;
    }
    if (a->ring)
        blk_ring_submit(a->ring);
}

static void async_drain(struct blockdev *dev)
{
    struct async *a = async_of(dev);
    bool any = true;

    while (any) { /* a done() may submit again */
        async_start(dev);
        any = false;
        while (async_reap(a, true))
            any = true;
        any |= blk_pool_drain(a->pool) || a->submitted.head;
    }
}

static int async_begin(struct blockdev *dev)
{
    return blk_pool_begin(async_of(dev)->pool);
}

/* --- Opening and closing --- */
/* Accepts a half-open one. */
static void async_free(struct async *a)
{
    if (a->ring) {
        loop_unwatch(a->loop, blk_ring_fd(a->ring));
        blk_ring_free(a->ring);
    }
    blk_pool_free(a->pool);
    free(a);
}

static void async_close(struct blockdev *dev)
{
    struct async *a = async_of(dev);
    struct blk_store *store = a->store;

    async_drain(dev);
    async_free(a);
    /* The last flush told what matters; an error of what came after it has nobody to hear it. */
    (void)blk_store_close(store);
}

static const struct blockdev_ops async_ops = {
    .submit = async_submit,
    .start = async_start,
    .begin = async_begin,
    .drain = async_drain,
    .close = async_close,
};

/* A host without io_uring, or one that forbids it, costs speed only. */
static int must_use async_open_ring(struct async *a, enum blk_aio aio, struct err *err)
{
    int fds[ASYNC_FILES_MAX];
    unsigned count =
        a->store->ops->files ? a->store->ops->files(a->store, fds, ASYNC_FILES_MAX) : 0;
    int r = aio == BLK_AIO_THREADS || !count ? 0 : blk_ring_new(fds, count, &a->ring);

    if (r && aio == BLK_AIO_URING)
        return err_set(err, r, "disk '%s': aio=io_uring: this host does not allow it: %s",
                       a->store->name, strerror(-r));
    if (!a->ring)
        return 0;
    r = loop_watch(a->loop, blk_ring_fd(a->ring), EPOLLIN, async_ready, a);
    return r < 0 ? err_set(err, r, "disk '%s': cannot watch for completions: %s", a->store->name,
                           strerror(-r))
                 : 0;
}

int blk_async_new(struct blk_store *store, const struct blk_source *source, struct loop *loop,
                  struct blockdev **ret_dev, struct err *err)
{
    struct async *a = calloc(1, sizeof(*a));
    int r;

    if (!a)
        return err_set(err, -ENOMEM, "disk '%s': out of memory", store->name);
    a->dev.ops = &async_ops;
    a->dev.info = store->info;
    a->dev.info.write_through = source->write_through;
    memcpy(a->dev.name, store->name, sizeof(a->dev.name));
    a->store = store;
    a->loop = loop;
    a->write_through = source->write_through;
    a->ignore_flush = source->ignore_flush;
    req_list_init(&a->submitted);
    for (unsigned i = 0; i < BLK_RING_ENTRIES; i++) {
        a->io[i].next = a->free;
        a->free = &a->io[i];
    }
    r = blk_pool_new(store, loop, &a->pool, err);
    if (!r)
        r = async_open_ring(a, source->aio, err);
    if (r)
        async_free(a);
    else
        *ret_dev = &a->dev;
    return r;
}
