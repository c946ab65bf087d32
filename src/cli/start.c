/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada start: runs guests that exist, and what run and up share with it. Contract: cli/start.h.
 */
#include "cli/start.h"

#include "cli/attach.h"
#include "cli/guests.h"
#include "cli/run.h"
#include "cli/verbs.h"
#include "ctr/ctr.h"
#include "host/process.h"
#include "vm/client.h"
#include "vm/config.h"
#include "vm/monitor.h"
#include "vm/restart.h"
#include <errno.h>
#include <unistd.h>

enum { SEE_OUT_MS = 10000 };

/* Sees the guest's processes out: nothing of this run is left when we return. */
static void start_see_out(struct started *s)
{
    int status;

    if (s->owner_fd >= 0)
        close(s->owner_fd);
    s->owner_fd = -1;
    if (s->keeper)
        (void)!process_wait(s->keeper, &status);
    else
        (void)!guest_wait_gone(&s->guest, SEE_OUT_MS);
}

/* The processes of a VM, or the monitor that all containers share. */
static int start_spawn(const struct guest *locked, struct started *s, struct err *err)
{
    struct vm_config config = {0};
    int r = guest_read_config(locked, &config, err);
    bool container = config.technique == TECHNIQUE_CONTAINER;

    vm_config_done(&config);
    if (r < 0)
        return r;
    return container ? ctr_spawn(locked, &s->owner_fd, err)
                     : monitor_spawn(locked, &s->owner_fd, &s->keeper, err);
}

int start_guest(const struct guest *locked, struct started *ret, struct err *err)
{
    struct started s = STARTED_NONE;
    int r = guest_open_again(locked, &s.guest, err);

    if (!r)
        r = guest_want_stopped(locked, false, err);
    if (!r)
        r = start_spawn(locked, &s, err);
    if (r < 0) {
        guest_close(&s.guest);
        return r;
    }
    r = client_receive(s.owner_fd, NULL, err);
    if (r < 0) {
        if (s.keeper)
            start_see_out(&s);
        started_done(&s);
        return err_wrap(err, r, "guest '%s' cannot start", locked->name);
    }
    *ret = s;
    return 0;
}

int start_detach(struct started *s, struct err *err)
{
    return client_ask(s->owner_fd, guests_request("detach"), NULL, err);
}

int start_attach(struct started *s, const struct start_attach *how)
{
    struct attach attach = {
        .fd = s->owner_fd,
        .guest = s->guest.name,
        .command = how->command,
        .tty = how->tty,
        .input = how->input,
        .quiet = how->quiet,
        .keys = how->keys,
    };
    json_t *request = guests_request("attach");
    struct attach_result result;
    struct err err;
    int r;

    json_object_set_new(request, "replay", json_true());
    if (attach.tty)
        attach_add_size(request);
    r = client_ask(s->owner_fd, request, NULL, &err);
    if (!r)
        r = attach_run(&attach, &result, &err);
    /* Closing ends the guest, unless the detach keys were pressed; see it out. */
    if (r < 0 || result.end != ATTACH_DETACHED)
        start_see_out(s);
    return r < 0 ? run_exit_code(cli_fail(&err)) : attach_exit_code(&result);
}

void started_done(struct started *s)
{
    if (s->owner_fd >= 0)
        close(s->owner_fd);
    guest_close(&s->guest);
    *s = STARTED_NONE;
}

/* --- the verb --- */

static const struct cli_option start_options[] = {
    {"attach", 'a', NULL, "stay with it: show its command's output, or its console"},
    {"interactive", 'i', NULL, "with --attach: pass standard input on"},
    {"boot", 0, NULL, "start those whose restart policy wants it after the host has started"},
    CLI_DETACH_OPTION,
    CLI_OPTIONS_END,
};

int guests_start(struct guest *guest, struct err *err)
{
    struct started started;
    int r = guests_lock(guest, err);

    if (r < 0 && r != -EBUSY)
        return r;
    if (r < 0)
        return err_set(err, r, "guest '%s' is running already", guest->name);
    r = start_guest(guest, &started, err);
    if (r < 0)
        return r;
    r = start_detach(&started, err);
    started_done(&started);
    /* The lock is still ours, so nobody can have started it again. */
    if (r == -ECONNRESET && guest_is_wanted_stopped(guest))
        r = err_set(err, -EBUSY, "guest '%s' was stopped by another command while it started",
                    guest->name);
    return r;
}

static int start_detached(const struct cli_args *args, struct guest *guest, struct err *err)
{
    return guests_start(guest, err);
}

