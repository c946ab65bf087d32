/* SPDX-License-Identifier: Apache-2.0 */
/* What a tmpfs covers, copied into it (mount option tmpcopyup). Contract: container/mounts.h. */
#include "container/mounts.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum { COPY_DEPTH = 100 };

static int copy_dir(int from, int to, unsigned depth);

static int copy_content(int from, int to)
{
    char buf[65536];

    for (;;) {
        ssize_t n = read(from, buf, sizeof(buf));
        int r;

        if (n <= 0)
            return n < 0 ? -errno : 0;
        r = file_write_all(to, buf, (size_t)n);
        if (r < 0)
            return r;
    }
}

static int copy_file(int from, int to, const char *name, const struct stat *st)
{
    CLEANUP(fd) int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    CLEANUP(fd) int out = -1;

    if (in < 0)
        return -errno;
    out =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, st->st_mode & 07777);
    return out < 0 ? -errno : copy_content(in, out);
}

static int copy_link(int from, int to, const char *name)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(from, name, text, sizeof(text) - 1);

    if (n < 0)
        return -errno;
    text[n] = '\0';
    return symlinkat(text, to, name) < 0 ? -errno : 0;
}

static int copy_below(int from, int to, const char *name, const struct stat *st, unsigned depth)
{
    CLEANUP(fd) int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(fd) int out = -1;

    if (in < 0)
        return -errno;
    if (mkdirat(to, name, st->st_mode & 07777) < 0 && errno != EEXIST)
        return -errno;
    out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out < 0 ? -errno : copy_dir(in, out, depth + 1);
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
    struct stat st;
    int r;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        r = copy_below(from, to, name, &st, depth);
    else if (S_ISREG(st.st_mode))
        r = copy_file(from, to, name, &st);
    else if (S_ISLNK(st.st_mode))
        r = copy_link(from, to, name);
    else
        r = mknodat(to, name, st.st_mode, st.st_rdev) < 0 ? -errno : 0;
    if (!r && fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    return r;
}

static int copy_dir(int from, int to, unsigned depth)
{
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *list = copy < 0 ? NULL : fdopendir(copy);

    if (!list || depth > COPY_DEPTH) {
        if (list)
            closedir(list);
        return depth > COPY_DEPTH ? -ELOOP : -errno;
    }
    for (struct dirent *e; !r && (e = readdir(list));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            r = copy_entry(from, to, e->d_name, depth);
    closedir(list);
    return r;
}

int mounts_copy_tree(int from, int to)
{
    return copy_dir(from, to, 0);
}
