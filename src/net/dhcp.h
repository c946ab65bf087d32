/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for the guests of a named network (DHCP, RFC 2131 and 2132), without any state: the
 * guest on port n of the switch is the subnet's address number n + 10. The answer comes from number
 * 1, which exists only for this.
 */
#pragma once

#include "net/subnet.h"

#include <stddef.h>
#include <stdint.h>

enum { NET_DHCP_FRAME = 342 };

/* The answer to a frame that asks for an address: its length, 0 when the frame is none such. */
size_t net_dhcp_answer(const struct net_subnet *subnet, const uint8_t *frame, size_t len,
                       unsigned port, uint8_t answer[NET_DHCP_FRAME]);
