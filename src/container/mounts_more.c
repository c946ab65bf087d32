/* SPDX-License-Identifier: Apache-2.0 */
/* Control group mounts, devices, masked and read-only paths. Contract: container/mounts.h. */
#include "container/mounts.h"

#include "base/cleanup.h"
#include "container/path.h"
#include "container/userns.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* Binding the container's own group costs 60 us; a fresh cgroup2 mount waits for RCU (10 ms), and
 * without a cgroup namespace would show all groups of the host. */
static int mounts_bind_group(struct mounts *m, const struct cgroup_hierarchy *h, int target,
                             uint64_t attributes)
{
    CLEANUP(fd) int tree = -1;
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s%s", h->dir, m->cgroup->path) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    tree = mounts_clone(AT_FDCWD, path, 0);
    r = tree < 0 ? tree : mounts_set(tree, 0, attributes, 0, MS_PRIVATE, -1);
    return r < 0 ? r : mounts_attach(tree, target);
}

/* A container without a group of its own, rootless mostly: the host's tree, nothing writable. */
static int mounts_bind_groups(int target, uint64_t attributes)
{
    CLEANUP(fd) int tree = mounts_clone(AT_FDCWD, "/sys/fs/cgroup", AT_RECURSIVE);
    int r;

    if (tree < 0)
        return tree;
    r = mounts_set(tree, AT_RECURSIVE, attributes | MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, -1);
    return r < 0 ? r : mounts_attach(tree, target);
}

/* "cpu,cpuacct" as directory, "cpu" and "cpuacct" as links to it. */
static int mounts_link_names(int dir, const char *name)
{
    if (!strchr(name, ','))
        return 0;
    for (const char *c = name; *c;) {
        size_t len = strcspn(c, ",");
        char one[64];

        snprintf(one, sizeof(one), "%.*s", (int)len, c);
        if (symlinkat(name, dir, one) < 0 && errno != EEXIST)
            return -errno;
        c += len + (c[len] == ',');
    }
    return 0;
}

static int mounts_groups_v1(struct mounts *m, int at, uint64_t attributes)
{
    int r = 0;

    for (unsigned i = 0; i < m->cgroup->count && !r; i++) {
        const struct cgroup_hierarchy *h = &m->cgroup->at[i];
        const char *name = strrchr(h->dir, '/') + 1;
        CLEANUP(fd) int target = -1;

        if (!(m->cgroup->joined & 1u << i))
            continue;
        if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
            return -errno;
        target = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = target < 0 ? -errno : mounts_bind_group(m, h, target, attributes);
        if (!r)
            r = mounts_link_names(at, name);
    }
    return r;
}

/* The group is bound, so options of the file system are the host's; unknown ones are a mistake. */
static int mounts_check_group_options(const char *data)
{
    static const char *const known[] = {"nsdelegate",
                                        "favordynmods",
                                        "memory_localevents",
                                        "memory_recursiveprot",
                                        "memory_hugetlb_accounting",
                                        "pids_localevents",
                                        "xattr",
                                        "none"};

    while (data && *data) {
        size_t len = strcspn(data, ","), i = 0;

        while (i < ARRAY_LEN(known) && (strlen(known[i]) != len || strncmp(known[i], data, len)))
            i++;
        if (i == ARRAY_LEN(known))
            return -EINVAL;
        data += len + (data[len] == ',');
    }
    return 0;
}

int mounts_cgroup(struct mounts *m, const struct spec_mount *s, int target)
{
    uint64_t attributes = mounts_attributes(s->flags);
    const struct cgroup_hierarchy *v2 = cgroup_unified(m->cgroup);
    CLEANUP(fd) int at = -1;
    int r;

    if (mounts_check_group_options(s->data) < 0) {
        return err_set(m->err, -EINVAL, "mount cgroup at %s: options '%s': %s", s->destination,
                       s->data, strerror(EINVAL));
    } else if (!m->cgroup->path || !m->cgroup->joined) {
        r = mounts_bind_groups(target, attributes);
    } else if (!cgroup_has_v1(m->cgroup)) {
        r = mounts_bind_group(m, v2, target, attributes);
    } else {
        uint64_t flags = s->flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC);

        r = mount("tmpfs", PATH_OF(target), "tmpfs", flags, "mode=755,size=64k,nr_inodes=64") < 0
                ? -errno
                : 0;
        at = r < 0 ? r : path_open(m->root, s->destination, O_PATH | O_DIRECTORY);
        if (at < 0)
            r = at;
        if (!r)
            r = mounts_groups_v1(m, at, attributes);
        if (!r && s->flags & MS_RDONLY)
            r = mounts_set(at, 0, MOUNT_ATTR_RDONLY, 0, 0, -1);
    }
    return r < 0 ? err_set(m->err, r, "mount cgroup at %s: %s", s->destination, strerror(-r)) : 0;
}

