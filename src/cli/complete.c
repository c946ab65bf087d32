/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada completion SHELL: the script that teaches a shell our words, from the tables of the verbs.
 * Here is what all shells share; complete_bash.c, complete_zsh.c and complete_fish.c write.
 */
#include "cli/complete.h"

#include "base/cleanup.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>

/* What a value's or operand's name says about it. */
static const struct {
    const char *name;
    enum complete_kind kind;
    const char *words;
} complete_names[] = {
    {"ARCH", COMPLETE_WORDS, "riscv64 arm64 amd64"},
    {"ARCHIVE", COMPLETE_FILE, NULL},
    {"DIR", COMPLETE_DIR, NULL},
    {"FILE", COMPLETE_FILE, NULL},
    {"FORMAT", COMPLETE_WORDS, "raw qcow2"},
    {"GUEST", COMPLETE_GUEST, NULL},
    {"IMAGE", COMPLETE_IMAGE, NULL},
    {"NETWORK", COMPLETE_WORDS, "user none"},
    {"PATH", COMPLETE_FILE, NULL},
    {"SHELL", COMPLETE_WORDS, "bash zsh fish"},
    {"SIGNAL", COMPLETE_WORDS, "HUP INT QUIT KILL USR1 USR2 TERM"},
    {"TECHNIQUE", COMPLETE_WORDS, "auto emulate full hardware para container"},
};

static void complete_add_word(struct complete_value *v, const char *word, size_t len)
{
    size_t used = strlen(v->words);

    if (used + len + 2 > sizeof(v->words))
        return;
    snprintf(v->words + used, sizeof(v->words) - used, "%s%.*s", used ? " " : "", (int)len, word);
    v->kind = COMPLETE_WORDS;
}

static void complete_add_name(struct complete_value *v, const char *word, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(complete_names); i++)
        if (strlen(complete_names[i].name) == len && !strncmp(complete_names[i].name, word, len)) {
            v->kind = complete_names[i].kind;
            if (complete_names[i].words)
                complete_add_word(v, complete_names[i].words, strlen(complete_names[i].words));
        }
}

struct complete_value complete_value(const char *text)
{
    static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct complete_value v = {COMPLETE_NONE, ""};

    for (;;) {
        text += *text == '[';
        if (strspn(text, capitals))
            complete_add_name(&v, text, strspn(text, capitals));
        else
            complete_add_word(&v, text, strspn(text, small));
        text = strchr(text, '|');
        if (!text)
            return v;
        text++;
    }
}

void complete_operands(const struct cli_verb *verb, struct complete_operands *ret)
{
    const char *at = verb->operands ? verb->operands : "";

    *ret = (struct complete_operands){0};
    while (*at && ret->count < COMPLETE_OPERANDS_MAX) {
        size_t len = strcspn(at, " ");
        char *name = ret->name[ret->count];

        snprintf(name, sizeof(ret->name[0]), "%.*s", (int)len, at);
        ret->value[ret->count++] = complete_value(name);
        ret->repeat = memmem(at, len, "...", 3) != NULL;
        at += len + (at[len] == ' ');
    }
}

void complete_each(FILE *out, complete_fn *fn)
{
    fn(out, "", NULL, cli_verbs);
    for (const struct cli_verb *const *v = cli_verbs; *v; v++) {
        if ((*v)->hidden)
            continue;
        fn(out, (*v)->name, *v, (*v)->verbs);
        for (const struct cli_verb *const *sub = (*v)->verbs; sub && *sub; sub++) {
            char name[64];

            cli_verb_name(cli_verbs, *sub, name, sizeof(name));
            fn(out, name, *sub, NULL);
        }
    }
}

void complete_quoted(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
}

int cli_completion(FILE *out, const char *shell, struct err *err)
{
    if (!strcmp(shell, "bash"))
        complete_bash(out);
    else if (!strcmp(shell, "zsh"))
        complete_zsh(out);
    else if (!strcmp(shell, "fish"))
        complete_fish(out);
    else
        return err_set(err, -EINVAL, "completion '%.40s': expected bash, zsh or fish", shell);
    return 0;
}

static int completion_run(const struct cli_args *args)
{
    struct err err;

    return cli_completion(stdout, args->operands[0], &err) < 0 ? cli_fail(&err) : EXIT_OK;
}

const struct cli_verb cli_completion_verb = {
    .name = "completion",
    .operands = "SHELL",
    .summary = "Print the script that completes Posada's words in bash, zsh or fish",
    .details =
        "Where to put it, unless it came with the package:\n"
        "  bash  posada completion bash > ~/.local/share/bash-completion/completions/posada\n"
        "  zsh   posada completion zsh > a file named _posada in a folder of your fpath\n"
        "  fish  posada completion fish > ~/.config/fish/completions/posada.fish",
    .min = 1,
    .max = 1,
    .run = completion_run,
};
