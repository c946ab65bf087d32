/* SPDX-License-Identifier: Apache-2.0 */
/* The options of run that concern the network. */
#include "cli/run.h"

#include "cli/cli.h"
#include "net/forward.h"
#include "net/user.h"
#include "vm/network.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int option_port(const char *text, char **ret, struct err *err)
{
    struct net_forward forward;
    char full[NET_FORWARD_TEXT];
    int r = net_forward_parse("--port", text, &forward, err);

    if (r < 0)
        return r;
    net_forward_print(&forward, full);
    *ret = strdup(full);
    return *ret ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int option_ports(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    unsigned count = 0;
    int r = 0;

    while (cli_nth(args, "port", count))
        count++;
    if (!count)
        return 0;
    if (count > NET_FORWARDS_MAX)
        return err_set(err, -EINVAL, "--port: at most %d of them", NET_FORWARDS_MAX);
    if (!config->net || strcmp(config->net, NETWORK_USER) != 0)
        return err_set(err, -EINVAL,
                       "--port: only a user network has ports to forward; use it "
                       "with --net user");
    config->ports = calloc(count + 1, sizeof(*config->ports));
    if (!config->ports)
        return err_set(err, -ENOMEM, "out of memory");
    for (unsigned i = 0; !r && i < count; i++)
        r = option_port(cli_nth(args, "port", i), &config->ports[i], err);
    return r;
}

/* An image gets a user network where there is one; a bare kernel only what it is given. */
static const char *option_default(const struct cli_args *args, const struct vm_config *config)
{
    if (cli_nth(args, "port", 0))
        return NETWORK_USER;
    return config->image && net_user_available() ? NETWORK_USER : NULL;
}

int run_net_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *net = cli_value(args, "net");
    int r = net ? network_check(net, err) : 0;

    if (r < 0)
        return r;
    if (!net)
        net = option_default(args, config);
    if (net && strcmp(net, NETWORK_NONE) != 0) {
        config->net = strdup(net);
        if (!config->net)
            return err_set(err, -ENOMEM, "out of memory");
    }
    return option_ports(args, config, err);
}
