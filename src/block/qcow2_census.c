/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: what is in use, found by walking all tables. Contract: qcow2_rebuild.h. */
#include "qcow2_rebuild.h"

#include "base/checked.h"
#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 2^28 clusters: 16 TiB of 64 KiB each, and half a GiB of counts. */
#define CENSUS_MAX (UINT64_C(1) << 28)

int qcow2_census_init(struct qcow2 *q, struct qcow2_census *census, uint64_t extra, struct err *err)
{
    uint64_t spare = q->end + extra + (q->end + extra) / 16 + 4096; /* blocks that count them */

    if (spare > CENSUS_MAX)
        return err_set(err, -EFBIG,
                       "disk '%s': the image has too many clusters to be worked on as a whole; "
                       "one with larger clusters (`posada disk convert`) will do",
                       q->store.name);
    census->size = spare;
    census->counts = calloc(spare, sizeof(*census->counts));
    return census->counts ? 0 : err_set(err, -ENOMEM, "disk '%s': out of memory", q->store.name);
}

void qcow2_census_done(struct qcow2_census *census)
{
    free(TAKE(census->counts));
}

int qcow2_count(struct qcow2_census *census, uint64_t first, uint64_t n)
{
    if (!range_within(first, n, census->size))
        return -EIO;
    for (uint64_t i = first; i < first + n; i++) {
        if (census->counts[i] == UINT16_MAX)
            return -ERANGE;
        census->counts[i]++;
    }
    return 0;
}

/* A pointer that is wrong: found and noted, or the end. */
static int bad_pointer(struct qcow2_census *census)
{
    census->bad++;
    return census->tolerant ? 0 : -EIO;
}

static int must_use count_entry(struct qcow2 *q, struct qcow2_census *census, uint64_t entry)
{
    struct qcow2_mapping m;
    uint64_t offset, len;

    if (qcow2_decode(q, entry, &m) < 0)
        return bad_pointer(census);
    census->allocated += m.kind == QCOW2_PACKED || m.host;
    if (m.kind != QCOW2_PACKED)
        return m.host ? qcow2_count(census, m.host >> q->bits, 1) : 0;
    qcow2_packed_place(q, entry, &offset, &len);
    return qcow2_count(census, offset >> q->bits,
                       ((offset + len - 1) >> q->bits) - (offset >> q->bits) + 1);
}

static int must_use count_l2(struct qcow2 *q, struct qcow2_census *census, uint64_t offset,
                             uint64_t guest, uint64_t limit, uint8_t *table)
{
    int r = image_read_padded(q->fd, offset, table, q->cluster);

    for (uint64_t i = 0; !r && i < q->cluster / 8 && guest + i < limit; i++)
        r = count_entry(q, census, ld_be64(table + i * 8));
    return r;
}

int qcow2_count_l1(struct qcow2 *q, struct qcow2_census *census, const uint64_t *l1, uint64_t size,
                   uint64_t limit, bool tables)
{
    uint8_t *table = malloc(q->cluster);
    int r = table ? 0 : -ENOMEM;

    for (uint64_t i = 0; !r && i < size; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET;

        if (!offset)
            continue;
        if (offset & (q->cluster - 1) || offset >> q->bits >= q->end) {
            r = bad_pointer(census);
            continue;
        }
        r = tables ? qcow2_count(census, offset >> q->bits, 1) : 0;
        if (!r)
            r = count_l2(q, census, offset, i * (q->cluster / 8), limit, table);
    }
    free(table);
    return r;
}

int qcow2_read_l1(struct qcow2 *q, const struct qcow2_snapshot *snapshot, uint64_t **ret_l1)
{
    uint64_t *l1 = calloc((size_t)snapshot->l1_size + 1, 8);
    int r = l1 ? 0 : -ENOMEM;

    if (!r && snapshot->l1_size)
        r = image_read_padded(q->fd, snapshot->l1_offset, l1, (size_t)snapshot->l1_size * 8);
    if (r) {
        free(l1);
        return r;
    }
    for (uint64_t i = 0; i < snapshot->l1_size; i++)
        l1[i] = be64toh(l1[i]);
    *ret_l1 = l1;
    return 0;
}

int qcow2_count_snapshot(struct qcow2 *q, struct qcow2_census *census,
                         const struct qcow2_snapshot *snapshot)
{
    uint64_t *l1;
    int r = qcow2_read_l1(q, snapshot, &l1);

    if (r)
        return r;
    r = qcow2_count(census, snapshot->l1_offset >> q->bits,
                    qcow2_clusters(q, (uint64_t)snapshot->l1_size * 8));
    if (!r)
        r = qcow2_count_l1(q, census, l1, snapshot->l1_size, UINT64_MAX, true);
    free(l1);
    return r;
}

int qcow2_count_all(struct qcow2 *q, struct qcow2_census *census,
                    const struct qcow2_snapshots *snapshots)
{
    uint64_t allocated;
    int r = qcow2_count(census, 0, 1);

    if (!r)
        r = qcow2_count(census, q->h.l1_offset >> q->bits,
                        qcow2_clusters(q, (uint64_t)q->h.l1_size * 8));
    if (!r)
        r = qcow2_count(census, q->h.table_offset >> q->bits, q->h.table_clusters);
    for (uint64_t i = 0; !r && i < q->table_size; i++)
        if (q->table[i])
            r = qcow2_count(census, q->table[i] >> q->bits, 1);
    if (!r && snapshots->len)
        r = qcow2_count(census, q->h.snapshots_offset >> q->bits,
                        qcow2_clusters(q, snapshots->len));
    if (!r)
        r = qcow2_count_l1(q, census, q->l1, q->h.l1_size, UINT64_MAX, true);
    allocated = census->allocated;
    for (uint32_t i = 0; !r && i < snapshots->count; i++)
        r = qcow2_count_snapshot(q, census, &snapshots->list[i].snapshot);
    census->allocated = allocated;
    return r;
}
