/* SPDX-License-Identifier: Apache-2.0 */
/* posada version: this build's version, for people and for bug reports. */
#include "cli/verbs.h"

#include <stdio.h>

static int version_run(const struct cli_args *args)
{
    printf("posada %s\n", POSADA_VERSION);
    return EXIT_OK;
}

const struct cli_verb cli_version_verb = {
    .name = "version",
    .summary = "Show the version of Posada",
    .run = version_run,
};
