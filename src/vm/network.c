/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/network.h"

#include "base/bits.h"
#include "base/net_frame.h"
#include "net/hub.h"
#include "net/limit.h"
#include "net/port.h"
#include "net/tap.h"
#include "net/user.h"
#include "net/vsock.h"
#include "vm/config.h"
#include "vm/netdef.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char network_tap[] = "tap:";

static bool network_is_tap(const char *net)
{
    return !strncmp(net, network_tap, strlen(network_tap));
}

bool network_is_named(const char *net)
{
    return strcmp(net, NETWORK_USER) != 0 && strcmp(net, NETWORK_NONE) != 0 && !network_is_tap(net);
}

int network_check(const char *net, struct err *err)
{
    if (network_is_named(net) && vm_name_check(net, NULL) < 0)
        return err_set(err, -EINVAL,
                       "--net '%.80s': expected user, none, tap:IFNAME or a name of up to %d "
                       "lower-case letters, digits, '_', '.' and '-'",
                       net, VM_NAME_MAX);
    return 0;
}

/* --- In the keeper --- */
static void network_take_place(struct network_place *place, const char *name, int log_fd)
{
    struct netdef def;

    if (!netdef_ensure(name, &def, &place->err))
        (void)!net_hub_join(name, &def.subnet, log_fd, &place->fd, &place->err);
}

void networks_prepare(struct networks *n, const struct vm_config *config, int log_fd)
{
    *n = (struct networks){0};
    for (unsigned i = 0; i < VM_NETS_MAX; i++)
        n->net[i].place.fd = -1;
    for (unsigned i = 0; i < config->net_count; i++) {
        if (network_is_named(config->net[i].network))
            network_take_place(&n->net[i].place, config->net[i].network, log_fd);
    }
}

void networks_tidy(const struct vm_config *config)
{
    for (unsigned i = 0; i < config->net_count; i++)
        if (network_is_named(config->net[i].network))
            net_hub_tidy(config->net[i].network);
    if (config->vsock)
        net_vsock_tidy(config->vsock);
}

void networks_sweep(void)
{
    net_hub_sweep();
}

static struct net_user_config network_user(const struct vm_config *config, const char *mac,
                                           int log_fd)
{
    return (struct net_user_config){
        .guest = config->name,
        .uuid = config->uuid,
        .mac = mac,
        .forward = config->ports,
        .log_fd = log_fd,
    };
}

int network_start(const struct vm_config *config, unsigned number, int log_fd, pid_t *ret_pid,
                  int ret_fds[2], unsigned *ret_count, struct err *err)
{
    const struct vm_net *net = &config->net[number];
    struct network_place place = {.fd = -1};

    *ret_pid = 0;
    if (number >= config->net_count || network_is_tap(net->network))
        return err_set(err, -EINVAL, "network %u has no helper", number);
    if (!strcmp(net->network, NETWORK_USER)) {
        const struct net_user_config user = network_user(config, net->mac, log_fd);

        *ret_count = 2;
        return net_user_start(&user, ret_pid, &ret_fds[0], &ret_fds[1], err);
    }
    network_take_place(&place, net->network, log_fd);
    *ret_count = 1;
    ret_fds[0] = place.fd;
    return place.fd < 0 ? err_set(err, place.err.code, "%s", place.err.text) : 0;
}

int network_start_vsock(const struct vm_config *config, int log_fd, pid_t *ret_pid, int *ret_fd,
                        struct err *err)
{
    const struct net_vsock_config vsock = {
        .guest = config->name, .path = config->vsock, .log_fd = log_fd};

    *ret_pid = 0;
    if (!config->vsock)
        return err_set(err, -EINVAL, "the guest has no vsock");
    return net_vsock_start(&vsock, ret_pid, ret_fd, err);
}

/* --- In the monitor --- */
static void network_lost(void *arg)
{
    const struct network *net = arg;

    net->events->lost(net->events->arg, net->number, !network_is_tap(net->name));
}

static int network_open_user(struct network *net, struct loop *loop, const struct vm_config *config,
                             const char *mac, int log_fd, struct err *err)
{
    struct net_user_config user = network_user(config, mac, log_fd);
    int orders = -1, r;

    user.lost = network_lost;
    user.arg = net;
    r = net_user_new(loop, &user, &net->port, &orders, err);
    return r ? r : net_orders_connect(&net->orders, orders, err);
}

/* A segment could meet a guest that cannot take it, so frames are whole packets, as large as all
 * guests there are told they may be. */
