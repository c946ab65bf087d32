/* SPDX-License-Identifier: Apache-2.0 */
/* posada console, attach: sit down at a running guest. */
#include "base/cleanup.h"
#include "cli/attach.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "vm/client.h"

enum { GONE_MS = 5000 };

static const struct cli_option console_options[] = {
    CLI_DETACH_OPTION,
    {"no-stdin", 0, NULL, "only watch"},
    CLI_OPTIONS_END,
};

static int console_open(const struct cli_args *args, const char *op, struct guest *guest,
                        int *ret_fd, struct err *err)
{
    json_t *request = guests_request(op);
    int r = attach_keys_check(cli_value(args, "detach-keys"), err);

    if (!r)
        r = guests_open(args->operands[0], guest, err);
    if (!r)
        r = client_connect(guest, ret_fd, err);
    if (r < 0) {
        json_decref(request);
        return r;
    }
    json_object_set_new(request, "replay", json_true());
    attach_add_size(request);
    return client_ask(*ret_fd, request, NULL, err);
}

static int console_at(const struct cli_args *args, const char *op)
{
    CLEANUP(fd) int fd = -1;
    struct guest guest = GUEST_NONE;
    struct attach_result result;
    struct err err;
    int r = console_open(args, op, &guest, &fd, &err);
    struct attach attach = {
        .fd = fd,
        .guest = guest.name,
        .keys = cli_value(args, "detach-keys"),
        .input = !cli_has(args, "no-stdin"),
    };

    attach.tty = attach.input && isatty(STDIN_FILENO);
    if (!r)
        r = attach_run(&attach, &result, &err);
    if (!r && (result.end == ATTACH_EXITED || result.end == ATTACH_FAILED))
        (void)!guest_wait_gone(&guest, GONE_MS); /* the stream's end was the guest's */
    guest_close(&guest);
    if (r < 0)
        return cli_fail(&err);
    return attach_exit_code(&result);
}

static int console_run(const struct cli_args *args)
{
    return console_at(args, "console");
}

static int attach_verb_run(const struct cli_args *args)
{
    return console_at(args, "attach");
}

const struct cli_verb cli_console_verb = {
    .name = "console",
    .operands = "GUEST",
    .summary = "Sit down at a guest's console",
    .options = console_options,
    .min = 1,
    .max = 1,
    .run = console_run,
};

const struct cli_verb cli_attach_verb = {
    .name = "attach",
    .operands = "GUEST",
    .summary = "Sit down at the command a guest was started with, or its console",
    .options = console_options,
    .min = 1,
    .max = 1,
    .run = attach_verb_run,
};
