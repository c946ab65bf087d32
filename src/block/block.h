/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a disk image. The format is always told, never probed: a guest could otherwise write a
 * header into a raw disk that makes the host read other files.
 */
#pragma once

#include <posada/blockdev.h>

struct loop;

/* format: "raw". name: the disk's name in messages. Completions run on the loop (machine lock
 * held). The image is locked: one writer, or any number of readers. Errors name the path. */
int must_use blockdev_open(const char *format, const char *path, bool read_only, const char *name,
                           struct loop *loop, struct blockdev **ret_dev, struct err *err);
/* Closes (drains first); NULL is fine. Machine lock held, or no loop running any more. */
void blockdev_close(struct blockdev *dev);
