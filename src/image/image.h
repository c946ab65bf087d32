/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images by name. An image is made from a recipe (share/recipes/NAME.yaml) out of Debian's signed
 * archive for one architecture, and kept in <data>/images:
 *   objects/<sha256>      kernels and initrds by content
 *   <arch>/<name>.json    what an image consists of; written last, so an image is whole or absent
 *   lock                  held while building or removing: a second build waits
 *   tmp/                  of the build that holds the lock; whatever it finds there is stale
 * Downloads stay in <cache>/apt and are resumed. Nothing is run but apt-get and apt-cache.
 */
#pragma once

#include <jansson.h>
#include <posada/err.h>
#include <posada/vm.h>

/* Tells a person how a build goes; any member may be NULL. */
struct image_progress {
    void (*step)(void *arg, const char *text);   /* a step begins */
    void (*amount)(void *arg, unsigned percent); /* how far the step is, when known */
    void *arg;
};

struct image {
    char *name;
    enum vm_arch arch;
    char *suite, *built, *release; /* Debian suite, UTC time, kernel package's version */
    char *kernel, *initrd;         /* absolute paths */
    char *append;                  /* default kernel command line */
    uint64_t bytes;                /* of kernel and initrd */
};

void image_done(struct image *image);

/* The image, built first when it is not there (or was made from other ingredients than today's).
 * -ENOENT: neither image nor recipe of that name. progress may be NULL. */
int must_use image_resolve(const char *name, enum vm_arch arch,
                           const struct image_progress *progress, struct image *ret_image,
                           struct err *err);

struct image_options {
    const char *suite;  /* NULL: the recipe's */
    const char *mirror; /* NULL: the host's */
    bool force;         /* build again, with the archive's newest packages */
    const struct image_progress *progress;
};

/* Builds an image, or returns the one that is there and up to date. */
int must_use image_build(const char *name, enum vm_arch arch, const struct image_options *options,
                         struct image *ret_image, struct err *err);

/* Every image in the store, by architecture and name. A false of fn ends the walk. */
int must_use image_list(bool (*fn)(void *arg, const struct image *image), void *arg,
                        struct err *err);
/* All that is known of an image; a new reference. */
int must_use image_inspect(const char *name, enum vm_arch arch, json_t **ret_json, struct err *err);
int must_use image_remove(const char *name, enum vm_arch arch, struct err *err);
