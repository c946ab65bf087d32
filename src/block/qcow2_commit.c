/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: metadata to the file, in the order that a crash forgives: reference counts (and the data
 * that is there already), then L2 tables, then the L1 table, then counts that went down. Each arrow
 * is an fdatasync().
 */
#include "qcow2_impl.h"

#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int qcow2_break(struct qcow2 *q)
{
    q->broken = true;
    return -EIO;
}

/* After a failed one nobody knows what is on the disk. */
int qcow2_sync(struct qcow2 *q)
{
    return fdatasync(q->fd) < 0 ? qcow2_break(q) : 0;
}

/* Entries [first, end) of a table in host order, to offset. */
static int must_use write_table(const struct qcow2 *q, uint64_t offset, const uint64_t *table,
                                uint64_t first, uint64_t end)
{
    uint8_t buf[4096];
    int r = 0;

    while (!r && first < end) {
        uint64_t n = end - first < sizeof(buf) / 8 ? end - first : sizeof(buf) / 8;

        for (uint64_t i = 0; i < n; i++)
            st_be64(buf + i * 8, table[first + i]);
        r = image_write(q->fd, offset + first * 8, buf, n * 8);
        first += n;
    }
    return r;
}

static int must_use write_moved_header(struct qcow2 *q)
{
    int r = qcow2_header_write(q);

    return r ? r : qcow2_sync(q);
}

static int must_use write_counts(struct qcow2 *q)
{
    int r = qcow2_cache_write(&q->refs, q->fd);

    if (r || !q->table_dirty)
        return r;
    r = qcow2_sync(q);
    if (!r)
        r = write_table(q, q->h.table_offset, q->table, 0, q->table_size);
    return r ? r : qcow2_sync(q);
}

/* A table that has grown, at a new place. Until the header is written all can be as before: a file
 * system that is full now has room later. */
static int must_use commit_grown_table(struct qcow2 *q)
{
    struct qcow2_run old = {0};
    int r = qcow2_place_table(q, &old);

    if (!r)
        r = write_counts(q);
    if (r)
        return old.count && !q->broken ? qcow2_unplace_table(q, &old, r) : r;
    if (write_moved_header(q))
        return qcow2_break(q); /* who knows which header the file has */
    q->table_dirty = false;
    return qcow2_free(q, old.first, old.count);
}

static int must_use commit_table(struct qcow2 *q)
{
    int r;

    if (q->table_grown)
        return commit_grown_table(q);
    r = write_counts(q);
    if (!r)
        q->table_dirty = false;
    return r;
}

static int must_use commit_l1(struct qcow2 *q)
{
    int r;

    if (q->l1_dirty_first >= q->l1_dirty_end)
        return 0;
    r = qcow2_sync(q);
    if (!r)
        r = write_table(q, q->h.l1_offset, q->l1, q->l1_dirty_first, q->l1_dirty_end);
    if (!r) {
        q->l1_dirty_first = UINT64_MAX;
        q->l1_dirty_end = 0;
    }
    return r;
}

/* The file reaches over every cluster that was taken, also where only zeroes were written. */
static int must_use cover_clusters(const struct qcow2 *q)
{
    struct stat st;

    if (fstat(q->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= q->end << q->bits)
        return 0;
    return ftruncate(q->fd, (off_t)(q->end << q->bits)) < 0 ? -errno : 0;
}

int qcow2_commit(struct qcow2 *q)
{
    int r;

    if (q->broken)
        return -EIO;
    r = cover_clusters(q);
    if (!r)
        r = commit_table(q);
    if (!r && (q->l2.dirty || q->l1_dirty_first < q->l1_dirty_end))
        r = qcow2_sync(q);
    if (!r)
        r = qcow2_cache_write(&q->l2, q->fd);
    if (!r)
        r = commit_l1(q);
    if (!r)
        r = qcow2_sync(q);
    if (!r)
        r = qcow2_apply_frees(q);
    return r ? r : qcow2_cache_write(&q->refs, q->fd);
}
