/* SPDX-License-Identifier: Apache-2.0 */
/* A tap interface of the host's as a back end: for root, or for who was given one. */
#pragma once

#include <posada/err.h>

/* spec: "IFNAME" or "IFNAME,BRIDGE". The interface is made when there is none of that name (and
 * vanishes with the descriptor), switched on, and put into the bridge. */
int must_use net_tap_open(const char *spec, int *ret_fd, struct err *err);
