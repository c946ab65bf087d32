/* SPDX-License-Identifier: Apache-2.0 */
/* New disks, empty or as copies of whole ones. */
#pragma once

#include "store.h"

struct disk_target {
    const char *path, *format;
    uint64_t size;                        /* of an empty one; bytes, a multiple of 512 */
    unsigned cluster_bits;                /* qcow2 */
    const char *backing, *backing_format; /* qcow2: as they shall stand in the image; NULL: none */
};
/* A new image, with the contents of `from` (NULL: empty); zeroes take no space. It appears under
 * its name when it is complete; nothing is left on failure or when the process is killed. */
int must_use disk_make(struct blk_store *from, const struct disk_target *target, struct err *err);
