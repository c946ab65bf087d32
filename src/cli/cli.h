/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as data. A verb is one struct cli_verb in a file of its own; its option table is
 * the only source for parsing, --help, did-you-mean, the manual page and shell completion.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdio.h>

struct cli_args;

struct cli_option {
    const char *name; /* long form without the dashes; NULL ends a table */
    char letter;      /* short form, 0: none */
    /* What --help calls its value; NULL: a switch. Its first word in capitals says what completion
     * offers (FILE, GUEST...: complete.c); words in small letters, "auto|none", are offered. */
    const char *value;
    const char *help; /* one line, no full stop */
    unsigned flags;   /* enum cli_option_flag */
};
enum cli_option_flag {
    CLI_REPEAT = 1 << 0,  /* may be given several times; a list in a guest file */
    CLI_NO_FILE = 1 << 1, /* of the command line only: no key of a guest file */
};
#define CLI_OPTIONS_END                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

struct cli_verb {
    const char *name;
    const char *operands;                /* as --help shows them: "GUEST [COMMAND...]" */
    const char *summary;                 /* one line, no full stop */
    const char *details;                 /* paragraphs for --help and the manual page; NULL: none */
    const struct cli_option *options;    /* NULL: none but --help */
    const struct cli_option *shared;     /* more of them, shared with other verbs; NULL: none */
    const struct cli_verb *const *verbs; /* verbs of its own, NULL-terminated; then no run() */
    unsigned min, max;                   /* number of operands */
    bool command;                        /* the first operand ends the options (run, exec) */
    bool hidden;                         /* not in --help */
    bool raw;                            /* every word behind its name is an operand */
    int (*run)(const struct cli_args *args); /* returns the exit code */
};
#define CLI_ANY_NUMBER 4096u

struct cli_setting {
    const struct cli_option *option;
    const char *value; /* NULL for a switch */
};

struct cli_args {
    const struct cli_verb *verb;
    struct cli_setting *settings; /* in the order given */
    unsigned setting_count;
    char **operands;
    unsigned operand_count;
    bool help; /* --help was given: nothing else has been checked */
};

/* Sorted table of all verbs, NULL-terminated (verbs.c). */
extern const struct cli_verb *const cli_verbs[];

/* The option behind this one, NULL: the first; NULL behind the last, which is --help. */
const struct cli_option *cli_next_option(const struct cli_verb *verb,
                                         const struct cli_option *option);
/* The words that call it: "image ls". */
void cli_verb_name(const struct cli_verb *const *verbs, const struct cli_verb *verb, char *buf,
                   size_t size);

/* Finds the verb (and the verb of that verb) argv starts with and reads its options and operands.
 * On failure err carries one sentence with a did-you-mean where there is one. */
int must_use cli_parse(const struct cli_verb *const *verbs, int argc, char *const *argv,
                       struct cli_args *ret_args, struct err *err);
void cli_args_done(struct cli_args *args);

/* Questions of a verb to its arguments; a name that is not in the verb's table is our own bug. */
bool cli_has(const struct cli_args *args, const char *name);
const char *cli_value(const struct cli_args *args, const char *name); /* last one given, or NULL */
/* The nth (from 0) value given for a repeatable option, NULL behind the last. */
const char *cli_nth(const struct cli_args *args, const char *name, unsigned n);

/* Whole words to numbers: "512M" (K, M, G, T: powers of 1024), "10", "1.5" seconds... */
int must_use cli_parse_size(const char *what, const char *text, uint64_t *ret, struct err *err);
int must_use cli_parse_number(const char *what, const char *text, uint64_t min, uint64_t max,
                              uint64_t *ret, struct err *err);

void cli_help_all(FILE *out);                               /* posada --help */
void cli_help_verb(FILE *out, const struct cli_verb *verb); /* posada VERB --help */
/* The manual page of a verb, with the verbs it has; NULL: posada(1) itself. */
void cli_manual_page(FILE *out, const struct cli_verb *verb);
/* The script that teaches a shell to complete our words; -EINVAL for an unknown shell. */
int must_use cli_completion(FILE *out, const char *shell, struct err *err);

/* About the program as a whole (about.c); NULL name ends a list. */
struct cli_about {
    const char *name, *text;
};
extern const char cli_about_posada[], cli_about_guestfile[];
extern const struct cli_about cli_about_exit[], cli_about_environment[], cli_about_files[];

/* Prints "posada: TEXT" on stderr and returns the exit code that err stands for. */
int cli_fail(const struct err *err);
