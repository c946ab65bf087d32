/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: new images. A smallest image without a disk - header, refcount table, one block, an empty
 * L1 table - is grown to its size like any other.
 */
#include "qcow2_rebuild.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REFCOUNT_ORDER = 4, TABLE_AT = 1, BLOCK_AT = 2, L1_AT = 3, CLUSTERS = 4 };

static int must_use write_empty(int fd, const struct qcow2_header *h)
{
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    CLEANUP(free) uint8_t *image = calloc(CLUSTERS, cluster);

    if (!image)
        return -ENOMEM;
    qcow2_header_make(h, image);
    st_be64(image + TABLE_AT * cluster, BLOCK_AT * cluster);
    for (unsigned i = 0; i < CLUSTERS; i++)
        qcow2_ref_pack(image + BLOCK_AT * cluster, i, REFCOUNT_ORDER, 1);
    return image_write(fd, 0, image, CLUSTERS * cluster);
}

static int must_use check_options(const char *path, const struct qcow2_options *o,
                                  struct qcow2_header *h, struct err *err)
{
    uint64_t cluster = UINT64_C(1) << o->cluster_bits;

    if (o->cluster_bits < 9 || o->cluster_bits > 21)
        return err_set(err, -EINVAL, "disk %s: clusters have a power of two from 512 bytes to 2M",
                       path);
    if (o->size % QCOW2_SECTOR || o->size > INT64_MAX)
        return err_set(err, -EINVAL, "disk %s: a size is a whole number of 512-byte sectors", path);
    *h = (struct qcow2_header){
        .version = 3,
        .cluster_bits = o->cluster_bits,
        .refcount_order = REFCOUNT_ORDER,
        .l1_size = 1,
        .l1_offset = L1_AT * cluster,
        .table_offset = TABLE_AT * cluster,
        .table_clusters = 1,
    };
    if (!o->backing)
        return 0;
    if (!o->backing_format || strlen(o->backing_format) > QCOW2_FORMAT_MAX)
        return err_set(err, -EINVAL, "disk %s: a backing file needs its format: raw or qcow2",
                       path);
    if (strlen(o->backing) > QCOW2_BACKING_MAX)
        return err_set(err, -EINVAL, "disk %s: the backing file's name is longer than %d bytes",
                       path, QCOW2_BACKING_MAX);
    strcpy(h->backing, o->backing);
    strcpy(h->backing_format, o->backing_format);
    if (qcow2_header_size(h) > cluster)
        return err_set(err, -EINVAL,
                       "disk %s: the backing file's name does not fit into a header of %u bytes; "
                       "use larger clusters",
                       path, 1u << o->cluster_bits);
    return 0;
}

static int must_use grow(const char *name, const char *path, uint64_t size, struct err *err)
{
    struct blk_source source = {.format = "qcow2", .path = path, .name = name, .tables_only = true};
    struct blk_store *store;
    int r = qcow2_open(&source, &store, err);

    if (r)
        return r;
    r = qcow2_rebuild(qcow2_of(store), &(struct qcow2_plan){.size = size}, err);
    if (blk_store_close(store) < 0 && !r)
        r = err_set(err, -EIO, "disk %s: cannot write it", name);
    return r;
}

int qcow2_format(const struct fresh_file *file, const struct qcow2_options *options,
                 struct err *err)
{
    struct qcow2_header h;
    int r = check_options(file->name, options, &h, err);

    if (r)
        return r;
    r = write_empty(file->fd, &h);
    if (r)
        return err_set(err, r, "disk %s: cannot write it: %s", file->name, strerror(-r));
    return grow(file->name, file->path, options->size, err);
}

int qcow2_create(const char *path, const struct qcow2_options *options, struct err *err)
{
    struct fresh_file file;
    int r = fresh_open(path, &file, err);

    if (r)
        return r;
    r = qcow2_format(&file, options, err);
    if (!r)
        r = fresh_publish(&file, err);
    fresh_done(&file);
    return r;
}
