/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back all at once: one command of the runtime reads, works and ends. Blocks
 * grow as needed; what arena_get() returns is zeroed, aligned to 16 and lives until arena_done().
 */
#pragma once

#include <posada/types.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used, room; /* of the newest block */
};

void *arena_get(struct arena *arena, size_t count, size_t size); /* NULL: no memory, or too much */
char *arena_copy(struct arena *arena, const char *text, size_t len);
char *arena_text(struct arena *arena, const char *fmt, ...) printf_fn(2, 3);
void arena_done(struct arena *arena);

static inline void cleanup_arena(struct arena *arena)
{
    arena_done(arena);
}
