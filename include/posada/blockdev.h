/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block back end: what virtio-blk and every other disk front end stands on. Requests are
 * asynchronous and may complete in any order; a completion runs with the machine lock held, on any
 * thread: also inside start() and drain(), never inside submit(). Buffers are host memory and stay
 * the caller's until done. The caller of any function holds the machine lock, if
 * anything else can run that might want it.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/uio.h>

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };
enum blk_flag { BLK_FUA = 1 << 0, BLK_MAY_UNMAP = 1 << 1 };

struct blk_req {
    enum blk_op op;
    unsigned flags;          /* enum blk_flag */
    uint64_t offset, length; /* bytes; multiples of blk_info.block_size, inside the disk */
    const struct iovec *iov; /* READ and WRITE; sum of lengths equals length */
    unsigned iov_count;
    void (*done)(struct blk_req *req, int result); /* 0 or negative errno */
    struct blk_req *next;                          /* the back end's while submitted */
    int result;                                    /* the back end's while submitted */
};

struct blk_info {
    uint64_t size;       /* bytes */
    uint32_t block_size; /* smallest unit of access, 512 or 4096 */
    bool read_only, can_discard, can_write_zeroes;
    bool write_through; /* every write is as if it had BLK_FUA */
};

struct blockdev {
    const struct blockdev_ops *ops;
    struct blk_info info;
    char name[64]; /* for messages: "disk 'x'" */
};

struct blockdev_ops {
    const char *format; /* "raw", "qcow2", ... */
    /* Takes the request; an invalid one is completed with -EINVAL, like any other failure. */
    void (*submit)(struct blockdev *dev, struct blk_req *req);
    /* Sets going what was submitted: call it after a batch. NULL: submit() has done that. A
     * completion must not call it. */
    void (*start)(struct blockdev *dev);
    /* Before the first request, when the process is in its sandbox: starts threads. Optional. */
    int must_use (*begin)(struct blockdev *dev);
    /* Waits until nothing is in flight. */
    void (*drain)(struct blockdev *dev);
    void (*close)(struct blockdev *dev); /* drains, closes, frees */
};

static inline void blk_start(struct blockdev *dev)
{
    if (dev->ops->start)
        dev->ops->start(dev);
}
