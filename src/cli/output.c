/* SPDX-License-Identifier: Apache-2.0 */
/* What all verbs print the same way: failures, tables, JSON. */
#include "cli/output.h"

#include "cli/cli.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int cli_fail(const struct err *err)
{
    fflush(stdout);
    fprintf(stderr, "posada: %s\n", err->text);
    return (int)err_exit_code(err->code);
}

int cli_listing_check(const struct cli_args *args, struct err *err)
{
    const char *format = cli_value(args, "format");

    if (format && strcmp(format, "table") && strcmp(format, "json"))
        return err_set(err, -EINVAL, "--format '%s': expected table or json", format);
    return 0;
}

static const char *listing_text(const json_t *row, const char *key, char *buf, size_t size)
{
    const json_t *v = json_object_get(row, key);

    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_integer(v))
        snprintf(buf, size, "%lld", (long long)json_integer_value(v));
    else
        snprintf(buf, size, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-");
    return buf;
}

static size_t listing_width(const json_t *rows, const struct cli_column *column)
{
    size_t width = strlen(column->title), i;
    const json_t *row;
    char buf[32];

    json_array_foreach(rows, i, row)
    {
        size_t len = strlen(listing_text(row, column->key, buf, sizeof(buf)));

        width = len > width ? len : width;
    }
    return width;
}

static void listing_table(const json_t *rows, const struct cli_column *columns)
{
    size_t width[CLI_COLUMNS_MAX] = {0}, i;
    const json_t *row;
    char buf[32];

    for (unsigned c = 0; columns[c].title; c++)
        width[c] = columns[c + 1].title ? listing_width(rows, &columns[c]) : 0;
    for (unsigned c = 0; columns[c].title; c++)
        printf("%-*s%s", (int)width[c], columns[c].title, columns[c + 1].title ? "  " : "\n");
    json_array_foreach(rows, i, row) for (unsigned c = 0; columns[c].title; c++)
        printf("%-*s%s", (int)width[c], listing_text(row, columns[c].key, buf, sizeof(buf)),
               columns[c + 1].title ? "  " : "\n");
}

void cli_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

void cli_print_listing(const struct cli_args *args, const json_t *rows,
                       const struct cli_column *columns)
{
    const char *format = cli_value(args, "format");
    const json_t *row;
    char buf[32];
    size_t i;

    if (cli_has(args, "quiet"))
        json_array_foreach(rows, i, row) puts(listing_text(row, columns[0].key, buf, sizeof(buf)));
    else if (format && !strcmp(format, "json"))
        cli_print_json(rows);
    else
        listing_table(rows, columns);
}
