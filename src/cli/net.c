/* SPDX-License-Identifier: Apache-2.0 */
/* posada net-user: the helper process of a user network. Nothing for people. */
#include "net/user.h"

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
