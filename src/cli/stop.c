/* SPDX-License-Identifier: Apache-2.0 */
/* posada stop, kill, wait: ways to a guest's end, and waiting for it. */
#include "base/cleanup.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "vm/client.h"
#include <errno.h>
#include <signal.h>

enum { GONE_MS = 10000 };

/* Sends a request that is answered when the guest has ended. ret_code may be NULL. */
static int stop_ask(struct guest *guest, json_t *request, unsigned *ret_code, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    json_t *answer = NULL;
    int r = client_connect(guest, &fd, err);

    if (r < 0) {
        json_decref(request);
        return r;
    }
    r = client_ask(fd, request, &answer, err);
    if (r < 0)
        return r;
    if (ret_code)
        *ret_code = (unsigned)json_integer_value(json_object_get(answer, "exit_code"));
    json_decref(answer);
    if (guest_wait_gone(guest, GONE_MS) < 0)
        return err_set(err, -ETIMEDOUT, "guest '%s': its process does not end; use posada rm -f %s",
                       guest->name, guest->name);
    return 0;
}

static int stop_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    const char *text = cli_value(args, "time");
    uint64_t seconds = 10;
    json_t *request;

    if (text && cli_parse_number("--time", text, 0, 86400, &seconds, err) < 0)
        return err->code;
    request = guests_request("stop");
    json_object_set_new(request, "seconds", json_integer((json_int_t)seconds));
    return stop_ask(guest, request, NULL, err);
}

static int stop_run(const struct cli_args *args)
{
    return guests_each(args, "stopped", stop_guest);
}

static const struct cli_option stop_options[] = {
    {"time", 't', "SECONDS", "how long a clean power-down may take (default: 10)"},
    CLI_OPTIONS_END,
};

const struct cli_verb cli_stop_verb = {
    .name = "stop",
    .operands = "GUEST...",
    .summary = "Power guests down; kill those that take too long",
    .options = stop_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = stop_run,
};

/* A process that no longer answers is killed from outside; its keeper cleans up. */
static int kill_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    struct guest_record record;
    int r;

    if (!guest_is_alive(guest))
        return err_set(err, -EBUSY, "guest '%s' is not running", guest->name);
    r = stop_ask(guest, guests_request("kill"), NULL, err);
    if (!r)
        return 0;
    if (guest_read_record(guest, &record, err) < 0 || !record.pid || !guest_is_alive(guest))
        return r;
    (void)kill(record.pid, SIGKILL);
    return guest_wait_gone(guest, GONE_MS);
}

static int kill_run(const struct cli_args *args)
{
    return guests_each(args, "killed", kill_guest);
}

const struct cli_verb cli_kill_verb = {
    .name = "kill",
    .operands = "GUEST...",
    .summary = "End guests at once, as by pulling the plug",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = kill_run,
};

int guests_kill(struct guest *guest, struct err *err)
{
    return kill_guest(NULL, guest, err);
}

static int wait_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    struct guest_record record;
    unsigned code = 0;
    int r;

    if (guest_is_alive(guest)) {
        r = stop_ask(guest, guests_request("wait"), &code, err);
        if (!r)
            printf("%u\n", code);
        if (r != -ECONNRESET && r != -EBUSY)
            return r;
        if (guest_wait_gone(guest, GONE_MS) < 0)
            return r;
    }
    r = guest_read_record(guest, &record, err);
    if (!r)
        printf("%u\n", record.exit_code);
    return r;
}

static int wait_run(const struct cli_args *args)
{
    return guests_each(args, NULL, wait_guest);
}

const struct cli_verb cli_wait_verb = {
    .name = "wait",
    .operands = "GUEST...",
    .summary = "Wait until guests have ended; print their exit codes",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = wait_run,
};
