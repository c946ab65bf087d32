/* SPDX-License-Identifier: Apache-2.0 */
/* A tree written out as a directory of the host. */
#pragma once

#include "image/tree.h"

/* Into an empty directory. Every step is taken by openat2(RESOLVE_BENEATH, no links) from dir_fd,
 * so nothing outside is reached even if somebody changes the directory meanwhile. Owners are set
 * as root only; devices are left out; set-user-ID stays. */
int must_use tree_write_dir(struct tree *t, int dir_fd, struct err *err);
