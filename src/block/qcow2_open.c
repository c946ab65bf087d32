/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: opening and closing. The tables of the first level are read whole and checked before
 * anything else is believed: each entry aligned, inside the file, and no two things in one place.
 */
#include "qcow2_impl.h"

#include "base/endian.h"
#include "file.h"
#include "qcow2_rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_MAX = 16 << 10, L2_BYTES = 4 << 20, REFS_BYTES = 1 << 20 };

/* --- Tables --- */
static int corrupt(const struct qcow2 *q, const char *what, uint64_t where, struct err *err)
{
    return err_set(err, -EIO,
                   "disk '%s': the image is corrupt: %s at byte %" PRIu64
                   " is not where it can be; `qemu-img check -r all` may help",
                   q->store.name, what, where);
}

static int must_use note(struct qcow2 *q, const char *what, uint64_t offset, uint64_t bytes,
                         struct err *err)
{
    uint64_t first = offset >> q->bits, n = qcow2_clusters(q, bytes);

    if (offset & (q->cluster - 1) || first + n > q->end)
        return corrupt(q, what, offset, err);
    for (uint64_t i = 0; i < n; i++) {
        int r = qcow2_set_add(&q->meta, first + i);

        if (r)
            return r == -EEXIST ? corrupt(q, what, offset, err)
                                : err_set(err, r, "disk '%s': out of memory", q->store.name);
    }
    return 0;
}

static int must_use read_table(struct qcow2 *q, uint64_t offset, uint64_t entries, uint64_t **ret,
                               struct err *err)
{
    uint64_t *table = calloc(entries + 1, 8);
    int r = table ? 0 : -ENOMEM;

    if (!r && entries)
        r = image_read_padded(q->fd, offset, table, entries * 8);
    for (uint64_t i = 0; !r && i < entries; i++)
        table[i] = be64toh(table[i]);
    *ret = table;
    return r ? err_set(err, r, "disk '%s': cannot read the image's tables: %s", q->store.name,
                       strerror(-r))
             : 0;
}

static int must_use load_l1(struct qcow2 *q, struct err *err)
{
    int r = read_table(q, q->h.l1_offset, q->h.l1_size, &q->l1, err);

    if (!r)
        r = note(q, "the L1 table", q->h.l1_offset, (uint64_t)q->h.l1_size * 8, err);
    for (uint64_t i = 0; !r && i < q->h.l1_size; i++)
        if (q->l1[i] & QCOW2_OFFSET)
            r = note(q, "an L2 table", q->l1[i] & QCOW2_OFFSET, q->cluster, err);
    return r;
}

static int must_use load_table(struct qcow2 *q, struct err *err)
{
    uint64_t bytes = (uint64_t)q->h.table_clusters << q->bits;
    int r;

    q->table_size = bytes / 8;
    r = read_table(q, q->h.table_offset, q->table_size, &q->table, err);
    if (!r)
        r = note(q, "the refcount table", q->h.table_offset, bytes, err);
    for (uint64_t i = 0; !r && i < q->table_size; i++)
        if (q->table[i])
            r = note(q, "a refcount block", q->table[i], q->cluster, err);
    return r;
}

int qcow2_load(struct qcow2 *q, struct err *err)
{
    size_t slice = q->cluster < SLICE_MAX ? (size_t)q->cluster : SLICE_MAX;
    int r = qcow2_cache_init(&q->l2, slice, L2_BYTES);

    q->l1_dirty_first = UINT64_MAX;
    q->l1_dirty_end = 0;
    q->hint = 1;
    if (!r)
        r = qcow2_cache_init(&q->refs, slice, REFS_BYTES);
    if (r)
        return err_set(err, r, "disk '%s': out of memory", q->store.name);
    r = note(q, "the header", 0, 1, err);
    if (!r)
        r = load_l1(q, err);
    if (!r && q->needs_counts)
        r = load_table(q, err);
    if (!r)
        r = qcow2_note_snapshots(q, err);
    return r;
}

void qcow2_unload(struct qcow2 *q)
{
    qcow2_cache_done(&q->l2);
    qcow2_cache_done(&q->refs);
    free(q->meta.keys);
    q->meta = (struct qcow2_set){0};
    free(TAKE(q->l1));
    free(TAKE(q->table));
    q->table_size = q->free_count = 0;
    q->table_dirty = q->table_grown = false;
}

