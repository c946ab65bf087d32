/* SPDX-License-Identifier: Apache-2.0 */
/* Port forwards as people write them: [HOSTIP:]HOST[-LAST]:GUEST[-LAST][/tcp|/udp]. */
#pragma once

#include <netinet/in.h>
#include <posada/err.h>
#include <stdbool.h>

enum { NET_FORWARD_TEXT = 80, NET_FORWARDS_MAX = 64 };

struct net_forward {
    bool udp;
    struct sockaddr_storage host; /* where the host listens: 127.0.0.1 unless said otherwise */
    socklen_t host_len;
    uint16_t host_port, guest_port;
    uint16_t count; /* ports from those on: 1 unless a range was asked for */
};

/* what: of messages, such as "--port". */
int must_use net_forward_parse(const char *what, const char *text, struct net_forward *ret,
                               struct err *err);
/* The i-th of a range, alone. */
struct net_forward net_forward_nth(const struct net_forward *forward, unsigned i);
/* One in full: "127.0.0.1:8080:80/tcp", which parses again. */
void net_forward_print(const struct net_forward *forward, char text[NET_FORWARD_TEXT]);
/* Only the host's side: "127.0.0.1:8080". */
void net_forward_print_host(const struct net_forward *forward, char text[NET_FORWARD_TEXT]);
