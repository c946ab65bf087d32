/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where images lie (layout: image/image.h). Objects are named by their SHA-256 and never change;
 * a manifest is written after the objects it names, so a crash at any point leaves whole images
 * and at most unnamed objects and a temporary directory. A process of its own, the sweeper, removes
 * that directory when its builder dies; if it dies too, the next holder of the lock does.
 */
#pragma once

#include "image/image.h"
#include <sys/types.h>

struct image_store {
    char *root;
    int root_fd, lock_fd; /* lock_fd -1: not held */
    bool waited;          /* for somebody else's lock */
    char *temp;           /* while locked: an empty directory of ours */
    pid_t sweeper;
    int sweeper_fd; /* it waits for this to close */
};

int must_use image_store_open(struct image_store *s, struct err *err);
void image_store_close(struct image_store *s); /* unlocks */
/* Waits for the lock, saying so; then clears what an interrupted build left. */
int must_use image_store_lock(struct image_store *s, const struct image_progress *progress,
                              struct err *err);

/* Moves a file of the temporary directory into objects/. json: {"sha256", "size"}. Lock held. */
int must_use image_store_take(struct image_store *s, const char *temp_name, json_t **ret_json,
                              struct err *err);
/* NULL with -ENOENT when there is no such image. A broken manifest counts as none. */
int must_use image_store_read(const struct image_store *s, enum vm_arch arch, const char *name,
                              json_t **ret_json, struct err *err);
int must_use image_store_write(struct image_store *s, enum vm_arch arch, const char *name,
                               json_t *manifest, struct err *err);
/* -ENOENT: no manifest, not even a broken one, has that name. */
int must_use image_store_has(const struct image_store *s, enum vm_arch arch, const char *name,
                             struct err *err);
int must_use image_store_delete(struct image_store *s, enum vm_arch arch, const char *name,
                                struct err *err);
/* Names of an architecture's images, sorted; a JSON array. */
int must_use image_store_names(const struct image_store *s, enum vm_arch arch, json_t **ret_names,
                               struct err *err);
/* Moves a file into objects/ that must have that digest, which the caller has checked. */
int must_use image_store_keep(struct image_store *s, const char *temp_name, const char *sha256,
                              uint64_t size, json_t **ret_json, struct err *err);
/* Has `clear` remove, below a directory, what others than the lock's holder have left in tmp/ and
 * could not be removed by its owner. Lock held. */
void image_store_clear(const struct image_store *s,
                       int (*clear)(int dir_fd, const char *name, struct err *err));
/* Removes objects that no manifest names; the bytes that gave back. Lock held. */
uint64_t image_store_sweep(struct image_store *s);
/* Path of the object that {"sha256": ...} names, if it is there; else NULL. */
char *image_store_path(const struct image_store *s, const json_t *object);
/* Path of the object that manifest[key] names, if the object is there; else NULL. */
char *image_store_object(const struct image_store *s, const json_t *manifest, const char *key);
