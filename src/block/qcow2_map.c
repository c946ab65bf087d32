/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: where guest clusters lie - L1 and L2 tables. An entry is believed only after it has been
 * checked: aligned, inside the file, and no data where metadata is.
 */
#include "qcow2_impl.h"

#include "base/checked.h"
#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <string.h>

static uint64_t l2_entries(const struct qcow2 *q)
{
    return q->cluster / 8;
}

/* --- Reading --- */
static int must_use decode_host(struct qcow2 *q, uint64_t host, struct qcow2_mapping *ret)
{
    if (host & (q->cluster - 1) || host >> q->bits >= q->end)
        return -EIO;
    ret->host = host;
    ret->in_place = ret->entry & QCOW2_COPIED;
    /* A guest must not write where its tables are, whatever the entry says. */
    return qcow2_set_has(&q->meta, host >> q->bits) ? -EIO : 0;
}

int qcow2_decode(struct qcow2 *q, uint64_t entry, struct qcow2_mapping *ret)
{
    uint64_t host = entry & QCOW2_OFFSET;

    *ret = (struct qcow2_mapping){.entry = entry, .count = 1};
    if (entry & QCOW2_COMPRESSED) {
        uint64_t offset, len;

        ret->kind = QCOW2_PACKED;
        qcow2_packed_place(q, entry, &offset, &len);
        return (offset + len - 1) >> q->bits < q->end && offset >> q->bits ? 0 : -EIO;
    }
    if (entry & QCOW2_ZERO) {
        ret->kind = QCOW2_ZEROES;
        if (q->h.version < 3)
            return -EIO;
    } else {
        ret->kind = host ? QCOW2_DATA : QCOW2_UNALLOCATED;
    }
    return host ? decode_host(q, host, ret) : 0;
}

/* Does `next` go on where the run ends? */
static bool mapping_joins(const struct qcow2 *q, const struct qcow2_mapping *run,
                          const struct qcow2_mapping *next)
{
    if (next->kind != run->kind || run->kind == QCOW2_PACKED || next->in_place != run->in_place)
        return false;
    if (run->kind == QCOW2_DATA)
        return next->host == run->host + (run->count << q->bits);
    return run->kind == QCOW2_UNALLOCATED || (!run->host && !next->host);
}

static int must_use l2_slice(struct qcow2 *q, uint64_t offset, bool write, uint8_t **ret_data)
{
    int r = qcow2_cache_get(&q->l2, q->fd, offset, write, ret_data);

    if (r != -EAGAIN)
        return r;
    r = qcow2_commit(q);
    return r ? r : qcow2_cache_get(&q->l2, q->fd, offset, write, ret_data);
}

/* The file offset of cluster's L2 entry's slice, and the entry's index in it. */
static uint64_t l2_place(const struct qcow2 *q, uint64_t cluster, uint64_t *ret_index)
{
    uint64_t per_slice = q->l2.slice / 8, index = cluster % l2_entries(q);

    *ret_index = index % per_slice;
    return (q->l1[cluster / l2_entries(q)] & QCOW2_OFFSET) + index / per_slice * q->l2.slice;
}

bool qcow2_lookup_ready(struct qcow2 *q, uint64_t cluster)
{
    uint64_t l1_index = cluster / l2_entries(q), index;

    if (l1_index >= q->h.l1_size || !(q->l1[l1_index] & QCOW2_OFFSET))
        return true;
    return qcow2_cache_has(&q->l2, l2_place(q, cluster, &index));
}

int qcow2_lookup(struct qcow2 *q, uint64_t cluster, uint64_t max, struct qcow2_mapping *ret)
{
    uint64_t l1_index = cluster / l2_entries(q), left = l2_entries(q) - cluster % l2_entries(q);
    struct qcow2_mapping next;
    uint64_t index;
    uint8_t *data;
    int r;

    if (l1_index >= q->h.l1_size)
        return -EIO;
    if (!(q->l1[l1_index] & QCOW2_OFFSET)) {
        *ret = (struct qcow2_mapping){.kind = QCOW2_UNALLOCATED, .count = left < max ? left : max};
        return 0;
    }
    r = l2_slice(q, l2_place(q, cluster, &index), false, &data);
    if (!r)
        r = qcow2_decode(q, ld_be64(data + index * 8), ret);
    left = q->l2.slice / 8 - index;
    while (!r && ret->count < max && ret->count < left) {
        if (qcow2_decode(q, ld_be64(data + (index + ret->count) * 8), &next) < 0 ||
            !mapping_joins(q, ret, &next))
            break; /* a bad entry is told when its turn comes */
        ret->count++;
    }
    return r;
}

