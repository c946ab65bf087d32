/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as others write them: OCI layouts (image-spec image-layout.md, manifest.md, config.md) and
 * what `docker save` writes. Everything in them is hostile: paths are made of checked digests or
 * resolved inside the directory, sizes are bounded, every digest is compared.
 */
#pragma once

#include "image/image.h"
#include "image/unpack.h"

struct oci_layer {
    char *path;      /* below the directory */
    char sha256[65]; /* of the blob; "": not told */
    char diff_id[65];
    uint64_t size;
    char media[96];
};

struct oci {
    int dir_fd; /* not its own */
    char digest[65];
    json_t *process; /* as in an image's manifest: entrypoint, cmd, env, user, workdir... */
    struct oci_layer *layers;
    unsigned count;
};

/* tag NULL: the only image in it. arch: which of an image for several. -ENOENT: no such tag or no
 * image for arch; -EINVAL: not a layout, or not an honest one. */
int must_use oci_open_layout(int dir_fd, const char *tag, enum vm_arch arch, struct oci *ret,
                             struct err *err);
int must_use oci_open_docker(int dir_fd, const char *tag, enum vm_arch arch, struct oci *ret,
                             struct err *err);
void oci_done(struct oci *oci);
/* A blob, opened for reading: -ENOENT: not there; -EINVAL: no file, or out of the directory. */
int must_use oci_open_blob(int dir_fd, const char *path);
const char *oci_blob_error(int r); /* "is missing"... */
/* How a layer is packed, by its media type; -EINVAL: not known. */
int must_use oci_packing(const char *media, enum unpack_kind *ret_kind);
