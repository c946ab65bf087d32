/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writer of EROFS images (Linux Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h): blocks
 * of 4 KiB, extended inodes, contents plain or with their end beside the inode, attributes inline.
 * Uncompressed, so that containers and guests share the host's page cache and nothing is unpacked
 * twice. Same tree, same bytes: no times of the host, no random identifiers.
 */
#pragma once

#include "image/tree.h"

/* Completes the data file of a tree into an image: everything but the files' contents, which are
 * there. ret_size: bytes. The tree is not changed any more. */
int must_use erofs_write(struct tree *t, uint64_t *ret_size, struct err *err);
