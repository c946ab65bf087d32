/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dhcp.h"

#include "base/endian.h"
#include "base/net_frame.h"
#include <stdbool.h>
#include <string.h>

enum { /* from the start of an Ethernet frame without IP options */
       ETHER_TYPE = 12,
       IP = 14,
       IP_LENGTH = IP + 2,
       IP_TTL = IP + 8,
       IP_PROTOCOL = IP + 9,
       IP_CHECKSUM = IP + 10,
       IP_SOURCE = IP + 12,
       IP_DESTINATION = IP + 16,
       UDP = IP + 20,
       UDP_DESTINATION = UDP + 2,
       UDP_LENGTH = UDP + 4,
       UDP_CHECKSUM = UDP + 6,
       BOOTP = UDP + 8,
       BOOTP_YOUR_ADDRESS = BOOTP + 16,
       BOOTP_SERVER = BOOTP + 20,
       BOOTP_MAC = BOOTP + 28,
       BOOTP_COOKIE = BOOTP + 236,
       OPTIONS = BOOTP + 240,
};
enum { PROTOCOL_UDP = 17, PORT_SERVER = 67, PORT_CLIENT = 68 };
enum { ADDRESS_SERVER = 1, ADDRESS_FIRST = 10 }; /* behind the subnet's base */
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5 };
enum { OPTION_MASK = 1, OPTION_LEASE = 51, OPTION_TYPE = 53, OPTION_SERVER = 54, OPTION_END = 255 };

static const uint8_t dhcp_server_mac[NET_MAC_SIZE] = {0x02, 0x00, 0x0a, 0x58, 0x00, 0x01};

#define DHCP_COOKIE  0x63825363u
#define DHCP_SECONDS 86400u

static bool dhcp_is_request(const uint8_t *frame, size_t len)
{
    return len >= OPTIONS && ld_be16(frame + ETHER_TYPE) == 0x0800 && frame[IP] == 0x45 &&
           frame[IP_PROTOCOL] == PROTOCOL_UDP && ld_be16(frame + UDP_DESTINATION) == PORT_SERVER &&
           frame[BOOTP] == 1 && ld_be32(frame + BOOTP_COOKIE) == DHCP_COOKIE;
}

static unsigned dhcp_type(const uint8_t *frame, size_t len)
{
    for (size_t at = OPTIONS; at + 2 < len && frame[at] != OPTION_END;
         at += frame[at] ? 2u + frame[at + 1] : 1u)
        if (frame[at] == OPTION_TYPE && frame[at + 1] == 1)
            return frame[at + 2];
    return 0;
}

static uint8_t *dhcp_option(uint8_t *at, uint8_t option, uint32_t value)
{
    at[0] = option;
    at[1] = 4;
    st_be32(at + 2, value);
    return at + 6;
}

/* Broadcast, from a port to the other. */
static void dhcp_headers(uint8_t *answer, const uint8_t mac[NET_MAC_SIZE], uint32_t source,
                         uint16_t from, uint16_t to)
{
    struct net_frame ip = {.needs_checksum = true,
                           .checksum_start = IP,
                           .checksum_offset = IP_CHECKSUM - IP,
                           .length = UDP};

    memset(answer, 0xff, NET_MAC_SIZE); /* the client may not hear its address yet */
    memcpy(answer + NET_MAC_SIZE, mac, NET_MAC_SIZE);
    st_be16(answer + ETHER_TYPE, 0x0800);
    answer[IP] = 0x45;
    st_be16(answer + IP_LENGTH, NET_DHCP_FRAME - IP);
    answer[IP_TTL] = 64;
    answer[IP_PROTOCOL] = PROTOCOL_UDP;
    st_be32(answer + IP_SOURCE, source);
    st_be32(answer + IP_DESTINATION, UINT32_MAX);
    net_finish_checksum(&ip, answer);
    st_be16(answer + UDP, from);
    st_be16(answer + UDP_DESTINATION, to);
    st_be16(answer + UDP_LENGTH, NET_DHCP_FRAME - UDP); /* checksum 0: there is none */
}

size_t net_dhcp_answer(const struct net_subnet *subnet, const uint8_t *frame, size_t len,
                       unsigned port, uint8_t answer[NET_DHCP_FRAME])
{
    unsigned type = dhcp_is_request(frame, len) ? dhcp_type(frame, len) : 0;
    uint32_t server = subnet->base + ADDRESS_SERVER;
    uint8_t *at = answer + OPTIONS;

    if (type != DISCOVER && type != REQUEST)
        return 0;
    memset(answer, 0, NET_DHCP_FRAME);
    dhcp_headers(answer, dhcp_server_mac, server, PORT_SERVER, PORT_CLIENT);
    memcpy(answer + BOOTP, frame + BOOTP, 8); /* kind of address, transaction */
    answer[BOOTP] = 2;
    memcpy(answer + BOOTP_MAC, frame + BOOTP_MAC, 16);
    st_be32(answer + BOOTP_YOUR_ADDRESS, subnet->base + ADDRESS_FIRST + port);
    st_be32(answer + BOOTP_SERVER, server);
    st_be32(answer + BOOTP_COOKIE, DHCP_COOKIE);
    *at++ = OPTION_TYPE;
    *at++ = 1;
    *at++ = type == DISCOVER ? OFFER : ACK;
    at = dhcp_option(at, OPTION_SERVER, server);
    at = dhcp_option(at, OPTION_LEASE, DHCP_SECONDS);
    at = dhcp_option(at, OPTION_MASK, net_subnet_mask(subnet));
    *at = OPTION_END;
    return NET_DHCP_FRAME;
}

/* --- the other side --- */

void net_dhcp_discover(const uint8_t mac[NET_MAC_SIZE], uint32_t transaction,
                       uint8_t frame[NET_DHCP_FRAME])
{
    memset(frame, 0, NET_DHCP_FRAME);
    dhcp_headers(frame, mac, 0, PORT_CLIENT, PORT_SERVER);
    frame[BOOTP] = 1;                /* a request, */
    frame[BOOTP + 1] = 1;            /* by Ethernet, */
    frame[BOOTP + 2] = NET_MAC_SIZE; /* whose addresses are so long */
    st_be32(frame + BOOTP + 4, transaction);
    memcpy(frame + BOOTP_MAC, mac, NET_MAC_SIZE);
    st_be32(frame + BOOTP_COOKIE, DHCP_COOKIE);
    memcpy(frame + OPTIONS, (const uint8_t[]){OPTION_TYPE, 1, DISCOVER, OPTION_END}, 4);
}

bool net_dhcp_is_offer(const uint8_t *frame, size_t len, const uint8_t mac[NET_MAC_SIZE],
                       uint32_t transaction, uint32_t *ret_address)
{
    if (len < NET_DHCP_FRAME || ld_be16(frame + ETHER_TYPE) != 0x0800 || frame[IP] != 0x45 ||
        frame[IP_PROTOCOL] != PROTOCOL_UDP || ld_be16(frame + UDP) != PORT_SERVER ||
        memcmp(frame + NET_MAC_SIZE, dhcp_server_mac, NET_MAC_SIZE) != 0 || frame[BOOTP] != 2 ||
        ld_be32(frame + BOOTP + 4) != transaction ||
        memcmp(frame + BOOTP_MAC, mac, NET_MAC_SIZE) != 0 || dhcp_type(frame, len) != OFFER)
        return false;
    *ret_address = ld_be32(frame + BOOTP_YOUR_ADDRESS);
    return true;
}
