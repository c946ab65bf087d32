/* SPDX-License-Identifier: Apache-2.0 */
/* Paths inside somebody else's root. Contract: container/path.h. */
#include "container/path.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

enum { PATH_DEPTH = 40, PATH_TRIES = 32 };

static int path_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .mode = mode, .resolve = resolve};

    /* The kernel says EAGAIN when a rename raced with "..": somebody plays, we try again. */
    for (int i = 0; i < PATH_TRIES; i++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return -errno;
}

int path_open_mode(int root, const char *path, int flags, mode_t mode)
{
    return path_openat2(root, *path ? path : ".", flags, mode,
                        RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int path_open(int root, const char *path, int flags)
{
    return path_open_mode(root, path, flags, 0);
}

int path_open_nofollow(int root, const char *path)
{
    return path_open(root, path, O_PATH | O_NOFOLLOW);
}

/* Parent and last part of a path; trailing slashes do not count. */
static int path_split(const char *path, char *parent, char *last, size_t size)
{
    size_t len = strlen(path), start;

    while (len && path[len - 1] == '/')
        len--;
    start = len;
    while (start && path[start - 1] != '/')
        start--;
    if (len - start >= size || start >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(last, path + start, len - start);
    last[len - start] = '\0';
    memcpy(parent, path, start);
    parent[start] = '\0';
    return 0;
}

static int path_make(int root, const char *path, mode_t mode, bool file, unsigned depth);

/* Where a dangling link leads, as a path from the root again. */
static int path_make_behind_link(int root, int dir, const char *parent, const char *last,
                                 mode_t mode, bool file, unsigned depth)
{
    char target[PATH_MAX], whole[PATH_MAX];
    ssize_t n = readlinkat(dir, last, target, sizeof(target) - 1);

    if (n < 0)
        return errno == EINVAL ? -ENOTDIR : -errno;
    target[n] = '\0';
    if (*target == '/')
        return path_make(root, target, mode, file, depth + 1);
    if (snprintf(whole, sizeof(whole), "%s/%s", parent, target) >= (int)sizeof(whole))
        return -ENAMETOOLONG;
    return path_make(root, whole, mode, file, depth + 1);
}

static int path_make_last(int dir, const char *last, mode_t mode, bool file)
{
    int fd;

    if (!file)
        return mkdirat(dir, last, mode) < 0 ? -errno : 0;
    fd = openat(dir, last, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int path_make(int root, const char *path, mode_t mode, bool file, unsigned depth)
{
    char parent[PATH_MAX], last[NAME_MAX + 1];
    CLEANUP(fd) int dir = -1;
    int fd = path_open(root, path, O_PATH | (file ? 0 : O_DIRECTORY)), r;

    if (fd != -ENOENT)
        return fd;
    if (depth > PATH_DEPTH)
        return -ELOOP;
    r = path_split(path, parent, last, sizeof(last));
    if (r < 0)
        return r;
    dir = path_make(root, parent, 0755, false, depth + 1);
    if (dir < 0)
        return dir;
    if (!strcmp(last, ".") || !strcmp(last, "..")) /* what was missing before it is there now */
        return path_open(root, path, O_PATH | (file ? 0 : O_DIRECTORY));
    r = path_make_last(dir, last, mode, file);
    if (r == -EEXIST) /* a dangling link, or somebody was faster */
        return path_make_behind_link(root, dir, parent, last, mode, file, depth);
    if (r < 0)
        return r;
    return path_openat2(dir, last, O_PATH | O_NOFOLLOW | (file ? 0 : O_DIRECTORY), 0,
                        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

int path_make_dir(int root, const char *path, mode_t mode)
{
    return path_make(root, path, mode, false, 0);
}

int path_make_file(int root, const char *path, mode_t mode)
{
    return path_make(root, path, mode, true, 0);
}

int path_make_parent(int root, const char *path, char *ret_last, size_t size)
{
    char parent[PATH_MAX];
    int r = path_split(path, parent, ret_last, size);

    if (r < 0)
        return r;
    if (!*ret_last || !strcmp(ret_last, ".") || !strcmp(ret_last, ".."))
        return -EINVAL;
    return path_make_dir(root, parent, 0755);
}

struct path_text path_of_fd(int fd)
{
    struct path_text path;

    snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

bool path_is_plain_name(const char *name)
{
    size_t len = strlen(name);

    return len && len <= 1024 && strcmp(name, ".") && strcmp(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+") ==
               len;
}

bool path_climbs(const char *path)
{
    for (const char *part = path; *part; part += strspn(part, "/")) {
        size_t len = strcspn(part, "/");

        if (len == 2 && part[0] == '.' && part[1] == '.')
            return true;
        part += len;
    }
    return false;
}

bool path_is_on(int fd, uint64_t magic)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == magic;
}
