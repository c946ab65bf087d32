/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an Ethernet frame goes: MAC learning over up to 64 ports. Frames come from guests that may
 * lie about their address; a liar can take another's frames on the same network, as on any switch,
 * but fills no more than its share of the table.
 */
#pragma once

#include <posada/netdev.h>

enum { NET_SWITCH_PORTS = 64, NET_SWITCH_ENTRIES = 1024, NET_SWITCH_SHARE = 128 };

struct net_switch_entry {
    uint8_t mac[NET_MAC_SIZE];
    uint8_t port;
    bool used;
};

struct net_switch {
    uint64_t ports; /* in use */
    struct net_switch_entry entry[NET_SWITCH_ENTRIES];
    unsigned learned[NET_SWITCH_PORTS];
};

int net_switch_add(struct net_switch *sw); /* the new port's number; -ENOSPC */
void net_switch_remove(struct net_switch *sw, unsigned port);
/* Learns the sender and tells to which ports the frame goes, never back to `from`. The frame has
 * at least NET_FRAME_MIN bytes. */
uint64_t net_switch_route(struct net_switch *sw, unsigned from, const uint8_t *frame);
