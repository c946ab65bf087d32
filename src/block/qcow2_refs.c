/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: reference counts, and host clusters found and freed by them. Counts of new clusters may
 * reach the file at any time (too high a count only loses space); counts go down by
 * qcow2_apply_frees() alone, when the commit is through.
 */
#include "qcow2_impl.h"

#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* --- Entries of 1 to 64 bits --- */
uint64_t qcow2_ref_unpack(const uint8_t *entries, uint64_t index, unsigned order)
{
    unsigned per_byte = 8u >> order, width = 1u << order;

    switch (order) {
    case 3: return entries[index];
    case 4: return ld_be16(entries + index * 2);
    case 5: return ld_be32(entries + index * 4);
    case 6: return ld_be64(entries + index * 8);
    default:
        return (uint32_t)entries[index / per_byte] >> index % per_byte * width &
               ((1u << width) - 1);
    }
}

void qcow2_ref_pack(uint8_t *entries, uint64_t index, unsigned order, uint64_t value)
{
    unsigned per_byte = 8u >> order, width = 1u << order;
    uint8_t *byte = &entries[order < 3 ? index / per_byte : index];
    unsigned shift = order < 3 ? (unsigned)(index % per_byte) * width : 0;

    switch (order) {
    case 3: *byte = (uint8_t)value; break;
    case 4: st_be16(entries + index * 2, (uint16_t)value); break;
    case 5: st_be32(entries + index * 4, (uint32_t)value); break;
    case 6: st_be64(entries + index * 8, value); break;
    default:
        *byte = (uint8_t)((*byte & ~(((1u << width) - 1) << shift)) | (unsigned)value << shift);
        break;
    }
}

static uint64_t refs_per_block(const struct qcow2 *q)
{
    return q->cluster * 8 >> q->h.refcount_order;
}

static bool covered(const struct qcow2 *q, uint64_t cluster)
{
    uint64_t block = cluster / refs_per_block(q);

    return block < q->table_size && q->table[block];
}

/* The part of a block with cluster's count, and its index in it. The cluster is covered. */
static int must_use refs_slice(struct qcow2 *q, uint64_t cluster, bool write, uint8_t **ret_data,
                               uint64_t *ret_index)
{
    uint64_t per_block = refs_per_block(q), index = cluster % per_block;
    uint64_t per_slice = (q->refs.slice * 8) >> q->h.refcount_order;
    uint64_t offset = q->table[cluster / per_block] + index / per_slice * q->refs.slice;
    int r = qcow2_cache_get(&q->refs, q->fd, offset, write, ret_data);

    if (r == -EAGAIN) { /* counts may be written early */
        r = qcow2_cache_write(&q->refs, q->fd);
        if (!r)
            r = qcow2_cache_get(&q->refs, q->fd, offset, write, ret_data);
    }
    *ret_index = index % per_slice;
    return r;
}

int qcow2_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *ret_count)
{
    uint64_t index;
    uint8_t *data;
    int r;

    *ret_count = 0;
    if (!covered(q, cluster))
        return 0;
    r = refs_slice(q, cluster, false, &data, &index);
    if (!r)
        *ret_count = qcow2_ref_unpack(data, index, q->h.refcount_order);
    return r;
}

static int must_use refs_set(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
    uint64_t index;
    uint8_t *data;
    int r = refs_slice(q, cluster, true, &data, &index);

    if (!r)
        qcow2_ref_pack(data, index, q->h.refcount_order, count);
    return r;
}

/* --- Blocks and their table --- */
static int must_use table_reach(struct qcow2 *q, uint64_t block)
{
    uint64_t size = block + 1 + block / 16 + 64, per_cluster = q->cluster / 8;
    uint64_t *table;

    if (block < q->table_size)
        return 0;
    size = (size + per_cluster - 1) / per_cluster * per_cluster;
    if (size * 8 > QCOW2_TABLE_BYTES_MAX)
        return -EFBIG;
    table = realloc(q->table, size * 8);
    if (!table)
        return -ENOMEM;
    memset(table + q->table_size, 0, (size - q->table_size) * 8);
    q->table = table;
    q->table_size = size;
    q->table_grown = true;
    return 0;
}

