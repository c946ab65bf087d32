/* SPDX-License-Identifier: Apache-2.0 */
/* posada container-monitor, container-net, container-copy: processes of containers. Nothing for
 * people. */
#include "ctr/ctr.h"
#include "ctr/enter.h"
#include "ctr/net.h"

#include "cli/verbs.h"
#include <posada/log.h>
#include <unistd.h>

static int container_monitor_run(const struct cli_args *args)
{
    log_setup(LOG_WARN, STDERR_FILENO, true);
    return ctr_main();
}

const struct cli_verb cli_container_monitor_verb = {
    .name = "container-monitor",
    .summary = "The process that keeps containers (started by run)",
    .hidden = true,
    .run = container_monitor_run,
};

static int container_net_run(const struct cli_args *args)
{
    log_setup(LOG_WARN, STDERR_FILENO, true);
    return ctr_net_main(args->operands[0], args->operands[1]);
}

const struct cli_verb cli_container_net_verb = {
    .name = "container-net",
    .operands = "GUEST PID",
    .summary = "Sets a container's networks up (started by its monitor)",
    .min = 2,
    .max = 2,
    .hidden = true,
    .run = container_net_run,
};

static int container_copy_run(const struct cli_args *args)
{
    return ctr_copy_main(args->operands, args->operand_count);
}

const struct cli_verb cli_container_copy_verb = {
    .name = "container-copy",
    .operands = "PID COMMAND PATH [WORD]",
    .summary = "Copies in a container (started by its monitor)",
    .max = CLI_ANY_NUMBER,
    .raw = true,
    .hidden = true,
    .run = container_copy_run,
};
