/* SPDX-License-Identifier: Apache-2.0 */
/* An image's manifest (<arch>/<name>.json) to and from struct image. */
#pragma once

#include "image/store.h"

int must_use image_check_name(const char *name, struct err *err);

/* -ENOENT: not an image (any more): something is missing. */
int must_use manifest_read(const struct image_store *s, const char *name, enum vm_arch arch,
                           const json_t *manifest, struct image *ret_image, struct err *err);
/* Reads it from the store; key: what it must have been made from, NULL: whatever. */
int must_use manifest_open(const struct image_store *s, const char *name, enum vm_arch arch,
                           const char *key, struct image *ret_image, struct err *err);

/* "2026-11-27T12:00:00Z" */
void manifest_time(char *text, size_t size);

/* Steps for those that fill the store. */
void image_say(const struct image_progress *progress, const char *text);

static inline void cleanup_image_store(struct image_store *s)
{
    image_store_close(s);
}

static inline void cleanup_json(json_t **json)
{
    json_decref(*json);
}
