/* SPDX-License-Identifier: Apache-2.0 */
/* The options of run that concern the network. */
#include "cli/run.h"

#include "base/cleanup.h"
#include "cli/cli.h"
#include "net/forward.h"
#include "net/limit.h"
#include "net/user.h"
#include "net/vsock_path.h"
#include "vm/network.h"
#include <errno.h>
#include <posada/vsockdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Adds what one -p asks for, a forward each. */
static int option_port(const char *text, char **ports, unsigned *count, struct err *err)
{
    struct net_forward range;
    int r = net_forward_parse("--port", text, &range, err);

    if (!r && range.count > NET_FORWARDS_MAX - *count)
        r = err_set(err, -EINVAL, "--port %.60s: a guest may have %d forwarded ports", text,
                    NET_FORWARDS_MAX);
    for (unsigned i = 0; !r && i < range.count; i++) {
        const struct net_forward forward = net_forward_nth(&range, i);
        char full[NET_FORWARD_TEXT];

        net_forward_print(&forward, full);
        ports[*count] = strdup(full);
        if (!ports[(*count)++])
            r = err_set(err, -ENOMEM, "out of memory");
    }
    return r;
}

static bool option_has_user(const struct vm_config *config)
{
    for (unsigned i = 0; i < config->net_count; i++)
        if (!strcmp(config->net[i].network, NETWORK_USER))
            return true;
    return false;
}

static int option_ports(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_nth(args, "port", 0);
    unsigned count = 0;
    int r = 0;

    if (!text)
        return 0;
    if (!option_has_user(config))
        return err_set(err, -EINVAL,
                       "--port: only a user network has ports to forward; use it "
                       "with --net user");
    config->ports = calloc(NET_FORWARDS_MAX + 1, sizeof(*config->ports));
    if (!config->ports)
        return err_set(err, -ENOMEM, "out of memory");
    for (unsigned i = 0; !r && (text = cli_nth(args, "port", i)); i++)
        r = option_port(text, config->ports, &count, err);
    return r;
}

/* An image gets a user network where there is one; a bare kernel only what it is given. */
static const char *option_default(const struct cli_args *args, const struct vm_config *config)
{
    if (cli_nth(args, "port", 0))
        return NETWORK_USER;
    if (config->technique == TECHNIQUE_CONTAINER && access("/dev/net/tun", R_OK | W_OK) < 0) {
        fprintf(stderr,
                "posada: no network for this container: /dev/net/tun: %s (--net none says so)\n",
                strerror(errno));
        return NULL;
    }
    return config->image && net_user_available() ? NETWORK_USER : NULL;
}

static int option_net(struct vm_config *config, const char *net, struct err *err)
{
    unsigned i = config->net_count;
    int r = network_check(net, err);

    if (r < 0)
        return r;
    if (!strcmp(net, NETWORK_NONE))
        return err_set(err, -EINVAL, "--net none: leaves no room for another --net");
    if (!strcmp(net, NETWORK_USER) && option_has_user(config))
        return err_set(err, -EINVAL, "--net user: once is enough");
    if (i == VM_NETS_MAX)
        return err_set(err, -EINVAL, "--net: at most %d of them", VM_NETS_MAX);
    config->net[i].network = strdup(net);
    if (!config->net[i].network)
        return err_set(err, -ENOMEM, "out of memory");
    config->net_count++;
    return 0;
}

static int option_nets(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *net = cli_value(args, "net");
    int r = 0;

    if (!net) {
        net = option_default(args, config);
        return net ? option_net(config, net, err) : 0;
    }
    if (!strcmp(net, NETWORK_NONE) && !cli_nth(args, "net", 1))
        return 0;
    for (unsigned i = 0; !r && (net = cli_nth(args, "net", i)); i++)
        r = option_net(config, net, err);
    return r;
}

int run_rate_option(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "net-rate");
    struct net_rates rates;
    int r = text ? net_rates_parse("--net-rate", text, &rates, err) : 0;

    if (r < 0 || !text)
        return r;
    free(config->net_rate);
    config->net_rate = rates.to_guest || rates.from_guest ? strdup(text) : NULL;
    return (rates.to_guest || rates.from_guest) && !config->net_rate
               ? err_set(err, -ENOMEM, "out of memory")
               : 0;
}

/* PATH[,cid=N]: the path absolute, as the guest's process lives in another directory. */
static int option_vsock(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "vsock"), *tail = text ? strstr(text, ",cid=") : NULL;
    int len = text ? (int)(tail ? tail - text : (ptrdiff_t)strlen(text)) : 0;
    CLEANUP(free) char *here = text && *text != '/' ? getcwd(NULL, 0) : NULL;
    uint64_t cid = VSOCK_CID_MIN;
    struct vsock_path path;

    if (!text)
        return 0;
    if (tail && cli_parse_number("--vsock: cid", tail + strlen(",cid="), VSOCK_CID_MIN,
                                 UINT32_MAX - 1, &cid, err) < 0)
        return err->code;
    if (asprintf(&config->vsock, "%s%s%.*s", here ? here : "", here ? "/" : "", len, text) < 0) {
        config->vsock = NULL;
        return err_set(err, -ENOMEM, "out of memory");
    }
    config->vsock_cid = (unsigned)cid;
    return vsock_path_split(config->vsock, &path, err);
}

int run_net_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    int r = option_nets(args, config, err);

    if (!r)
        r = run_rate_option(args, config, err);
    if (!r)
        r = option_ports(args, config, err);
    return r ? r : option_vsock(args, config, err);
}