static int network_open_named(struct network *net, struct loop *loop, struct err *err)
{
    const struct net_port_config port = {.kind = "hub",
                                         .name = net->name,
                                         .offloads = (uint32_t)BIT(NET_F_CSUM),
                                         .mtu = NET_HUB_MTU,
                                         .lost = network_lost,
                                         .arg = net};
    int fd = net->place.fd;

    if (fd < 0)
        return err_set(err, net->place.err.code, "%s", net->place.err.text);
    net->place.fd = -1;
    return net_port_new(loop, fd, &port, &net->port, err);
}

static int network_open_tap(struct network *net, struct loop *loop, struct err *err)
{
    const struct net_port_config port = {
        .kind = "tap",
        .offload = net_tap_offload,
        .name = net->name,
        .offloads = (uint32_t)(BIT(NET_F_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) |
                               BIT(NET_F_GUEST_ECN) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
                               BIT(NET_F_HOST_ECN)),
        .lost = network_lost,
        .arg = net};
    int fd = -1, r = net_tap_open(net->name + strlen(network_tap), &fd, err);

    return r ? r : net_port_new(loop, fd, &port, &net->port, err);
}

static int network_open(struct network *net, struct loop *loop, const struct vm_config *config,
                        const char *mac, int log_fd, struct err *err)
{
    if (!strcmp(net->name, NETWORK_USER))
        return network_open_user(net, loop, config, mac, log_fd, err);
    return network_is_tap(net->name) ? network_open_tap(net, loop, err)
                                     : network_open_named(net, loop, err);
}

/* NULL: no limits. */
static int network_rates(const char *text, struct net_rates *ret, struct err *err)
{
    *ret = (struct net_rates){0};
    return text ? net_rates_parse("net_rate", text, ret, err) : 0;
}

int networks_open(struct networks *n, struct loop *loop, const struct vm_config *config,
                  const struct networks_events *events, int log_fd, struct err *err)
{
    struct net_rates rates;
    int r = network_rates(config->net_rate, &rates, err);

    n->events = *events;
    for (unsigned i = 0; !r && i < config->net_count; i++) {
        struct network *net = &n->net[i];

        net->events = &n->events;
        net->name = config->net[i].network;
        net->number = i;
        net_orders_init(&net->orders, loop);
        r = network_open(net, loop, config, config->net[i].mac, log_fd, err);
        if (!r)
            r = net_limit_new(loop, net->port, &rates, &net->dev, err);
    }
    return r;
}

int networks_set_rate(struct networks *n, const char *rate, struct err *err)
{
    struct net_rates rates;
    int r = network_rates(rate, &rates, err);

    for (unsigned i = 0; !r && i < VM_NETS_MAX; i++)
        if (n->net[i].dev)
            net_limit_set(n->net[i].dev, &rates);
    return r;
}

int networks_reconnect(struct networks *n, unsigned number, const int fds[2])
{
    struct network *net = number < VM_NETS_MAX && n->net[number].port ? &n->net[number] : NULL;
    bool orders = net && !strcmp(net->name, NETWORK_USER);
    int r;

    if (!net || network_is_tap(net->name) || orders != (fds[1] >= 0)) {
        close(fds[0]);
        if (fds[1] >= 0)
            close(fds[1]);
        return -EINVAL;
    }
    r = orders ? net_orders_connect(&net->orders, fds[1], NULL) : 0;
    if (r == 0)
        return net_port_reconnect(net->port, fds[0]);
    close(fds[0]);
    return r;
}

int networks_order(struct networks *n, char order, const char *text, net_order_fn done, void *arg,
                   struct err *err)
{
    for (unsigned i = 0; i < VM_NETS_MAX; i++)
        if (n->net[i].port && !strcmp(n->net[i].name, NETWORK_USER))
            return net_orders_give(&n->net[i].orders, order, text, done, arg, err);
    return err_set(err, -EINVAL, "only a user network has ports to forward");
}

void networks_forget_order(struct networks *n)
{
    for (unsigned i = 0; i < VM_NETS_MAX; i++)
        net_orders_forget(&n->net[i].orders);
}

size_t networks_ioctls(const struct vm_config *config, uint32_t *ret, size_t room)
{
    size_t n = 0;

    for (unsigned i = 0; i < config->net_count; i++)
        if (network_is_tap(config->net[i].network) && !n)
            for (; net_tap_ioctls[n] && n < room; n++)
                ret[n] = net_tap_ioctls[n];
    return n;
}

void networks_close(struct networks *n)
{
    for (unsigned i = 0; i < VM_NETS_MAX; i++) {
        netdev_close(n->net[i].dev);
        if (n->net[i].orders.loop)
            net_orders_close(&n->net[i].orders);
        if (n->net[i].place.fd >= 0)
            close(n->net[i].place.fd);
    }
}
