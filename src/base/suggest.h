/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean ...": the known word nearest to a mistyped one.
 *     struct suggest s = {.word = word};
 *     for (...) suggest_offer(&s, known[i]);
 *     if (s.best) ... s.best ...
 */
#pragma once

#include <posada/types.h>

struct suggest {
    const char *word; /* as typed */
    const char *best; /* NULL: nothing near enough */
    unsigned distance;
};

/* Considers one known word; it must live as long as the suggestion is used. */
void suggest_offer(struct suggest *s, const char *known);
