/* SPDX-License-Identifier: Apache-2.0 */
/* The second stage of an image's build, in a guest. */
#pragma once

#include "image/image.h"

/* As image_options.run_stage wants it. */
int must_use image_run_stage(enum vm_arch arch, const struct image_stage *stage, struct err *err);
