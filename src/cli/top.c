/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada top: what running guests cost now, again and again. On a terminal the screen is redrawn
 * and cut to its size; elsewhere one table is printed after one interval.
 */
#include "base/when.h"
#include "cli/guests.h"
#include "cli/output.h"
#include "cli/stats.h"
#include "cli/verbs.h"
#include "host/file.h"
#include "host/terminal.h"
#include "vm/config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_DEFAULT = 2, GUESTS_SHOWN_MAX = 4096 };

static const struct cli_option top_options[] = {
    {"interval", 0, "SECONDS", "between two looks (default: 2)"},
    {"once", 0, NULL, "print one table and end, also on a terminal"},
    CLI_LISTING_OPTIONS,
    CLI_OPTIONS_END,
};

static const struct cli_column top_columns[] = {
    {"NAME", "name"},
    {"STATE", "status"},
    {"CPU %", "cpu_percent"},
    {"CPU TIME", "cpu_text"},
    {"RAM", "ram_text"},
    {"REST", "rest_text"},
    {"UP", "up"},
    {NULL, NULL},
};

static json_t *top_mib(json_int_t bytes)
{
    return json_sprintf("%.1f MiB", (double)bytes / (1 << 20));
}

/* before: {NAME: vcpu_cpu_ns} of the last look, ms ago; now: the same of this one. */
static void top_add(json_t *rows, const struct guest *guest, const json_t *before, json_t *now,
                    uint64_t ms)
{
    struct guest_record record;
    json_t *answer = NULL, *stats, *last = json_object_get(before, guest->name);
    char status[400], up[32];
    json_int_t ns;

    if (guest_read_record(guest, &record, NULL) < 0 || stats_ask(guest, &answer, NULL) < 0)
        return;
    stats = json_object_get(answer, "stats");
    ns = stats_number(stats, "vcpu_cpu_ns");
    guests_state_text(&record, status, sizeof(status));
    guests_age_text(record.started, up, sizeof(up));
    json_object_set_new(now, guest->name, json_integer(ns));
    json_array_append_new(
        rows,
        json_pack("{s:s, s:s, s:s, s:f, s:I, s:o, s:I, s:o, s:I, s:o, s:s}", "name", guest->name,
                  "state", vm_state_name(record.state), "status", status, "cpu_percent",
                  last && ms ? (double)(ns - json_integer_value(last)) / 1e4 / (double)ms : 0.0,
                  "cpu_ns", ns, "cpu_text", json_sprintf("%.2f s", (double)ns / 1e9), "ram_bytes",
                  stats_number(stats, "guest_ram_resident_bytes"), "ram_text",
                  top_mib(stats_number(stats, "guest_ram_resident_bytes")), "rest_bytes",
                  stats_number(stats, "monitor_resident_bytes"), "rest_text",
                  top_mib(stats_number(stats, "monitor_resident_bytes")), "up", up));
    json_decref(answer);
}

static int top_look(json_t **ret_rows, json_t **before, uint64_t *at_ms, struct err *err)
{
    json_t *rows, *now;
    uint64_t ms = when_now_ms();
    char **names = NULL;
    int r = store_list(&names, err);

    if (r < 0)
        return r;
    rows = json_array();
    now = json_object();
    for (char **name = names; *name; name++) {
        struct guest guest = GUEST_NONE;

        if (!store_open(*name, &guest, NULL) && guest_is_alive(&guest))
            top_add(rows, &guest, *before, now, *at_ms && ms > *at_ms ? ms - *at_ms : 0);
        guest_close(&guest);
    }
    vm_strings_free(names);
    json_decref(*before);
    *before = now;
    *at_ms = ms;
    *ret_rows = rows;
    return 0;
}

/* A screen: no line wraps, and the last one is left free. */
static bool top_draw(const char *text)
{
    unsigned rows = 24, columns = 80;
    char *screen = NULL;
    size_t len;
    FILE *out = open_memstream(&screen, &len);
    int r;

    if (!out)
        return false;
    (void)terminal_size(STDOUT_FILENO, &rows, &columns);
    columns -= columns > 1; /* the last column is left free: "erase to the end" would take it */
    fputs("\033[H", out);
    for (unsigned row = 1; *text && row < (rows ? rows : 2); row++) {
        size_t line = strcspn(text, "\n");

        fprintf(out, "%.*s\033[K\n", (int)(line < columns ? line : columns), text);
        text += line + (text[line] == '\n');
    }
    fputs("\033[J", out);
    fclose(out);
    r = file_write_all(STDOUT_FILENO, screen, len);
    free(screen);
    return r == 0;
}

static int top_watch(const struct cli_args *args, const struct timespec *pause, struct err *err)
{
    json_t *before = json_object(), *rows = NULL;
    bool once = cli_has(args, "once") || !isatty(STDOUT_FILENO);
    uint64_t at_ms = 0;
    int r = 0, code = EXIT_OK;

    for (unsigned looks = 0; !r; looks++) {
        bool show = looks || !once, last = once && looks;
        char *text = NULL;

        r = top_look(&rows, &before, &at_ms, err);
        if (!r && once && show)
            code = cli_print_listing(args, rows, top_columns);
        else if (!r && show &&
                 (!(text = cli_listing_table(args, rows, top_columns)) || !top_draw(text)))
            last = true;
        free(text);
        json_decref(r ? NULL : rows);
        if (last)
            break;
        nanosleep(pause, NULL);
    }
    json_decref(before);
    return r < 0 ? cli_fail(err) : code;
}

static int top_run(const struct cli_args *args)
{
    const char *text = cli_value(args, "interval");
    uint64_t seconds = INTERVAL_DEFAULT;
    struct timespec pause;
    struct err err;
    int r = cli_listing_check(args, &err);

    if (!r && text)
        r = cli_parse_number("--interval", text, 1, 3600, &seconds, &err);
    if (r < 0)
        return cli_fail(&err);
    guests_tidy();
    pause = (struct timespec){.tv_sec = (time_t)seconds};
    return top_watch(args, &pause, &err);
}

const struct cli_verb cli_top_verb = {
    .name = "top",
    .summary = "Watch what running guests cost",
    .details = "CPU % counts one processor of this host as 100. RAM is what the guest's memory "
               "takes here, REST\neverything else its process has. Ctrl-C ends it.",
    .options = top_options,
    .run = top_run,
};
