/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nearest known word by edit distance (insert, delete, replace, swap of neighbours), as in the
 * restricted Damerau-Levenshtein distance. A word counts as near when about a third of it or less
 * differs, or when it begins with what was typed.
 */
#include "base/suggest.h"

#include <string.h>

enum { SUGGEST_MAX = 40 }; /* longer words are never near */

static unsigned suggest_min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned suggest_distance(const char *a, size_t alen, const char *b, size_t blen)
{
    unsigned rows[SUGGEST_MAX + 1][SUGGEST_MAX + 1];

    for (size_t i = 0; i <= alen; i++)
        for (size_t j = 0; j <= blen; j++) {
            unsigned best;

            if (!i || !j) {
                rows[i][j] = (unsigned)(i + j);
                continue;
            }
            best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = suggest_min(best, suggest_min(rows[i - 1][j], rows[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = suggest_min(best, rows[i - 2][j - 2] + 1);
            rows[i][j] = best;
        }
    return rows[alen][blen];
}

void suggest_offer(struct suggest *s, const char *known)
{
    size_t wlen = strlen(s->word), klen = strlen(known);
    unsigned distance;

    if (wlen < 2 || wlen > SUGGEST_MAX || klen > SUGGEST_MAX)
        return;
    distance = suggest_distance(s->word, wlen, known, klen);
    if (!strncmp(s->word, known, wlen))
        distance = 1;
    if (distance > 1 + (unsigned)(wlen > klen ? wlen : klen) / 4 || distance >= klen)
        return;
    if (s->best && s->distance <= distance)
        return;
    s->best = known;
    s->distance = distance;
}
