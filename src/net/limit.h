/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bandwidth limits in front of any network back end: frames wait, none is dropped. What the guest
 * sends stays in its ring, what comes for it stays with the back end, whose other side feels it.
 * Machine lock held, as for every netdev.
 */
#pragma once

#include "net/rate.h"

#include <posada/netdev.h>

struct loop;

/* Takes inner over (also when it fails); netdev_close() ends both. */
int must_use net_limit_new(struct loop *loop, struct netdev *inner, const struct net_rates *rates,
                           struct netdev **ret_dev, struct err *err);
/* From now on. dev: of net_limit_new(). */
void net_limit_set(struct netdev *dev, const struct net_rates *rates);
