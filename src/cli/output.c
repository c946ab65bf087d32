/* SPDX-License-Identifier: Apache-2.0 */
/* What all verbs print the same way: failures, tables, JSON, templates. */
#include "cli/output.h"

#include "base/suggest.h"
#include "base/text.h"
#include "cli/cli.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 64 };

int cli_fail(const struct err *err)
{
    fflush(stdout);
    fprintf(stderr, "posada: %s\n", err->text);
    return (int)err_exit_code(err->code);
}

/* --- one field of a row --- */

/* "name", or "config.memory" inside. */
static const json_t *listing_find(const json_t *row, const char *path, size_t len)
{
    char key[KEY_MAX];
    size_t n = strcspn(path, ".");

    n = n < len ? n : len;
    if (n >= sizeof(key))
        return NULL;
    memcpy(key, path, n);
    key[n] = '\0';
    row = json_object_get(row, key);
    return n == len || !row ? row : listing_find(row, path + n + 1, len - n - 1);
}

static const char *listing_text(const json_t *v, char *buf, size_t size)
{
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_integer(v))
        snprintf(buf, size, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(buf, size, "%.2f", json_real_value(v));
    else
        snprintf(buf, size, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-");
    return buf;
}

static const char *listing_key(const json_t *row, const char *key, char *buf, size_t size)
{
    return listing_text(listing_find(row, key, strlen(key)), buf, size);
}

static int listing_unknown(const char *option, const json_t *row, const char *key, size_t len,
                           struct err *err)
{
    char word[KEY_MAX];
    struct suggest s = {.word = word};
    const char *name;
    json_t *value;

    snprintf(word, sizeof(word), "%.*s", (int)len, key);
    json_object_foreach((json_t *)(uintptr_t)row, name, value) suggest_offer(&s, name);
    if (s.best)
        return err_set(err, -EINVAL, "%s: there is no field '%s'; did you mean '%s'?", option, word,
                       s.best);
    return err_set(err, -EINVAL, "%s: there is no field '%s'; --format json shows all", option,
                   word);
}

/* --- filters --- */

static bool filter_matches(const json_t *row, const char *filter)
{
    const char *equals = strchr(filter, '=');
    const json_t *v = listing_find(row, filter, (size_t)(equals - filter));
    char buf[32];

    return v && !fnmatch(equals + 1, listing_text(v, buf, sizeof(buf)), 0);
}

bool cli_row_matches(const struct cli_args *args, const json_t *row)
{
    const char *filter;

    for (unsigned i = 0; (filter = cli_nth(args, "filter", i)); i++)
        if (!filter_matches(row, filter))
            return false;
    return true;
}

/* Drops what no filter wants; a field that no row has is a mistake. */
static int listing_filter(const struct cli_args *args, json_t *rows, struct err *err)
{
    const char *filter;

    for (unsigned i = 0; (filter = cli_nth(args, "filter", i)); i++) {
        size_t len = strcspn(filter, "=");

        if (json_array_size(rows) && !listing_find(json_array_get(rows, 0), filter, len))
            return listing_unknown("--filter", json_array_get(rows, 0), filter, len, err);
    }
    for (size_t i = json_array_size(rows); i--;)
        if (!cli_row_matches(args, json_array_get(rows, i)))
            json_array_remove(rows, i);
    return 0;
}

/* --- templates --- */

static bool listing_is_template(const char *format)
{
    return format && strpbrk(format, "{}");
}

static int template_check(const char *format, struct err *err)
{
    for (const char *c = format; *c; c++) {
        const char *close = *c == '{' ? strpbrk(c + 1, "{}") : NULL;

        if (*c == '}' || (*c == '{' && (!close || *close != '}' || close == c + 1)))
            return err_set(err, -EINVAL,
                           "--format '%.80s': a template has fields in braces, as in '{name} "
                           "{state}'",
                           format);
        c = close ? close : c;
    }
    return 0;
}

static char template_escape(char c)
{
    return c == 't' ? '\t' : c == 'n' ? '\n' : '\\';
}

static int template_row(const char *format, const json_t *row, struct err *err)
{
    char buf[32];

    for (const char *c = format; *c; c++) {
        size_t len = *c == '{' ? strcspn(c + 1, "}") : 0;
        const json_t *v = len ? listing_find(row, c + 1, len) : NULL;

        if (len && !v)
            return listing_unknown("--format", row, c + 1, len, err);
        if (len && (json_is_object(v) || json_is_array(v))) {
            json_dumpf(v, stdout, JSON_COMPACT);
        } else if (len) {
            fputs(listing_text(v, buf, sizeof(buf)), stdout);
        } else if (*c == '\\' && (c[1] == 't' || c[1] == 'n' || c[1] == '\\')) {
            putchar(template_escape(*++c));
        } else {
            putchar(*c);
        }
        c += len ? len + 1 : 0;
    }
    putchar('\n');
    return 0;
}

static int listing_template(const char *format, const json_t *rows, struct err *err)
{
    const json_t *row;
    size_t i;
    int r = 0;

    json_array_foreach(rows, i, row) if (!r) r = template_row(format, row, err);
    return r;
}

/* --- the whole --- */

int cli_listing_check(const struct cli_args *args, struct err *err)
{
    const char *format = cli_value(args, "format"), *filter;

    for (unsigned i = 0; (filter = cli_nth(args, "filter", i)); i++)
        if (!strchr(filter, '=') || *filter == '=')
            return err_set(err, -EINVAL, "--filter '%.80s': expected KEY=VALUE", filter);
    if (listing_is_template(format))
        return template_check(format, err);
    if (format && strcmp(format, "table") && strcmp(format, "json"))
        return err_set(err, -EINVAL,
                       "--format '%.80s': expected table, json or a template such as '{name}'",
                       format);
    return 0;
}

static size_t listing_width(const json_t *rows, const struct cli_column *column)
{
    size_t width = strlen(column->title), i;
    const json_t *row;
    char buf[32];

    json_array_foreach(rows, i, row)
    {
        size_t len = strlen(listing_key(row, column->key, buf, sizeof(buf)));

        width = len > width ? len : width;
    }
    return width;
}

static void listing_table(FILE *out, const json_t *rows, const struct cli_column *columns)
{
    size_t width[CLI_COLUMNS_MAX] = {0}, i;
    const json_t *row;
    char buf[32];

    for (unsigned c = 0; columns[c].title; c++)
        width[c] = columns[c + 1].title ? listing_width(rows, &columns[c]) : 0;
    for (unsigned c = 0; columns[c].title; c++)
        fprintf(out, "%-*s%s", (int)width[c], columns[c].title, columns[c + 1].title ? "  " : "\n");
    json_array_foreach(rows, i, row) for (unsigned c = 0; columns[c].title; c++)
        fprintf(out, "%-*s%s", (int)width[c], listing_key(row, columns[c].key, buf, sizeof(buf)),
                columns[c + 1].title ? "  " : "\n");
}

char *cli_listing_table(const struct cli_args *args, json_t *rows, const struct cli_column *columns)
{
    char *text = NULL;
    struct err err;
    size_t len;
    FILE *out;

    if (listing_filter(args, rows, &err) < 0)
        return NULL;
    out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    listing_table(out, rows, columns);
    fclose(out);
    return text;
}

void cli_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    putchar('\n');
}

int cli_print_listing(const struct cli_args *args, json_t *rows, const struct cli_column *columns)
{
    const char *format = cli_value(args, "format");
    const json_t *row;
    struct err err;
    char buf[32];
    size_t i;

    if (listing_filter(args, rows, &err) < 0)
        return cli_fail(&err);
    if (cli_has(args, "quiet"))
        json_array_foreach(rows, i, row) puts(listing_key(row, columns[0].key, buf, sizeof(buf)));
    else if (listing_is_template(format))
        return listing_template(format, rows, &err) < 0 ? cli_fail(&err) : EXIT_OK;
    else if (format && !strcmp(format, "json"))
        cli_print_json(rows);
    else
        listing_table(stdout, rows, columns);
    return EXIT_OK;
}
