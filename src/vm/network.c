/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/network.h"

#include "base/bits.h"
#include "base/net_frame.h"
#include "net/hub.h"
#include "net/port.h"
#include "net/tap.h"
#include "net/user.h"
#include "vm/config.h"
#include <errno.h>
#include <string.h>

static const char network_tap[] = "tap:";

static bool network_is_tap(const char *net)
{
    return !strncmp(net, network_tap, strlen(network_tap));
}

/* Shared by name with other guests. */
static bool network_is_named(const char *net)
{
    return net && strcmp(net, NETWORK_USER) != 0 && strcmp(net, NETWORK_NONE) != 0 &&
           !network_is_tap(net);
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

void network_prepare(const struct vm_config *vm, int log_fd, struct network_place *ret_place)
{
    *ret_place = (struct network_place){.fd = -1};
    if (network_is_named(vm->net))
        (void)!net_hub_join(vm->net, log_fd, &ret_place->fd, &ret_place->err);
}

void network_tidy(const struct vm_config *vm)
{
    if (network_is_named(vm->net))
        net_hub_tidy(vm->net);
}

static int network_open_user(struct loop *loop, const struct network_config *config,
                             struct netdev **ret_dev, struct err *err)
{
    const struct net_user_config user = {
        .guest = config->vm->name,
        .uuid = config->vm->uuid,
        .mac = config->vm->mac,
        .forward = config->vm->ports,
        .log_fd = config->log_fd,
        .lost = config->lost,
        .arg = config->arg,
    };

    return net_user_new(loop, &user, ret_dev, err);
}

/* A segment could meet a guest that cannot take it, so frames are whole packets, as large as all
 * guests there are told they may be. */
static int network_open_named(struct loop *loop, const struct network_config *config,
                              struct netdev **ret_dev, struct err *err)
{
    const struct net_port_config port = {.kind = "hub",
                                         .name = config->vm->net,
                                         .offloads = (uint32_t)BIT(NET_F_CSUM),
                                         .mtu = NET_HUB_MTU,
                                         .lost = config->lost,
                                         .arg = config->arg};

    if (config->place->fd < 0)
        return err_set(err, config->place->err.code, "%s", config->place->err.text);
    return net_port_new(loop, config->place->fd, &port, ret_dev, err);
}

static int network_open_tap(struct loop *loop, const struct network_config *config,
                            struct netdev **ret_dev, struct err *err)
{
    const struct net_port_config port = {
        .kind = "tap",
        .name = config->vm->net,
        .offloads = (uint32_t)(BIT(NET_F_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) |
                               BIT(NET_F_GUEST_ECN) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
                               BIT(NET_F_HOST_ECN)),
        .lost = config->lost,
        .arg = config->arg};
    int fd = -1, r = net_tap_open(config->vm->net + strlen(network_tap), &fd, err);

    return r ? r : net_port_new(loop, fd, &port, ret_dev, err);
}

int network_open(struct loop *loop, const struct network_config *config, struct netdev **ret_dev,
                 struct err *err)
{
    const char *net = config->vm->net;

    *ret_dev = NULL;
    if (!net || !strcmp(net, NETWORK_NONE))
        return 0;
    if (!strcmp(net, NETWORK_USER))
        return network_open_user(loop, config, ret_dev, err);
    return network_is_tap(net) ? network_open_tap(loop, config, ret_dev, err)
                               : network_open_named(loop, config, ret_dev, err);
}
