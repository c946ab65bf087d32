/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A named network: one hub process, which every guest on it is connected to and which ends with the
 * last of them. Its socket and lock lie in the run directory's "networks". Guests get addresses
 * from the network's subnet by DHCP; there is no way out of such a network.
 */
#pragma once

#include "net/subnet.h"

#include <posada/err.h>

enum { NET_HUB_READY_FD = 3, NET_HUB_MTU = 65520 };

/* Connects to the network's hub, starting it when there is none. */
int must_use net_hub_join(const char *network, const struct net_subnet *subnet, int log_fd,
                          int *ret_fd, struct err *err);
/* Removes what a hub that has ended left behind; one that is just ending is waited for. */
void net_hub_tidy(const char *network);

/* The same for all hubs that have ended unseen. Waits for nobody. */
void net_hub_sweep(void);

/* The hub: the exit code. */
int net_hub_main(const char *network, const char *subnet);
