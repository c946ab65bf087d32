/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: ctr/own_user.h; user_namespaces(7). */
#include "ctr/own_user.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Where they are depends on who asks, and that is about to change. */
static int own_user_keep_dirs(struct err *err)
{
    static const struct {
        enum dirs_kind kind;
        const char *name;
    } dirs[] = {{DIRS_DATA, "POSADA_DATA_DIR"},
                {DIRS_CACHE, "POSADA_CACHE_DIR"},
                {DIRS_RUN, "POSADA_RUN_DIR"}};

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        CLEANUP(free) char *path = NULL;
        int r = dirs_get(dirs[i].kind, &path, err);

        if (r < 0)
            return r;
        if (setenv(dirs[i].name, path, 1) < 0)
            return err_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int own_user_write(const char *file, const char *text)
{
    CLEANUP(fd) int fd = open(file, O_WRONLY | O_CLOEXEC);

    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int ctr_own_user_enter(struct err *err)
{
    char uids[40], gids[40];
    int r = own_user_keep_dirs(err);

    (void)snprintf(uids, sizeof(uids), "0 %u 1\n", geteuid());
    (void)snprintf(gids, sizeof(gids), "0 %u 1\n", getegid());
    if (r < 0)
        return r;
    if (unshare(CLONE_NEWUSER) < 0)
        return err_set(err, -errno,
                       "a user namespace: %s; this host lets ordinary users make none (sysctl "
                       "kernel.unprivileged_userns_clone, user.max_user_namespaces, "
                       "kernel.apparmor_restrict_unprivileged_userns)",
                       strerror(errno));
    r = own_user_write("/proc/self/setgroups", "deny\n");
    if (!r)
        r = own_user_write("/proc/self/uid_map", uids);
    if (!r)
        r = own_user_write("/proc/self/gid_map", gids);
    return r < 0 ? err_set(err, r, "a user namespace: its maps: %s", strerror(-r)) : 0;
}
