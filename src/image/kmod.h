/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel modules an image brings, with what they need, and the files modprobe reads. */
#pragma once

#include "image/package.h"

struct cpio;
struct kmod;

enum { KMODS_MAX = 128 };

struct kmods {
    struct kmod *module[KMODS_MAX];
    unsigned count;
};

int must_use kmods_want(struct kmods *k, const char *name, struct err *err);
void kmods_done(struct kmods *k);
/* Takes a file of the kernel's package if it is a wanted module or the list of built-in ones. */
int must_use kmods_offer(struct kmods *k, const char *path, struct package_entry *entry,
                         struct err *err);
/* After a walk: 0 when all is there; 1 when dependencies were added and another walk is due;
 * -EIO when a module is not in the package. */
int must_use kmods_close(struct kmods *k, const char *package, struct err *err);
/* lib/modules/RELEASE with modules.dep and modules.alias; -ENOMEM. */
int must_use kmods_write(const struct kmods *k, const char *release, struct cpio *c);
