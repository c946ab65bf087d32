/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line to struct cli_args, from the tables of the verbs. Forms: --name, --name=value,
 * --name value, -n, -nvalue, -n value, grouped switches (-it), -- ends the options. Options may
 * stand between operands unless the verb takes a command (then its first operand ends them).
 * Long names are not abbreviated: a script must not change its meaning when an option is added.
 */
#include "cli/cli.h"

#include "base/suggest.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option cli_help_option = {"help", 'h', NULL, "show this help"};

struct parse {
    struct cli_args *args;
    int argc;
    char *const *argv;
    int at;
    char **operands; /* owned: args->operands */
    const char *verb_name;
    struct err *err;
};

static bool parse_in_table(const struct cli_option *table, const struct cli_option *option)
{
    for (; table && table->name; table++)
        if (table == option)
            return true;
    return false;
}

const struct cli_option *cli_next_option(const struct cli_verb *verb,
                                         const struct cli_option *option)
{
    bool own = !option || parse_in_table(verb->options, option);
    const struct cli_option *next = option ? option + 1 : verb->options;

    if (option == &cli_help_option)
        return NULL;
    if (own && !(next && next->name))
        next = verb->shared;
    return next && next->name ? next : &cli_help_option;
}

static const struct cli_option *parse_long(const struct cli_verb *verb, const char *name,
                                           size_t len)
{
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));)
        if (strlen(o->name) == len && !strncmp(o->name, name, len))
            return o;
    return NULL;
}

static const struct cli_option *parse_letter(const struct cli_verb *verb, char letter)
{
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o));)
        if (o->letter == letter)
            return o;
    return NULL;
}

static int parse_unknown_long(const struct parse *p, const char *word)
{
    struct suggest s = {.word = word};

    for (const struct cli_option *o = NULL; (o = cli_next_option(p->args->verb, o));)
        suggest_offer(&s, o->name);
    if (s.best)
        return err_set(p->err, -EINVAL, "%s: unknown option --%s; did you mean --%s?", p->verb_name,
                       word, s.best);
    return err_set(p->err, -EINVAL, "%s: unknown option --%s; see posada %s --help", p->verb_name,
                   word, p->verb_name);
}

static void parse_note(struct parse *p, const struct cli_option *option, const char *value)
{
    if (option == &cli_help_option) {
        p->args->help = true;
        return;
    }
    p->args->settings[p->args->setting_count++] = (struct cli_setting){option, value};
}

/* The value that follows as a word of its own. */
static int parse_next_value(struct parse *p, const struct cli_option *option)
{
    if (p->at >= p->argc)
        return err_set(p->err, -EINVAL, "%s: option --%s needs a value: --%s %s", p->verb_name,
                       option->name, option->name, option->value);
    parse_note(p, option, p->argv[p->at++]);
    return 0;
}

static int parse_long_word(struct parse *p, char *word)
{
    char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct cli_option *o = parse_long(p->args->verb, word, len);

    if (!o) {
        if (equals)
            *equals = '\0';
        return parse_unknown_long(p, word);
    }
    if (o->value && !equals)
        return parse_next_value(p, o);
    if (!o->value && equals)
        return err_set(p->err, -EINVAL, "%s: option --%s takes no value", p->verb_name, o->name);
    parse_note(p, o, equals ? equals + 1 : NULL);
    return 0;
}

static int parse_short_word(struct parse *p, const char *letters)
{
    for (; *letters; letters++) {
        const struct cli_option *o = parse_letter(p->args->verb, *letters);

        if (!o)
            return err_set(p->err, -EINVAL, "%s: unknown option -%c; see posada %s --help",
                           p->verb_name, *letters, p->verb_name);
        if (!o->value) {
            parse_note(p, o, NULL);
            continue;
        }
        if (!letters[1])
            return parse_next_value(p, o);
        parse_note(p, o, letters + 1 + (letters[1] == '='));
        return 0;
    }
    return 0;
}

static int parse_words(struct parse *p)
{
    bool options = !p->args->verb->raw;
    int r = 0;

    while (!r && p->at < p->argc) {
        char *word = p->argv[p->at++];

        if (options && !strcmp(word, "--")) {
            options = false;
        } else if (options && !strncmp(word, "--", 2)) {
            r = parse_long_word(p, word + 2);
        } else if (options && word[0] == '-' && word[1]) {
            r = parse_short_word(p, word + 1);
        } else {
            p->operands[p->args->operand_count++] = word;
            if (p->args->verb->command)
                options = false;
        }
    }
    return r;
}

static int parse_check_operands(const struct parse *p)
{
    const struct cli_verb *verb = p->args->verb;

    if (p->args->operand_count < verb->min)
        return err_set(p->err, -EINVAL, "%s: too few arguments; usage: posada %s [OPTIONS] %s",
                       p->verb_name, p->verb_name, verb->operands);
    if (p->args->operand_count > verb->max)
        return err_set(p->err, -EINVAL, "%s: '%s' is one argument too many; usage: posada %s%s%s",
                       p->verb_name, p->args->operands[verb->max], p->verb_name,
                       verb->operands ? " " : "", verb->operands ? verb->operands : "");
    return 0;
}

