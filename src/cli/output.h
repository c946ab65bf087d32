/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: a verb collects rows as JSON objects and names the columns of its table; the same rows
 * serve --format table, json or a template, --filter and -q (the first column only).
 */
#pragma once

#include <jansson.h>
#include <posada/err.h>
#include <stdbool.h>

struct cli_args;

enum { CLI_COLUMNS_MAX = 12 };

struct cli_column {
    const char *title; /* NULL ends the table */
    const char *key;
};

/* A listing verb's options start with these. */
#define CLI_LISTING_OPTIONS                                                                        \
    {"format", 0, "table|json|TEMPLATE", "table, json, or text with fields: '{name} {state}'"},    \
        {"filter", 0, "KEY=VALUE", "only rows with this field; * stands for anything",             \
         CLI_REPEAT},                                                                              \
    {                                                                                              \
        "quiet", 'q', NULL, "print only the first column"                                          \
    }

/* Refuses a wrong --format or --filter, before any work is done. */
int must_use cli_listing_check(const struct cli_args *args, struct err *err);
/* Filters rows and prints them as asked for; the exit code. */
int cli_print_listing(const struct cli_args *args, json_t *rows, const struct cli_column *columns);
/* The table as text (free()), filtered; NULL without memory or when a filter is wrong. */
char *cli_listing_table(const struct cli_args *args, json_t *rows,
                        const struct cli_column *columns);
/* Whether --filter lets it through. */
bool cli_row_matches(const struct cli_args *args, const json_t *row);
void cli_print_json(const json_t *value);
