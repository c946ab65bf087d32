/* SPDX-License-Identifier: Apache-2.0 */
/* posada events: what happens to guests, as JSON lines. Fields: docs/events.md. */
#include "vm/events.h"

#include "base/when.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct cli_option events_options[] = {
    {"since", 0, "TIME", "from then on: 10m (ago), 2026-11-27T12:00, or seconds since 1970"},
    {"until", 0, "TIME", "and no longer than until then"},
    {"after", 0, "SEQ", "only those with a higher number"},
    {"filter", 0, "KEY=VALUE", "only those with this field; * stands for anything", CLI_REPEAT},
    {"no-stream", 0, NULL, "print what there is, do not wait for more"},
    CLI_OPTIONS_END,
};

struct events_wanted {
    const struct cli_args *args;
    char since[32], until[32]; /* as events write them: text compares as time does */
    uint64_t until_ms, after;
    bool from_now; /* nothing of the past was asked for */
};

static int events_time(const struct cli_args *args, const char *name, char ret[32],
                       uint64_t *ret_ms, struct err *err)
{
    const char *text = cli_value(args, name);
    char what[16];
    int r;

    if (!text)
        return 0;
    snprintf(what, sizeof(what), "--%s", name);
    r = when_parse(what, text, when_now_ms(), ret_ms, err);
    if (!r)
        event_time_text(*ret_ms, ret);
    return r;
}

static int events_options_read(const struct cli_args *args, struct events_wanted *ret,
                               struct err *err)
{
    const char *after = cli_value(args, "after"), *filter;
    uint64_t since_ms;
    int r = events_time(args, "since", ret->since, &since_ms, err);

    if (!r)
        r = events_time(args, "until", ret->until, &ret->until_ms, err);
    if (!r && after)
        r = cli_parse_number("--after", after, 0, INT64_MAX, &ret->after, err);
    for (unsigned i = 0; !r && (filter = cli_nth(args, "filter", i)); i++)
        if (!strchr(filter, '=') || *filter == '=')
            r = err_set(err, -EINVAL, "--filter '%.80s': expected KEY=VALUE", filter);
    ret->from_now = !ret->since[0] && !after && !cli_has(args, "no-stream");
    return r;
}

static bool events_is_wanted(const struct events_wanted *w, const json_t *event)
{
    const char *time = json_string_value(json_object_get(event, "time"));
    json_int_t seq = json_integer_value(json_object_get(event, "seq"));

    return seq >= 0 && (uint64_t)seq > w->after && time &&
           (!w->since[0] || strcmp(time, w->since) >= 0) &&
           (!w->until[0] || strcmp(time, w->until) <= 0) && cli_row_matches(w->args, event);
}

/* What there is now; false when nobody reads us any more. */
static bool events_print(struct event_reader *reader, const struct events_wanted *w, bool show)
{
    json_t *event;

    while ((event = event_next(reader))) {
        if (show && events_is_wanted(w, event)) {
            json_dumpf(event, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
            putchar('\n');
        }
        json_decref(event);
    }
    return fflush(stdout) == 0;
}

static int events_run(const struct cli_args *args)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    struct events_wanted wanted = {.args = args};
    struct event_reader reader;
    struct err err;

    if (events_options_read(args, &wanted, &err) < 0)
        return cli_fail(&err);
    event_reader_init(&reader);
    for (bool show = !wanted.from_now; events_print(&reader, &wanted, show); show = true) {
        if (cli_has(args, "no-stream") || (wanted.until[0] && when_now_ms() > wanted.until_ms))
            break;
        nanosleep(&pause, NULL);
    }
    event_reader_done(&reader);
    return EXIT_OK;
}

const struct cli_verb cli_events_verb = {
    .name = "events",
    .summary = "Show what happens to guests, one JSON object a line",
    .details =
        "Without --since, --after or --no-stream, prints what happens from now on. Each event has\n"
        "seq (numbers without gaps), time (UTC), type, action, guest and uuid; actions: created,\n"
        "starting, running, paused, resumed, rebooted, agent-lost, stopping, stopped, failed,\n"
        "restarting, renamed, changed, removed. stopped and failed carry exit_code and reason,\n"
        "restarting carries restart and delay (seconds), renamed carries from.",
    .options = events_options,
    .run = events_run,
};