/* --- Opening and closing --- */
/* Accepts a half-open one. */
static void qcow2_dispose(struct qcow2 *q)
{
    qcow2_unload(q);
    while (q->scratch_count)
        free(q->scratch[--q->scratch_count]);
    (void)blk_store_close(q->backing);
    image_file_close(&q->file);
    pthread_cond_destroy(&q->released);
    pthread_mutex_destroy(&q->claim_lock);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static int qcow2_close(struct blk_store *store)
{
    struct qcow2 *q = qcow2_of(store);
    int r = 0;

    pthread_mutex_lock(&q->lock);
    if (!store->info.read_only)
        r = qcow2_commit(q);
    pthread_mutex_unlock(&q->lock);
    qcow2_dispose(q);
    return r;
}

static const struct blk_store_ops qcow2_ops = {
    .format = "qcow2",
    .io = qcow2_io,
    .begin_direct = qcow2_begin_direct,
    .end_direct = qcow2_end_direct,
    .files = qcow2_files,
    .extent = qcow2_extent,
    .resize = qcow2_resize,
    .close = qcow2_close,
};

static struct qcow2 *qcow2_new(const struct blk_source *source)
{
    struct qcow2 *q = calloc(1, sizeof(*q));

    if (!q)
        return NULL;
    q->store.ops = &qcow2_ops;
    q->store.info = (struct blk_info){
        .block_size = QCOW2_SECTOR,
        .read_only = source->read_only,
        .can_discard = !source->read_only,
        .can_write_zeroes = !source->read_only,
    };
    (void)snprintf(q->store.name, sizeof(q->store.name), "%s",
                   source->name ? source->name : source->path);
    q->needs_counts = !source->read_only || source->tables_only;
    q->fd = q->file.fd = q->file.data.fd = -1;
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->claim_lock, NULL);
    pthread_cond_init(&q->released, NULL);
    return q;
}

/* What a writer does first: unknown auto-clear features go, a dirty image is counted anew. */
static int must_use prepare_writing(struct qcow2 *q, struct err *err)
{
    int r = 0;

    if (q->store.info.read_only)
        return 0;
    if (q->h.incompatible & QCOW2_DIRTY)
        r = qcow2_rebuild(q, &(struct qcow2_plan){.size = q->h.size}, err);
    if (r || !q->h.autoclear)
        return r;
    q->h.autoclear = 0;
    r = qcow2_header_write(q);
    return r ? err_set(err, r, "disk '%s': cannot write the image: %s", q->store.name, strerror(-r))
             : 0;
}

static int must_use open_image(struct qcow2 *q, const struct blk_source *source, int dir_fd,
                               unsigned depth, struct err *err)
{
    int r = image_file_open(source, dir_fd, &q->file, err);

    if (r)
        return r;
    q->fd = q->file.fd;
    r = qcow2_header_read(q, q->file.size, source->path, err);
    if (r)
        return r;
    q->bits = q->h.cluster_bits;
    q->cluster = UINT64_C(1) << q->bits;
    q->end = qcow2_clusters(q, q->file.size);
    if (source->direct && q->cluster < QCOW2_DIRECT_CLUSTER_MIN)
        return err_set(err, -EOPNOTSUPP,
                       "disk '%s': direct I/O (cache=none) needs clusters of 4 KiB at least, these "
                       "are smaller; use cache=writeback or convert the image",
                       source->path);
    q->store.info.size = q->h.size;
    r = qcow2_load(q, err);
    if (!r && q->h.backing[0] && !source->tables_only)
        r = qcow2_open_backing(q, source, depth, err);
    return r ? r : prepare_writing(q, err);
}

int qcow2_open_at(const struct blk_source *source, int dir_fd, unsigned depth,
                  struct blk_store **ret_store, struct err *err)
{
    struct qcow2 *q = qcow2_new(source);
    int r;

    if (!q)
        return err_set(err, -ENOMEM, "disk %s: out of memory", source->path);
    r = open_image(q, source, dir_fd, depth, err);
    if (r)
        qcow2_dispose(q);
    else
        *ret_store = &q->store;
    return r;
}

int qcow2_open(const struct blk_source *source, struct blk_store **ret_store, struct err *err)
{
    return qcow2_open_at(source, -1, 0, ret_store, err);
}

void qcow2_get_info(struct blk_store *store, struct qcow2_info *ret_info)
{
    const struct qcow2 *q = qcow2_of(store);

    *ret_info = (struct qcow2_info){
        .version = q->h.version,
        .cluster_bits = q->bits,
        .refcount_bits = 1u << q->h.refcount_order,
        .backing = q->h.backing[0] ? q->h.backing : NULL,
        .backing_format = q->h.backing_format[0] ? q->h.backing_format : NULL,
        .compression = q->h.compression ? "zstd" : "zlib",
        .lazy_refcounts = q->h.compatible & QCOW2_LAZY,
        .dirty = q->h.incompatible & QCOW2_DIRTY,
        .corrupt = q->h.incompatible & QCOW2_CORRUPT,
        .snapshots = q->h.snapshots,
    };
}
