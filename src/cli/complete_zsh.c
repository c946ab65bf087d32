/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for zsh: the arguments of each verb in the language of its _arguments. */
#include "cli/complete.h"

static const char zsh_head[] = "#compdef posada\n"
                               "# zsh completion for posada, made by: posada completion zsh\n"
                               "\n"
                               "_posada_guests()\n"
                               "{\n"
                               "    local -a names\n"
                               "    names=(${(f)\"$(posada ps -a -q 2>/dev/null)\"})\n"
                               "    compadd -a names\n"
                               "}\n"
                               "\n"
                               "_posada_images()\n"
                               "{\n"
                               "    local -a names\n"
                               "    names=(${(f)\"$(posada image ls -q 2>/dev/null)\"})\n"
                               "    compadd -a names\n"
                               "}\n"
                               "\n"
                               "# The verb at the front goes; what is left is as if typed alone.\n"
                               "_posada_at()\n"
                               "{\n"
                               "    case \"$1\" in\n";

static const char zsh_tail[] = "}\n"
                               "\n"
                               "_posada()\n"
                               "{\n"
                               "    local verb=''\n"
                               "    while _posada_is_group \"$verb\" && (( CURRENT > 2 )); do\n"
                               "        verb=\"${verb:+$verb }$words[2]\"\n"
                               "        shift words\n"
                               "        (( CURRENT-- ))\n"
                               "    done\n"
                               "    _posada_at \"$verb\"\n"
                               "}\n"
                               "\n"
                               "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
                               "    _posada \"$@\"\n"
                               "else\n"
                               "    compdef _posada posada\n"
                               "fi\n";

/* Within single quotes and within a specification: ':', '[', ']' and '\' mean something there. */
static void zsh_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        char one[3] = {text[0], '\0'};

        if (text[0] == ':' || text[0] == '[' || text[0] == ']' || text[0] == '\\')
            fputc('\\', out);
        complete_quoted(out, one);
    }
}

static void zsh_action(FILE *out, const struct complete_value *v)
{
    switch (v->kind) {
    case COMPLETE_NONE: fputs(" ", out); break;
    case COMPLETE_FILE: fputs("_files", out); break;
    case COMPLETE_DIR: fputs("_files -/", out); break;
    case COMPLETE_GUEST: fputs("_posada_guests", out); break;
    case COMPLETE_IMAGE: fputs("_posada_images", out); break;
    case COMPLETE_WORDS:
        fputs("(", out);
        complete_quoted(out, v->words);
        fputs(")", out);
        break;
    }
}

static void zsh_option(FILE *out, const struct cli_option *o)
{
    bool repeat = o->flags & CLI_REPEAT;

    fputs(" \\\n            ", out);
    if (repeat)
        fputs("'*'", out);
    else if (o->letter)
        fprintf(out, "'(-%c --%s)'", o->letter, o->name);
    if (o->letter)
        fprintf(out, "{-%c%s,--%s%s}'[", o->letter, o->value ? "+" : "", o->name,
                o->value ? "=" : "");
    else
        fprintf(out, "'--%s%s[", o->name, o->value ? "=" : "");
    zsh_text(out, o->help);
    fputs("]", out);
    if (o->value) {
        struct complete_value v = complete_value(o->value);

        fputs(":", out);
        zsh_text(out, o->value);
        fputs(":", out);
        zsh_action(out, &v);
    }
    fputs("'", out);
}

static void zsh_operands(FILE *out, const struct cli_verb *verb)
{
    struct complete_operands o;

    complete_operands(verb, &o);
    for (unsigned i = 0; i < o.count; i++) {
        bool many = o.repeat && i == o.count - 1;

        fputs(" \\\n            '", out);
        if (many)
            fputs("*", out);
        else
            fprintf(out, "%u", i + 1);
        fputs(":", out);
        zsh_text(out, o.name[i]);
        fputs(":", out);
        zsh_action(out, &o.value[i]);
        fputs("'", out);
    }
}

static void zsh_verb(FILE *out, const char *name, const struct cli_verb *verb,
                     const struct cli_verb *const *verbs)
{
    fprintf(out, "    '%s')\n", name);
    if (verbs) {
        fputs("        local -a verbs=(", out);
        for (; *verbs; verbs++) {
            if ((*verbs)->hidden)
                continue;
            fprintf(out, "\n            '%s:", (*verbs)->name);
            zsh_text(out, (*verbs)->summary);
            fputs("'", out);
        }
        fputs(")\n        _describe command verbs", out);
    } else {
        fputs("        _arguments -s -S", out);
        for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));)
            zsh_option(out, o);
        zsh_operands(out, verb);
    }
    fputs(" ;;\n", out);
}

static void zsh_group(FILE *out, const char *name, const struct cli_verb *verb,
                      const struct cli_verb *const *verbs)
{
    if (verbs)
        fprintf(out, " || $1 == '%s'", name);
}

void complete_zsh(FILE *out)
{
    fputs(zsh_head, out);
    complete_each(out, zsh_verb);
    fputs("    esac\n}\n\n_posada_is_group()\n{\n    [[ 0 == 1", out);
    complete_each(out, zsh_group);
    fputs(" ]]\n", out);
    fputs(zsh_tail, out);
}
