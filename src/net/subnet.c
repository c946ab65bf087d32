/* SPDX-License-Identifier: Apache-2.0 */
#include "net/subnet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t net_subnet_mask(const struct net_subnet *s)
{
    return s->prefix ? UINT32_MAX << (32 - s->prefix) : 0;
}

bool net_subnet_parse(const char *text, struct net_subnet *ret)
{
    const char *slash = strchr(text, '/');
    char address[NET_SUBNET_TEXT];
    struct net_subnet s;
    struct in_addr in;

    if (!slash || slash - text >= (ptrdiff_t)sizeof(address) || strlen(slash + 1) > 2 ||
        strspn(slash + 1, "0123456789") != strlen(slash + 1))
        return false;
    (void)snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
    s.prefix = (unsigned)strtoul(slash + 1, NULL, 10);
    if (inet_pton(AF_INET, address, &in) != 1 || s.prefix < NET_SUBNET_MIN ||
        s.prefix > NET_SUBNET_MAX)
        return false;
    s.base = ntohl(in.s_addr);
    if (s.base & ~net_subnet_mask(&s))
        return false;
    *ret = s;
    return true;
}

void net_subnet_print(const struct net_subnet *s, char text[NET_SUBNET_TEXT])
{
    (void)snprintf(text, NET_SUBNET_TEXT, "%u.%u.%u.%u/%u", s->base >> 24, s->base >> 16 & 255,
                   s->base >> 8 & 255, s->base & 255, s->prefix);
}

bool net_subnet_overlap(const struct net_subnet *a, const struct net_subnet *b)
{
    uint32_t mask = net_subnet_mask(a->prefix < b->prefix ? a : b);

    return (a->base & mask) == (b->base & mask);
}
