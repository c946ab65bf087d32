/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back end of a virtio-vsock device: the host's end of stream connections with a guest. Packets are
 * virtio's (virtio 1.2, 5.10.6) without the addresses, which are always the guest's and the host's.
 * The front end pulls packets for the guest, so none waits between the two. All calls happen on the
 * event loop with the machine lock held.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>
#include <sys/uio.h>

enum vsock_type { VSOCK_STREAM = 1 };

enum vsock_op {
    VSOCK_REQUEST = 1,
    VSOCK_RESPONSE = 2,
    VSOCK_RST = 3,
    VSOCK_SHUTDOWN = 4,
    VSOCK_RW = 5,
    VSOCK_CREDIT_UPDATE = 6,
    VSOCK_CREDIT_REQUEST = 7,
};

enum vsock_shutdown { VSOCK_NO_RECEIVE = 1, VSOCK_NO_SEND = 2, VSOCK_NEITHER = 3 };

enum { VSOCK_PACKET_MAX = 65536, VSOCK_CID_HOST = 2, VSOCK_CID_MIN = 3 };

struct vsock_packet {
    uint32_t guest_port, host_port;
    uint32_t len; /* of the payload: VSOCK_RW only */
    uint16_t type, op;
    uint32_t flags;              /* VSOCK_SHUTDOWN: enum vsock_shutdown */
    uint32_t buf_alloc, fwd_cnt; /* of the sender */
};

struct vsockdev;

struct vsockdev_ops {
    /* From the guest, with p->len bytes in iov; any field may be nonsense. */
    void (*packet)(struct vsockdev *dev, const struct vsock_packet *p, const struct iovec *iov,
                   unsigned count);
    bool (*pending)(struct vsockdev *dev); /* next() is worth a try */
    /* The next packet for the guest, its payload in iov, which has at least one byte; false: none
     * after all. front.ready() says when there is one again. */
    bool (*next)(struct vsockdev *dev, struct vsock_packet *ret_p, const struct iovec *iov,
                 unsigned count);
    void (*reset)(struct vsockdev *dev); /* the guest has forgotten all connections */
};

struct vsockdev {
    const struct vsockdev_ops *ops;
    struct { /* set by the front end before the first packet */
        void (*ready)(void *arg);
        void *arg;
    } front;
};
