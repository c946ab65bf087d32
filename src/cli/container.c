/* SPDX-License-Identifier: Apache-2.0 */
/* posada container-monitor: the process that keeps a user's containers. Nothing for people. */
#include "ctr/ctr.h"

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
