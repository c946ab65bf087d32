/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file or block device below an image: opened, measured, locked. An open-file-description lock
 * holds one writer or any number of readers, across processes; the kernel drops it with the last
 * descriptor.
 */
#pragma once

#include "raw_io.h"

#include <posada/err.h>
#include <stdbool.h>

struct blk_source;

struct image_file {
    int fd;               /* through the page cache: what the format itself reads and writes */
    struct raw_file data; /* for the disk's contents: a description of its own, without the lock */
    uint64_t size;
};

/* dir_fd < 0: source->path as it is. Otherwise it must be a path that stays beneath that
 * directory, symbolic links included. -EBUSY when another process uses the image. */
int must_use image_file_open(const struct blk_source *source, int dir_fd,
                             struct image_file *ret_file, struct err *err);

void image_file_close(const struct image_file *file);

/* Whole transfers of one buffer: 0, -EIO where the file ends first, or another negative errno. */
int must_use image_read(int fd, uint64_t offset, void *buf, size_t len);
/* The same, but the bytes behind the file's end are zeroes; -EIO only when there are none before.
 */
int must_use image_read_padded(int fd, uint64_t offset, void *buf, size_t len);
int must_use image_write(int fd, uint64_t offset, const void *buf, size_t len);