int mounts_bind_file(struct mounts *m, const char *from, const char *path)
{
    CLEANUP(fd) int tree = mounts_clone(AT_FDCWD, from, 0);
    CLEANUP(fd) int target = tree < 0 ? tree : path_make_file(m->root, path, 0644);
    int r = target < 0 ? target : mounts_attach(tree, target);

    return r < 0 ? err_set(m->err, r, "%s in the container, from %s: %s", path, from, strerror(-r))
                 : 0;
}

/* What may lie there already: the very device, then it is used. */
static bool mounts_same_device(int dir, const char *name, const struct spec_device *d)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == d->type &&
           (d->type == S_IFIFO || st.st_rdev == makedev(d->major, d->minor));
}

static int mounts_make_device(struct mounts *m, const struct spec_device *d)
{
    char last[NAME_MAX + 1];
    CLEANUP(fd) int dir = path_make_parent(m->root, d->path, last, sizeof(last));

    if (dir < 0)
        return err_set(m->err, dir, "device %s: %s", d->path, strerror(-dir));
    if (mknodat(dir, last, d->type | d->mode, makedev(d->major, d->minor)) < 0) {
        if (errno == EEXIST && mounts_same_device(dir, last, d))
            return 0;
        if (errno == EEXIST || errno == EPERM)
            return mounts_bind_file(m, d->path, d->path);
        return err_set(m->err, -errno, "device %s: %s", d->path, strerror(errno));
    }
    if (!d->uid && !d->gid)
        return 0; /* root made it */
    if (fchownat(dir, last, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(m->err, -errno, "device %s: owner: %s", d->path, strerror(errno));
    return 0;
}

/* config-linux.md "Default Devices" */
static const struct spec_device mounts_default_devices[] = {
    {"/dev/null", S_IFCHR, 1, 3, 0666, 0, 0},   {"/dev/zero", S_IFCHR, 1, 5, 0666, 0, 0},
    {"/dev/full", S_IFCHR, 1, 7, 0666, 0, 0},   {"/dev/tty", S_IFCHR, 5, 0, 0666, 0, 0},
    {"/dev/random", S_IFCHR, 1, 8, 0666, 0, 0}, {"/dev/urandom", S_IFCHR, 1, 9, 0666, 0, 0},
};

static bool mounts_device_given(const struct spec *spec, const char *path)
{
    for (unsigned i = 0; i < spec->device_count; i++)
        if (!strcmp(spec->devices[i].path, path))
            return true;
    return false;
}

bool mounts_is_device(const struct spec *spec, const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(mounts_default_devices); i++)
        if (!strcmp(mounts_default_devices[i].path, path))
            return true;
    return mounts_device_given(spec, path);
}

static int mounts_one_device(struct mounts *m, const struct spec_device *d)
{
    return m->in_userns && d->type != S_IFIFO ? mounts_bind_file(m, d->path, d->path)
                                              : mounts_make_device(m, d);
}

/* runtime-linux.md "Dev symbolic links" */
static int mounts_dev_links(struct mounts *m)
{
    static const char *const links[][2] = {
        {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
        {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},      {"ptmx", "pts/ptmx"},
    };
    CLEANUP(fd) int dev = path_make_dir(m->root, "/dev", 0755);

    if (dev < 0)
        return err_set(m->err, dev, "/dev in the container: %s", strerror(-dev));
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (symlinkat(links[i][1], dev, links[i][0]) < 0 && errno != EEXIST && errno != EROFS)
            return err_set(m->err, -errno, "/dev/%s in the container: %s", links[i][0],
                           strerror(errno));
    return 0;
}

static int mounts_hidden_tmpfs(void)
{
    CLEANUP(fd) int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

    if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
}

static int mounts_prepare_device(struct mounts *m, int dir, unsigned i)
{
    const struct spec_device *d = &m->spec->devices[i];
    int64_t uid = userns_outside(m->maps->uid, m->maps->uids, d->uid);
    int64_t gid = userns_outside(m->maps->gid, m->maps->gids, d->gid);
    char name[16];

    snprintf(name, sizeof(name), "%u", i);
    if (mknodat(dir, name, d->type, makedev(d->major, d->minor)) < 0)
        return errno == EPERM ? 0 : -errno; /* no rights either: the host's file then */
    if (fchmodat(dir, name, d->mode, 0) < 0 ||
        (uid >= 0 && gid >= 0 && fchownat(dir, name, (uid_t)uid, (gid_t)gid, 0) < 0))
        return -errno;
    m->devices[i] = mounts_clone(dir, name, 0);
    return m->devices[i] < 0 ? m->devices[i] : 0;
}

int mounts_prepare_devices(struct mounts *m)
{
    CLEANUP(fd) int dir = -1;

    if (!m->spec->device_count)
        return 0;
    m->devices = arena_get(m->spec->arena, m->spec->device_count, sizeof(*m->devices));
    dir = m->devices ? mounts_hidden_tmpfs() : -1;
    if (!m->devices)
        return err_set(m->err, -ENOMEM, "no memory");
    for (unsigned i = 0; i < m->spec->device_count; i++) {
        int r;

        m->devices[i] = -1;
        r = dir < 0 ? 0 : mounts_prepare_device(m, dir, i);
        if (r < 0)
            return err_set(m->err, r, "device %s: %s", m->spec->devices[i].path, strerror(-r));
    }
    return 0;
}

static int mounts_given_device(struct mounts *m, unsigned i)
{
    const struct spec_device *d = &m->spec->devices[i];
    CLEANUP(fd) int target = -1;
    int r;

    if (!m->devices || m->devices[i] < 0)
        return mounts_one_device(m, d);
    target = path_make_file(m->root, d->path, 0644);
    r = target < 0 ? target : mounts_attach(m->devices[i], target);
    return r < 0 ? err_set(m->err, r, "device %s: %s", d->path, strerror(-r)) : 0;
}

int mounts_devices(struct mounts *m)
{
    int r = 0;

    for (size_t i = 0; m->dev_ours && i < ARRAY_LEN(mounts_default_devices) && !r; i++)
        if (!mounts_device_given(m->spec, mounts_default_devices[i].path))
            r = mounts_one_device(m, &mounts_default_devices[i]);
    for (unsigned i = 0; i < m->spec->device_count && !r; i++)
        r = mounts_given_device(m, i);
    if (!r && m->dev_ours)
        r = mounts_dev_links(m);
    return r;
}

/* Our empty directory, the same for all containers, read-only; where a user namespace cannot reach
 * it, an empty tmpfs mounted on the first masked directory. */
static int mounts_empty(struct mounts *m, const char *path, int at, int *empty)
{
    int r;

    *empty = mounts_clone(AT_FDCWD, m->empty, 0);
    r = *empty < 0 ? *empty
                   : mounts_set(*empty, 0,
                                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                    MOUNT_ATTR_NOEXEC,
                                0, MS_PRIVATE, -1);
    if (!r)
        return mounts_attach(*empty, at);
    if (*empty >= 0)
        close(*empty);
    if (mount("tmpfs", PATH_OF(at), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=0k,nr_inodes=1,mode=555") < 0)
        return -errno;
    *empty = path_open(m->root, path, O_PATH | O_DIRECTORY);
    return *empty < 0 ? *empty : 0;
}

/* Directories get an empty read-only one, all the same; files get the host's /dev/null, which
 * nobody in the container can have replaced. */
static int mounts_mask(struct mounts *m, const char *path, int *empty)
{
    CLEANUP(fd) int at = path_open(m->root, path, O_PATH);
    CLEANUP(fd) int tree = -1;
    struct stat st;

    if (at == -ENOENT || at == -ENOTDIR || at == -EACCES)
        return 0;
    if (at < 0 || fstat(at, &st) < 0)
        return at < 0 ? at : -errno;
    if (S_ISDIR(st.st_mode) && *empty < 0)
        return mounts_empty(m, path, at, empty);
    tree = S_ISDIR(st.st_mode) ? mounts_clone(*empty, "", AT_EMPTY_PATH)
                               : mounts_clone(AT_FDCWD, "/dev/null", 0);
    return tree < 0 ? tree : mounts_attach(tree, at);
}

static int mounts_protect(struct mounts *m, const char *path)
{
    CLEANUP(fd) int at = path_open(m->root, path, O_PATH);
    CLEANUP(fd) int tree = -1;
    int r;

    if (at == -ENOENT || at == -ENOTDIR || at == -EACCES)
        return 0;
    tree = at < 0 ? at : mounts_clone(at, "", AT_EMPTY_PATH | AT_RECURSIVE);
    r = tree < 0 ? tree : mounts_set(tree, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0, -1);
    return r < 0 ? r : mounts_attach(tree, at);
}

int mounts_hide(struct mounts *m)
{
    CLEANUP(fd) int empty = -1;

    for (const char **p = m->spec->readonly; p && *p; p++) {
        int r = mounts_protect(m, *p);

        if (r < 0)
            return err_set(m->err, r, "readonlyPaths: %s: %s", *p, strerror(-r));
    }
    for (const char **p = m->spec->masked; p && *p; p++) {
        int r = mounts_mask(m, *p, &empty);

        if (r < 0)
            return err_set(m->err, r, "maskedPaths: %s: %s", *p, strerror(-r));
    }
    return 0;
}