static const struct cli_verb *parse_find(const struct cli_verb *const *verbs, const char *name)
{
    for (; *verbs; verbs++)
        if (!strcmp((*verbs)->name, name))
            return *verbs;
    return NULL;
}

static int parse_unknown_verb(const struct cli_verb *const *verbs, const char *above,
                              const char *name, struct err *err)
{
    struct suggest s = {.word = name};

    for (const struct cli_verb *const *v = verbs; *v; v++)
        if (!(*v)->hidden)
            suggest_offer(&s, (*v)->name);
    if (s.best)
        return err_set(err, -EINVAL, "unknown command '%s%s'; did you mean '%s%s'?", above, name,
                       above, s.best);
    return err_set(err, -EINVAL, "unknown command '%s%s'; see posada %s--help", above, name, above);
}

/* Steps down from verbs to the verb that runs; full: its name with the names above it. */
static int parse_verb(struct parse *p, const struct cli_verb *const *verbs, char *full, size_t size)
{
    struct cli_args *args = p->args;
    char above[64] = "";

    while (verbs && p->at < p->argc) {
        const char *word = p->argv[p->at];
        const struct cli_verb *verb = parse_find(verbs, word);

        if (args->verb && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
            args->help = true;
            return 0;
        }
        if (!verb)
            return parse_unknown_verb(verbs, above, word, p->err);
        snprintf(full, size, "%s%s", above, verb->name);
        snprintf(above, sizeof(above), "%s ", full);
        args->verb = verb;
        verbs = verb->verbs;
        p->at++;
    }
    if (!args->verb || verbs)
        return err_set(p->err, -EINVAL, "%s: which one? See posada %s--help",
                       args->verb ? args->verb->name : "no command given", above);
    return 0;
}

int cli_parse(const struct cli_verb *const *verbs, int argc, char *const *argv,
              struct cli_args *ret_args, struct err *err)
{
    struct cli_args args = {0};
    char full[64] = "";
    struct parse p = {.args = &args, .argc = argc, .argv = argv, .verb_name = full, .err = err};
    int r = parse_verb(&p, verbs, full, sizeof(full));

    if (r < 0)
        return r;
    /* A word gives at most as many settings as it has letters. */
    size_t room = 1;
    for (int i = p.at; i < argc; i++)
        room += strlen(argv[i]);
    args.settings = calloc(room, sizeof(*args.settings));
    args.operands = p.operands = calloc((size_t)argc + 1, sizeof(*p.operands));
    if (!args.settings || !p.operands)
        r = err_set(err, -ENOMEM, "out of memory");
    else if (!args.help)
        r = parse_words(&p);
    if (!r && !args.help)
        r = parse_check_operands(&p);
    if (r < 0)
        cli_args_done(&args);
    else
        *ret_args = args;
    return r;
}

void cli_args_done(struct cli_args *args)
{
    free(args->settings);
    free(args->operands);
    *args = (struct cli_args){0};
}

const char *cli_nth(const struct cli_args *args, const char *name, unsigned n)
{
    assert(parse_long(args->verb, name, strlen(name)));
    for (unsigned i = 0; i < args->setting_count; i++)
        if (!strcmp(args->settings[i].option->name, name) && n-- == 0)
            return args->settings[i].value;
    return NULL;
}

const char *cli_value(const struct cli_args *args, const char *name)
{
    const char *last = NULL, *value;

    for (unsigned n = 0; (value = cli_nth(args, name, n)); n++)
        last = value;
    return last;
}

bool cli_has(const struct cli_args *args, const char *name)
{
    assert(parse_long(args->verb, name, strlen(name)));
    for (unsigned i = 0; i < args->setting_count; i++)
        if (!strcmp(args->settings[i].option->name, name))
            return true;
    return false;
}

int cli_parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
                     struct err *err)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
        return err_set(err, -EINVAL, "%s '%s': expected a whole number from %llu to %llu", what,
                       text, (unsigned long long)min, (unsigned long long)max);
    *ret = value;
    return 0;
}

static int parse_size_shift(const char *suffix)
{
    static const char letters[] = "KMGT";
    const char *found = *suffix ? strchr(letters, *suffix & ~0x20) : NULL;

    if (!*suffix || !strcmp(suffix, "b") || !strcmp(suffix, "B"))
        return 0;
    if (!found || (suffix[1] && strcmp(suffix + 1, "iB") && strcmp(suffix + 1, "i")))
        return -1;
    return 10 * (int)(found - letters + 1);
}

int cli_parse_size(const char *what, const char *text, uint64_t *ret, struct err *err)
{
    char *end;
    uint64_t value;
    int shift;

    errno = 0;
    value = strtoull(text, &end, 10);
    shift = parse_size_shift(end);
    if (*text < '0' || *text > '9' || errno || shift < 0 || value > UINT64_MAX >> shift)
        return err_set(err, -EINVAL, "%s '%s': expected a size such as 512M or 2G", what, text);
    *ret = value << shift;
    return 0;
}
