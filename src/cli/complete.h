/* SPDX-License-Identifier: Apache-2.0 */
/* What the writers of completion scripts share: what a value or an operand can be. */
#pragma once

#include "cli/cli.h"

enum complete_kind {
    COMPLETE_NONE,
    COMPLETE_FILE,
    COMPLETE_DIR,
    COMPLETE_GUEST,
    COMPLETE_IMAGE,
    COMPLETE_WORDS, /* one of words, parted by blanks */
};

struct complete_value {
    enum complete_kind kind;
    char words[256];
};

/* What "FILE[:CLASSES]", "GUEST..." or "auto|none" wants. */
struct complete_value complete_value(const char *text);

enum { COMPLETE_OPERANDS_MAX = 8 };

struct complete_operands {
    unsigned count;
    bool repeat; /* the last one may come again and again */
    struct complete_value value[COMPLETE_OPERANDS_MAX];
    char name[COMPLETE_OPERANDS_MAX][24];
};

/* "IMAGE [COMMAND [ARGUMENT...]]" and its like, piece by piece. */
void complete_operands(const struct cli_verb *verb, struct complete_operands *ret);

/* Calls fn for each verb with its name: "", "run", "disk", "disk create"...; hidden ones not. */
typedef void complete_fn(FILE *out, const char *name, const struct cli_verb *verb,
                         const struct cli_verb *const *verbs);
void complete_each(FILE *out, complete_fn *fn);

/* Within single quotes of a shell. */
void complete_quoted(FILE *out, const char *text);

void complete_bash(FILE *out);
void complete_zsh(FILE *out);
void complete_fish(FILE *out);
