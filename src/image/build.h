/* SPDX-License-Identifier: Apache-2.0 */
/* Making a kernel and an initrd from a recipe. */
#pragma once

#include "image/apt.h"
#include "image/recipe.h"
#include <stdbool.h>

struct build {
    const struct recipe *recipe;
    enum vm_arch arch;
    const char *temp; /* directory for BUILD_KERNEL and BUILD_INITRD */
    struct apt *apt;
    struct apt_package package[2];    /* result: kernel, busybox */
    char release[96];                 /* result: of the kernel, "6.12.1-riscv64" */
    struct apt_package *root_package; /* result: of a root on a disk; build_done() frees it */
    unsigned root_count;
};

#define BUILD_KERNEL "kernel"
#define BUILD_INITRD "initrd"
enum { BUILD_PACKAGES = 2 };

/* update: ask the archive for newer packages first. */
void build_done(struct build *b);
int must_use build_run(struct build *b, bool update, struct err *err);
