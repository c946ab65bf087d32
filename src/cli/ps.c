/* SPDX-License-Identifier: Apache-2.0 */
/* posada ps: what guests there are and how they do. */
#include "cli/guests.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "vm/config.h"
#include <stdio.h>

static const struct cli_option ps_options[] = {
    {"all", 'a', NULL, "also guests that do not run"},
    CLI_LISTING_OPTIONS,
    CLI_OPTIONS_END,
};

static const struct cli_column ps_columns[] = {
    {"NAME", "name"},          {"STATE", "status"}, {"ARCH", "arch"},
    {"ENGINE", "engine"},      {"IMAGE", "image"},  {"CPUS", "cpus_text"},
    {"MEMORY", "memory_text"}, {"AGE", "age"},      {NULL, NULL},
};

static json_t *ps_row(const struct guest *guest, const struct vm_config *config,
                      const struct guest_record *record)
{
    char status[400], age[32], memory[32] = "-", cpus[32] = "-";
    const char *image = config->image ? config->image : config->kernel ? config->kernel : "-";

    guests_state_text(record, status, sizeof(status));
    guests_age_text(record->created, age, sizeof(age));
    if (config->memory) /* a container may have whatever is there */
        guests_size_text(config->memory, memory, sizeof(memory));
    if (config->millicpus)
        (void)snprintf(cpus, sizeof(cpus), "%g", config->millicpus / 1000.0);
    else if (config->cpus)
        (void)snprintf(cpus, sizeof(cpus), "%u", config->cpus);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:I, s:s, s:s, s:i, s:i, s:i, s:s, "
        "s:I}",
        "name", guest->name, "uuid", config->uuid, "state", vm_state_name(record->state), "reason",
        record->reason, "status", status, "arch", vm_arch_name(config->arch), "engine",
        record->engine[0] ? record->engine : "-", "image", image, "cpus", (int)config->cpus,
        "cpus_text", cpus, "memory", (json_int_t)config->memory, "memory_text", memory, "age", age,
        "pid", (int)record->pid, "exit_code", (int)record->exit_code, "restarts",
        (int)record->restarts, "restart", config->restart ? config->restart : "no", "created",
        (json_int_t)record->created);
}

/* Guests that vanish while the list is made are no failure. */
static void ps_add(json_t *rows, const char *name, bool all)
{
    struct guest guest = GUEST_NONE;
    struct guest_record record;
    struct vm_config config;

    if (store_open(name, &guest, NULL) < 0)
        return;
    if (!guest_read_record(&guest, &record, NULL) && (all || guest_is_alive(&guest)) &&
        !guest_read_config(&guest, &config, NULL)) {
        json_array_append_new(rows, ps_row(&guest, &config, &record));
        vm_config_done(&config);
    }
    guest_close(&guest);
}

static int ps_run(const struct cli_args *args)
{
    char **names = NULL;
    struct err err;
    json_t *rows;
    int code;

    if (cli_listing_check(args, &err) < 0)
        return cli_fail(&err);
    guests_tidy();
    if (store_list(&names, &err) < 0)
        return cli_fail(&err);
    rows = json_array();
    for (char **name = names; *name; name++)
        ps_add(rows, *name, cli_has(args, "all"));
    code = cli_print_listing(args, rows, ps_columns);
    json_decref(rows);
    vm_strings_free(names);
    return code;
}

const struct cli_verb cli_ps_verb = {
    .name = "ps",
    .summary = "List guests",
    .options = ps_options,
    .run = ps_run,
};
