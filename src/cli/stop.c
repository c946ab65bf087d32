/* SPDX-License-Identifier: Apache-2.0 */
/* posada stop, kill, restart, wait: ways to a guest's end, and waiting for it. */
#include "base/cleanup.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "host/signals.h"
#include "vm/client.h"
#include "vm/config.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { GONE_MS = 10000, BACKOFF_STEP_MS = 200, BACKOFF_STEPS = 100, STOP_SECONDS_DEFAULT = 10 };

static int stop_not_gone(const struct guest *guest, struct err *err)
{
    return err_set(err, -ETIMEDOUT, "guest '%s': its process does not end; use posada rm -f %s",
                   guest->name, guest->name);
}

/* Sends a request that is answered when this run of the guest has ended. ret_code may be NULL. */
static int stop_ask(const struct guest *guest, json_t *request, unsigned *ret_code, struct err *err)
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
    return 0;
}

/* Nobody answers: between two runs its keeper waits, which hears of it by a signal; at the very
 * start or end of a run a moment later will do. */
static int stop_between_runs(const struct guest *guest, json_t *request, struct err *err)
{
    int r = -EBUSY;

    for (unsigned i = 0; i < BACKOFF_STEPS && r == -EBUSY; i++) {
        struct guest_record record;

        if (guest_wait_gone(guest, BACKOFF_STEP_MS) == 0) {
            json_decref(request);
            return 0;
        }
        if (!guest_read_record(guest, &record, NULL) && record.pid && record.state == VM_STARTING &&
            guest_is_alive(guest))
            (void)kill(record.pid, SIGTERM);
        r = stop_ask(guest, json_incref(request), NULL, err);
    }
    json_decref(request);
    return r;
}

/* Steals request, "stop" or "kill". Written down first: a keeper that restarts its guest must know
 * before it sees the end (on a full disk it does not, but then the record says so too). */
static int stop_end(const struct guest *guest, json_t *request, struct err *err)
{
    int r;

    (void)!guest_want_stopped(guest, true, NULL);
    r = stop_ask(guest, json_incref(request), NULL, err);
    if (r == -ECONNRESET)
        guests_tidy(); /* who was to answer may have been killed: its container goes on */
    if ((r == -EBUSY || r == -ECONNRESET) && guest_is_alive(guest))
        r = stop_between_runs(guest, json_incref(request), err);
    json_decref(request);
    if (r == -ECONNRESET || r == -EBUSY)
        r = 0; /* it ended while we asked */
    if (r < 0)
        return r;
    return guest_wait_gone(guest, GONE_MS) < 0 ? stop_not_gone(guest, err) : 0;
}

int guests_stop(struct guest *guest, unsigned seconds, struct err *err)
{
    json_t *request = guests_request("stop");

    json_object_set_new(request, "seconds", json_integer((json_int_t)seconds));
    return stop_end(guest, request, err);
}

static int stop_seconds(const struct cli_args *args, unsigned *ret, struct err *err)
{
    const char *text = cli_value(args, "time");
    uint64_t seconds = STOP_SECONDS_DEFAULT;

    if (text && cli_parse_number("--time", text, 0, 86400, &seconds, err) < 0)
        return err->code;
    *ret = (unsigned)seconds;
    return 0;
}

static int stop_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    unsigned seconds = 0;
    int r = stop_seconds(args, &seconds, err);

    if (r < 0)
        return r;
    if (!guest_is_alive(guest))
        return err_set(err, -EBUSY, "guest '%s' is not running", guest->name);
    return guests_stop(guest, seconds, err);
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

/* --- restart --- */

static int restart_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    unsigned seconds = 0;
    int r = stop_seconds(args, &seconds, err);

    if (!r && guest_is_alive(guest))
        r = guests_stop(guest, seconds, err);
    return r ? r : guests_start(guest, err);
}

static int restart_run(const struct cli_args *args)
{
    return guests_each(args, "restarted", restart_guest);
}

const struct cli_verb cli_restart_verb = {
    .name = "restart",
    .operands = "GUEST...",
    .summary = "Stop guests that run, and start them",
    .options = stop_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = restart_run,
};

/* --- kill --- */

/* A process that no longer answers is killed from outside; its keeper cleans up. */
int guests_kill(struct guest *guest, struct err *err)
{
    struct guest_record record;
    int r;

    if (!guest_is_alive(guest))
        return err_set(err, -EBUSY, "guest '%s' is not running", guest->name);
    r = stop_end(guest, guests_request("kill"), err);
    if (!r)
        return 0;
    if (guest_read_record(guest, &record, err) < 0 || !record.pid || !guest_is_alive(guest))
        return r;
    (void)kill(record.pid, SIGKILL);
    return guest_wait_gone(guest, GONE_MS) < 0 ? stop_not_gone(guest, err) : 0;
}

/* Any other signal than KILL is for the command the guest was started with. */
static int kill_signal(const struct cli_args *args, struct guest *guest, struct err *err)
{
    const char *text = cli_value(args, "signal");
    int number = text ? signal_parse(text) : SIGKILL;
    json_t *request;

    if (number < 0)
        return err_set(
            err, -EINVAL,
            "--signal '%.40s': expected a name such as TERM or HUP, or a number from 1 to 64",
            text);
    if (number == SIGKILL)
        return guests_kill(guest, err);
    request = guests_request("signal");
    json_object_set_new(request, "signal", json_integer(number));
    return stop_ask(guest, request, NULL, err);
}

static int kill_run(const struct cli_args *args)
{
    return guests_each(args, "killed", kill_signal);
}

static const struct cli_option kill_options[] = {
    {"signal", 's', "SIGNAL", "send this one to the guest's own command instead"},
    CLI_OPTIONS_END,
};

const struct cli_verb cli_kill_verb = {
    .name = "kill",
    .operands = "GUEST...",
    .summary = "End guests at once, as by pulling the plug",
    .options = kill_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = kill_run,
};

/* --- wait --- */

/* Whoever waited may remove it or read its events: its keeper sees it out, unless it starts it once
 * more. */
static void wait_for_keeper(const struct guest *guest)
{
    struct vm_config config = {0};
    bool restarts = !guest_read_config(guest, &config, NULL) && config.restart;

    (void)!guest_wait_gone(guest, restarts ? BACKOFF_STEP_MS : GONE_MS);
    vm_config_done(&config);
}

static int wait_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    struct guest_record record;
    unsigned code = 0;
    int r;

    if (guest_is_alive(guest)) {
        r = stop_ask(guest, guests_request("wait"), &code, err);
        /* Just ending, or between two runs: then the last run's code is the one. */
        wait_for_keeper(guest);
        if (!r)
            printf("%u\n", code);
        if (r != -ECONNRESET && r != -EBUSY)
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