/* --- Writing --- */
static void l1_set(struct qcow2 *q, uint64_t index, uint64_t value)
{
    q->l1[index] = value;
    if (index < q->l1_dirty_first)
        q->l1_dirty_first = index;
    if (index >= q->l1_dirty_end)
        q->l1_dirty_end = index + 1;
}

/* Fills `table` with what L2 table `from` holds, as entries that are counted more than once. */
static int must_use l2_copy(struct qcow2 *q, uint64_t from, uint8_t *table)
{
    int r = 0;

    for (uint64_t at = 0; !r && at < q->cluster; at += q->l2.slice) {
        uint8_t *slice;

        r = l2_slice(q, from + at, false, &slice);
        if (!r)
            memcpy(table + at, slice, q->l2.slice);
    }
    for (uint64_t i = 0; !r && i < l2_entries(q); i++)
        st_be64(table + i * 8, ld_be64(table + i * 8) & ~QCOW2_COPIED);
    return r;
}

/* Gives L1 entry [index] an L2 table of its own: new and empty, or a copy of a shared one. The
 * table is whole in the file before anything names it. */
static int must_use l2_make(struct qcow2 *q, uint64_t index)
{
    uint64_t old = q->l1[index] & QCOW2_OFFSET;
    uint8_t *table = qcow2_scratch_get(q);
    struct qcow2_run run = {0};
    bool fresh;
    int r = table ? 0 : -ENOMEM;

    if (!r)
        memset(table, 0, q->cluster);
    if (!r && old)
        r = l2_copy(q, old, table);
    if (!r)
        r = qcow2_alloc(q, 1, &run, &fresh);
    if (!r) {
        qcow2_cache_drop(&q->l2, run.first << q->bits, q->cluster);
        r = image_write(q->fd, run.first << q->bits, table, q->cluster);
    }
    if (table)
        qcow2_scratch_put(q, table);
    if (!r)
        r = qcow2_set_add(&q->meta, run.first);
    if (r)
        return run.count && qcow2_free(q, run.first, 1) ? -EIO : r;
    l1_set(q, index, run.first << q->bits | QCOW2_COPIED);
    if (!old)
        return 0;
    qcow2_set_remove(&q->meta, old >> q->bits);
    return qcow2_free(q, old >> q->bits, 1);
}

int qcow2_entry(struct qcow2 *q, uint64_t cluster, uint8_t **ret_entry)
{
    uint64_t l1_index = cluster / l2_entries(q), index;
    uint8_t *data;
    int r = 0;

    if (l1_index >= q->h.l1_size || q->broken)
        return -EIO;
    if (!(q->l1[l1_index] & QCOW2_OFFSET) || !(q->l1[l1_index] & QCOW2_COPIED))
        r = l2_make(q, l1_index);
    if (!r)
        r = l2_slice(q, l2_place(q, cluster, &index), true, &data);
    if (r)
        return r;
    *ret_entry = data + index * 8;
    return 0;
}

int qcow2_replace(struct qcow2 *q, uint8_t *entry, uint64_t value)
{
    uint64_t old = ld_be64(entry), offset, len;

    st_be64(entry, value);
    if (old & QCOW2_COMPRESSED) {
        qcow2_packed_place(q, old, &offset, &len);
        return qcow2_free(q, offset >> q->bits,
                          ((offset + len - 1) >> q->bits) - (offset >> q->bits) + 1);
    }
    if (!(old & QCOW2_OFFSET) || (old & QCOW2_OFFSET) == (value & QCOW2_OFFSET))
        return 0;
    return qcow2_free(q, (old & QCOW2_OFFSET) >> q->bits, 1);
}
