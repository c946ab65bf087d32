/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box of a helper process that works in one directory for a guest. The directory becomes the
 * root of all the helper sees, without programs, devices and set-user-ID; besides, Landlock and a
 * short list of system calls. A layer that the host does not offer is skipped: the helper's own
 * care (openat2) is the first wall, this is the second.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

struct sandbox_tree {
    const char *name; /* for messages: "share '/home/x'" */
    const char *path; /* of the directory; its links are followed, now */
    bool read_only;
    bool become; /* root becomes uid and gid for good; else it stays root, with few capabilities */
    uid_t uid;
    gid_t gid;
};

struct sandbox_tree_fds {
    int root;       /* O_PATH, the directory */
    unsigned limit; /* descriptors there may be: cannot be asked any more */
    int proc; /* O_PATH, /proc/self/fd, with nothing else of /proc where namespaces are offered */
};

int must_use sandbox_enter_tree(const struct sandbox_tree *config, struct sandbox_tree_fds *ret_fds,
                                struct err *err);
