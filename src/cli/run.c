/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada run: a new guest. With a command it runs that in the guest and exits with its code; an
 * image without one gets a shell. A guest made of files alone (--kernel) shows its console.
 */
#include "cli/run.h"

#include "base/cleanup.h"
#include "cli/attach.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "host/process.h"
#include "vm/client.h"
#include "vm/config.h"
#include "vm/monitor.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct cli_option run_verb_options[] = {
    {"detach", 'd', NULL, "leave it running and print its name"},
    CLI_DETACH_OPTION,
    CLI_OPTIONS_END,
};

struct run {
    const struct cli_args *args;
    struct vm_config config;
    struct guest guest; /* not locked: for looking at it */
    int owner_fd;
    pid_t keeper;
    bool detached;
};

/* No command for an image: a shell, fed by whatever standard input is. */
static int run_default_command(struct run *run, struct err *err)
{
    char *const shell[] = {(char[]){"sh"}};

    if (run->config.command || !run->config.image || run->detached)
        return 0;
    run->config.open_stdin = true;
    run->config.tty = isatty(STDIN_FILENO);
    if (vm_strings_copy(shell, 1, &run->config.command) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int run_prepare(struct run *run, struct err *err)
{
    int r = attach_keys_check(cli_value(run->args, "detach-keys"), err);

    run->detached = cli_has(run->args, "detach");
    if (!r)
        r = run_options(run->args, &run->config, err);
    if (!r)
        r = run_check_engine(&run->config, err);
    if (!r)
        r = run_default_command(run, err);
    if (!r)
        r = run_resolve_image(&run->config, err);
    return r;
}

/* Makes the guest and its process; from here on that process cleans up after itself. */
static int run_create(struct run *run, struct err *err)
{
    struct guest locked = GUEST_NONE;
    int r;

    store_tidy();
    r = store_create(&run->config, &locked, err);
    if (r < 0)
        return r;
    r = store_open(run->config.name, &run->guest, err);
    if (!r)
        r = monitor_spawn(&locked, &run->owner_fd, &run->keeper, err);
    if (r < 0)
        (void)!store_remove_locked(&locked, NULL);
    guest_close(&locked);
    return r;
}

/* Sees the guest's processes out: nothing of it is left when we return. */
static void run_see_out(struct run *run)
{
    int status;

    if (run->owner_fd >= 0)
        close(run->owner_fd);
    run->owner_fd = -1;
    (void)!process_wait(run->keeper, &status);
}

/* Waits for the machine to be built. A guest that could not be is not kept. */
static int run_await_start(struct run *run, struct err *err)
{
    int r = client_receive(run->owner_fd, NULL, err);

    if (!r)
        return 0;
    run_see_out(run);
    (void)!store_remove(&run->guest, NULL);
    return err_wrap(err, r, "guest '%s' cannot start", run->guest.name);
}

static int run_detached(struct run *run, struct err *err)
{
    int r = client_ask(run->owner_fd, guests_request("detach"), NULL, err);

    if (r < 0)
        return run_exit_code(cli_fail(err));
    printf("%s\n", run->guest.name);
    return EXIT_OK;
}

static int run_attached(struct run *run, struct err *err)
{
    bool command = run->config.command != NULL;
    struct attach attach = {
        .fd = run->owner_fd,
        .guest = run->guest.name,
        .command = command,
        .tty = command ? run->config.tty : isatty(STDIN_FILENO),
        .input = run->config.open_stdin || !command,
        .quiet = run->args->operand_count > 1,
        .keys = cli_value(run->args, "detach-keys"),
    };
    json_t *request = guests_request("attach");
    struct attach_result result;
    int r;

    json_object_set_new(request, "replay", json_true());
    if (attach.tty)
        attach_add_size(request);
    r = client_ask(run->owner_fd, request, NULL, err);
    if (!r)
        r = attach_run(&attach, &result, err);
    /* Closing ends the guest, unless the detach keys were pressed; see it out. */
    if (r < 0 || result.end != ATTACH_DETACHED)
        run_see_out(run);
    return r < 0 ? run_exit_code(cli_fail(err)) : attach_exit_code(&result);
}

static int run_guest(struct run *run)
{
    struct err err;
    int r = run_prepare(run, &err);

    if (!r)
        r = run_create(run, &err);
    if (!r)
        r = run_await_start(run, &err);
    if (r < 0)
        return run_exit_code(cli_fail(&err));
    return run->detached ? run_detached(run, &err) : run_attached(run, &err);
}

static int run_run(const struct cli_args *args)
{
    struct run run = {.args = args, .guest = GUEST_NONE, .owner_fd = -1};
    int code = run_guest(&run);

    if (run.owner_fd >= 0)
        close(run.owner_fd);
    guest_close(&run.guest);
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
