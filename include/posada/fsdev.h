/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File system back end: answers the FUSE requests that virtio-fs carries (virtio 1.2, 5.11). A
 * request and its reply are bytes to everybody but the server at the far end. All calls happen on
 * the event loop or a vCPU with the machine lock held; done() never runs inside submit().
 */
#pragma once

#include <posada/types.h>
#include <sys/uio.h>

enum {
    FSDEV_TAG_MAX = 36, /* bytes, UTF-8, no NUL needed (virtio 1.2, 5.11.4) */
    FSDEV_IN_HEADER = 40,
    FSDEV_OUT_HEADER = 16,
};

struct fs_req {
    /* Host memory, the front end's until done() or forget(). */
    const struct iovec *request;
    unsigned request_count;
    size_t request_len; /* at least FSDEV_IN_HEADER */
    const struct iovec *reply;
    unsigned reply_count;
    size_t reply_len;                                 /* room; 0: the request has no reply */
    void (*done)(struct fs_req *req, size_t written); /* bytes put into reply */
};

struct fsdev;

struct fsdev_ops {
    /* Takes the request. A server that is gone, or a request it cannot take, is answered with EIO.
     * -EAGAIN: as many as possible are in flight; front.ready() follows. */
    int must_use (*submit)(struct fsdev *dev, struct fs_req *req);
    /* The requests in flight and their buffers are forgotten: done() is not called for them. */
    void (*forget)(struct fsdev *dev);
    /* Waits for a while until nothing is in flight; what is left then is answered with EIO. */
    void (*drain)(struct fsdev *dev);
    void (*close)(struct fsdev *dev);
};

struct fsdev_front {
    void (*ready)(void *arg); /* submit() takes requests again */
    void *arg;
};

struct fsdev {
    const struct fsdev_ops *ops;
    struct fsdev_front front;
    char tag[FSDEV_TAG_MAX + 1]; /* what the guest mounts */
};
