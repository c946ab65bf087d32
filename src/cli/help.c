/* SPDX-License-Identifier: Apache-2.0 */
/* --help of Posada and of each verb, from the same tables the parser reads. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum { LEFT_WIDTH = 30 };

static void help_option(FILE *out, const struct cli_option *o)
{
    char left[64];
    int n = snprintf(left, sizeof(left), "%c%c%c --%s%s%s", o->letter ? '-' : ' ',
                     o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
                     o->value ? " " : "", o->value ? o->value : "");

    if (n > LEFT_WIDTH)
        fprintf(out, "  %s\n  %*s %s\n", left, LEFT_WIDTH, "", o->help);
    else
        fprintf(out, "  %-*s %s\n", LEFT_WIDTH, left, o->help);
}

static void help_verbs(FILE *out, const struct cli_verb *const *verbs)
{
    for (; *verbs; verbs++)
        if (!(*verbs)->hidden)
            fprintf(out, "  %-12s %s\n", (*verbs)->name, (*verbs)->summary);
}

void cli_help_all(FILE *out)
{
    fprintf(out, "Posada runs guests of any architecture, each in a process of its own.\n\n"
                 "Usage: posada COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n");
    help_verbs(out, cli_verbs);
    fprintf(out,
            "\nposada COMMAND --help explains one command; so does man posada-COMMAND. First "
            "steps:\n"
            "  posada run --rm --arch riscv64 tiny uname -a    run one command in a new guest\n"
            "  posada run --rm -it --arch riscv64 tiny         a shell in a new guest\n"
            "  posada doctor                                   what this host can do\n");
}

/* Only one level exists. */
void cli_verb_name(const struct cli_verb *const *verbs, const struct cli_verb *verb, char *buf,
                   size_t size)
{
    snprintf(buf, size, "%s", verb->name);
    for (const struct cli_verb *const *v = verbs; *v; v++)
        for (const struct cli_verb *const *sub = (*v)->verbs; sub && *sub; sub++)
            if (*sub == verb)
                snprintf(buf, size, "%s %s", (*v)->name, verb->name);
}

void cli_help_verb(FILE *out, const struct cli_verb *verb)
{
    char name[64];

    cli_verb_name(cli_verbs, verb, name, sizeof(name));
    if (verb->verbs) {
        fprintf(out, "Usage: posada %s COMMAND\n\n%s.\n\nCommands:\n", name, verb->summary);
        help_verbs(out, verb->verbs);
        return;
    }
    fprintf(out, "Usage: posada %s [OPTIONS]%s%s\n\n%s.\n", name, verb->operands ? " " : "",
            verb->operands ? verb->operands : "", verb->summary);
    if (verb->details)
        fprintf(out, "\n%s\n", verb->details);
    fprintf(out, "\nOptions:\n");
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));)
        help_option(out, o);
}
