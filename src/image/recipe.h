/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is made of, as read from a YAML file (docs: share/recipes/README.md). */
#pragma once

#include <posada/err.h>
#include <posada/vm.h>

struct recipe_file {
    char *path, *content; /* in the image; path starts with '/' */
    unsigned mode;
};

struct recipe {
    char *name, *summary, *suite;
    char *kernel[ARCH_COUNT]; /* Debian package, NULL: not for this architecture */
    char *append[ARCH_COUNT]; /* kernel command line */
    char *busybox;            /* package with a static busybox */
    char **modules;           /* kernel modules by name */
    unsigned module_count;
    struct recipe_file *files;
    unsigned file_count;
    /* A root of its own, on a disk: NULL packages for none. */
    char **packages; /* as apt_solve() takes them */
    unsigned package_count;
    struct recipe_file *root_files;
    unsigned root_file_count;
    char *setup; /* shell script, run in the root when its packages are configured */
};

/* text of len bytes; `from` names it in messages: "FILE: line 3: ...". */
int must_use recipe_parse(const char *from, const char *text, size_t len, struct recipe *ret_recipe,
                          struct err *err);
void recipe_done(struct recipe *recipe);
