/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: a verb collects rows as JSON objects and names the columns of its table; the same rows
 * serve --format table, --format json and -q (the first column only).
 */
#pragma once

#include <jansson.h>
#include <posada/err.h>

struct cli_args;

enum { CLI_COLUMNS_MAX = 12 };

struct cli_column {
    const char *title; /* NULL ends the table */
    const char *key;
};

/* A listing verb's options start with these two. */
#define CLI_LISTING_OPTIONS                                                                        \
    {"format", 0, "FORMAT", "table or json"},                                                      \
    {                                                                                              \
        "quiet", 'q', NULL, "print only the first column"                                          \
    }

/* Refuses an unknown --format, before any work is done. */
int must_use cli_listing_check(const struct cli_args *args, struct err *err);
void cli_print_listing(const struct cli_args *args, const json_t *rows,
                       const struct cli_column *columns);
void cli_print_json(const json_t *value);
