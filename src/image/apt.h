/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packages of any Debian architecture from the signed archive, by the host's apt with a root
 * directory of its own: no root rights, no namespaces, nothing of the host's package state touched,
 * no foreign program run. apt checks the Release signature against Debian's keyring and the index
 * against Release; the packages' SHA-256 are checked here, for cached ones too.
 * The host's apt.conf (proxies...) applies; its hooks, sources and preferences do not.
 */
#pragma once

#include "image/image.h"

struct apt {
    char *root;   /* <cache>/apt/<suite>-<architecture> */
    char *config; /* its apt.conf */
    char *debs;   /* downloaded packages */
    char *mirror;
    const char *suite;
    enum vm_arch arch;
    const struct image_progress *progress;
};

struct apt_package {
    char name[128], version[96], file[256]; /* file: name inside debs */
    char sha256[65];
    uint64_t size;
};

/* mirror: NULL for the host's. */
int must_use apt_open(struct apt *apt, const char *suite, enum vm_arch arch, const char *mirror,
                      const struct image_progress *progress, struct err *err);
void apt_close(struct apt *apt);
/* Whether the archive's index is there (of whatever age). */
bool apt_has_index(const struct apt *apt);
int must_use apt_update(struct apt *apt, struct err *err);
/* The package behind a name; of a kernel's meta package the kernel itself. */
int must_use apt_find(struct apt *apt, const char *name, struct apt_package *ret, struct err *err);
/* Packages that these and all they depend on come to (names, patterns of apt's, "name-" for one
 * that is not wanted); recommended ones only when named. ret_packages: the caller's to free. */
int must_use apt_solve(struct apt *apt, char *const *wanted, unsigned count,
                       struct apt_package **ret_packages, unsigned *ret_count, struct err *err);
/* Has the packages lie in debs, complete and verified. */
int must_use apt_download(struct apt *apt, const struct apt_package *packages, unsigned count,
                          struct err *err);
/* Removes other versions of these packages from debs. */
void apt_forget_older(struct apt *apt, const struct apt_package *packages, unsigned count);
/* Path of a downloaded package; the caller's to free, NULL without memory. */
char *apt_path(const struct apt *apt, const struct apt_package *package);
