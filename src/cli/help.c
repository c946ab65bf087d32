/* SPDX-License-Identifier: Apache-2.0 */
/* --help of Posada and of each verb, from the same tables the parser reads. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void help_option(const struct cli_option *o)
{
    char left[64];

    snprintf(left, sizeof(left), "%c%c%c --%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name, o->value ? " " : "",
             o->value ? o->value : "");
    printf("  %-30s %s\n", left, o->help);
}

static void help_verbs(const struct cli_verb *const *verbs)
{
    for (; *verbs; verbs++)
        if (!(*verbs)->hidden)
            printf("  %-12s %s\n", (*verbs)->name, (*verbs)->summary);
}

void cli_help_all(void)
{
    printf("Posada runs guests of any architecture, each in a process of its own.\n\n"
           "Usage: posada COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n");
    help_verbs(cli_verbs);
    printf("\nposada COMMAND --help explains one command. First steps:\n"
           "  posada run --rm --arch riscv64 tiny uname -a    run one command in a new guest\n"
           "  posada run --rm -it --arch riscv64 tiny         a shell in a new guest\n"
           "  posada doctor                                   what this host can do\n");
}

/* The words that lead to a verb, "image ls": only one level exists. */
static void help_name(const struct cli_verb *verb, char *buf, size_t size)
{
    snprintf(buf, size, "%s", verb->name);
    for (const struct cli_verb *const *v = cli_verbs; *v; v++)
        for (const struct cli_verb *const *sub = (*v)->verbs; sub && *sub; sub++)
            if (*sub == verb)
                snprintf(buf, size, "%s %s", (*v)->name, verb->name);
}

void cli_help_verb(const struct cli_verb *verb)
{
    char name[64];

    help_name(verb, name, sizeof(name));
    if (verb->verbs) {
        printf("Usage: posada %s COMMAND\n\n%s.\n\nCommands:\n", name, verb->summary);
        help_verbs(verb->verbs);
        return;
    }
    printf("Usage: posada %s [OPTIONS]%s%s\n\n%s.\n", name, verb->operands ? " " : "",
           verb->operands ? verb->operands : "", verb->summary);
    if (verb->details)
        printf("\n%s\n", verb->details);
    printf("\nOptions:\n");
    for (const struct cli_option *o = verb->options; o && o->name; o++)
        help_option(o);
    help_option(&(struct cli_option){"help", 'h', NULL, "show this help"});
}
