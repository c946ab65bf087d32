/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces of its own, with the guest's directory as the root of its files, and a user of its
 * own. Other users than root get there by a user namespace in which they are themselves.
 *
 * The directory is bound over itself to be a mount, becomes the root by pivot_root, and the old
 * root goes. A descriptor opened before would still lead into the old tree by "..", so the
 * directory is opened anew under its old number. No network namespace has an interface: a
 * listening socket made before (gdb) still works.
 */
#include "host/sandbox_layers.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
    /* Above what systems give to people, services and containers; 24 bits of the UUID follow. */
    GUEST_UID_BASE = 0x70000000,
    NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
};

static int namespace_failed(const char *what, struct err *err)
{
    int code = -errno;
    bool absent = code == -EPERM || code == -EACCES || code == -ENOSYS || code == -EINVAL ||
                  code == -ENOSPC || code == -EUSERS;

    return err_set(err, absent ? -EOPNOTSUPP : code, "%s: %s", what, strerror(-code));
}

static int namespace_write(const char *path, const char *text)
{
    CLEANUP(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);

    return fd >= 0 && write(fd, text, len) == (ssize_t)len ? 0 : -1;
}

/* In a user namespace we stay who we are, by a map of one user. */
static int namespace_user(struct err *err)
{
    unsigned uid = geteuid(), gid = getegid();
    char map[64];

    if (unshare(CLONE_NEWUSER) < 0)
        return namespace_failed("user namespace", err);
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (namespace_write("/proc/self/uid_map", map) < 0 ||
        namespace_write("/proc/self/setgroups", "deny") < 0)
        return err_set(err, -EIO, "user namespace: cannot map the user: %s", strerror(errno));
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    if (namespace_write("/proc/self/gid_map", map) < 0)
        return err_set(err, -EIO, "user namespace: cannot map the group: %s", strerror(errno));
    return 0;
}

static int namespace_dir_path(int dir_fd, char *path, size_t size)
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
    n = readlink(link, path, size - 1);
    if (n < 0)
        return -1;
    path[n] = '\0';
    return 0;
}

/* Inside a chroot there is no root to pivot; without capabilities a chroot of ours holds as well.
 */
static int namespace_change_root(const char *path)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return errno == EINVAL && !chdir(path) ? chroot(".") : -1;
    if (mount(path, path, NULL, MS_BIND, NULL) < 0 || chdir(path) < 0 ||
        syscall(SYS_pivot_root, ".", ".") < 0)
        return -1;
    return umount2(".", MNT_DETACH);
}

static int namespace_root(int dir_fd, const char *path, struct err *err)
{
    int fd;

    if (namespace_change_root(path) < 0)
        return err_set(err, -errno, "mount namespace: cannot change the root: %s", strerror(errno));
    fd = chdir("/") < 0 ? -1 : open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || dup3(fd, dir_fd, O_CLOEXEC) < 0)
        return err_set(err, -errno, "mount namespace: %s", strerror(errno));
    close(fd);
    /* Nothing in there is to be run, whoever put it there. A user namespace may not say more. */
    (void)!mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    return 0;
}

int sandbox_unshare(struct err *err)
{
    int r = geteuid() == 0 ? 0 : namespace_user(err);

    if (!r && unshare(NAMESPACES) < 0)
        r = namespace_failed("namespaces", err);
    return r;
}

int sandbox_namespaces(const struct sandbox_config *config, struct err *err)
{
    char path[PATH_MAX];
    int r;

    /* Afterwards the descriptor belongs to a mount that our root does not lead to. */
    if (namespace_dir_path(config->dir_fd, path, sizeof(path)) < 0)
        return err_set(err, -errno, "mount namespace: %s", strerror(errno));
    r = sandbox_unshare(err);
    return r ? r : namespace_root(config->dir_fd, path, err);
}

int sandbox_root(const char *dir, struct err *err)
{
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0)
        return namespace_failed("user namespace", err);
    if (chdir(dir) < 0 || chroot(".") < 0)
        return err_set(err, -errno, "%s: cannot make it the root: %s", dir, strerror(errno));
    return 0;
}

/* The new user's files become its own, and it may make more: the sticky bit keeps the rest (the
 * configuration, the pid) from being replaced. */
static int user_give_files(const struct sandbox_config *config, uid_t uid)
{
    for (const char *const *name = config->own_files; name && *name; name++)
        if (fchownat(config->dir_fd, *name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return -1;
    if (fchown(config->dir_fd, (uid_t)-1, uid) < 0)
        return -1;
    return fchmod(config->dir_fd, 01770);
}

int sandbox_user(const struct sandbox_config *config, struct err *err)
{
    uid_t uid = GUEST_UID_BASE + (uid_t)(strtoul(config->uuid, NULL, 16) & 0xffffff);

    if (geteuid() != 0)
        return err_set(err, -EOPNOTSUPP, "only root can give a guest a user of its own");
    if (user_give_files(config, uid) < 0)
        return namespace_failed("own user: the guest's directory cannot be given away", err);
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_set(err, -errno, "own user: %s", strerror(errno));
    return 0;
}
