/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images without a format: byte n of the file (or block device) is byte n of the disk. */
#pragma once

#include "store.h"

/* dir_fd as image_file_open() has it. */
int must_use raw_open(const struct blk_source *source, int dir_fd, struct blk_store **ret_store,
                      struct err *err);
