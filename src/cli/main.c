/* SPDX-License-Identifier: Apache-2.0 */
/* posada: finds the verb, runs it, returns its exit code. */
#include "cli/verbs.h"

#include <posada/log.h>
#include <stdlib.h>
#include <string.h>

/* --help and --version before any verb. */
static bool main_early(int argc, char *const *argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        cli_help_all();
        return true;
    }
    if (!strcmp(argv[1], "--version")) {
        (void)cli_version_verb.run(NULL);
        return true;
    }
    return false;
}

int main(int argc, char *argv[])
{
    struct cli_args args;
    struct err err;
    int code;

    if (getenv("POSADA_DEBUG"))
        log_setup(LOG_DEBUG, 2, false);
    if (main_early(argc, argv))
        return argc < 2 ? EXIT_USAGE : EXIT_OK;
    if (cli_parse(cli_verbs, argc - 1, argv + 1, &args, &err) < 0)
        return cli_fail(&err);
    if (args.help) {
        cli_help_verb(args.verb);
        code = EXIT_OK;
    } else {
        code = args.verb->run(&args);
    }
    cli_args_done(&args);
    return code;
}
