/* SPDX-License-Identifier: Apache-2.0 */
/* The second stage of an image's build, in a guest (image_stage.c) or here (image_chamber.c). */
#pragma once

#include "image/image.h"

/* As image_options wants them. Here is tried before a guest: it takes a fifth of the time; after a
 * guest, here with an emulator of the host's. */
int must_use image_plan_stage(enum vm_arch arch, struct image_plan *ret_plan, struct err *err);
int must_use image_run_stage(const struct image_stage *stage, struct err *err);

bool image_is_native(enum vm_arch arch); /* this host's own */
/* Whether programs of arch run here, contained: the plan for it. -EOPNOTSUPP: why not. */
int must_use image_plan_here(enum vm_arch arch, struct image_plan *ret_plan, struct err *err);
/* The same for those of another architecture, by qemu-user-static (container/binfmt.h). */
int must_use image_plan_foreign(enum vm_arch arch, struct image_plan *ret_plan, struct err *err);

/* Removes a tree with files of users that are ours in a chamber only; as image_prune() wants it. */
int must_use image_clear_foreign(int dir_fd, const char *name, struct err *err);

/* --- what both need --- */
struct child;
/* An empty raw disk. */
int must_use image_stage_empty_disk(const char *path, struct err *err);
/* Runs c, with what the script says as progress; -EIO with its last lines when it fails. */
int must_use image_stage_run(const struct image_stage *stage, struct child *c, struct err *err);
/* Makes stage->disk and runs the script in a chamber; the raw disk's path. */
int must_use image_run_here(const struct image_stage *stage, char *ret_raw, size_t size,
                            struct err *err);
