/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once. Contract: container/arena.h. */
#include "container/arena.h"

#include "base/checked.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 16 << 10 };

struct arena_block {
    struct arena_block *older;
    size_t pad; /* keeps bytes[] at a multiple of 16 */
    char bytes[];
};

void *arena_get(struct arena *arena, size_t count, size_t size)
{
    size_t want;

    if (ckd_mul(&want, count, size) || want > SIZE_MAX / 4)
        return NULL;
    want = (want + 15) & ~(size_t)15;
    if (!arena->blocks || arena->room - arena->used < want) {
        size_t room = want > ARENA_BLOCK ? want : ARENA_BLOCK;
        struct arena_block *block = calloc(1, sizeof(*block) + room);

        if (!block)
            return NULL;
        block->older = arena->blocks;
        arena->blocks = block;
        arena->room = room;
        arena->used = 0;
    }
    arena->used += want;
    return arena->blocks->bytes + arena->used - want;
}

char *arena_copy(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_get(arena, len + 1, 1);

    if (copy)
        memcpy(copy, text, len);
    return copy;
}

char *arena_text(struct arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    char *text = NULL;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        text = arena_get(arena, (size_t)n + 1, 1);
    if (text)
        (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return text;
}

void arena_done(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->older;
        free(block);
    }
    *arena = (struct arena){0};
}
