/* SPDX-License-Identifier: Apache-2.0 */
/* A tree as a directory of the host. Contract: image/tree_dir.h. */
#include "image/tree_dir.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

struct tree_dir {
    struct tree *tree;
    const struct tree_owner *owner; /* of everything; NULL: as the tree says */
    bool root;                      /* we are */
    int base;
    char path[TREE_DEPTH_MAX * (TREE_NAME_MAX + 1)];
    uint8_t copy[256 * 1024];
};

static int dir_open(int at, const char *name, int flags, mode_t mode)
{
    const struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
                                 .mode = mode,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                            RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    int fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));

    return fd < 0 ? -errno : fd;
}

static int dir_copy(struct tree_dir *d, const struct tree_inode *i, int fd)
{
    uint64_t whole = i->size - i->tail_len, at = 0;

    while (at < whole) {
        size_t want = whole - at < sizeof(d->copy) ? (size_t)(whole - at) : sizeof(d->copy);
        ssize_t n = pread(d->tree->data_fd, d->copy, want, (off_t)(i->block * TREE_BLOCK + at));

        if (n < 0)
            return -errno;
        if (n == 0) /* a hole at the data file's end */
            break;
        if (pwrite(fd, d->copy, (size_t)n, (off_t)at) != n)
            return errno ? -errno : -ENOSPC;
        at += (uint64_t)n;
    }
    if (i->tail_len && pwrite(fd, i->tail, i->tail_len, (off_t)whole) != (ssize_t)i->tail_len)
        return errno ? -errno : -ENOSPC;
    return ftruncate(fd, (off_t)i->size) < 0 ? -errno : 0;
}

static uid_t dir_uid(const struct tree_dir *d, const struct tree_inode *i)
{
    return d->owner ? d->owner->uid : i->uid;
}

static gid_t dir_gid(const struct tree_dir *d, const struct tree_inode *i)
{
    return d->owner ? d->owner->gid : i->gid;
}

/* Owner before mode: a change of owner clears set-user-ID. */
static int dir_attributes(struct tree_dir *d, const struct tree_inode *i, int fd)
{
    const struct timespec times[2] = {{i->mtime, i->mtime_nsec}, {i->mtime, i->mtime_nsec}};

    if (d->root && fchown(fd, dir_uid(d, i), dir_gid(d, i)) < 0)
        return -errno;
    for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
        char name[TREE_NAME_MAX + 1];

        (void)snprintf(name, sizeof(name), "%.*s", (int)x->name_len, x->data);
        if (fsetxattr(fd, name, x->data + x->name_len, x->value_len, 0) < 0 && d->root &&
            errno != EOPNOTSUPP)
            return -errno;
    }
    if (fchmod(fd, i->mode & 07777) < 0)
        return -errno;
    return futimens(fd, times) < 0 ? -errno : 0;
}

static int dir_file(struct tree_dir *d, struct tree_inode *i, int at, const char *name)
{
    CLEANUP(fd) int fd = dir_open(at, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    int r = fd < 0 ? fd : dir_copy(d, i, fd);

    return r < 0 ? r : dir_attributes(d, i, fd);
}

static int dir_symlink(struct tree_dir *d, const struct tree_inode *i, int at, const char *name)
{
    char target[TREE_TARGET_MAX + 1];

    (void)snprintf(target, sizeof(target), "%.*s", (int)i->tail_len, (const char *)i->tail);
    if (symlinkat(target, at, name) < 0)
        return -errno;
    if (d->root && fchownat(at, name, dir_uid(d, i), dir_gid(d, i), AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int dir_fill(struct tree_dir *d, struct tree_inode *dir, int fd, struct err *err);

static int dir_dir(struct tree_dir *d, struct tree_inode *i, int at, const char *name,
                   struct err *err)
{
    CLEANUP(fd) int fd = -1;
    int r;

    if (mkdirat(at, name, 0700) < 0)
        return -errno;
    fd = dir_open(at, name, O_RDONLY | O_DIRECTORY, 0);
    r = fd < 0 ? fd : dir_fill(d, i, fd, err);
    return r < 0 ? r : dir_attributes(d, i, fd);
}

/* The path of a name from the base on; false: too long. */
static bool dir_path(const struct tree_node *n, char *path, size_t size)
{
    size_t at = size - 1;

    path[at] = '\0';
    for (; n; n = n->dir->node) {
        if (at < (size_t)n->name_len + 1)
            return false;
        at -= n->name_len;
        memcpy(path + at, n->name, n->name_len);
        if (n->dir->node)
            path[--at] = '/';
    }
    memmove(path, path + at, size - at);
    return true;
}

/* Another name of what is written already. */
static int dir_link(struct tree_dir *d, const struct tree_inode *i, int at, const char *name)
{
    CLEANUP(fd) int fd = -1;
    char proc[64];

    if (!dir_path(i->node, d->path, sizeof(d->path)))
        return -ENAMETOOLONG;
    fd = dir_open(d->base, d->path, O_PATH, 0);
    if (fd < 0)
        return fd;
    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, proc, at, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int dir_one(struct tree_dir *d, struct tree_node *n, int at, struct err *err)
{
    struct tree_inode *i = n->inode;

    if (S_ISDIR(i->mode))
        return dir_dir(d, i, at, n->name, err);
    if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
        return 0;
    if (i->node)
        return dir_link(d, i, at, n->name);
    i->node = n;
    if (S_ISREG(i->mode))
        return dir_file(d, i, at, n->name);
    if (S_ISLNK(i->mode))
        return dir_symlink(d, i, at, n->name);
    return mkfifoat(at, n->name, i->mode & 0777) < 0 ? -errno : 0;
}

static int dir_fill(struct tree_dir *d, struct tree_inode *dir, int fd, struct err *err)
{
    struct tree_node **sorted = tree_sorted(dir);
    int r = sorted ? 0 : -ENOMEM;

    for (uint32_t k = 0; r == 0 && k < dir->entries; k++) {
        r = dir_one(d, sorted[k], fd, err);
        if (r < 0 && !err->code)
            (void)err_set(err, r, "'%.300s': cannot be made: %s", sorted[k]->name, strerror(-r));
    }
    return r;
}

int tree_write_dir(struct tree *t, int dir_fd, const struct tree_owner *owner, struct err *err)
{
    struct tree_dir *d = calloc(1, sizeof(*d));
    struct err local = {0};
    int r;

    if (!d)
        return err_set(err, -ENOMEM, "out of memory");
    d->tree = t;
    d->owner = owner;
    d->base = dir_fd;
    d->root = geteuid() == 0;
    r = dir_fill(d, t->root, dir_fd, &local);
    if (r == 0)
        r = dir_attributes(d, t->root, dir_fd);
    free(d);
    if (r < 0)
        return err_set(err, r, "%s", local.code ? local.text : strerror(-r));
    return 0;
}
