/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada run: a new guest. With a command it runs that in the guest and exits with its code; an
 * image without one gets a shell. A guest made of files alone (--kernel) shows its console.
 */
#include "cli/run.h"

#include "cli/attach.h"
#include "cli/guests.h"
#include "cli/start.h"
#include "cli/verbs.h"
#include "vm/config.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct cli_option run_verb_options[] = {
    {"detach", 'd', NULL, "leave it running and print its name"},
    {"rm", 0, NULL, "remove the guest when it has ended"},
    CLI_DETACH_OPTION,
    CLI_OPTIONS_END,
};

struct run {
    const struct cli_args *args;
    struct vm_config config;
    struct started started;
    bool detached;
};

/* No command for an image: a shell, fed by whatever standard input is. With an init of its own and
 * somebody at the terminal: its console, where it lets one log in. */
static int run_default_command(struct run *run, bool has_console, struct err *err)
{
    char *const shell[] = {(char[]){"sh"}};

    if (run->config.command || !run->config.image || run->detached ||
        (has_console && isatty(STDIN_FILENO)))
        return 0;
    run->config.open_stdin = true;
    run->config.tty = isatty(STDIN_FILENO);
    if (vm_strings_copy(shell, 1, &run->config.command) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int run_check_restart(const struct run *run, struct err *err)
{
    if (!run->config.restart)
        return 0;
    if (run->config.auto_remove)
        return err_set(err, -EINVAL, "--restart and --rm: a guest that is removed cannot restart");
    if (!run->detached)
        return err_set(err, -EINVAL,
                       "--restart: a guest in the foreground ends with its command line; add -d");
    return 0;
}

int run_configure(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    int r = run_options(args, config, err);

    if (!r)
        r = run_check_engine(config, err);
    return r ? r : run_resolve_image(config, NULL, err);
}

static int run_prepare(struct run *run, struct err *err)
{
    int r = attach_keys_check(cli_value(run->args, "detach-keys"), err);
    bool has_console = false;

    run->detached = cli_has(run->args, "detach");
    run->config.auto_remove = cli_has(run->args, "rm");
    if (!r)
        r = run_options(run->args, &run->config, err);
    if (!r)
        r = run_check_restart(run, err);
    if (!r)
        r = run_check_engine(&run->config, err);
    if (!r)
        r = run_resolve_image(&run->config, &has_console, err);
    return r ? r : run_default_command(run, has_console, err);
}

/* Makes the guest and its process; a guest that cannot start is not kept. */
static int run_create(struct run *run, struct err *err)
{
    struct guest locked = GUEST_NONE;
    int r;

    guests_tidy();
    r = store_create(&run->config, &locked, err);
    if (r < 0)
        return r;
    r = start_guest(&locked, &run->started, err);
    if (r < 0)
        (void)!store_remove_locked(&locked, NULL);
    guest_close(&locked);
    return r;
}

static int run_detached(struct run *run, struct err *err)
{
    struct guest_record record;

    if (start_detach(&run->started, err) < 0) {
        int code = run_exit_code(cli_fail(err));

        /* A container's program may be missing, as in the foreground. */
        return !guest_read_record(&run->started.guest, &record, NULL) && record.exit_code
                   ? (int)record.exit_code
                   : code;
    }
    printf("%s\n", run->started.guest.name);
    return EXIT_OK;
}

static int run_attached(struct run *run)
{
    bool command = run->config.command != NULL;
    struct start_attach how = {
        .keys = cli_value(run->args, "detach-keys"),
        .command = command,
        .tty = command ? run->config.tty : isatty(STDIN_FILENO),
        .input = run->config.open_stdin || !command,
        .quiet = run->args->operand_count > 1,
    };

    return start_attach(&run->started, &how);
}

static int run_run(const struct cli_args *args)
{
    struct run run = {.args = args, .started = STARTED_NONE};
    struct err err;
    int r = run_prepare(&run, &err), code;

    if (!r)
        r = run_create(&run, &err);
    if (r < 0)
        code = run_exit_code(cli_fail(&err));
    else
        code = run.detached ? run_detached(&run, &err) : run_attached(&run);
    started_done(&run.started);
    vm_config_done(&run.config);
    return code;
}

const struct cli_verb cli_run_verb = {
    .name = "run",
    .operands = "IMAGE [COMMAND [ARGUMENT...]]",
    .summary = "Run a new guest, or a command in a new guest",
    .details =
        "With a command, runs it in the guest and exits with its code: 125 when Posada fails, 126\n"
        "when the command cannot be run, 127 when there is none of that name, 128+n when it dies\n"
        "by signal n. Without one, runs a shell, on your terminal or on what standard input "
        "brings.\n"
        "With --kernel instead of IMAGE, shows the guest's console.",
    .options = run_verb_options,
    .shared = run_guest_options,
    .max = CLI_ANY_NUMBER,
    .command = true,
    .run = run_run,
};
