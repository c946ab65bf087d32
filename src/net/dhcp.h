/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for the guests of a named network (DHCP, RFC 2131 and 2132), without any state: the
 * guest on port n of the switch is the subnet's address number n + 10. The answer comes from number
 * 1, which exists only for this.
 */
#pragma once

#include "net/subnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_DHCP_FRAME = 342 };

/* For who has no DHCP client of its own: asks for an address on the network. */
void net_dhcp_discover(const uint8_t mac[6], uint32_t transaction, uint8_t frame[NET_DHCP_FRAME]);
/* Whether the frame offers mac one: *ret_address in host byte order. */
bool net_dhcp_is_offer(const uint8_t *frame, size_t len, const uint8_t mac[6], uint32_t transaction,
                       uint32_t *ret_address);

/* The answer to a frame that asks for an address: its length, 0 when the frame is none such. */
size_t net_dhcp_answer(const struct net_subnet *subnet, const uint8_t *frame, size_t len,
                       unsigned port, uint8_t answer[NET_DHCP_FRAME]);
