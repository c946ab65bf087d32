/* SPDX-License-Identifier: Apache-2.0 */
/* Port forwards to and from text. IPv6 addresses stand in brackets. A range has as many ports on
 * both sides. */
#include "net/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int forward_bad(const char *what, const char *text, struct err *err)
{
    return err_set(err, -EINVAL,
                   "%s '%.60s': expected [HOSTIP:]HOST:GUEST[/udp], such as 8080:80, "
                   "0.0.0.0:5353:53/udp or 8000-8009:8000-8009",
                   what, text);
}

static bool forward_port(const char *text, uint16_t *ret)
{
    unsigned long v;
    char *end;

    if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
        return false;
    v = strtoul(text, &end, 10);
    if (!v || v > UINT16_MAX)
        return false;
    *ret = (uint16_t)v;
    return true;
}

/* PORT or FIRST-LAST. */
static bool forward_ports(char *text, uint16_t *ret_first, uint16_t *ret_count)
{
    char *dash = strchr(text, '-');
    uint16_t last;

    if (dash)
        *dash = '\0';
    if (!forward_port(text, ret_first) || !forward_port(dash ? dash + 1 : text, &last) ||
        last < *ret_first)
        return false;
    *ret_count = (uint16_t)(last - *ret_first + 1);
    return *ret_count; /* 1 to 65535 are 65535 */
}

static void forward_set_port(struct net_forward *f, uint16_t port)
{
    f->host_port = port;
    if (f->host.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)&f->host)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)&f->host)->sin_port = htons(port);
}

struct net_forward net_forward_nth(const struct net_forward *forward, unsigned i)
{
    struct net_forward f = *forward;

    f.count = 1;
    f.guest_port = (uint16_t)(f.guest_port + i);
    forward_set_port(&f, (uint16_t)(f.host_port + i));
    return f;
}

static bool forward_address(struct net_forward *f, char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&f->host;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&f->host;
    size_t len = strlen(text);

    if (text[0] == '[' && text[len - 1] == ']') {
        text[len - 1] = '\0';
        v6->sin6_family = AF_INET6;
        f->host_len = sizeof(*v6);
        return inet_pton(AF_INET6, text + 1, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    f->host_len = sizeof(*v4);
    return inet_pton(AF_INET, text, &v4->sin_addr) == 1;
}

/* Cuts text at its last `sep`; what follows, NULL when there is none. */
static char *forward_cut(char *text, char sep)
{
    char *at = strrchr(text, sep);

    if (!at)
        return NULL;
    *at = '\0';
    return at + 1;
}

int net_forward_parse(const char *what, const char *text, struct net_forward *ret, struct err *err)
{
    char copy[NET_FORWARD_TEXT], loopback[] = "127.0.0.1", *protocol, *guest, *host;
    struct net_forward f = {0};
    uint16_t guests = 0;

    if (strlen(text) >= sizeof(copy))
        return forward_bad(what, text, err);
    (void)snprintf(copy, sizeof(copy), "%s", text);
    protocol = forward_cut(copy, '/');
    guest = forward_cut(copy, ':');
    f.udp = protocol && !strcmp(protocol, "udp");
    if ((protocol && !f.udp && strcmp(protocol, "tcp") != 0) || !guest)
        return forward_bad(what, text, err);
    host = forward_cut(copy, ':');
    if (!forward_ports(guest, &f.guest_port, &guests) ||
        !forward_ports(host ? host : copy, &f.host_port, &f.count) || guests != f.count ||
        (host && !*copy) || !forward_address(&f, host ? copy : loopback))
        return forward_bad(what, text, err);
    forward_set_port(&f, f.host_port);
    *ret = f;
    return 0;
}

void net_forward_print_host(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&forward->host;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&forward->host;
    bool six = forward->host.ss_family == AF_INET6;
    char address[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(forward->host.ss_family,
                    six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, address,
                    sizeof(address));
    (void)snprintf(text, NET_FORWARD_TEXT, six ? "[%s]:%u" : "%s:%u", address, forward->host_port);
}

void net_forward_print(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    char host[NET_FORWARD_TEXT];

    net_forward_print_host(forward, host);
    (void)snprintf(text, NET_FORWARD_TEXT, "%.60s:%u/%s", host, forward->guest_port,
                   forward->udp ? "udp" : "tcp");
}
