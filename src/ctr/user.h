/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of a container by name. Its /etc/passwd and /etc/group are hostile: found below its root
 * whatever links say, bounded, and read line by line; nothing of the host's is asked.
 */
#pragma once

#include <posada/err.h>
#include <sys/types.h>

enum { CTR_GROUPS_MAX = 64, CTR_HOME_MAX = 256 };

struct ctr_user {
    uint32_t uid, gid;
    uint32_t groups[CTR_GROUPS_MAX]; /* further ones */
    unsigned group_count;
    char home[CTR_HOME_MAX]; /* "/" where nothing better is known */
};

/* wish: "", "NAME", "UID", either with ":GROUP" or ":GID" (image-spec config.md, "User"). */
int must_use ctr_user_find(int root_fd, const char *wish, struct ctr_user *ret, struct err *err);
