/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of whole disks. */
#pragma once

#include "store.h"

struct disk_target {
    const char *path, *format;
    unsigned cluster_bits; /* qcow2 */
};
/* A new image with the disk's contents; zeroes take no space. Nothing is left on failure. */
int must_use disk_copy(struct blk_store *from, const struct disk_target *target, struct err *err);
