/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio's network header, and the Internet checksum (RFC 1071) that offloads leave to others. */
#include "base/net_frame.h"

#include "base/endian.h"
#include <stdio.h>

enum { FLAG_NEEDS_CSUM = 1, FLAG_DATA_VALID = 2 };
enum { /* struct virtio_net_hdr */
       HEADER_FLAGS = 0,
       HEADER_GSO_TYPE = 1,
       HEADER_HDR_LEN = 2,
       HEADER_GSO_SIZE = 4,
       HEADER_CSUM_START = 6,
       HEADER_CSUM_OFFSET = 8,
       HEADER_NUM_BUFFERS = 10,
};

void net_header_encode(const struct net_frame *frame, uint8_t header[NET_HEADER_SIZE])
{
    header[HEADER_FLAGS] = (uint8_t)((frame->needs_checksum ? FLAG_NEEDS_CSUM : 0) |
                                     (frame->checksum_valid ? FLAG_DATA_VALID : 0));
    header[HEADER_GSO_TYPE] = frame->gso_type;
    st_le16(header + HEADER_HDR_LEN, frame->header_length);
    st_le16(header + HEADER_GSO_SIZE, frame->gso_size);
    st_le16(header + HEADER_CSUM_START, frame->checksum_start);
    st_le16(header + HEADER_CSUM_OFFSET, frame->checksum_offset);
    st_le16(header + HEADER_NUM_BUFFERS, 1);
}

static bool gso_ok(const struct net_frame *frame)
{
    uint8_t type = frame->gso_type & (uint8_t)~NET_GSO_ECN;

    if (type == NET_GSO_NONE)
        return !frame->gso_type;
    return (type == NET_GSO_TCP4 || type == NET_GSO_TCP6) && frame->gso_size &&
           frame->needs_checksum;
}

bool net_header_decode(const uint8_t header[NET_HEADER_SIZE], size_t length,
                       struct net_frame *ret_frame)
{
    struct net_frame f = {
        .length = length,
        .needs_checksum = header[HEADER_FLAGS] & FLAG_NEEDS_CSUM,
        .checksum_valid = header[HEADER_FLAGS] & FLAG_DATA_VALID,
        .gso_type = header[HEADER_GSO_TYPE],
        .header_length = ld_le16(header + HEADER_HDR_LEN),
        .gso_size = ld_le16(header + HEADER_GSO_SIZE),
    };

    if (length < NET_FRAME_MIN || length > NET_FRAME_MAX)
        return false;
    if (f.needs_checksum) {
        f.checksum_start = ld_le16(header + HEADER_CSUM_START);
        f.checksum_offset = ld_le16(header + HEADER_CSUM_OFFSET);
        if ((size_t)f.checksum_start + f.checksum_offset + 2 > length)
            return false;
    }
    if (!gso_ok(&f))
        return false;
    *ret_frame = f;
    return true;
}

/* The sum of 16-bit words in the host's byte order, which the result then has as well. */
static uint16_t ones_sum(const uint8_t *p, size_t len)
{
    uint64_t sum = 0;
    uint32_t word;

    for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sum += word;
    }
    word = 0;
    memcpy(&word, p, len);
    sum += word;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

void net_finish_checksum(const struct net_frame *frame, uint8_t *bytes)
{
    uint8_t *start = bytes + frame->checksum_start;
    uint16_t sum;

    if (!frame->needs_checksum)
        return;
    sum = (uint16_t)~ones_sum(start, frame->length - frame->checksum_start);
    if (!sum) /* UDP: zero says there is none */
        sum = 0xffff;
    memcpy(start + frame->checksum_offset, &sum, sizeof(sum));
}

bool net_mac_parse(const char *text, uint8_t ret_mac[NET_MAC_SIZE])
{
    unsigned b[NET_MAC_SIZE];
    int end = -1;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) !=
            NET_MAC_SIZE ||
        text[end])
        return false;
    for (unsigned i = 0; i < NET_MAC_SIZE; i++)
        ret_mac[i] = (uint8_t)b[i];
    return true;
}
