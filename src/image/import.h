/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts that take images into the store share (import*.c). */
#pragma once

#include "image/digest.h"
#include "image/store.h"

struct layer;

/* A new file of the temporary directory, open for reading and writing. ret_path is the caller's. */
int must_use import_new_file(const struct image_store *s, const char *name, char **ret_path,
                             struct err *err);
/* Copies all of `from` into a temporary file; its SHA-256 and size. Zeroes become holes. total: for
 * the progress, 0: not known. */
int must_use import_copy(const struct image_store *s, int from, const char *name, uint64_t total,
                         const struct image_progress *progress, char sha256[DIGEST_TEXT],
                         uint64_t *ret_size, struct err *err);
/* Opens an image's layers; NULL with err set. */
struct layer *import_open_layers(const struct image_layer *from, unsigned count, struct err *err);
void import_close_layers(struct layer *layers, unsigned count); /* NULL is fine */
