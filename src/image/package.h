/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what Debian packages hold: .deb archives, compressed kernel modules, busybox. */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

struct image_progress;
struct package_entry;

/* Hands every regular file of the package to fn, by its path without "./". A negative errno of
 * fn's ends the walk and is returned (fn has set err). progress may be NULL. */
typedef int (*package_fn)(void *arg, const char *path, struct package_entry *entry,
                          struct err *err);
int must_use package_walk(const char *deb, const struct image_progress *progress, package_fn fn,
                          void *arg, struct err *err);
/* Hands the member ("control.tar" or "data.tar") of a package to fn as an open tar archive. */
struct archive;
int must_use package_open(const char *deb, const char *member,
                          int (*fn)(void *arg, struct archive *tar, struct err *err), void *arg,
                          struct err *err);
/* Everything the archive's current entry holds, at most cap bytes. */
int must_use package_slurp(struct archive *tar, size_t cap, uint8_t **ret_data, size_t *ret_len);
/* For fn: the file's content, into memory (at most cap bytes) or to a descriptor. */
int must_use package_read(struct package_entry *entry, size_t cap, uint8_t **ret_data,
                          size_t *ret_len, struct err *err);
int must_use package_copy(struct package_entry *entry, int fd, struct err *err);

/* Undoes xz, zstd or gzip; plain bytes are copied. */
int must_use package_unpack(const uint8_t *data, size_t len, size_t cap, uint8_t **ret_data,
                            size_t *ret_len, struct err *err);

/* Calls fn for each "key=value" of a kernel module's .modinfo section with that key. False: not a
 * module. */
bool module_info(const uint8_t *elf, size_t len, const char *key,
                 void (*fn)(void *arg, const char *value), void *arg);

/* The names busybox answers to, as they lie in its binary: a NUL-terminated list of NUL-terminated
 * strings inside data, in order. False: none found. Nothing foreign is run to find them. */
bool busybox_applets(const uint8_t *data, size_t len, bool (*fn)(void *arg, const char *name),
                     void *arg);
