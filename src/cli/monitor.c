/* SPDX-License-Identifier: Apache-2.0 */
/* posada monitor NAME: a guest's own process, started by run. Nothing for people; the name is for
 * those who look at processes. */
#include "vm/monitor.h"

#include "cli/verbs.h"
#include <posada/log.h>
#include <unistd.h>

static int monitor_run(const struct cli_args *args)
{
    log_setup(LOG_WARN, STDERR_FILENO, true);
    return keeper_main();
}

const struct cli_verb cli_monitor_verb = {
    .name = "monitor",
    .operands = "GUEST",
    .summary = "A guest's own process (started by run)",
    .min = 1,
    .max = 1,
    .hidden = true,
    .run = monitor_run,
};
