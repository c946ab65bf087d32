/* SPDX-License-Identifier: Apache-2.0 */
/* posada stats: what running guests cost and how their engines work. Fields: docs/stats.md. */
#include "cli/stats.h"
#include "base/cleanup.h"
#include "cli/guests.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "vm/client.h"
#include "vm/config.h"
#include <errno.h>
#include <string.h>

static const struct cli_option stats_options[] = {
    {"metrics", 0, NULL, "all guests, as Prometheus text"},
    CLI_LISTING_OPTIONS,
    CLI_OPTIONS_END,
};

static const struct cli_column stats_columns[] = {
    {"NAME", "name"},
    {"CPU TIME", "cpu_text"},
    {"BLOCKS", "blocks"},
    {"EXITS", "exits"},
    {"TLB MISSES", "misses"},
    {"WALKS", "walks"},
    {"CODE", "code_text"},
    {"EVICTED", "evicted"},
    {"RAM", "ram_text"},
    {"REST", "rest_text"},
    {NULL, NULL},
};

json_int_t stats_number(const json_t *stats, const char *name)
{
    return json_integer_value(json_object_get(stats, name));
}

static json_int_t stats_exits(const json_t *stats)
{
    static const char *const reasons[] = {
        "jit_exits_attention", "jit_exits_dispatch", "jit_exits_link", "jit_exits_apart",
        "jit_exits_jump",      "jit_exits_fault",    "jit_exits_cpu"};
    json_int_t sum = 0;

    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
        sum += stats_number(stats, reasons[i]);
    return sum;
}

static json_t *stats_mib(const json_t *stats, const char *name)
{
    return json_sprintf("%.1f MiB", (double)stats_number(stats, name) / (1 << 20));
}

/* The table shows sums over engines: a guest has blocks of the JIT, or of the interpreter. */
static json_t *stats_table_row(const char *name, const json_t *s)
{
    return json_pack(
        "{s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o}", "name", name, "cpu_text",
        json_sprintf("%.2f s", (double)stats_number(s, "vcpu_cpu_ns") / 1e9), "blocks",
        stats_number(s, "blocks") + stats_number(s, "jit_blocks"), "exits", stats_exits(s),
        "misses", stats_number(s, "tlb_misses"), "walks", stats_number(s, "page_walks"),
        "code_text",
        stats_mib(s, json_object_get(s, "jit_code_bytes") ? "jit_code_bytes" : "code_bytes"),
        "evicted", stats_number(s, "cache_evictions") + stats_number(s, "jit_evictions"),
        "ram_text", stats_mib(s, "guest_ram_resident_bytes"), "rest_text",
        stats_mib(s, "monitor_resident_bytes"));
}

static bool stats_as_table(const struct cli_args *args)
{
    const char *format = cli_value(args, "format");

    return !format || strcmp(format, "json") != 0;
}

int stats_ask(const struct guest *guest, json_t **ret_answer, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    int r = client_connect(guest, &fd, err);

    if (r < 0)
        return r;
    r = client_ask(fd, guests_request("stats"), ret_answer, err);
    return r < 0 ? err_wrap(err, r, "guest '%s'", guest->name) : 0;
}

static int stats_add(const struct cli_args *args, struct guest *guest, json_t *rows,
                     struct err *err)
{
    json_t *answer = NULL;
    int r = stats_ask(guest, &answer, err);

    if (r < 0)
        return r;
    json_array_append_new(rows, stats_as_table(args)
                                    ? stats_table_row(guest->name, json_object_get(answer, "stats"))
                                    : json_pack("{s:s, s:O, s:O}", "name", guest->name, "engine",
                                                json_object_get(answer, "engine"), "stats",
                                                json_object_get(answer, "stats")));
    json_decref(answer);
    return 0;
}

static int stats_named(const struct cli_args *args, json_t *rows)
{
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct guest guest = GUEST_NONE;
        struct err err;
        int r = guests_open(args->operands[i], &guest, &err);

        if (!r)
            r = stats_add(args, &guest, rows, &err);
        if (r < 0)
            code = cli_fail(&err);
        guest_close(&guest);
    }
    return code;
}

/* All that run; those that end meanwhile are no failure. */
static int stats_all(const struct cli_args *args, json_t *rows)
{
    char **names = NULL;
    struct err err;

    guests_tidy();
    if (store_list(&names, &err) < 0)
        return cli_fail(&err);
    for (char **name = names; *name; name++) {
        struct guest guest = GUEST_NONE;

        if (!store_open(*name, &guest, NULL) && guest_is_alive(&guest))
            (void)!stats_add(args, &guest, rows, &err);
        guest_close(&guest);
    }
    vm_strings_free(names);
    return EXIT_OK;
}

static int stats_run(const struct cli_args *args)
{
    struct err err;
    json_t *rows;
    int code, printed;

    if (cli_listing_check(args, &err) < 0)
        return cli_fail(&err);
    if (cli_has(args, "metrics")) {
        if (!args->operand_count && args->setting_count == 1)
            return stats_metrics();
        err_set(&err, -EINVAL, "stats: --metrics is about all guests; give nothing else");
        return cli_fail(&err);
    }
    rows = json_array();
    code = args->operand_count ? stats_named(args, rows) : stats_all(args, rows);
    printed = code && !json_array_size(rows) ? code : cli_print_listing(args, rows, stats_columns);
    json_decref(rows);
    return code ? code : printed;
}

const struct cli_verb cli_stats_verb = {
    .name = "stats",
    .operands = "[GUEST...]",
    .summary = "Show what running guests cost and how their engines work",
    .details = "Numbers count from the guest's start. CODE is what translated code takes, RAM what "
               "the guest's\nmemory takes on this host, REST everything else its process has "
               "resident. --format json has\nmany more.",
    .options = stats_options,
    .max = CLI_ANY_NUMBER,
    .run = stats_run,
};
