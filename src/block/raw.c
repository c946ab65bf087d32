/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: raw.h. Not modelled: growing the disk while it is open. */
#include "raw.h"

#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RAW_BLOCK = 512 };

struct raw {
    struct blk_store store; /* must be first */
    struct image_file file;
};

static struct raw *raw_of(struct blk_store *store)
{
    return container_of(store, struct raw, store);
}

static int raw_store_io(struct blk_store *store, const struct blk_req *req)
{
    return raw_io(&raw_of(store)->file.data, req);
}

static bool raw_begin_direct(struct blk_store *store, const struct blk_req *req,
                             struct blk_direct *ret_direct)
{
    const struct raw_file *data = &raw_of(store)->file.data;

    *ret_direct = (struct blk_direct){
        .store = store, .fd = data->fd, .offset = req->offset, .align = data->align};
    return true;
}

static void raw_end_direct(struct blk_store *store, struct blk_direct *direct)
{
}

static unsigned raw_files(struct blk_store *store, int *ret_fds, unsigned room)
{
    if (room)
        ret_fds[0] = raw_of(store)->file.data.fd;
    return room ? 1 : 0;
}

static int64_t raw_extent(struct blk_store *store, uint64_t offset, uint64_t length,
                          enum blk_extent_kind *ret_kind)
{
    int fd = raw_of(store)->file.fd;
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), end;

    *ret_kind = BLK_EXTENT_DATA;
    if (data < 0 && errno != ENXIO)
        return (int64_t)length; /* the file system does not tell */
    if (data != (off_t)offset) {
        *ret_kind = BLK_EXTENT_ZERO;
        return data < 0 || (uint64_t)data - offset > length ? (int64_t)length
                                                            : data - (off_t)offset;
    }
    end = lseek(fd, data, SEEK_HOLE);
    return end <= data || (uint64_t)(end - data) > length ? (int64_t)length : end - data;
}

static int raw_resize(struct blk_store *store, uint64_t size, struct err *err)
{
    int r = ftruncate(raw_of(store)->file.fd, (off_t)size) < 0 ? -errno : 0;

    if (!r) {
        store->info.size = size;
        return 0;
    }
    return err_set(err, r, "disk '%s': cannot give it %" PRIu64 " bytes: %s", store->name, size,
                   r == -EINVAL ? "it is no regular file, or the file system has no such sizes"
                                : strerror(-r));
}

static int raw_close(struct blk_store *store)
{
    struct raw *raw = raw_of(store);

    image_file_close(&raw->file);
    free(raw);
    return 0;
}

static const struct blk_store_ops raw_ops = {
    .format = "raw",
    .io = raw_store_io,
    .begin_direct = raw_begin_direct,
    .end_direct = raw_end_direct,
    .files = raw_files,
    .extent = raw_extent,
    .resize = raw_resize,
    .close = raw_close,
};

static int must_use raw_check(const struct blk_source *source, const struct image_file *file,
                              struct err *err)
{
    if (!file->size || file->size % RAW_BLOCK)
        return err_set(err, -ENOEXEC,
                       "disk '%s': it has %" PRIu64 " bytes, but a raw disk is a whole number of "
                       "512-byte sectors; is it cut off, or of another format?",
                       source->path, file->size);
    return 0;
}

int raw_open(const struct blk_source *source, int dir_fd, struct blk_store **ret_store,
             struct err *err)
{
    struct image_file file;
    struct raw *raw;
    int r = image_file_open(source, dir_fd, &file, err);

    if (r < 0)
        return r;
    r = raw_check(source, &file, err);
    raw = r < 0 ? NULL : calloc(1, sizeof(*raw));
    if (!raw) {
        image_file_close(&file);
        return r < 0 ? r : err_set(err, -ENOMEM, "disk %s: out of memory", source->path);
    }
    raw->file = file;
    raw->store.ops = &raw_ops;
    raw->store.info = (struct blk_info){
        .size = file.size,
        .block_size = RAW_BLOCK,
        .read_only = source->read_only,
        .can_discard = !source->read_only,
        .can_write_zeroes = !source->read_only,
    };
    (void)snprintf(raw->store.name, sizeof(raw->store.name), "%s",
                   source->name ? source->name : source->path);
    *ret_store = &raw->store;
    return 0;
}
