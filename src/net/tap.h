/* SPDX-License-Identifier: Apache-2.0 */
/* A tap interface of the host's as a back end: for root, or for who was given one. */
#pragma once

#include <posada/err.h>
#include <stdint.h>

/* spec: "IFNAME" or "IFNAME,BRIDGE". The interface is made when there is none of that name (and
 * vanishes with the descriptor), switched on, and put into the bridge. */
int must_use net_tap_open(const char *spec, int *ret_fd, struct err *err);
/* Has the host segment and sum what a driver with these NET_F_GUEST_* cannot take as it is. Sums
 * may always be left open: virtio-net finishes them. */
void net_tap_offload(int fd, uint32_t offloads);
/* The ioctl(2) requests that takes, 0-terminated: for a sandbox. */
extern const uint32_t net_tap_ioctls[];
