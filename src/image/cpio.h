/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writer of initramfs archives: cpio "newc" (Linux Documentation/driver-api/early-userspace/
 * buffer-format.rst). Same calls, same bytes: no times, no host identifiers. The first failure
 * sticks and is told by cpio_end(). Not written: hard links, checksums.
 */
#pragma once

#include <posada/types.h>
#include <stdio.h>

struct cpio {
    FILE *file;
    uint32_t inode;
    uint64_t at; /* bytes written */
    int error;   /* negative errno */
};

void cpio_begin(struct cpio *c, FILE *file);
/* Paths have no leading slash; a directory comes before what is in it. */
void cpio_dir(struct cpio *c, const char *path, unsigned mode);
void cpio_file(struct cpio *c, const char *path, unsigned mode, const void *data, size_t len);
void cpio_symlink(struct cpio *c, const char *path, const char *target);
void cpio_char_device(struct cpio *c, const char *path, unsigned mode, unsigned major,
                      unsigned minor);
/* Trailer, padding, flush. */
int must_use cpio_end(struct cpio *c);
