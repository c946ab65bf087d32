/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images by name, kept in <data>/images:
 *   objects/<sha256>      kernels, initrds, disks, layers, roots by content; never changed
 *   <arch>/<name>.json    what an image consists of; written last, so an image is whole or absent
 *   trees/<sha256>        roots of that digest, unpacked (image_unpacked())
 *   lock                  held while building, pulling or removing: a second one waits
 *   tmp/                  of whoever holds the lock; whatever it finds there is stale
 * A name's '/' is '%' in its file's name.
 *
 * Where images come from: recipes (share/recipes/NAME.yaml, out of Debian's signed archive),
 * registries and OCI layouts or archives, disk images that somebody else made.
 */
#pragma once

#include <jansson.h>
#include <posada/err.h>
#include <posada/vm.h>
#include <sys/types.h>

/* Tells a person how a build goes; any member may be NULL. */
struct image_progress {
    void (*step)(void *arg, const char *text);   /* a step begins */
    void (*amount)(void *arg, unsigned percent); /* how far the step is, when known */
    void (*note)(void *arg, const char *text);   /* a word on it that replaces the one before */
    void *arg;
};

enum image_kind {
    IMAGE_MEMORY, /* kernel and initrd: everything is in memory */
    IMAGE_DISK,   /* a disk, with a kernel and initrd or with boot code of its own */
    IMAGE_ROOT,   /* an OCI image: a root and a process; a VM boots it with the kernel of `tiny` */
};
const char *image_kind_name(enum image_kind kind); /* memory, disk, oci */

/* What an OCI image says is to be run (image-spec config.md). Lists end with NULL; NULL: none. */
struct image_process {
    char **entrypoint, **cmd, **env;
    char *user, *workdir, *stop_signal; /* NULL: not said */
};

struct image_layer {
    char *path;     /* the blob */
    char *sha256;   /* of the blob */
    char *diff_id;  /* SHA-256 of the archive in it */
    char *media;    /* media type: says how it is packed */
    uint64_t bytes; /* of the blob */
};

enum { IMAGE_NAME_MAX = 200, IMAGE_LAYERS_MAX = 128 };

struct image {
    char *name;
    enum vm_arch arch;
    enum image_kind kind;
    char *summary, *suite, *built, *release; /* suite: Debian's; release: the kernel package's */
    char *kernel, *initrd, *append;          /* absolute paths; default kernel command line */
    char *disk, *disk_format;                /* IMAGE_DISK: path of the disk; "raw", "qcow2" */
    uint64_t disk_size;                      /* what a guest's disk has at least, bytes; 0: as is */
    char *root;                              /* IMAGE_ROOT: path of the root as EROFS */
    char *blank;                             /* an empty ext4 file system (raw) for its changes */
    char *digest, *reference;                /* of its manifest; where it came from */
    struct image_process process;
    struct image_layer *layers; /* lowest first */
    unsigned layer_count;
    uint64_t bytes; /* of all its objects */
};

void image_done(struct image *image);

/* Where the second stage of a build (image/build_root.h) is done: in a guest, or here, in a chamber
 * (container/chamber.h). */
struct image_plan {
    bool here;
    uid_t uid; /* here: who has to own the files */
    gid_t gid;
};
/* The second stage, for a caller who can run guests and chambers. */
struct image_stage {
    enum vm_arch arch;
    struct image_plan plan;
    const char *kernel, *initrd;
    const char *image;  /* in a guest: first disk, raw, read-only */
    const char *dir;    /* here: the chamber's directory; its disk is still to be made */
    const char *disk;   /* the disk to make: qcow2 */
    const char *script; /* for sh */
    const char *temp;   /* a directory for what is needed meanwhile */
    const struct image_progress *progress;
};

struct image_options {
    const char *suite;  /* NULL: the recipe's */
    const char *mirror; /* NULL: the host's */
    bool force;         /* build again, with the archive's newest packages */
    const struct image_progress *progress;
    /* -EOPNOTSUPP with a sentence: neither this host nor an engine runs that architecture. */
    int (*plan_stage)(enum vm_arch arch, struct image_plan *ret_plan, struct err *err);
    int (*run_stage)(const struct image_stage *stage, struct err *err);
};

/* The image, built first when it is not there (or was made from other ingredients than today's).
 * -ENOENT: neither image nor recipe of that name. */
int must_use image_resolve(const char *name, enum vm_arch arch, const struct image_options *options,
                           struct image *ret_image, struct err *err);
/* The image if it is there: -ENOENT if not. */
int must_use image_find(const char *name, enum vm_arch arch, struct image *ret_image,
                        struct err *err);

/* Builds an image, or returns the one that is there and up to date. */
int must_use image_build(const char *name, enum vm_arch arch, const struct image_options *options,
                         struct image *ret_image, struct err *err);

/* An OCI image into the store, under a name. */
enum image_source {
    IMAGE_FROM_LAYOUT,         /* path: directory (image-spec image-layout.md) */
    IMAGE_FROM_OCI_ARCHIVE,    /* path: a tar archive of one */
    IMAGE_FROM_DOCKER_ARCHIVE, /* path: what `docker save` writes */
    IMAGE_FROM_REGISTRY,       /* path: HOST[:PORT]/NAME[:TAG|@DIGEST], fetched by skopeo */
};
struct image_import {
    enum image_source source;
    const char *path;
    const char *tag; /* which of several in a layout or archive; NULL: the only one */
    const char *name;
    enum vm_arch arch;
    bool plain; /* registry: without TLS, or with a certificate nobody vouches for */
    const struct image_progress *progress;
};
int must_use image_import_oci(const struct image_import *import, struct image *ret_image,
                              struct err *err);

/* A disk image into the store; it is copied. kernel and initrd NULL: the disk boots itself, or
 * with what the user gives. The caller has checked that the disk is what format says. */
struct image_disk {
    const char *name, *path, *format, *kernel, *initrd, *append;
    enum vm_arch arch;
    uint64_t size; /* of the disk as a guest sees it */
    const struct image_progress *progress;
};
int must_use image_import_disk(const struct image_disk *import, struct image *ret_image,
                               struct err *err);

/* For containers: the root of an OCI image as EROFS files to be mounted over each other, lowest
 * first, whiteouts as overlayfs wants them. Made when first asked for and kept with the image.
 * ret_paths: image->layer_count of them and NULL; vm_strings_free(). */
int must_use image_mountable_layers(const struct image *image,
                                    const struct image_progress *progress, char ***ret_paths,
                                    struct err *err);
/* The root unpacked, kept in the store and made when first asked for: a directory nobody may
 * change, for who cannot mount EROFS. It stays as long as an image or a guest has it: a guest says
 * so by a second name for the file "PATH.used". ret_path: the caller's. */
int must_use image_unpacked(const struct image *image, const struct image_progress *progress,
                            char **ret_path, struct err *err);
/* The root unpacked into an empty directory, for hosts where nothing can be mounted. */
int must_use image_unpack_root(const struct image *image, int dir_fd,
                               const struct image_progress *progress, struct err *err);

/* Every image in the store, by architecture and name. A false of fn ends the walk. */
int must_use image_list(bool (*fn)(void *arg, const struct image *image), void *arg,
                        struct err *err);
/* All that is known of an image; a new reference. */
int must_use image_inspect(const char *name, enum vm_arch arch, json_t **ret_json, struct err *err);
/* progress of these: when they have to wait for a build or a pull. */
int must_use image_remove(const char *name, enum vm_arch arch,
                          const struct image_progress *progress, struct err *err);
/* Removes what no image names; with wanted, images too that it does not know. clear: removes a tree
 * of a build that was killed, with files of users whom its caller may become only in a user
 * namespace. ret_bytes: how much space that gave back. */
int must_use image_prune(bool (*wanted)(void *arg, const struct image *image), void *arg,
                         int (*clear)(int dir_fd, const char *name, struct err *err),
                         const struct image_progress *progress, uint64_t *ret_bytes,
                         struct err *err);
