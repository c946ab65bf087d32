/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: cached parts of metadata tables, and the set of clusters that hold metadata. */
#include "qcow2_impl.h"

#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8, SET_ROOM_MIN = 64 };

static uint64_t hash(uint64_t v)
{
    v *= UINT64_C(0x9e3779b97f4a7c15);
    return v ^ v >> 32;
}

/* --- Cache --- */
int qcow2_cache_init(struct qcow2_cache *cache, size_t slice, size_t bytes)
{
    unsigned sets = (unsigned)(bytes / slice / WAYS);

    *cache = (struct qcow2_cache){.slice = slice, .sets = sets ? sets : 1};
    cache->slots = calloc((size_t)cache->sets * WAYS, sizeof(*cache->slots));
    cache->data = calloc((size_t)cache->sets * WAYS, slice);
    return cache->slots && cache->data ? 0 : -ENOMEM;
}

void qcow2_cache_done(struct qcow2_cache *cache)
{
    free(cache->slots);
    free(cache->data);
    *cache = (struct qcow2_cache){0};
}

static uint8_t *slot_data(const struct qcow2_cache *cache, const struct qcow2_slot *slot)
{
    return cache->data + (size_t)(slot - cache->slots) * cache->slice;
}

static struct qcow2_slot *cache_set(const struct qcow2_cache *cache, uint64_t offset)
{
    return cache->slots + hash(offset / cache->slice) % cache->sets * WAYS;
}

static struct qcow2_slot *cache_find(const struct qcow2_cache *cache, uint64_t offset)
{
    struct qcow2_slot *slot = cache_set(cache, offset);

    for (unsigned i = 0; i < WAYS; i++)
        if (slot[i].offset == offset)
            return &slot[i];
    return NULL;
}

/* The slot longest unused, NULL when all are dirty. */
static struct qcow2_slot *cache_victim(const struct qcow2_cache *cache, uint64_t offset)
{
    struct qcow2_slot *slot = cache_set(cache, offset), *best = NULL;

    for (unsigned i = 0; i < WAYS; i++)
        if (!slot[i].dirty && (!best || slot[i].used < best->used))
            best = &slot[i];
    return best;
}

bool qcow2_cache_has(const struct qcow2_cache *cache, uint64_t offset)
{
    return cache_find(cache, offset) != NULL;
}

int qcow2_cache_get(struct qcow2_cache *cache, int fd, uint64_t offset, bool write,
                    uint8_t **ret_data)
{
    struct qcow2_slot *slot = cache_find(cache, offset);
    int r;

    if (!slot) {
        slot = cache_victim(cache, offset);
        if (!slot)
            return -EAGAIN;
        slot->offset = 0;
        r = image_read_padded(fd, offset, slot_data(cache, slot), cache->slice);
        if (r < 0)
            return r;
        slot->offset = offset;
    }
    slot->used = ++cache->clock;
    cache->dirty += write && !slot->dirty;
    slot->dirty |= write;
    *ret_data = slot_data(cache, slot);
    return 0;
}

int qcow2_cache_write(struct qcow2_cache *cache, int fd)
{
    for (unsigned i = 0; cache->dirty && i < cache->sets * WAYS; i++) {
        struct qcow2_slot *slot = &cache->slots[i];
        int r;

        if (!slot->dirty)
            continue;
        r = image_write(fd, slot->offset, slot_data(cache, slot), cache->slice);
        if (r < 0)
            return r;
        slot->dirty = false;
        cache->dirty--;
    }
    return 0;
}

void qcow2_cache_drop(struct qcow2_cache *cache, uint64_t offset, uint64_t len)
{
    for (uint64_t at = offset; at < offset + len; at += cache->slice) {
        struct qcow2_slot *slot = cache_find(cache, at);

        if (!slot)
            continue;
        cache->dirty -= slot->dirty;
        *slot = (struct qcow2_slot){0};
    }
}

/* --- Set --- */
/* Where the key is, or where it would go. */
static uint64_t *set_find(const struct qcow2_set *set, uint64_t key)
{
    size_t at = hash(key) & (set->room - 1);
    uint64_t *hole = NULL;

    for (; set->keys[at]; at = (at + 1) & (set->room - 1)) {
        if (set->keys[at] == key)
            return &set->keys[at];
        if (set->keys[at] == 1 && !hole)
            hole = &set->keys[at];
    }
    return hole ? hole : &set->keys[at];
}

static int must_use set_grow(struct qcow2_set *set)
{
    struct qcow2_set bigger = {.room = set->room ? set->room * 2 : SET_ROOM_MIN};

    bigger.keys = calloc(bigger.room, sizeof(*bigger.keys));
    if (!bigger.keys)
        return -ENOMEM;
    for (size_t i = 0; i < set->room; i++)
        if (set->keys[i] > 1) {
            *set_find(&bigger, set->keys[i]) = set->keys[i];
            bigger.used++;
        }
    free(set->keys);
    *set = bigger;
    return 0;
}

bool qcow2_set_has(const struct qcow2_set *set, uint64_t cluster)
{
    return set->room && *set_find(set, cluster + 2) == cluster + 2;
}

int qcow2_set_add(struct qcow2_set *set, uint64_t cluster)
{
    uint64_t *key;

    if (set->used * 2 >= set->room && set_grow(set) < 0)
        return -ENOMEM;
    key = set_find(set, cluster + 2);
    if (*key == cluster + 2)
        return -EEXIST;
    set->used += *key == 0;
    *key = cluster + 2;
    return 0;
}

void qcow2_set_remove(struct qcow2_set *set, uint64_t cluster)
{
    uint64_t *key = set->room ? set_find(set, cluster + 2) : NULL;

    if (key && *key == cluster + 2)
        *key = 1;
}
