/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: ctr/own_user.h; user_namespaces(7). */
#include "ctr/own_user.h"

#include "base/cleanup.h"
#include "container/chamber.h"
#include "host/dirs.h"
#include "host/file.h"
#include "host/process.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <posada/log.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

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

/* Those of the kernel's rule for everybody: oneself alone. */
static int own_user_map_one(uid_t uid, gid_t gid, struct err *err)
{
    char uids[40], gids[40];
    int r;

    (void)snprintf(uids, sizeof(uids), "0 %u 1\n", uid);
    (void)snprintf(gids, sizeof(gids), "0 %u 1\n", gid);
    r = own_user_write("/proc/self/setgroups", "deny\n");
    if (!r)
        r = own_user_write("/proc/self/uid_map", uids);
    if (!r)
        r = own_user_write("/proc/self/gid_map", gids);
    return r < 0 ? err_set(err, r, "a user namespace: its maps: %s", strerror(-r)) : 0;
}

/* Into one that has further users as a whole: half a map would be in the way of the other. */
static bool own_user_enter_many(const struct chamber_ids *ids)
{
    struct err err = {0};
    CLEANUP(fd) int users = chamber_make_users(ids, &err);

    if (users >= 0 && setns(users, CLONE_NEWUSER) == 0)
        return true;
    log_warn("containers of an ordinary user get one user each: %s",
             users < 0 ? err.text : strerror(errno));
    return false;
}

/* How many from 0 on without a gap (user_namespaces(7): inside, outside, length). */
static unsigned own_user_count(void)
{
    CLEANUP(free) char *text = NULL;
    unsigned inside, outside, length, users = 0;
    char *line, *rest;

    if (file_read(AT_FDCWD, "/proc/self/uid_map", 65536, &text, NULL, NULL) < 0)
        return 1;
    rest = text;
    while ((line = strsep(&rest, "\n")))
        if (sscanf(line, "%u %u %u", &inside, &outside, &length) == 3 && inside == users)
            users += length;
    return users ? users : 1;
}

/* Ours, or it is none of our monitors'. */
static bool own_user_rejoin(pid_t init)
{
    CLEANUP(fd) int theirs = -1;
    CLEANUP(fd) int monitors = -1;
    uid_t owner;
    char path[40];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/user", init);
    theirs = open(path, O_RDONLY | O_CLOEXEC);
    monitors = theirs < 0 ? -1 : ioctl(theirs, NS_GET_PARENT);
    return monitors >= 0 && ioctl(monitors, NS_GET_OWNER_UID, &owner) == 0 && owner == geteuid() &&
           setns(monitors, CLONE_NEWUSER) == 0;
}

int ctr_own_user_enter(pid_t init, unsigned *ret_users, struct err *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    struct chamber_ids ids;
    int r = own_user_keep_dirs(err);

    if (r < 0)
        return r;
    if (init && own_user_rejoin(init)) {
        *ret_users = own_user_count();
        return 0;
    }
    if (chamber_ids(&ids, NULL) == 0 && own_user_enter_many(&ids)) {
        *ret_users = ids.others;
        return 0;
    }
    if (unshare(CLONE_NEWUSER) < 0)
        return err_set(err, -errno,
                       "a user namespace: %s; this host lets ordinary users make none (sysctl "
                       "kernel.unprivileged_userns_clone, user.max_user_namespaces, "
                       "kernel.apparmor_restrict_unprivileged_userns)",
                       strerror(errno));
    *ret_users = 1;
    return own_user_map_one(uid, gid, err);
}

static void own_user_sweep_in(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (!strncmp(e->d_name, ".dead-", 6))
            (void)!file_remove_tree(dirfd(dir), e->d_name, NULL);
    if (dir)
        closedir(dir);
}

void ctr_own_user_sweep(const char *dir)
{
    unsigned users;
    int status;
    pid_t child = geteuid() ? fork() : -1;

    if (child == 0) {
        if (ctr_own_user_enter(0, &users, NULL) == 0)
            own_user_sweep_in(dir);
        _exit(0);
    }
    if (child > 0)
        (void)!process_wait(child, &status);
}
