/* SPDX-License-Identifier: Apache-2.0 */
/* A tree written out as a directory of the host. */
#pragma once

#include "image/tree.h"

/* Who is to own everything; only root can give files to others than itself. */
struct tree_owner {
    uid_t uid;
    gid_t gid;
};

/* Into an empty directory. Every step is taken by openat2(RESOLVE_BENEATH, no links) from dir_fd,
 * so nothing outside is reached even if somebody changes the directory meanwhile. Owners are set
 * as root only; devices are left out; set-user-ID stays. owner NULL: as the tree says. */
int must_use tree_write_dir(struct tree *t, int dir_fd, const struct tree_owner *owner,
                            struct err *err);