/* Nobody may restart in the foreground: who waits wants to see the end. */
static int start_check_foreground(const struct guest *guest, struct vm_config *config,
                                  struct err *err)
{
    struct restart_policy policy;
    int r = guest_read_config(guest, config, err);

    if (!r)
        r = restart_parse(config->restart, &policy, err);
    if (!r && policy.when != RESTART_NO)
        r = err_set(err, -EINVAL,
                    "guest '%s' has a restart policy (%s), so it cannot be started in the "
                    "foreground; start it without --attach, then posada attach %s",
                    guest->name, config->restart, guest->name);
    return r;
}

static int start_foreground_open(const struct cli_args *args, struct guest *guest,
                                 struct vm_config *config, struct started *started, struct err *err)
{
    int r = attach_keys_check(cli_value(args, "detach-keys"), err);

    if (!r)
        r = guests_open(args->operands[0], guest, err);
    if (!r)
        r = start_check_foreground(guest, config, err);
    if (!r && config->tty && cli_has(args, "interactive") && !isatty(STDIN_FILENO))
        r = err_set(err, -EINVAL, "guest '%s' wants a terminal, but standard input is none",
                    guest->name);
    if (!r)
        r = guests_lock(guest, err);
    if (r == -EBUSY)
        r = err_set(err, -EBUSY, "guest '%s' is running already; posada attach %s", guest->name,
                    guest->name);
    return r ? r : start_guest(guest, started, err);
}

static int start_foreground(const struct cli_args *args)
{
    struct guest guest = GUEST_NONE;
    struct vm_config config = {0};
    struct started started = STARTED_NONE;
    struct err err;
    int r = start_foreground_open(args, &guest, &config, &started, &err), code;
    bool input = cli_has(args, "interactive");
    struct start_attach how = {
        .keys = cli_value(args, "detach-keys"),
        .command = config.command != NULL,
        .tty = input && (config.command ? config.tty : isatty(STDIN_FILENO)),
        .input = input,
    };

    guest_close(&guest); /* the processes hold the lock now */
    code = r < 0 ? run_exit_code(cli_fail(&err)) : start_attach(&started, &how);
    started_done(&started);
    vm_config_done(&config);
    return code;
}

/* --- after the host has started --- */

static bool start_wants_boot(const struct guest *guest)
{
    struct restart_policy policy = {RESTART_NO, 0};
    struct guest_record record;
    struct vm_config config;
    int r;

    if (guest_is_alive(guest) || guest_read_record(guest, &record, NULL) < 0 ||
        record.state == VM_CREATED || guest_read_config(guest, &config, NULL) < 0)
        return false;
    r = restart_parse(config.restart, &policy, NULL);
    vm_config_done(&config);
    return !r && restart_at_boot(&policy, guest_is_wanted_stopped(guest));
}

static int start_boot(void)
{
    char **names = NULL;
    int code = EXIT_OK;
    struct err err;

    guests_tidy();
    if (store_list(&names, &err) < 0)
        return cli_fail(&err);
    for (char **name = names; *name; name++) {
        struct guest guest = GUEST_NONE;

        if (!store_open(*name, &guest, NULL) && start_wants_boot(&guest)) {
            if (guests_start(&guest, &err) < 0)
                code = cli_fail(&err);
            else
                printf("%s\n", guest.name);
        }
        guest_close(&guest);
    }
    vm_strings_free(names);
    return code;
}

static int start_run(const struct cli_args *args)
{
    bool attach = cli_has(args, "attach") || cli_has(args, "interactive");
    struct err err;

    if (cli_has(args, "boot") && (attach || args->operand_count)) {
        err_set(&err, -EINVAL, "start: --boot chooses the guests itself; give nothing else");
        return cli_fail(&err);
    }
    if (cli_has(args, "boot"))
        return start_boot();
    if (!args->operand_count || (attach && args->operand_count > 1)) {
        err_set(&err, -EINVAL, "start: name %s; see posada start --help",
                attach ? "one guest, or leave out --attach" : "a guest");
        return cli_fail(&err);
    }
    return attach ? start_foreground(args) : guests_each(args, "started", start_detached);
}

const struct cli_verb cli_start_verb = {
    .name = "start",
    .operands = "GUEST...",
    .summary = "Start guests that exist",
    .details = "Returns when the machines are built and run; a guest may then still be starting "
               "(posada ps says\nwhat it waits for). With --attach, exits as posada run does.",
    .options = start_options,
    .max = CLI_ANY_NUMBER,
    .run = start_run,
};
