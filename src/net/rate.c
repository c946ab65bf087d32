/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets, and rates as text. Contract: net/rate.h. */
#include "net/rate.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What may pass at once after a pause: a twentieth of a second's bytes, some frames at least. */
enum { RATE_BURST_PART = 20, RATE_BURST_MIN = 1 << 16, RATE_BITS = 8 };
#define NS_PER_SECOND UINT64_C(1000000000)
#define RATE_MAX      UINT64_C(1000000000000) /* bytes a second */

static uint64_t bucket_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

uint64_t net_bucket_size(const struct net_bucket *b)
{
    uint64_t size = b->rate / RATE_BURST_PART;

    return size > RATE_BURST_MIN ? size : RATE_BURST_MIN;
}

static void bucket_fill(struct net_bucket *b)
{
    uint64_t now = bucket_now(), passed = now - b->when;
    unsigned __int128 bytes = (unsigned __int128)passed * b->rate / NS_PER_SECOND;
    int64_t size = (int64_t)net_bucket_size(b);

    if (!bytes && passed < NS_PER_SECOND)
        return; /* a part of a byte: it counts later */
    b->when = now;
    b->balance = bytes > (uint64_t)(size - b->balance) ? size : b->balance + (int64_t)bytes;
}

uint64_t net_bucket_wait(struct net_bucket *b)
{
    if (!b->rate)
        return 0;
    bucket_fill(b);
    return b->balance >= 0 ? 0 : (uint64_t)-b->balance * NS_PER_SECOND / b->rate + 1;
}

void net_bucket_pay(struct net_bucket *b, uint64_t bytes)
{
    if (b->rate)
        b->balance -= (int64_t)bytes;
}

bool net_bucket_set(struct net_bucket *b, uint64_t rate)
{
    rate = rate < RATE_MAX ? rate : RATE_MAX;
    if (b->rate == rate)
        return false;
    *b = (struct net_bucket){.rate = rate, .when = bucket_now()};
    return true;
}

/* --- Rates as text --- */
static bool rate_parse(const char *text, const char **ret_end, uint64_t *ret)
{
    static const char units[] = "kmg";
    const char *unit;
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        if (__builtin_mul_overflow(*ret, UINT64_C(1000), ret))
            return false;
    *ret_end = end + (unit != NULL);
    if (errno || *ret / RATE_BITS > RATE_MAX || (*ret && *ret < RATE_BITS))
        return false;
    *ret /= RATE_BITS;
    return true;
}

int net_rates_parse(const char *option, const char *text, struct net_rates *ret, struct err *err)
{
    struct net_rates rates;
    const char *end;
    bool good = rate_parse(text, &end, &rates.to_guest);

    rates.from_guest = rates.to_guest;
    if (good && *end == ':')
        good = rate_parse(end + 1, &end, &rates.from_guest);
    if (!good || *end)
        return err_set(err, -EINVAL,
                       "%s %.40s: expected bits a second as 10M, or to and from the guest as "
                       "10M:1G (K, M and G are thousands; 0 is no limit)",
                       option, text);
    *ret = rates;
    return 0;
}
