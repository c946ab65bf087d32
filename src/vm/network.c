/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/network.h"

#include "net/user.h"
#include "vm/config.h"
#include <errno.h>
#include <string.h>

int network_check(const char *net, struct err *err)
{
    if (!strcmp(net, NETWORK_USER) || !strcmp(net, NETWORK_NONE))
        return 0;
    return err_set(err, -EOPNOTSUPP, "--net '%.80s': expected user or none", net);
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

int network_open(struct loop *loop, const struct network_config *config, struct netdev **ret_dev,
                 struct err *err)
{
    const char *net = config->vm->net;

    *ret_dev = NULL;
    if (!net || !strcmp(net, NETWORK_NONE))
        return 0;
    if (!strcmp(net, NETWORK_USER))
        return network_open_user(loop, config, ret_dev, err);
    return network_check(net, err);
}
