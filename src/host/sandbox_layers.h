/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of host/sandbox.h, in the order in which they are put on. */
#pragma once

#include "host/sandbox.h"

/* Each: 0 when it is on, -EOPNOTSUPP when this host does not offer it, other errors are errors. */
int must_use sandbox_namespaces(const struct sandbox_config *config, struct err *err);
int must_use sandbox_user(const struct sandbox_config *config, struct err *err);
int must_use sandbox_landlock(const struct sandbox_config *config, struct err *err);
int must_use sandbox_seccomp(const struct sandbox_config *config, struct err *err);

/* Namespaces without interfaces and neighbours, in a user namespace of one user if need be. */
int must_use sandbox_unshare(struct err *err);

/* Files only below that directory (O_PATH will do); no programs, no device nodes, no TCP. */
int must_use sandbox_landlock_tree(int dir_fd, bool read_only, struct err *err);
/* A change of user has taken them from root; a user namespace gave them to others. */
int must_use sandbox_no_capabilities(const struct sandbox_config *config, struct err *err);
/* dir becomes the root, by a chroot that nothing is left to leave it with. */
int must_use sandbox_root(const char *dir, struct err *err);

/* Adds a layer that is not there. */
void sandbox_miss(struct sandbox_missing *missing, const char *why);
/* Files only: no more than these may be read (NULL: none), nothing may be changed. */
int must_use sandbox_landlock_files(const char *const *files, struct err *err);

int sandbox_landlock_version(void); /* 0: none */
