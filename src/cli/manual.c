/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manual pages as roff (man(7) macros: TH SH SS TP BR), from the tables that --help and the parser
 * read. The hidden verb "manual DIR" writes one file a page; the build does that.
 */
#include "cli/guestfile.h"
#include "cli/run.h"
#include "cli/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Text with what roff would take for itself made harmless. A dash is one to type. */
static void roff_text(FILE *out, const char *text, bool upper)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '-')
            fputs("\\-", out);
        else
            fputc(upper && *c >= 'a' && *c <= 'z' ? *c - 32 : *c, out);
    }
}

/* Paragraphs: an empty line parts them, lines that begin with a blank stay as they are. */
static void roff_paragraphs(FILE *out, const char *text)
{
    bool example = false;

    while (*text) {
        size_t len = strcspn(text, "\n");
        char line[512];

        snprintf(line, sizeof(line), "%.*s", (int)len, text);
        if ((line[0] == ' ') != example)
            fputs(example ? ".fi\n.RE\n" : ".RS\n.nf\n", out);
        example = line[0] == ' ';
        if (!line[0])
            fputs(".PP\n", out);
        else if (line[0] == '.' || line[0] == '\'')
            fputs("\\&", out);
        roff_text(out, line[0] == ' ' ? line + strspn(line, " ") : line, false);
        if (line[0])
            fputc('\n', out);
        text += len + (text[len] == '\n');
    }
    if (example)
        fputs(".fi\n.RE\n", out);
}

static void roff_option(FILE *out, const struct cli_option *o)
{
    fputs(".TP\n\\fB", out);
    if (o->letter)
        fprintf(out, "\\-%c\\fR, \\fB", o->letter);
    roff_text(out, "--", false);
    roff_text(out, o->name, false);
    fputs("\\fR", out);
    if (o->value) {
        fputs(" \\fI", out);
        roff_text(out, o->value, false);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    roff_text(out, o->help, false);
    fputs(".\n", out);
}

static void roff_synopsis(FILE *out, const char *name, const struct cli_verb *verb)
{
    fputs("\\fBposada ", out);
    roff_text(out, name, false);
    fputs("\\fR ", out);
    if (verb->verbs) {
        fputs("\\fICOMMAND\\fR\n", out);
        return;
    }
    fputs("[\\fIOPTIONS\\fR]", out);
    if (verb->operands) {
        fputs(" \\fI", out);
        roff_text(out, verb->operands, false);
        fputs("\\fR", out);
    }
    fputc('\n', out);
}

static void roff_options(FILE *out, const struct cli_verb *verb)
{
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));)
        roff_option(out, o);
}

static void roff_head(FILE *out, const char *page, char section, const char *summary)
{
    fputs(".\\\" Made from Posada's option table; do not edit.\n.TH ", out);
    roff_text(out, page, true);
    fprintf(out, " %c \"\" \"Posada %s\" \"Posada manual\"\n.SH NAME\n", section, POSADA_VERSION);
    roff_text(out, page, false);
    fputs(" \\- ", out);
    roff_text(out, summary, false);
    fputs("\n.SH SYNOPSIS\n", out);
}

/* "disk create" as a section of posada-disk(1). */
static void manual_subverb(FILE *out, const struct cli_verb *verb)
{
    char name[64];

    cli_verb_name(cli_verbs, verb, name, sizeof(name));
    fputs(".SH ", out);
    roff_text(out, name, true);
    fputc('\n', out);
    roff_synopsis(out, name, verb);
    fputs(".PP\n", out);
    roff_text(out, verb->summary, false);
    fputs(".\n", out);
    if (verb->details) {
        fputs(".PP\n", out);
        roff_paragraphs(out, verb->details);
    }
    roff_options(out, verb);
}

static void manual_verb(FILE *out, const struct cli_verb *verb)
{
    char page[80];

    snprintf(page, sizeof(page), "posada-%s", verb->name);
    roff_head(out, page, '1', verb->summary);
    roff_synopsis(out, verb->name, verb);
    fputs(".SH DESCRIPTION\n", out);
    roff_text(out, verb->summary, false);
    fputs(".\n", out);
    if (verb->details) {
        fputs(".PP\n", out);
        roff_paragraphs(out, verb->details);
    }
    if (!verb->verbs) {
        fputs(".SH OPTIONS\n", out);
        roff_options(out, verb);
    }
    for (const struct cli_verb *const *sub = verb->verbs; sub && *sub; sub++)
        manual_subverb(out, *sub);
    fputs(".SH EXIT STATUS\nSee \\fBposada\\fR(1).\n.SH SEE ALSO\n\\fBposada\\fR(1)\n", out);
}

