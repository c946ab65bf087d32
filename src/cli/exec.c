/* SPDX-License-Identifier: Apache-2.0 */
/* posada exec: run a command in a running guest, by its agent. */
#include "cli/exec.h"
#include "base/cleanup.h"
#include "cli/attach.h"
#include "cli/guests.h"
#include "cli/run.h"
#include "cli/verbs.h"
#include "vm/client.h"
#include "vm/config.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_DEFAULT = 60 /* seconds */, WAIT_STEPS = 10 /* looks a second */, QUIET_STEPS = 20 };

static const struct cli_option exec_options[] = {
    {"detach", 'd', NULL, "leave it running; its output is lost"},
    RUN_COMMAND_OPTIONS,
    {"wait", 0, "SECONDS", "how long to wait for a guest that is still starting (default: 60)"},
    CLI_DETACH_OPTION,
    CLI_OPTIONS_END,
};

static json_t *exec_request(const struct vm_config *wanted, bool detach)
{
    json_t *request = guests_request("exec"), *exec = vm_config_to_json(wanted);
    static const char *const keys[] = {"command", "env", "user", "workdir", "tty", "open_stdin"};
    json_t *some = json_object();

    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        if (json_object_get(exec, keys[i]))
            json_object_set(some, keys[i], json_object_get(exec, keys[i]));
    json_decref(exec);
    json_object_set_new(request, "exec", some);
    json_object_set_new(request, "detach", json_boolean(detach));
    if (wanted->tty)
        attach_add_size(request);
    return request;
}

/* Waits while the guest starts, saying so on a terminal. */
int exec_wait(const struct guest *guest, unsigned seconds, struct err *err)
{
    const struct timespec step = {.tv_nsec = 1000000000 / WAIT_STEPS};
    bool shown = false, tty = isatty(STDERR_FILENO);
    struct guest_record record = {0};
    int r = 0;

    for (unsigned i = 0; i <= seconds * WAIT_STEPS; i++) {
        r = guest_read_record(guest, &record, err);
        if (r < 0 || record.state != VM_STARTING)
            break;
        if (tty && i && i % WAIT_STEPS == 0) {
            fprintf(stderr, "\r\033[Kguest '%s': starting: %s, %u s", guest->name, record.reason,
                    i / WAIT_STEPS);
            shown = true;
        }
        if (!tty && i == QUIET_STEPS)
            fprintf(stderr, "guest '%s': starting: %s; waiting for it, %u s at most\n", guest->name,
                    record.reason, seconds);
        (void)nanosleep(&step, NULL);
    }
    if (shown)
        fputs("\r\033[K", stderr);
    if (!r && record.state == VM_STARTING)
        r = err_set(err, -ETIMEDOUT,
                    "guest '%s' is still starting after %u s: %s; see posada logs %s", guest->name,
                    seconds, record.reason, guest->name);
    return r;
}

/* A command in a machine gets the guest's own environment, as one in a container does by itself. */
static int exec_inherit(const struct guest *guest, struct vm_config *wanted, struct err *err)
{
    struct vm_config config = {0};
    int r = guest_read_config(guest, &config, err);

    if (!r && config.technique != TECHNIQUE_CONTAINER)
        r = run_env_below(wanted, config.env, err);
    vm_config_done(&config);
    return r;
}

static int exec_open(const struct cli_args *args, struct vm_config *wanted, struct guest *guest,
                     int *ret_fd, struct err *err)
{
    const char *text = cli_value(args, "wait");
    uint64_t seconds = WAIT_DEFAULT;
    int r = run_command_options(args, wanted, err);

    if (!r && cli_has(args, "detach") && wanted->open_stdin)
        r = err_set(err, -EINVAL, "exec: --detach leaves nobody who could feed --interactive");
    if (!r && text)
        r = cli_parse_number("--wait", text, 0, 86400, &seconds, err);

    if (!r)
        r = vm_strings_copy(args->operands + 1, args->operand_count - 1, &wanted->command);
    if (!r)
        r = attach_keys_check(cli_value(args, "detach-keys"), err);
    if (!r)
        r = guests_open(args->operands[0], guest, err);
    if (!r)
        r = exec_inherit(guest, wanted, err);
    if (!r)
        r = exec_wait(guest, (unsigned)seconds, err);
    if (!r)
        r = client_connect(guest, ret_fd, err);
    if (!r)
        r = client_ask(*ret_fd, exec_request(wanted, cli_has(args, "detach")), NULL, err);
    return r;
}

static int exec_run(const struct cli_args *args)
{
    CLEANUP(fd) int fd = -1;
    struct guest guest = GUEST_NONE;
    struct vm_config wanted = {0};
    struct attach_result result;
    struct err err;
    int r = exec_open(args, &wanted, &guest, &fd, &err);
    struct attach attach = {
        .fd = fd,
        .guest = guest.name,
        .command = true,
        .tty = wanted.tty,
        .input = wanted.open_stdin,
        .quiet = true,
        .keys = cli_value(args, "detach-keys"),
    };

    if (!r && !cli_has(args, "detach"))
        r = attach_run(&attach, &result, &err);
    guest_close(&guest);
    vm_config_done(&wanted);
    if (r < 0)
        return run_exit_code(cli_fail(&err));
    if (cli_has(args, "detach"))
        return EXIT_OK;
    return attach_exit_code(&result);
}

const struct cli_verb cli_exec_verb = {
    .name = "exec",
    .operands = "GUEST COMMAND [ARGUMENT...]",
    .summary = "Run a command in a running guest",
    .details = "The command gets what --env of run and create has set, and -e of its own. "
               "Exits with the command's own code; 125 when Posada fails, 126 when the command "
               "cannot\nbe run, 127 when there is none of that name.",
    .options = exec_options,
    .min = 2,
    .max = CLI_ANY_NUMBER,
    .command = true,
    .run = exec_run,
};
