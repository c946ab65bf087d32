/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a disk image for a guest. The format is always told, never probed: a guest could otherwise
 * write a header into a raw disk that makes the host read other files.
 */
#pragma once

#include "block/store.h"

struct loop;

/* Completions run on the loop (machine lock held). The image is locked: one writer, or any number
 * of readers. Errors name the path. */
int must_use blockdev_open(const struct blk_source *source, struct loop *loop,
                           struct blockdev **ret_dev, struct err *err);
/* Closes (drains first); NULL is fine. Machine lock held, or no loop running any more. */
void blockdev_close(struct blockdev *dev);
