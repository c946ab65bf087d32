/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of OCI images (image-spec layer.md): tar archives, packed or not, laid over each other.
 * They are read in a sandboxed process of their own, which can reach nothing but the layers and
 * the file it writes.
 */
#pragma once

#include "image/image.h"
#include "image/unpack.h"
#include <stdbool.h>

struct tree;
struct archive;

struct layer {
    const char *name; /* in messages: "layer 2 of 3" comes before it */
    int fd;
    enum unpack_kind kind;
    uint64_t size;       /* of the blob */
    const char *sha256;  /* the blob's, 64 digits; NULL: not told */
    const char *diff_id; /* of what is in it unpacked; NULL: not told */
};

/* Whiteouts: taken to heart (all layers become one root), or kept as overlayfs wants them, so that
 * the layer can be mounted as one of several (Linux Documentation/filesystems/overlayfs.rst). */
enum layer_whiteouts { LAYER_APPLY, LAYER_KEEP };

/* Lays one layer into a tree. -EINVAL: the layer is not honest, or not what its digest says;
 * -ENOSPC: no room. */
int must_use layer_lay(struct tree *t, const struct layer *layer, enum layer_whiteouts whiteouts,
                       void (*amount)(void *arg, uint64_t bytes), void *arg, struct err *err);

/* Lays the entries of an open tar archive, none of them a whiteout. rename: the path an entry is to
 * have instead, NULL as it is, "" to leave it out; may be NULL. */
int must_use layer_lay_tar(struct tree *t, struct archive *tar,
                           const char *(*rename)(void *arg, const char *path, bool dir), void *arg,
                           struct err *err);

/* Makes layers, lowest first, into an EROFS image in out_fd (an empty file), in the sandbox. */
int must_use layer_make_erofs(const struct layer *layers, unsigned count,
                              enum layer_whiteouts whiteouts, int out_fd,
                              const struct image_progress *progress, struct err *err);
/* The same into an empty directory that only the caller can change: for hosts where a container
 * cannot mount. In this process; as root, owners are kept, and devices are left out. */
int must_use layer_make_dir(const struct layer *layers, unsigned count, int dir_fd,
                            const struct image_progress *progress, struct err *err);
