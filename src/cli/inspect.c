/* SPDX-License-Identifier: Apache-2.0 */
/* posada inspect: all that is known of guests, as JSON. */
#include "cli/guests.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "vm/client.h"
#include "vm/config.h"
#include <unistd.h>

static const struct cli_option inspect_options[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};

static const struct cli_column inspect_columns[] = {
    {"NAME", "name"}, {"STATE", "state"}, {"UUID", "config.uuid"}, {NULL, NULL}};

/* What only the running process knows; absent when it does not run or does not answer. */
static void inspect_live(const struct guest *guest, json_t *json)
{
    json_t *live = NULL;
    int fd = -1;

    if (client_connect(guest, &fd, NULL) < 0)
        return;
    if (!client_ask(fd, guests_request("status"), &live, NULL)) {
        json_object_del(live, "ok");
        json_object_set_new(json, "live", live);
    }
    close(fd);
}

static int inspect_guest(const struct guest *guest, json_t *list, struct err *err)
{
    struct guest_record record;
    struct vm_config config;
    json_t *json;
    int r = guest_read_record(guest, &record, err);

    if (!r)
        r = guest_read_config(guest, &config, err);
    if (r < 0)
        return r;
    json = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:I, s:I, s:I, s:o}", "name", guest->name,
                     "state", vm_state_name(record.state), "reason", record.reason, "engine",
                     record.engine, "pid", (int)record.pid, "exit_code", (int)record.exit_code,
                     "agent", record.agent, "created", (json_int_t)record.created, "started",
                     (json_int_t)record.started, "ended", (json_int_t)record.ended, "config",
                     vm_config_to_json(&config));
    inspect_live(guest, json);
    json_array_append_new(list, json);
    vm_config_done(&config);
    return 0;
}

static int inspect_run(const struct cli_args *args)
{
    json_t *list;
    int code = EXIT_OK;
    struct err wrong;

    if (cli_listing_check(args, &wrong) < 0)
        return cli_fail(&wrong);
    list = json_array();

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct guest guest = GUEST_NONE;
        struct err err;
        int r = guests_open(args->operands[i], &guest, &err);

        if (!r)
            r = inspect_guest(&guest, list, &err);
        if (r < 0)
            code = cli_fail(&err);
        guest_close(&guest);
    }
    if (cli_has(args, "format")) {
        int printed = cli_print_listing(args, list, inspect_columns);

        code = code ? code : printed;
    } else {
        cli_print_json(list);
    }
    json_decref(list);
    return code;
}

const struct cli_verb cli_inspect_verb = {
    .name = "inspect",
    .operands = "GUEST...",
    .options = inspect_options,
    .summary = "Show all that is known of guests, as JSON",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = inspect_run,
};
