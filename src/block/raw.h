/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images without a format: byte n of the file (or block device) is byte n of the disk. */
#pragma once

#include <posada/blockdev.h>

struct loop;

/* As blockdev_open(). -EBUSY when another process writes (or, for a writer, uses) the image. */
int must_use raw_open(const char *path, bool read_only, const char *name, struct loop *loop,
                      struct blockdev **ret_dev, struct err *err);
