/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for the guests of a named network (DHCP, RFC 2131 and 2132), without any state: the
 * guest on port n of the switch is 10.88.0.(n + 10). The answer comes from 10.88.0.1, which exists
 * only for this.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { NET_DHCP_FRAME = 342 };

/* The answer to a frame that asks for an address: its length, 0 when the frame is none such. */
size_t net_dhcp_answer(const uint8_t *frame, size_t len, unsigned port,
                       uint8_t answer[NET_DHCP_FRAME]);
