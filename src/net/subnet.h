/* SPDX-License-Identifier: Apache-2.0 */
/* The IPv4 subnet of a named network: "10.88.0.0/24". */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

/* Every port of a hub needs an address behind the first ten. */
enum { NET_SUBNET_MIN = 8, NET_SUBNET_MAX = 25, NET_SUBNET_TEXT = 19 };

struct net_subnet {
    uint32_t base; /* host byte order; no bit behind the prefix is set */
    unsigned prefix;
};

bool must_use net_subnet_parse(const char *text, struct net_subnet *ret);
void net_subnet_print(const struct net_subnet *s, char text[NET_SUBNET_TEXT]);
bool net_subnet_overlap(const struct net_subnet *a, const struct net_subnet *b);
uint32_t net_subnet_mask(const struct net_subnet *s);
