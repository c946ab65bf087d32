/* SPDX-License-Identifier: Apache-2.0 */
/* The disk formats Posada knows, by name; requests checked once for all of them. */
#include "store.h"

#include "base/checked.h"
#include "qcow2.h"
#include "raw.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { SECTOR = 512 };

int blk_store_open(const struct blk_source *source, struct blk_store **ret_store, struct err *err)
{
    const char *name = source->name ? source->name : source->path;

    if (!source->format || !*source->format)
        return err_set(err, -EINVAL,
                       "disk '%s': the format of %s is not given and never guessed; say raw or "
                       "qcow2",
                       name, source->path);
    if (!strcmp(source->format, "raw"))
        return raw_open(source, -1, ret_store, err);
    if (!strcmp(source->format, "qcow2"))
        return qcow2_open(source, ret_store, err);
    return err_set(err, -EINVAL, "disk '%s': format '%s' is not known; formats: raw, qcow2", name,
                   source->format);
}

int blk_store_check(const struct blk_store *store, const struct blk_req *req)
{
    const struct blk_info *info = &store->info;

    if (!range_within(req->offset, req->length, info->size) ||
        (req->offset | req->length) % info->block_size)
        return -EINVAL;
    if (info->read_only && req->op != BLK_READ && req->op != BLK_FLUSH)
        return -EROFS;
    return 0;
}

int blk_store_io(struct blk_store *store, const struct blk_req *req)
{
    int r = blk_store_check(store, req);

    return r ? r : store->ops->io(store, req);
}

int blk_store_read(struct blk_store *store, uint64_t offset, void *buf, size_t len)
{
    struct iovec iov = {buf, len};

    return blk_store_io(
        store, &(struct blk_req){
                   .op = BLK_READ, .offset = offset, .length = len, .iov = &iov, .iov_count = 1});
}

int blk_store_write(struct blk_store *store, uint64_t offset, const void *buf, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len}; /* only read through */

    return blk_store_io(
        store, &(struct blk_req){
                   .op = BLK_WRITE, .offset = offset, .length = len, .iov = &iov, .iov_count = 1});
}

int blk_store_flush(struct blk_store *store)
{
    return blk_store_io(store, &(struct blk_req){.op = BLK_FLUSH});
}

int blk_store_resize(struct blk_store *store, uint64_t size, struct err *err)
{
    if (!size || size % SECTOR)
        return err_set(err, -EINVAL,
                       "disk '%s': a size is a whole number of 512-byte sectors, at least one",
                       store->name);
    if (size > INT64_MAX)
        return err_set(err, -EFBIG, "disk '%s': no disk can have %" PRIu64 " bytes", store->name,
                       size);
    if (store->info.read_only)
        return err_set(err, -EROFS, "disk '%s': it is open read-only", store->name);
    return store->ops->resize(store, size, err);
}

int blk_store_close(struct blk_store *store)
{
    return store ? store->ops->close(store) : 0;
}
