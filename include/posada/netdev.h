/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back end: carries Ethernet frames between a front end and the world. Offload metadata
 * travels in struct net_frame in virtio's terms (virtio 1.2, 5.1.6), so no back end has to parse a
 * packet it only forwards. All calls happen on the event loop with the machine lock held.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    NET_FRAME_MIN = 14,    /* an Ethernet header */
    NET_FRAME_MAX = 65550, /* Ethernet header + largest TSO payload, bytes */
    NET_MAC_SIZE = 6,
};

struct net_frame {
    const struct iovec *iov;
    unsigned iov_count;
    size_t length;
    bool needs_checksum, checksum_valid;
    uint16_t checksum_start, checksum_offset;
    uint8_t gso_type; /* VIRTIO_NET_HDR_GSO_* */
    uint16_t gso_size, header_length;
};

struct netdev;

struct netdev_ops {
    const char *kind; /* "user", "tap", "pair" */
    /* Sends a frame from the guest. 0, or -EAGAIN when the back end is full: the front end keeps
     * the frame and is told through netdev_front.writable. */
    int must_use (*send)(struct netdev *dev, const struct net_frame *frame);
    void (*poll)(struct netdev *dev); /* the front end has room again after -EAGAIN */
    void (*close)(struct netdev *dev);
    /* Optional: a driver has begun, which of the back end's offloads takes these (NET_F_GUEST_*).
     */
    void (*driver_takes)(struct netdev *dev, uint32_t offloads);
};

struct netdev_front {
    /* A frame for the guest; -EAGAIN when no buffer is free: the back end keeps it, and offers it
     * again when netdev_ops.poll() is called. A frame that cannot be delivered at all is taken. */
    int must_use (*receive)(void *arg, const struct net_frame *frame);
    void (*writable)(void *arg);
    void (*link)(void *arg, bool up); /* the cable: up at first */
    void *arg;
};

struct netdev {
    const struct netdev_ops *ops;
    struct netdev_front front; /* set by the front end before the first frame */
    uint32_t offloads;         /* VIRTIO_NET_F_* bits that the back end understands */
    uint16_t mtu;              /* what the guest is told to use; 0: nothing */
    char name[64];
};
