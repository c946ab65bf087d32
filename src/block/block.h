/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a disk image for a guest. The format is always told, never probed: a guest could otherwise
 * write a header into a raw disk that makes the host read other files.
 */
#pragma once

#include "block/store.h"

struct loop;

/* What QEMU's words for a disk's cache and its way to the file mean here (docs/disks.md). */
int must_use blk_source_set_cache(struct blk_source *source, const char *word, struct err *err);
int must_use blk_source_set_aio(struct blk_source *source, const char *word, struct err *err);

/* Completions run with the loop's lock (the machine lock) held. The image is locked: one writer, or
 * any number of readers. Errors name the path. */
int must_use blockdev_open(const struct blk_source *source, struct loop *loop,
                           struct blockdev **ret_dev, struct err *err);
/* Closes (drains first); NULL is fine. Machine lock held, or no loop running any more. */
void blockdev_close(struct blockdev *dev);
