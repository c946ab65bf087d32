/* SPDX-License-Identifier: Apache-2.0 */
/* posada port: which ports of the host lead into a guest. */
#include "cli/guests.h"
#include "cli/verbs.h"
#include "net/forward.h"
#include "vm/config.h"
#include <stdio.h>

static void port_print(const char *text)
{
    char host[NET_FORWARD_TEXT];
    struct net_forward forward;

    if (net_forward_parse("port", text, &forward, NULL) < 0)
        return;
    net_forward_print_host(&forward, host);
    printf("%u/%s -> %s\n", forward.guest_port, forward.udp ? "udp" : "tcp", host);
}

static int port_run(const struct cli_args *args)
{
    struct guest guest = GUEST_NONE;
    struct vm_config config = {0};
    struct err err;
    int r = guests_open(args->operands[0], &guest, &err);

    if (!r)
        r = guest_read_config(&guest, &config, &err);
    for (char **p = r ? NULL : config.ports; p && *p; p++)
        port_print(*p);
    guest_close(&guest);
    vm_config_done(&config);
    return r ? cli_fail(&err) : EXIT_OK;
}

const struct cli_verb cli_port_verb = {
    .name = "port",
    .operands = "GUEST",
    .summary = "Show which ports of this host lead into a guest",
    .min = 1,
    .max = 1,
    .run = port_run,
};
