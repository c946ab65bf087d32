/* SPDX-License-Identifier: Apache-2.0 */
/* posada network: the named networks that guests share. */
#include "cli/guests.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "vm/config.h"
#include "vm/netdef.h"
#include <errno.h>
#include <stdio.h>

/* --- create --- */
static const struct cli_option network_create_options[] = {
    {"subnet", 0, "ADDRESS/PREFIX", "its IPv4 addresses, such as 10.5.0.0/24 (default: free ones)"},
    CLI_OPTIONS_END};

static int network_create(const struct cli_args *args)
{
    const char *text = cli_value(args, "subnet");
    struct net_subnet subnet;
    struct netdef def;
    struct err err;

    if (text && !net_subnet_parse(text, &subnet)) {
        (void)err_set(&err, -EINVAL,
                      "--subnet '%.40s': expected the first address and a prefix of %d to %d, such "
                      "as 10.5.0.0/24",
                      text, NET_SUBNET_MIN, NET_SUBNET_MAX);
        return cli_fail(&err);
    }
    if (netdef_create(args->operands[0], text ? &subnet : NULL, &def, &err) < 0)
        return cli_fail(&err);
    printf("%s\n", def.name);
    return EXIT_OK;
}

static const struct cli_verb network_create_verb = {
    .name = "create",
    .operands = "NETWORK",
    .summary = "Make a network",
    .options = network_create_options,
    .min = 1,
    .max = 1,
    .run = network_create,
};

/* --- ls, inspect --- */
static void network_add_guest(void *arg, const struct guest *guest, const struct vm_net *net)
{
    json_t *row = arg;
    struct guest_record record;

    if (guest_read_record(guest, &record, NULL) < 0)
        return;
    json_array_append_new(json_object_get(row, "guests"),
                          json_pack("{s:s, s:s, s:s}", "name", guest->name, "mac", net->mac,
                                    "state", vm_state_name(record.state)));
}

static json_t *network_row(const struct netdef *def)
{
    char subnet[NET_SUBNET_TEXT], age[32];
    json_t *row;

    net_subnet_print(&def->subnet, subnet);
    guests_age_text(def->created, age, sizeof(age));
    row = json_pack("{s:s, s:s, s:s, s:I, s:[]}", "name", def->name, "subnet", subnet, "age", age,
                    "created", (json_int_t)def->created, "guests");
    netdef_each_user(def->name, network_add_guest, row);
    json_object_set_new(row, "count",
                        json_integer((json_int_t)json_array_size(json_object_get(row, "guests"))));
    return row;
}

static const struct cli_option network_ls_options[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};
static const struct cli_column network_columns[] = {
    {"NAME", "name"}, {"SUBNET", "subnet"}, {"GUESTS", "count"}, {"AGE", "age"}, {NULL, NULL}};

static int network_ls(const struct cli_args *args)
{
    char **names = NULL;
    struct netdef def;
    struct err err;
    json_t *rows;
    int code;

    if (cli_listing_check(args, &err) < 0 || netdef_list(&names, &err) < 0)
        return cli_fail(&err);
    rows = json_array();
    for (char **name = names; *name; name++)
        if (!netdef_read(*name, &def, NULL))
            json_array_append_new(rows, network_row(&def));
    code = cli_print_listing(args, rows, network_columns);
    json_decref(rows);
    vm_strings_free(names);
    return code;
}

static const struct cli_verb network_ls_verb = {
    .name = "ls",
    .summary = "List networks",
    .options = network_ls_options,
    .run = network_ls,
};

static int network_inspect(const struct cli_args *args)
{
    json_t *list = json_array();
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct netdef def;
        struct err err;

        if (netdef_read(args->operands[i], &def, &err) < 0)
            code = cli_fail(&err);
        else
            json_array_append_new(list, network_row(&def));
    }
    cli_print_json(list);
    json_decref(list);
    return code;
}

static const struct cli_verb network_inspect_verb = {
    .name = "inspect",
    .operands = "NETWORK...",
    .summary = "Show all that is known of networks, and who is on them, as JSON",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = network_inspect,
};

/* --- rm --- */
static int network_rm(const struct cli_args *args)
{
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct err err;

        if (netdef_remove(args->operands[i], &err) < 0)
            code = cli_fail(&err);
        else
            printf("%s\n", args->operands[i]);
    }
    return code;
}

static const struct cli_verb network_rm_verb = {
    .name = "rm",
    .operands = "NETWORK...",
    .summary = "Remove networks that no guest is on",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = network_rm,
};

static const struct cli_verb *const network_verbs[] = {&network_create_verb, &network_inspect_verb,
                                                       &network_ls_verb, &network_rm_verb, NULL};

const struct cli_verb cli_network_verb = {
    .name = "network",
    .summary = "Make, list and remove the named networks that guests share",
    .details = "A network that nobody has made is made by the first guest on it (--net NAME), with "
               "a subnet\nthat no other has. It stays until it is removed.",
    .verbs = network_verbs,
};
