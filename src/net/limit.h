/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bandwidth limits in front of any network back end: frames wait, none is dropped. What the guest
 * sends stays in its ring, what comes for it stays with the back end, whose other side feels it.
 * Machine lock held, as for every netdev.
 */
#pragma once

#include <posada/netdev.h>

struct loop;

/* Bytes of frames a second, Ethernet headers included; 0: as fast as it goes. */
struct net_rates {
    uint64_t to_guest, from_guest;
};

/* Takes inner over (also when it fails); netdev_close() ends both. */
int must_use net_limit_new(struct loop *loop, struct netdev *inner, const struct net_rates *rates,
                           struct netdev **ret_dev, struct err *err);
/* From now on. dev: of net_limit_new(). */
void net_limit_set(struct netdev *dev, const struct net_rates *rates);

/* "10M" or "10M:1G", to and from the guest, one for both: bits a second with K, M, G (powers of
 * 1000); "0": no limit. -EINVAL with what is expected; option is how the user knows it. */
int must_use net_rates_parse(const char *option, const char *text, struct net_rates *ret,
                             struct err *err);
