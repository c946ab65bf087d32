/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct net_frame as bytes: virtio's 12-byte header before the frame (virtio 1.2, 5.1.6). Guests,
 * taps and our own helper processes all speak this; whoever speaks it may be hostile.
 */
#pragma once

#include <posada/netdev.h>

enum { NET_HEADER_SIZE = 12 };

enum { /* bit numbers of VIRTIO_NET_F_* that concern back ends */
       NET_F_CSUM = 0,
       NET_F_GUEST_CSUM = 1,
       NET_F_GUEST_TSO4 = 7,
       NET_F_GUEST_TSO6 = 8,
       NET_F_GUEST_ECN = 9,
       NET_F_HOST_TSO4 = 11,
       NET_F_HOST_TSO6 = 12,
       NET_F_HOST_ECN = 13,
};
enum { NET_GSO_NONE = 0, NET_GSO_TCP4 = 1, NET_GSO_TCP6 = 4, NET_GSO_ECN = 0x80 };

/* "02:00:5e:10:00:01" */
bool must_use net_mac_parse(const char *text, uint8_t ret_mac[NET_MAC_SIZE]);

/* The header of a frame; num_buffers is 1. */
void net_header_encode(const struct net_frame *frame, uint8_t header[NET_HEADER_SIZE]);
/* Fills all of ret_frame but the buffers. False: the header or the length makes no sense. */
bool must_use net_header_decode(const uint8_t header[NET_HEADER_SIZE], size_t length,
                                struct net_frame *ret_frame);

/* Puts the checksum that the frame still needs into its bytes, which hold the part that covers the
 * pseudo header (as the offload wants it). */
void net_finish_checksum(const struct net_frame *frame, uint8_t *bytes);
