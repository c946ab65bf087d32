/* SPDX-License-Identifier: Apache-2.0 */
/* posada net-user, net-hub, net-vsock: the helper processes of networks. Nothing for people. */
#include "net/hub.h"
#include "net/pump.h"
#include "net/user.h"
#include "net/vsock.h"

#include "cli/verbs.h"

static int net_user_run(const struct cli_args *args)
{
    return net_user_main(args->operands, args->operand_count);
}

const struct cli_verb cli_net_user_verb = {
    .name = "net-user",
    .operands = "GUEST UUID MAC [FORWARD...]",
    .summary = "A user network's helper (started by a guest's process)",
    .min = 3,
    .max = CLI_ANY_NUMBER,
    .hidden = true,
    .run = net_user_run,
};

static int net_hub_run(const struct cli_args *args)
{
    return net_hub_main(args->operands[0], args->operands[1]);
}

const struct cli_verb cli_net_hub_verb = {
    .name = "net-hub",
    .operands = "NETWORK SUBNET",
    .summary = "A named network's hub (started by a guest's process)",
    .min = 2,
    .max = 2,
    .hidden = true,
    .run = net_hub_run,
};

static int net_pump_run(const struct cli_args *args)
{
    return net_pump_main();
}

const struct cli_verb cli_net_pump_verb = {
    .name = "net-pump",
    .summary = "A container's place on a named network (started by its monitor)",
    .hidden = true,
    .run = net_pump_run,
};

static int net_vsock_run(const struct cli_args *args)
{
    return net_vsock_main(args->operands[0]);
}

const struct cli_verb cli_net_vsock_verb = {
    .name = "net-vsock",
    .operands = "PATH",
    .summary = "A vsock's helper (started by a guest's process)",
    .min = 1,
    .max = 1,
    .hidden = true,
    .run = net_vsock_run,
};
