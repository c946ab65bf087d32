/* SPDX-License-Identifier: Apache-2.0 */
/* posada create, rename, set: guests as descriptions. */
#include "base/cleanup.h"
#include "cli/guests.h"
#include "cli/run.h"
#include "cli/verbs.h"
#include "vm/client.h"
#include "vm/config.h"
#include "vm/events.h"
#include "vm/restart.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int create_run(const struct cli_args *args)
{
    struct guest guest = GUEST_NONE;
    struct vm_config config = {0};
    struct err err;
    int r = run_configure(args, &config, &err);

    guests_tidy();
    if (!r)
        r = store_create(&config, &guest, &err);
    if (!r)
        printf("%s\n", guest.name);
    guest_close(&guest);
    vm_config_done(&config);
    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

const struct cli_verb cli_create_verb = {
    .name = "create",
    .operands = "IMAGE [COMMAND [ARGUMENT...]]",
    .summary = "Make a guest without starting it",
    .details = "Takes the options of posada run; posada start runs it.",
    .shared = run_guest_options,
    .max = CLI_ANY_NUMBER,
    .command = true,
    .run = create_run,
};

/* --- rename --- */

/* Its process names it in what it logs; its files, socket and keeper go by the directory. */
static void rename_tell(struct guest *guest)
{
    json_t *request = guests_request("renamed");
    CLEANUP(fd) int fd = -1;

    json_object_set_new(request, "name", json_string(guest->name));
    if (client_connect(guest, &fd, NULL) < 0)
        json_decref(request);
    else
        (void)!client_send(fd, request, NULL); /* whether or not it answers */
}

/* A container's runtime knows it by the name it was started with. */
static int rename_check(const struct guest *guest, struct err *err)
{
    if (!guest_is_alive(guest) || !guests_is_container(guest))
        return 0;
    return err_set(err, -EBUSY, "container '%s' is running; stop it first: posada stop %s",
                   guest->name, guest->name);
}

static int rename_run(const struct cli_args *args)
{
    struct guest guest = GUEST_NONE;
    struct err err;
    int r = guests_open(args->operands[0], &guest, &err);

    if (!r)
        guests_see_out(&guest);
    if (!r)
        r = rename_check(&guest, &err);
    if (!r)
        r = store_rename(&guest, args->operands[1], &err);
    if (!r && guest_is_alive(&guest))
        rename_tell(&guest);
    if (!r)
        printf("%s\n", guest.name);
    guest_close(&guest);
    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

const struct cli_verb cli_rename_verb = {
    .name = "rename",
    .operands = "GUEST NAME",
    .summary = "Give a guest another name",
    .details = "Also a virtual machine that runs: sessions, posada wait and posada logs --follow "
               "go on. The guest "
               "itself\nlearns its new host name at its next start. A guest file does not know the "
               "new name.",
    .min = 2,
    .max = 2,
    .run = rename_run,
};

/* --- set --- */

static const struct cli_option set_options[] = {
    RUN_SIZE_OPTIONS,
    RUN_RATE_OPTION,
    RUN_RESTART_OPTION,
    CLI_OPTIONS_END,
};

static int set_apply(const void *arg, struct vm_config *config, struct err *err)
{
    const struct cli_args *args = arg;
    int r = run_size_options(args, config, err);

    if (!r)
        r = run_rate_option(args, config, err);
    if (!r)
        r = run_restart_option(args, config, err);
    if (!r && config->auto_remove && config->restart)
        r = err_set(err, -EINVAL, "guest '%s' is removed when it ends (--rm), so it cannot restart",
                    config->name);
    return r;
}

/* The networks of a guest that runs get the limits that its configuration has now. */
static int set_rate(const struct guest *guest, struct err *err)
{
    json_t *request = guests_request("rate");
    struct vm_config config = {0};
    int r = guest_read_config(guest, &config, err);

    if (!r && config.net_rate)
        json_object_set_new(request, "rate", json_string(config.net_rate));
    if (!r)
        r = guests_ask_request(guest, request, err);
    else
        json_decref(request);
    vm_config_done(&config);
    return r;
}

/* Which groups there are, the monitor of one that runs knows; else, as for a new one, we do. */
static int set_ask_limits(const struct guest *guest, const struct vm_config *wanted,
                          struct err *err)
{
    const struct vm_config limits = {
        /* the rest may be more than a request holds */
        .memory = wanted->memory,           .memory_low = wanted->memory_low,
        .memory_high = wanted->memory_high, .memory_auto = wanted->memory_auto,
        .millicpus = wanted->millicpus,     .pids = wanted->pids};
    json_t *request;

    if (!guest_is_alive(guest))
        return run_check_limits(wanted, err);
    request = guests_request("update");
    json_object_set_new(request, "wanted", vm_config_to_json(&limits));
    return guests_ask_request(guest, request, err);
}

/* Before anything is written: a limit that cannot be would be in the way of the next start. */
static int set_check_limits(const struct cli_args *args, const struct guest *guest, struct err *err)
{
    struct vm_config config = {0};
    int r = guest_read_config(guest, &config, err);

    if (!r && config.technique == TECHNIQUE_CONTAINER) {
        r = set_apply(args, &config, err);
        if (!r)
            r = set_ask_limits(guest, &config, err);
    }
    vm_config_done(&config);
    return r;
}

static int set_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    bool sizes = cli_has(args, "memory") || cli_has(args, "cpus") || cli_has(args, "pids") ||
                 cli_has(args, "memory-reservation") || cli_has(args, "memory-high");
    int r = sizes ? set_check_limits(args, guest, err) : 0;

    if (!r)
        r = store_change(guest, set_apply, args, err);
    if (!r && cli_has(args, "net-rate") && guest_is_alive(guest))
        r = set_rate(guest, err);
    if (!r && sizes && guest_is_alive(guest) && guests_is_container(guest))
        return guests_ask(guest, "update", err);
    if (!r && sizes && guest_is_alive(guest))
        fprintf(stderr, "guest '%s' runs; its new size counts from the next start on\n",
                guest->name);
    return r;
}

static int set_run(const struct cli_args *args)
{
    struct err err;

    if (!args->setting_count) {
        err_set(&err, -EINVAL, "set: nothing to change; see posada set --help");
        return cli_fail(&err);
    }
    return guests_each(args, "changed", set_guest);
}

const struct cli_verb cli_set_verb = {
    .name = "set",
    .operands = "GUEST...",
    .summary = "Change guests: memory, processors, network rates, restart policy",
    .details = "A restart policy and network rates count at once, also of a guest that runs; "
               "memory and processors "
               "of a VM from its\nnext start on, limits of a container at once.",
    .options = set_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = set_run,
};