static int must_use zero_cluster(struct qcow2 *q, uint64_t cluster)
{
    void *zeroes = qcow2_scratch_get(q);
    int r = -ENOMEM;

    if (zeroes) {
        memset(zeroes, 0, q->cluster);
        r = image_write(q->fd, cluster << q->bits, zeroes, q->cluster);
        qcow2_scratch_put(q, zeroes);
    }
    return r;
}

static void reached(struct qcow2 *q, uint64_t end)
{
    if (end > q->end)
        q->end = end;
}

/* Makes `cluster`, free, a block of zeroes and puts it into the table; or all is as it was. */
static int must_use place_block(struct qcow2 *q, uint64_t block, uint64_t cluster)
{
    int r = qcow2_set_add(&q->meta, cluster);

    if (r == -EEXIST)
        return qcow2_break(q);
    if (!r)
        r = zero_cluster(q, cluster);
    if (r) {
        qcow2_set_remove(&q->meta, cluster);
        return r;
    }
    qcow2_cache_drop(&q->refs, cluster << q->bits, q->cluster);
    q->table[block] = cluster << q->bits;
    q->table_dirty = true;
    return 0;
}

/* Makes `cluster`, free and not covered, the block that counts it and its neighbours. */
static int must_use make_block(struct qcow2 *q, uint64_t cluster)
{
    uint64_t block = cluster / refs_per_block(q);
    int r = table_reach(q, block);

    if (!r)
        r = place_block(q, block, cluster);
    if (r)
        return r;
    reached(q, cluster + 1);
    return refs_set(q, cluster, 1);
}

/* --- Finding --- */
/* The first free cluster from `from` on. */
static int must_use find_free(struct qcow2 *q, uint64_t from, uint64_t *ret_cluster)
{
    uint64_t count = 1;
    int r = 0;

    for (;; from++) {
        r = qcow2_ref_get(q, from, &count);
        if (r || !count)
            break;
    }
    *ret_cluster = from;
    return r;
}

/* How many of the clusters from `from` on are free, at most want. */
static int must_use count_free(struct qcow2 *q, uint64_t from, uint64_t want, uint64_t *ret_n)
{
    uint64_t n = 0, count = 0;
    int r = 0;

    while (!r && n < want) {
        r = qcow2_ref_get(q, from + n, &count);
        if (count)
            break;
        n++;
    }
    *ret_n = n;
    return r;
}

static int must_use take(struct qcow2 *q, uint64_t first, uint64_t n)
{
    int r = 0;

    for (uint64_t i = 0; !r && i < n; i++) {
        if (qcow2_set_has(&q->meta, first + i))
            return qcow2_break(q); /* metadata that nobody counted */
        r = refs_set(q, first + i, 1);
    }
    reached(q, first + n);
    return r;
}

int qcow2_alloc(struct qcow2 *q, uint64_t want, struct qcow2_run *ret_run, bool *ret_fresh)
{
    uint64_t first = 0, n = 0, per_block = refs_per_block(q);
    int r;

    if (q->broken)
        return -EIO;
    r = find_free(q, q->hint, &first);
    if (!r && !covered(q, first)) {
        r = make_block(q, first);
        if (!r)
            r = find_free(q, first + 1, &first);
        if (!r && !covered(q, first)) /* a block that counts only itself: next one */
            return qcow2_alloc(q, want, ret_run, ret_fresh);
    }
    if (r)
        return r;
    if (want > per_block - first % per_block)
        want = per_block - first % per_block;
    r = count_free(q, first, want, &n);
    if (r)
        return r;
    *ret_fresh = first >= q->end;
    r = take(q, first, n);
    q->hint = first + n;
    *ret_run = (struct qcow2_run){first, n};
    return r;
}

/* --- A table of its own length at the end of the file, blocks for it before it --- */
static uint64_t uncovered_blocks(const struct qcow2 *q, uint64_t first, uint64_t n)
{
    uint64_t per_block = refs_per_block(q), count = 0;

    for (uint64_t block = first / per_block; block <= (first + n - 1) / per_block; block++)
        count += block >= q->table_size || !q->table[block];
    return count;
}

static int must_use make_blocks(struct qcow2 *q, uint64_t first, uint64_t end)
{
    uint64_t per_block = refs_per_block(q), at = first;
    int r = table_reach(q, (end - 1) / per_block), counted = 0;

    for (uint64_t block = first / per_block; !r && block <= (end - 1) / per_block; block++) {
        if (q->table[block])
            continue;
        r = place_block(q, block, at);
        at += !r;
    }
    for (uint64_t i = first; !counted && i < at; i++) /* also of those made before a failure */
        counted = refs_set(q, i, 1);
    reached(q, at);
    return r ? r : counted;
}

