/* SPDX-License-Identifier: Apache-2.0 */
/* posada: finds the verb, runs it, returns its exit code. */
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --help and --version before any verb. */
static bool main_early(int argc, char *const *argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        cli_help_all(stdout);
        return true;
    }
    if (!strcmp(argv[1], "--version")) {
        (void)cli_version_verb.run(NULL);
        return true;
    }
    return false;
}

/* Whoever closed one of these wants silence, not our next file or socket in its place. */
static void main_open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDWR); /* the lowest free number: fd */
}

/* What was printed must have arrived: a full disk is a failure. */
static int main_end(int code)
{
    struct err err;

    if ((fflush(stdout) == 0 && !ferror(stdout)) || code != EXIT_OK)
        return code;
    err_set(&err, -EIO, "standard output: %s", strerror(errno ? errno : EIO));
    return cli_fail(&err);
}

int main(int argc, char *argv[])
{
    struct cli_args args;
    struct err err;
    int code;

    main_open_standard();
    (void)signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, waiting would fail */

    if (getenv("POSADA_DEBUG"))
        log_setup(LOG_DEBUG, 2, false);
    if (main_early(argc, argv))
        return main_end(argc < 2 ? EXIT_USAGE : EXIT_OK);
    if (cli_parse(cli_verbs, argc - 1, argv + 1, &args, &err) < 0)
        return cli_fail(&err);
    if (args.help) {
        cli_help_verb(stdout, args.verb);
        code = EXIT_OK;
    } else {
        code = args.verb->run(&args);
    }
    cli_args_done(&args);
    return main_end(code);
}
