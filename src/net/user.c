/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of a user network: starts the helper and hears whether it could begin. */
#include "net/user.h"

#include "base/bits.h"
#include "base/net_frame.h"
#include "net/forward.h"
#include "net/helper.h"
#include "net/port.h"
#include "net/slirp.h"
#include <errno.h>
#include <unistd.h>

enum { FIXED_ARGUMENTS = 6 };

bool net_user_available(void)
{
    struct slirp_api api;

    return slirp_load(&api, NULL) == 0;
}

int net_user_start(const struct net_user_config *config, pid_t *ret_pid, int *ret_fd,
                   int *ret_orders_fd, struct err *err)
{
    const char *argv[FIXED_ARGUMENTS + NET_FORWARDS_MAX] = {"posada", "net-user", config->guest,
                                                            config->uuid, config->mac};
    const struct net_helper_config helper = {.guest = config->guest,
                                             .what = "network helper",
                                             .argv = (char *const *)(uintptr_t)argv,
                                             .log_fd = config->log_fd};
    unsigned count = FIXED_ARGUMENTS - 1;

    for (char *const *f = config->forward; f && *f; f++) {
        if (count == ARRAY_LEN(argv) - 1)
            return err_set(err, -E2BIG, "guest '%s': more than %d forwarded ports", config->guest,
                           NET_FORWARDS_MAX);
        argv[count++] = *f;
    }
    return net_helper_start(&helper, ret_pid, ret_fd, ret_orders_fd, err);
}

int net_user_new(struct loop *loop, const struct net_user_config *config, struct netdev **ret_dev,
                 int *ret_orders_fd, struct err *err)
{
    const struct net_port_config port = {
        .kind = "user",
        .name = "user",
        .offloads = (uint32_t)(BIT(NET_F_CSUM) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
                               BIT(NET_F_HOST_ECN)),
        .mtu = NET_USER_MTU,
        .lost = config->lost,
        .arg = config->arg,
    };
    int fd = -1, orders = -1, r;
    pid_t pid;

    r = net_user_start(config, &pid, &fd, &orders, err);
    if (r < 0)
        return r;
    r = net_port_new(loop, fd, &port, ret_dev, err);
    if (r < 0)
        close(orders);
    else
        *ret_orders_fd = orders;
    return r;
}