static int must_use alloc_tail(struct qcow2 *q, uint64_t n, uint64_t *ret_first)
{
    uint64_t blocks = 0, needed, first = q->end;
    int r;

    while ((needed = uncovered_blocks(q, first, blocks + n)) > blocks)
        blocks = needed;
    r = make_blocks(q, first, first + blocks + n);
    /* Fewer blocks than thought leave a gap; it is free and will be used. */
    if (!r)
        r = take(q, first + blocks, n);
    *ret_first = first + blocks;
    return r;
}

int qcow2_place_table(struct qcow2 *q, struct qcow2_run *ret_old)
{
    uint64_t n = q->table_size * 8 >> q->bits, first = 0;
    int r = alloc_tail(q, n, &first);

    if (r || n != q->table_size * 8 >> q->bits)
        return r ? r : qcow2_break(q);
    *ret_old = (struct qcow2_run){q->h.table_offset >> q->bits, q->h.table_clusters};
    for (uint64_t i = 0; i < ret_old->count; i++)
        qcow2_set_remove(&q->meta, ret_old->first + i);
    for (uint64_t i = 0; !r && i < n; i++)
        r = qcow2_set_add(&q->meta, first + i);
    q->h.table_offset = first << q->bits;
    q->h.table_clusters = (uint32_t)n;
    q->table_grown = false;
    q->table_dirty = true;
    return r;
}

int qcow2_unplace_table(struct qcow2 *q, const struct qcow2_run *old, int code)
{
    uint64_t first = q->h.table_offset >> q->bits, n = q->h.table_clusters;

    for (uint64_t i = 0; i < n; i++)
        qcow2_set_remove(&q->meta, first + i);
    for (uint64_t i = 0; i < old->count; i++)
        if (qcow2_set_add(&q->meta, old->first + i))
            return qcow2_break(q);
    q->h.table_offset = old->first << q->bits;
    q->h.table_clusters = (uint32_t)old->count;
    q->table_grown = true;
    /* With no room to note it, freeing would commit, and that is where we are. */
    return q->free_count == QCOW2_FREES || qcow2_free(q, first, n) ? qcow2_break(q) : code;
}

/* --- Freeing --- */
int qcow2_free(struct qcow2 *q, uint64_t first, uint64_t count)
{
    struct qcow2_run *last = q->free_count ? &q->frees[q->free_count - 1] : NULL;
    int r = 0;

    if (last && last->first + last->count == first) {
        last->count += count;
        return 0;
    }
    if (q->free_count == QCOW2_FREES)
        r = qcow2_commit(q);
    if (!r)
        q->frees[q->free_count++] = (struct qcow2_run){first, count};
    return r;
}

/* The space of a freed run goes back to the file system, where it can. */
static void give_back(const struct qcow2 *q, const struct qcow2_run *run)
{
    if (run->count)
        (void)fallocate(q->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)(run->first << q->bits), (off_t)(run->count << q->bits));
}

static int must_use count_down(struct qcow2 *q, uint64_t cluster, struct qcow2_run *freed)
{
    uint64_t count = 0;
    int r = qcow2_ref_get(q, cluster, &count);

    if (r || !count || qcow2_set_has(&q->meta, cluster))
        return r ? r : qcow2_break(q); /* freed, and never counted */
    r = refs_set(q, cluster, count - 1);
    if (r || count > 1)
        return r;
    if (cluster < q->hint)
        q->hint = cluster;
    if (freed->first + freed->count != cluster) {
        give_back(q, freed);
        *freed = (struct qcow2_run){cluster, 0};
    }
    freed->count++;
    return 0;
}

int qcow2_apply_frees(struct qcow2 *q)
{
    struct qcow2_run freed = {0};
    int r = 0;

    for (unsigned i = 0; !r && i < q->free_count; i++)
        for (uint64_t c = 0; !r && c < q->frees[i].count; c++)
            r = count_down(q, q->frees[i].first + c, &freed);
    give_back(q, &freed);
    q->free_count = 0;
    return r ? qcow2_break(q) : 0;
}
