/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network back end behind a descriptor that keeps messages apart: a socket to one of our helper
 * processes, or a tap. One message is one frame behind its header (base/net_frame.h). What comes
 * from there may be hostile; what does not decode is dropped and counted.
 */
#pragma once

#include <posada/netdev.h>

struct loop;

struct net_port_config {
    const char *kind; /* of netdev_ops: "user", "hub", "tap" */
    const char *name; /* for messages */
    uint32_t offloads;
    uint16_t mtu;
    /* Optional: has the other side send no more than the guest's driver takes (netdev_ops). */
    void (*offload)(int fd, uint32_t offloads);
    /* The other side is gone: the cable is out, frames are lost. */
    void (*lost)(void *arg);
    void *arg;
};

/* Takes fd over (also when it fails) and watches it. netdev_close() ends it. */
int must_use net_port_new(struct loop *loop, int fd, const struct net_port_config *config,
                          struct netdev **ret_dev, struct err *err);
/* Another other side, in place of one that is gone: the cable is in again. Takes fd over, also when
 * it fails; -EBUSY: the one before is there. */
int must_use net_port_reconnect(struct netdev *dev, int fd);
/* NULL is fine. */
void netdev_close(struct netdev *dev);
