/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for fish (3.0 and later): a line for each verb and each option of it. */
#include "cli/complete.h"

#include <string.h>

static const char fish_head[] =
    "# fish completion for posada, made by: posada completion fish\n"
    "\n"
    "# The words typed begin with these verbs.\n"
    "function __posada_at\n"
    "    set -l words (commandline -opc)\n"
    "    test (count $words) -gt (count $argv); or return 1\n"
    "    test (count $argv) -eq 0; and return 0\n"
    "    set -l last (math (count $argv) + 1)\n"
    "    test \"$words[2..$last]\" = \"$argv\"\n"
    "end\n"
    "\n"
    "# And nothing else.\n"
    "function __posada_just\n"
    "    test (count (commandline -opc)) -eq (math (count $argv) + 1); and __posada_at $argv\n"
    "end\n"
    "\n"
    "complete -c posada -f\n"
    "complete -c posada -n __posada_just -l version -d 'print the version'\n"
    "complete -c posada -n __posada_just -s h -l help -d 'show all commands'\n";

static void fish_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void fish_offer(FILE *out, const struct complete_value *v)
{
    switch (v->kind) {
    case COMPLETE_NONE: break;
    case COMPLETE_FILE: fputs(" -F", out); break;
    case COMPLETE_DIR: fputs(" -a '(__fish_complete_directories)'", out); break;
    case COMPLETE_GUEST: fputs(" -a '(posada ps -a -q 2>/dev/null)'", out); break;
    case COMPLETE_IMAGE: fputs(" -a '(posada image ls -q 2>/dev/null)'", out); break;
    case COMPLETE_WORDS: fprintf(out, " -a '%s'", v->words); break;
    }
}

static void fish_option(FILE *out, const char *name, const struct cli_option *o)
{
    fprintf(out, "complete -c posada -n '__posada_at %s'", name);
    if (o->letter)
        fprintf(out, " -s %c", o->letter);
    fprintf(out, " -l %s", o->name);
    if (o->value) {
        struct complete_value v = complete_value(o->value);

        fputs(v.kind == COMPLETE_FILE ? " -r" : " -x", out);
        fish_offer(out, &v);
    }
    fputs(" -d '", out);
    fish_text(out, o->help);
    fputs("'\n", out);
}

/* One kind for all operands that have one: fish does not count them for us. */
static void fish_operands(FILE *out, const char *name, const struct cli_verb *verb)
{
    struct complete_operands o;

    complete_operands(verb, &o);
    for (unsigned i = 0; i < o.count; i++) {
        if (o.value[i].kind == COMPLETE_NONE)
            continue;
        fprintf(out, "complete -c posada -n '__posada_at %s'", name);
        fish_offer(out, &o.value[i]);
        fputs("\n", out);
        return;
    }
}

static void fish_verb(FILE *out, const char *name, const struct cli_verb *verb,
                      const struct cli_verb *const *verbs)
{
    for (; verbs && *verbs; verbs++) {
        if ((*verbs)->hidden)
            continue;
        fprintf(out, "complete -c posada -n '__posada_just%s%s' -a %s -d '", *name ? " " : "", name,
                (*verbs)->name);
        fish_text(out, (*verbs)->summary);
        fputs("'\n", out);
    }
    if (!verb || verb->verbs)
        return;
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));)
        fish_option(out, name, o);
    fish_operands(out, name, verb);
}

void complete_fish(FILE *out)
{
    fputs(fish_head, out);
    complete_each(out, fish_verb);
}
