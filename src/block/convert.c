/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: convert.h. */
#include "convert.h"

#include "base/cleanup.h"
#include "qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEP = 2 << 20, GRAIN = 4096 };

static bool all_zero(const uint8_t *p, size_t len)
{
    return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* Writes what is not zero, by grains. */
static int must_use copy_data(struct blk_store *to, uint64_t offset, const uint8_t *buf, size_t len)
{
    size_t from = 0;
    int r = 0;

    for (size_t at = 0; !r && at < len;) {
        size_t n = len - at < GRAIN ? len - at : GRAIN;
        bool zero = all_zero(buf + at, n);

        if (zero && at > from)
            r = blk_store_write(to, offset + from, buf + from, at - from);
        at += n;
        if (zero)
            from = at;
        else if (!r && at == len)
            r = blk_store_write(to, offset + from, buf + from, len - from);
    }
    return r;
}

static int must_use copy_all(struct blk_store *from, struct blk_store *to)
{
    CLEANUP(free) uint8_t *buf = malloc(STEP);
    int r = buf ? 0 : -ENOMEM;

    for (uint64_t at = 0; !r && at < from->info.size;) {
        enum blk_extent_kind kind;
        int64_t n = from->ops->extent(from, at, from->info.size - at, &kind);

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        if (kind == BLK_EXTENT_DATA) {
            n = n < STEP ? n : STEP;
            r = blk_store_read(from, at, buf, (size_t)n);
            if (!r)
                r = copy_data(to, at, buf, (size_t)n);
        }
        at += (uint64_t)n;
    }
    return r ? r : blk_store_flush(to);
}

static int must_use make(const struct fresh_file *file, const struct disk_target *target,
                         uint64_t size, struct err *err)
{
    struct qcow2_options options = {
        .size = size,
        .cluster_bits = target->cluster_bits,
        .backing = target->backing,
        .backing_format = target->backing_format,
    };

    if (size > INT64_MAX)
        return err_set(err, -EFBIG, "disk %s: no disk can have %" PRIu64 " bytes", target->path,
                       size);
    if (!strcmp(target->format, "qcow2"))
        return qcow2_format(file, &options, err);
    if (strcmp(target->format, "raw"))
        return err_set(err, -EINVAL, "disk %s: format '%s' is not known; formats: raw, qcow2",
                       target->path, target->format);
    if (target->backing)
        return err_set(err, -EINVAL, "disk %s: a raw image has no backing file", target->path);
    if (ftruncate(file->fd, (off_t)size) < 0)
        return err_set(err, -errno, "disk %s: cannot give it %" PRIu64 " bytes: %s", target->path,
                       size, strerror(errno));
    return 0;
}

static int must_use fill(struct blk_store *from, const struct fresh_file *file,
                         const struct disk_target *target, struct err *err)
{
    const struct blk_source source = {
        .format = target->format, .path = file->path, .name = target->path};
    struct blk_store *to;
    int r = blk_store_open(&source, &to, err), closed;

    if (r)
        return r;
    r = copy_all(from, to);
    closed = blk_store_close(to);
    r = r ? r : closed;
    return r ? err_set(err, r, "disk %s: cannot copy it to %s: %s", from->name, target->path,
                       strerror(-r))
             : 0;
}

int disk_make(struct blk_store *from, const struct disk_target *target, struct err *err)
{
    struct fresh_file file;
    int r = fresh_open(target->path, &file, err);

    if (r)
        return r;
    r = make(&file, target, from ? from->info.size : target->size, err);
    if (!r && from)
        r = fill(from, &file, target, err);
    if (!r)
        r = fresh_publish(&file, err);
    fresh_done(&file);
    return r;
}
