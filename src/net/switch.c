/* SPDX-License-Identifier: Apache-2.0 */
#include "net/switch.h"

#include "base/bits.h"
#include <errno.h>
#include <string.h>

enum { PROBES = 8 };

int net_switch_add(struct net_switch *sw)
{
    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++) {
        if (sw->ports & BIT(i))
            continue;
        sw->ports |= BIT(i);
        return (int)i;
    }
    return -ENOSPC;
}

void net_switch_remove(struct net_switch *sw, unsigned port)
{
    sw->ports &= ~BIT(port);
    sw->learned[port] = 0;
    for (unsigned i = 0; i < NET_SWITCH_ENTRIES; i++)
        if (sw->entry[i].port == port)
            sw->entry[i].used = false;
}

static struct net_switch_entry *switch_slot(struct net_switch *sw, const uint8_t *mac, unsigned i)
{
    uint32_t hash = 2166136261;

    for (unsigned b = 0; b < NET_MAC_SIZE; b++)
        hash = (hash ^ mac[b]) * 16777619;
    return &sw->entry[((hash >> 8) + i) % NET_SWITCH_ENTRIES];
}

static struct net_switch_entry *switch_find(struct net_switch *sw, const uint8_t *mac)
{
    for (unsigned i = 0; i < PROBES; i++) {
        struct net_switch_entry *e = switch_slot(sw, mac, i);

        if (e->used && !memcmp(e->mac, mac, NET_MAC_SIZE))
            return e;
    }
    return NULL;
}

static void switch_learn(struct net_switch *sw, unsigned from, const uint8_t *mac)
{
    struct net_switch_entry *e = switch_find(sw, mac);

    if (mac[0] & 1) /* a group sends nothing */
        return;
    if (e && e->port == from)
        return;
    if (sw->learned[from] == NET_SWITCH_SHARE)
        return;
    for (unsigned i = 0; !e && i < PROBES; i++) {
        e = switch_slot(sw, mac, i);
        e = e->used ? NULL : e;
    }
    if (!e) /* full here: its frames are flooded */
        return;
    if (e->used)
        sw->learned[e->port]--;
    sw->learned[from]++;
    memcpy(e->mac, mac, NET_MAC_SIZE);
    e->port = (uint8_t)from;
    e->used = true;
}

uint64_t net_switch_route(struct net_switch *sw, unsigned from, const uint8_t *frame)
{
    const uint8_t *to = frame, *mac = frame + NET_MAC_SIZE;
    const struct net_switch_entry *e;
    uint64_t others = sw->ports & ~BIT(from);

    switch_learn(sw, from, mac);
    e = to[0] & 1 ? NULL : switch_find(sw, to);
    return e ? others & BIT(e->port) : others;
}
