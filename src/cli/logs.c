/* SPDX-License-Identifier: Apache-2.0 */
/* posada logs: what a guest printed: its command's output, or its console. */
#include "vm/log_reader.h"

#include "base/when.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/events.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINES_MAX = 100000000 };

static const struct cli_option logs_options[] = {
    {"follow", 'f', NULL, "go on until the guest ends"},
    {"console", 'c', NULL, "the kernel's console, also of a guest that runs a command"},
    {"since", 0, "TIME", "from then on: 10m (ago), 2026-11-27T12:00, or seconds since 1970"},
    {"tail", 'n', "LINES", "only the last so many lines"},
    {"timestamps", 't', NULL, "put before each line when it was written (UTC)"},
    CLI_OPTIONS_END,
};

struct logs {
    const struct guest *guest;
    char name[16], older[20];
    bool timestamps, line_start;
    bool has_since, has_tail;
    uint64_t since_ms, lines;
};

/* --- printing --- */

static int logs_stamp(struct log_reader *r, uint64_t offset)
{
    uint64_t ms = log_reader_time(r, offset);
    char text[34] = "-                       ";

    if (ms && ms < 253402300800000) /* the year 10000 */
        event_time_text(ms, text);
    strcat(text, " ");
    return file_write_all(STDOUT_FILENO, text, strlen(text));
}

static int logs_write(struct logs *l, struct log_reader *r, const char *data, size_t len,
                      uint64_t offset)
{
    while (l->timestamps && len) {
        const char *end = memchr(data, '\n', len);
        size_t line = end ? (size_t)(end - data) + 1 : len;
        int e = l->line_start ? logs_stamp(r, offset) : 0;

        if (!e)
            e = file_write_all(STDOUT_FILENO, data, line);
        if (e < 0)
            return e;
        l->line_start = end != NULL;
        data += line;
        len -= line;
        offset += line;
    }
    return len ? file_write_all(STDOUT_FILENO, data, len) : 0;
}

/* Copies all there is now; 1 when nobody reads what we write, -errno when it is lost. */
static int logs_copy(struct logs *l, struct log_reader *r)
{
    char data[65536];
    ssize_t n;

    while ((n = log_reader_read(r, data, sizeof(data))) > 0) {
        int e = logs_write(l, r, data, (size_t)n, r->at - (size_t)n);

        if (e < 0)
            return e == -EPIPE ? 1 : e;
    }
    return 0;
}

/* --- where to begin --- */

/* older and current: as they are; a missing one has fd -1. */
static void logs_seek(struct logs *l, struct log_reader *older, struct log_reader *current)
{
    if (l->has_since && older->fd >= 0)
        older->at = log_reader_since(older, l->since_ms);
    if (l->has_since && current->fd >= 0)
        current->at = log_reader_since(current, l->since_ms);
    if (!l->has_tail)
        return;
    if (current->fd >= 0)
        current->at =
            l->lines ? log_reader_tail(current, current->at, &l->lines) : log_reader_size(current);
    if (older->fd >= 0 && l->lines)
        older->at = log_reader_tail(older, older->at, &l->lines);
    else
        log_reader_close(older);
}

static int logs_follow(struct logs *l, struct log_reader *r)
{
    const struct timespec pause = {.tv_nsec = 100000000};

    for (;;) {
        bool alive = guest_is_alive(l->guest);
        int e = r->fd < 0 ? 0 : logs_copy(l, r);

        if (e || !alive)
            return e;
        if (r->fd < 0 || !log_reader_is_current(r, l->guest->dir_fd, l->name)) {
            log_reader_close(r);
            (void)!log_reader_open(r, l->guest->dir_fd, l->name);
        }
        nanosleep(&pause, NULL);
    }
}

static int logs_open(const struct logs *l, const char *name, struct log_reader *ret,
                     struct err *err)
{
    int r = log_reader_open(ret, l->guest->dir_fd, name);

    if (r < 0)
        *ret = (struct log_reader){.fd = -1, .times_fd = -1};
    return r < 0 && r != -ENOENT ? err_set(err, r, "guest '%s': cannot read its log: %s",
                                           l->guest->name, strerror(-r))
                                 : 0;
}

static int logs_all(const struct cli_args *args, struct logs *l, struct err *err)
{
    struct log_reader older = {.fd = -1, .times_fd = -1}, current = older;
    int r = logs_open(l, l->older, &older, err);

    if (!r)
        r = logs_open(l, l->name, &current, err);
    if (!r) {
        logs_seek(l, &older, &current);
        r = older.fd < 0 ? 0 : logs_copy(l, &older);
        if (!r && cli_has(args, "follow"))
            r = logs_follow(l, &current);
        else if (!r && current.fd >= 0)
            r = logs_copy(l, &current);
        if (r < 0)
            r = err_set(err, r, "standard output: %s; the rest of the log is lost", strerror(-r));
    }
    log_reader_close(&older);
    log_reader_close(&current);
    return r < 0 ? r : 0;
}

static int logs_print(const struct cli_args *args, struct guest *guest, struct err *err)
{
    const char *since = cli_value(args, "since"), *tail = cli_value(args, "tail");
    struct logs l = {.guest = guest,
                     .timestamps = cli_has(args, "timestamps"),
                     .line_start = true,
                     .has_since = since != NULL,
                     .has_tail = tail != NULL};
    struct vm_config config;
    int r = guest_read_config(guest, &config, err);

    if (r < 0)
        return r;
    snprintf(l.name, sizeof(l.name), "%s.log",
             config.command && !cli_has(args, "console") ? "output" : "console");
    snprintf(l.older, sizeof(l.older), "%s.1", l.name);
    vm_config_done(&config);
    if (since)
        r = when_parse("--since", since, when_now_ms(), &l.since_ms, err);
    if (!r && tail)
        r = cli_parse_number("--tail", tail, 0, LINES_MAX, &l.lines, err);
    return r < 0 ? r : logs_all(args, &l, err);
}

static int logs_run(const struct cli_args *args)
{
    return guests_each(args, NULL, logs_print);
}

const struct cli_verb cli_logs_verb = {
    .name = "logs",
    .operands = "GUEST",
    .summary = "Show what a guest printed",
    .details = "Of a guest that runs a command its output, else its console. About 8 MB are kept. "
               "Times are\nthose of the host, to a tenth of a second.",
    .options = logs_options,
    .min = 1,
    .max = 1,
    .run = logs_run,
};
