/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recipe's root on a disk, in two stages. First, here: the packages unpacked into an EROFS image.
 * Second, in a guest of the image's own architecture: a file system made on an empty disk, the
 * first stage copied into it, and the packages configured by their own programs.
 */
#pragma once

#include "image/build.h"

/* First stage into the file BUILD_STAGE of the temporary directory. */
#define BUILD_STAGE "stage"
#define BUILD_ROOT  "root"
int must_use build_stage(struct build *b, struct err *err);
/* The command that a guest made of kernel and initrd runs for the second, with BUILD_STAGE as its
 * first disk (read-only) and an empty one as its second. Lines it prints say how far it is. */
extern const char build_second_stage[];
