/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion for bash (4.4 and later): one function for what each verb takes, one for what each
 * option's value is, and a walk over the words typed so far.
 */
#include "cli/complete.h"

static const char bash_head[] =
    "# bash completion for posada, made by: posada completion bash\n"
    "# shellcheck shell=bash disable=SC2207\n"
    "\n"
    "# What the words before lead to: sets subs, opts, operands and repeat.\n"
    "_posada_takes()\n"
    "{\n"
    "    subs='' opts='' operands=() repeat=''\n"
    "    case \"$1\" in\n";

static const char bash_middle[] = "    *) return 1 ;;\n"
                                  "    esac\n"
                                  "}\n"
                                  "\n"
                                  "# What an option's value is; fails when it takes none.\n"
                                  "_posada_value()\n"
                                  "{\n"
                                  "    case \"$1\" in\n";

static const char bash_tail[] =
    "    *) return 1 ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_posada_offer()\n"
    "{\n"
    "    case \"$1\" in\n"
    "    file) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "    dir) compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
    "    guest) COMPREPLY=($(compgen -W \"$(posada ps -a -q 2>/dev/null)\" -- \"$cur\")) ;;\n"
    "    image) COMPREPLY=($(compgen -W \"$(posada image ls -q 2>/dev/null)\" -- \"$cur\")) ;;\n"
    "    words:*) COMPREPLY=($(compgen -W \"${1#words:}\" -- \"$cur\")) ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_posada()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} verb='' value='' subs opts repeat i word n=0\n"
    "    local -a operands\n"
    "    COMPREPLY=()\n"
    "    _posada_takes ''\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word == '=' ]]; then\n"
    "            continue\n"
    "        elif [[ $value ]]; then\n"
    "            value=''\n"
    "        elif [[ $word == -* ]]; then\n"
    "            value=$(_posada_value \"$verb:$word\")\n"
    "        elif [[ $subs ]]; then\n"
    "            verb=\"${verb:+$verb }$word\"\n"
    "            _posada_takes \"$verb\" || return 0\n"
    "        else\n"
    "            n=$((n + 1))\n"
    "        fi\n"
    "    done\n"
    "    [[ $cur == '=' ]] && cur=''\n"
    "    if [[ $value ]]; then\n"
    "        _posada_offer \"$value\"\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        _posada_offer \"words:$opts\"\n"
    "    elif [[ $subs ]]; then\n"
    "        _posada_offer \"words:$subs\"\n"
    "    elif [[ $n -lt ${#operands[@]} ]]; then\n"
    "        _posada_offer \"${operands[n]}\"\n"
    "    elif [[ $repeat ]]; then\n"
    "        _posada_offer \"${operands[-1]}\"\n"
    "    fi\n"
    "}\n"
    "complete -F _posada posada\n";

static void bash_kind(FILE *out, const struct complete_value *v)
{
    static const char *const names[] = {"none", "file", "dir", "guest", "image", "words:"};

    fputs(names[v->kind], out);
    if (v->kind == COMPLETE_WORDS)
        complete_quoted(out, v->words);
}

static void bash_operands(FILE *out, const struct cli_verb *verb)
{
    struct complete_operands o;

    complete_operands(verb, &o);
    if (!o.count)
        return;
    fputs(" operands=(", out);
    for (unsigned i = 0; i < o.count; i++) {
        fputs(i ? " '" : "'", out);
        bash_kind(out, &o.value[i]);
        fputs("'", out);
    }
    fprintf(out, ")%s", o.repeat ? " repeat=1" : "");
}

static void bash_takes(FILE *out, const char *name, const struct cli_verb *verb,
                       const struct cli_verb *const *verbs)
{
    const char *blank = "";

    fprintf(out, "    '%s')\n       ", name);
    if (verbs) {
        fputs(" subs='", out);
        for (; *verbs; verbs++)
            if (!(*verbs)->hidden) {
                fprintf(out, "%s%s", blank, (*verbs)->name);
                blank = " ";
            }
        fprintf(out, "' opts='--help -h%s'", verb ? "" : " --version");
    } else {
        fputs(" opts='", out);
        for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o)); blank = " ") {
            fprintf(out, "%s--%s", blank, o->name);
            if (o->letter)
                fprintf(out, " -%c", o->letter);
        }
        fputs("'", out);
        bash_operands(out, verb);
    }
    fputs(" ;;\n", out);
}

static void bash_values(FILE *out, const char *name, const struct cli_verb *verb,
                        const struct cli_verb *const *verbs)
{
    if (verbs)
        return;
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));) {
        struct complete_value v;

        if (!o->value)
            continue;
        v = complete_value(o->value);
        fprintf(out, "    '%s:--%s'", name, o->name);
        if (o->letter)
            fprintf(out, " | '%s:-%c'", name, o->letter);
        fputs(") echo '", out);
        bash_kind(out, &v);
        fputs("' ;;\n", out);
    }
}

void complete_bash(FILE *out)
{
    fputs(bash_head, out);
    complete_each(out, bash_takes);
    fputs(bash_middle, out);
    complete_each(out, bash_values);
    fputs(bash_tail, out);
}
