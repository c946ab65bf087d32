/* SPDX-License-Identifier: Apache-2.0 */
/* A tap in another network namespace, with its address: a container's interface. */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

struct net_tap_place {
    int netns_fd;     /* where */
    const char *name; /* "eth0" */
    const char *mac;  /* "02:..." */
    unsigned mtu;
    bool segments;          /* the other end takes segments as large as a packet */
    uint32_t address, mask; /* host byte order */
    uint32_t gateway;       /* 0: no way out */
};

/* Makes it and switches it on; ret_fd, its other end, does not block. A child does the work, for
 * nobody comes back from another namespace without rights. */
int must_use net_tap_place(const struct net_tap_place *place, int *ret_fd, struct err *err);