static void manual_entries(FILE *out, const char *title, const struct cli_about *about)
{
    fprintf(out, ".SH %s\n", title);
    for (; about->name; about++) {
        fputs(".TP\n\\fB", out);
        roff_text(out, about->name, false);
        fputs("\\fR\n", out);
        roff_text(out, about->text, false);
        fputs(".\n", out);
    }
}

static void manual_top(FILE *out)
{
    roff_head(out, "posada", '1', "one house for guests of every kind");
    fputs("\\fBposada\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
          ".SH DESCRIPTION\n",
          out);
    roff_paragraphs(out, cli_about_posada);
    fputs(".SH COMMANDS\n", out);
    for (const struct cli_verb *const *v = cli_verbs; *v; v++) {
        if ((*v)->hidden)
            continue;
        fputs(".TP\n\\fBposada\\-", out);
        roff_text(out, (*v)->name, false);
        fputs("\\fR(1)\n", out);
        roff_text(out, (*v)->summary, false);
        fputs(".\n", out);
    }
    manual_entries(out, "EXIT STATUS", cli_about_exit);
    manual_entries(out, "ENVIRONMENT", cli_about_environment);
    manual_entries(out, "FILES", cli_about_files);
}

void cli_manual_page(FILE *out, const struct cli_verb *verb)
{
    if (verb)
        manual_verb(out, verb);
    else
        manual_top(out);
}

/* --- posada.yaml(5) --- */

static void manual_key(FILE *out, const struct cli_option *o)
{
    fputs(".TP\n\\fB", out);
    roff_text(out, o->name, false);
    fputs("\\fR: \\fI", out);
    roff_text(out, o->value ? o->value : "true|false", false);
    fprintf(out, "\\fR%s\n", o->flags & CLI_REPEAT ? " (one, or a list)" : "");
    roff_text(out, o->help, false);
    fputs(".\n", out);
}

static void manual_guestfile(FILE *out, const struct cli_verb *none)
{
    roff_head(out, "posada.yaml", '5', "guests of a file");
    fputs("\\fBposada up\\fR [\\fB\\-f\\fR \\fIFILE\\fR]\n.SH DESCRIPTION\n", out);
    roff_paragraphs(out, cli_about_guestfile);
    fputs(".SH KEYS OF A GUEST\n", out);
    for (const struct cli_about *k = guestfile_keys; k->name; k++) {
        fprintf(out, ".TP\n\\fB%s\\fR\n", k->name);
        roff_text(out, k->text, false);
        fputs(".\n", out);
    }
    for (const struct cli_option *o = run_guest_options; o->name; o++)
        if (!(o->flags & CLI_NO_FILE))
            manual_key(out, o);
    fputs(".SH SEE ALSO\n\\fBposada\\-up\\fR(1), \\fBposada\\-create\\fR(1)\n", out);
}

/* --- the verb that writes them all --- */

typedef void manual_fn(FILE *out, const struct cli_verb *verb);

static int manual_file(const char *dir, const char *name, manual_fn *fn,
                       const struct cli_verb *verb, struct err *err)
{
    char path[4096];
    FILE *out;
    bool bad;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    out = fopen(path, "we");
    if (!out)
        return err_set(err, -errno, "manual page %s: %s", path, strerror(errno));
    fn(out, verb);
    bad = ferror(out);
    if (fclose(out) || bad)
        return err_set(err, -EIO, "manual page %s: it cannot be written", path);
    return 0;
}

static int manual_run(const struct cli_args *args)
{
    const char *dir = args->operands[0];
    struct err err;
    int r = manual_file(dir, "posada.1", cli_manual_page, NULL, &err);

    if (!r)
        r = manual_file(dir, "posada.yaml.5", manual_guestfile, NULL, &err);
    for (const struct cli_verb *const *v = cli_verbs; !r && *v; v++) {
        char name[80];

        snprintf(name, sizeof(name), "posada-%s.1", (*v)->name);
        if (!(*v)->hidden)
            r = manual_file(dir, name, cli_manual_page, *v, &err);
    }
    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

const struct cli_verb cli_manual_verb = {
    .name = "manual",
    .operands = "DIR",
    .summary = "Write the manual pages into a directory (for the build)",
    .min = 1,
    .max = 1,
    .hidden = true,
    .run = manual_run,
};
