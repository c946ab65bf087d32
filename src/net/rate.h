/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates of networks, and the token bucket that holds traffic to one: used in front of a virtual
 * machine's back end (net/limit.h) and in the helpers of containers' networks (net/gate.h).
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes of frames a second, Ethernet headers included; 0: as fast as it goes. */
struct net_rates {
    uint64_t to_guest, from_guest;
};

/* "10M" or "10M:1G", to and from the guest, one for both: bits a second with K, M, G (powers of
 * 1000); "0": no limit. -EINVAL with what is expected; option is how the user knows it. */
int must_use net_rates_parse(const char *option, const char *text, struct net_rates *ret,
                             struct err *err);

/* A frame may pass while the balance is not negative, and is paid afterwards: so a frame larger
 * than the bucket passes, too, and the next one waits the longer. */
struct net_bucket {
    uint64_t rate;   /* bytes a second, 0: no limit */
    int64_t balance; /* bytes */
    uint64_t when;   /* it was right, ns of CLOCK_MONOTONIC */
};

/* A new rate begins with an empty bucket; the same one changes nothing. True: it is another. */
bool net_bucket_set(struct net_bucket *b, uint64_t rate);
/* 0: a frame may pass; else the nanoseconds until one may. */
uint64_t net_bucket_wait(struct net_bucket *b);
void net_bucket_pay(struct net_bucket *b, uint64_t bytes);
/* Bytes that may pass at once after a pause. */
uint64_t net_bucket_size(const struct net_bucket *b);
