/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that sets a container's networks up. Contract: ctr/net.h. It prints the pids of the
 * helpers it started, a line each, or one sentence and fails; what it started by then ends, for the
 * container does.
 */
#include "ctr/net.h"

#include "base/cleanup.h"
#include "base/net_frame.h"
#include "net/dhcp.h"
#include "net/forward.h"
#include "net/gate.h"
#include "net/helper.h"
#include "net/hub.h"
#include "net/tap_place.h"
#include "net/user.h"
#include "vm/config.h"
#include "vm/netdef.h"
#include "vm/network.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/uio.h>

enum { OFFER_TRIES = 5, OFFER_MS = 500, FIXED_WORDS = 5 };
enum { USER_ADDRESS = 0x0a00020f, USER_GATEWAY = 0x0a000202 };

#define USER_MASK 0xffffff00u

struct net_maker {
    struct vm_config config;
    int life_fd, netns_fd, rates_fd;
};

/* --- an address on a named network --- */

static int make_ask(int hub, const uint8_t mac[NET_MAC_SIZE], uint32_t transaction)
{
    uint8_t header[NET_HEADER_SIZE], frame[NET_DHCP_FRAME];
    struct net_frame plain = {.length = NET_DHCP_FRAME};
    struct iovec iov[] = {{header, sizeof(header)}, {frame, sizeof(frame)}};

    net_header_encode(&plain, header);
    net_dhcp_discover(mac, transaction, frame);
    return writev(hub, iov, 2) < 0 ? -errno : 0;
}

/* Others' frames come too, and are none of ours yet. */
static bool make_hear(int hub, const uint8_t mac[NET_MAC_SIZE], uint32_t transaction,
                      uint32_t *ret_address)
{
    static uint8_t message[NET_HEADER_SIZE + NET_FRAME_MAX];
    struct pollfd p = {.fd = hub, .events = POLLIN};
    ssize_t n;

    while (poll(&p, 1, OFFER_MS) > 0 && (n = read(hub, message, sizeof(message))) != 0)
        if (n > NET_HEADER_SIZE &&
            net_dhcp_is_offer(message + NET_HEADER_SIZE, (size_t)n - NET_HEADER_SIZE, mac,
                              transaction, ret_address))
            return true;
    return false;
}

static int make_address(int hub, const struct vm_net *net, uint32_t *ret_address, struct err *err)
{
    uint8_t mac[NET_MAC_SIZE];
    uint32_t transaction;

    if (!net_mac_parse(net->mac, mac))
        return err_set(err, -EINVAL, "MAC address '%.20s' is none", net->mac);
    (void)!getrandom(&transaction, sizeof(transaction), 0);
    for (unsigned i = 0; i < OFFER_TRIES; i++) {
        int r = make_ask(hub, mac, transaction);

        if (r < 0)
            return err_set(err, r, "network '%s': its hub is gone: %s", net->network, strerror(-r));
        if (make_hear(hub, mac, transaction, ret_address))
            return 0;
    }
    return err_set(err, -ETIMEDOUT, "network '%s': its hub offers no address", net->network);
}

/* --- one network --- */

static int make_start(const struct net_maker *m, const char *const *argv, int tap_fd, int more_fd,
                      struct err *err)
{
    const struct net_helper_tap tap = {tap_fd, m->life_fd, m->rates_fd, more_fd};
    const struct net_helper_config helper = {.guest = m->config.name,
                                             .what = "network helper",
                                             .argv = (char *const *)(uintptr_t)argv,
                                             .log_fd = STDERR_FILENO};
    pid_t pid;
    int r = net_helper_start_tap(&helper, &tap, &pid, err);

    if (!r)
        printf("%d\n", pid);
    return r;
}

static int make_named(const struct net_maker *m, const struct vm_net *net,
                      struct net_tap_place *place, struct err *err)
{
    static const char *const argv[] = {"posada", "net-pump", NULL};
    CLEANUP(fd) int hub = -1;
    CLEANUP(fd) int tap = -1;
    struct netdef def;
    int r = netdef_ensure(net->network, &def, err);

    if (!r)
        r = net_hub_join(net->network, &def.subnet, STDERR_FILENO, &hub, err);
    if (!r)
        r = make_address(hub, net, &place->address, err);
    if (r < 0)
        return r;
    place->mask = net_subnet_mask(&def.subnet);
    place->mtu = NET_HUB_MTU;
    r = net_tap_place(place, &tap, err);
    return r ? r : make_start(m, argv, tap, hub, err);
}

static int make_user(const struct net_maker *m, const struct vm_net *net,
                     struct net_tap_place *place, struct err *err)
{
    const char *argv[FIXED_WORDS + NET_FORWARDS_MAX + 1] = {"posada", "net-user", m->config.name,
                                                            m->config.uuid, net->mac};
    CLEANUP(fd) int tap = -1;
    unsigned n = FIXED_WORDS;
    int r;

    for (char *const *f = m->config.ports; f && *f && n < ARRAY_LEN(argv) - 1; f++)
        argv[n++] = *f;
    place->address = USER_ADDRESS;
    place->mask = USER_MASK;
    place->gateway = USER_GATEWAY;
    place->segments = true;
    place->mtu = NET_USER_MTU;
    r = net_tap_place(place, &tap, err);
    return r ? r : make_start(m, argv, tap, -1, err);
}

static int make_all(const struct net_maker *m, struct err *err)
{
    int r = 0;

    for (unsigned i = 0; !r && i < m->config.net_count; i++) {
        const struct vm_net *net = &m->config.net[i];
        char name[16];
        struct net_tap_place place = {.netns_fd = m->netns_fd, .name = name, .mac = net->mac};

        (void)snprintf(name, sizeof(name), "eth%u", i);
        r = network_is_named(net->network) ? make_named(m, net, &place, err)
                                           : make_user(m, net, &place, err);
    }
    return r;
}

static int make_open_rates(const struct guest *guest, int *ret_fd, struct err *err)
{
    CLEANUP(fd) int run_fd = -1;
    int r = guest_open_run_dir(guest, &run_fd, err);

    return r ? r : net_gate_open(run_fd, ret_fd, err);
}

int ctr_net_main(const char *guest_name, const char *pid_text)
{
    struct net_maker m = {.life_fd = -1, .netns_fd = -1, .rates_fd = -1};
    struct guest guest = GUEST_NONE;
    pid_t pid = (pid_t)strtol(pid_text, NULL, 10);
    struct err err = {0};
    char path[40];
    int r = store_open(guest_name, &guest, &err);

    if (!r)
        r = guest_read_config(&guest, &m.config, &err);
    if (!r)
        r = make_open_rates(&guest, &m.rates_fd, &err);
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
    if (!r && ((m.life_fd = pidfd_open(pid, 0)) < 0 ||
               (m.netns_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0))
        r = err_set(&err, -errno, "process %d: %s", pid, strerror(errno));
    if (!r)
        r = make_all(&m, &err);
    if (r < 0)
        printf("%s\n", err.text);
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}
