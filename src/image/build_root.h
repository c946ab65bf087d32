/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recipe's root on a disk, in two stages. First: the packages unpacked, as dpkg would. Second:
 * the packages configured by their own programs, and a file system made of it all. That is done in
 * a guest, which gets the first stage as an EROFS image; or on this host, if it runs programs of
 * the image's architecture, in a chamber (container/chamber.h), which gets it as a directory.
 */
#pragma once

#include "image/build.h"

/* First stage into BUILD_STAGE of the temporary directory: an EROFS image, or with owner a
 * directory as chambers want it, all of it the owner's. */
#define BUILD_STAGE "stage"
#define BUILD_ROOT  "root"
struct tree_owner;
int must_use build_stage(struct build *b, const struct tree_owner *owner, struct err *err);
/* The command that a guest made of kernel and initrd runs for the second, with BUILD_STAGE as its
 * first disk (read-only) and an empty one as its second. Lines it prints say how far it is. */
extern const char build_second_stage[];
/* The one that a chamber runs; its file (container/chamber.h) becomes the disk. */
extern const char build_second_stage_here[];
/* What is somebody else's than root's in a tree, as a script that says so: a directory that belongs
 * to one owner has forgotten it. Caller frees; NULL: no memory. */
struct tree;
char *build_owners(const struct tree *t);
