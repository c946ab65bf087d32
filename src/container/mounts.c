/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of the configuration, one after the other. Contract: container/mounts.h. */
#include "container/mounts.h"
#include "container/label.h"

#include "base/cleanup.h"
#include "container/names.h"
#include "container/path.h"
#include "container/userns.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

int mounts_clone(int dir, const char *path, unsigned flags)
{
    long fd = syscall(SYS_open_tree, dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

    return fd < 0 ? -errno : (int)fd;
}

int mounts_attach(int tree, int target)
{
    if (syscall(SYS_move_mount, tree, "", target, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

int mounts_set(int tree, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation,
               int userns)
{
    struct mount_attr attr = {.attr_set = set,
                              .attr_clr = clear,
                              .propagation = propagation,
                              .userns_fd = userns < 0 ? 0 : (unsigned)userns};

    if (userns >= 0)
        attr.attr_set |= MOUNT_ATTR_IDMAP;
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) < 0)
        return -errno;
    return 0;
}

uint64_t mounts_attributes(uint64_t flags)
{
    return (flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0) |
           (flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0) | (flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0) |
           (flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0) |
           (flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : 0) |
           (flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME : 0) |
           (flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0) |
           (flags & MS_NOSYMFOLLOW ? MOUNT_ATTR_NOSYMFOLLOW : 0);
}

static int mounts_fail(struct mounts *m, const struct spec_mount *s, int code, const char *doing)
{
    return err_set(m->err, code, "mount %s at %s: %s%s%s", s->source ? s->source : s->type,
                   s->destination, doing, *doing ? ": " : "", strerror(-code));
}

/* The source of a bind as a detached tree with its attributes. */
static int mounts_open_bind(struct mounts *m, const struct spec_mount *s)
{
    CLEANUP(fd) int dir = open(m->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd) int tree = -1;
    uint64_t set = mounts_attributes(s->flags);
    uint64_t clear = set & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME) ? MOUNT_ATTR__ATIME : 0;
    unsigned recursive = s->flags & MS_REC ? AT_RECURSIVE : 0;
    int r;

    tree = mounts_clone(dir, s->source,
                        recursive | (s->extra & NAME_MOUNT_SRC_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0));
    if (tree < 0)
        return mounts_fail(m, s, tree, "source");
    if (set) {
        r = mounts_set(tree, 0, set, clear, 0, -1);
        if (r < 0)
            return mounts_fail(m, s, r, "options");
    }
    return take_fd(&tree);
}

static int mounts_map_ids(struct mounts *m, const struct spec_mount *s, int tree)
{
    CLEANUP(fd) int userns = -1;
    int r;

    if (!s->maps.uids)
        return err_set(
            m->err, -EINVAL,
            "mount %s at %s: idmap needs uidMappings and gidMappings, of the mount or of "
            "the user namespace",
            s->source, s->destination);
    userns = userns_make(&s->maps, m->err);
    if (userns < 0)
        return userns;
    r = mounts_set(tree, s->recursive_idmap ? AT_RECURSIVE : 0, 0, 0, 0, userns);
    if (r < 0)
        return mounts_fail(m, s, r, "idmap");
    return 0;
}

int mounts_prepare(struct mounts *m, const char *rootfs, bool user)
{
    const struct spec *spec = m->spec;

    m->trees = arena_get(spec->arena, spec->mount_count + 1, sizeof(*m->trees));
    m->late = arena_get(spec->arena, spec->mount_count + 1, sizeof(*m->late));
    if (!m->trees || !m->late)
        return err_set(m->err, -ENOMEM, "no memory");
    m->root = -1;
    if (user) { /* the runtime may enter directories that the mapped root may not */
        m->root = mounts_clone(AT_FDCWD, rootfs, AT_RECURSIVE);
        if (m->root == -EPERM)
            m->root = -1; /* rootless: its own namespace will do */
        else if (m->root < 0)
            return err_set(m->err, m->root, "root file system %s: %s", rootfs, strerror(-m->root));
        else
            (void)!mounts_set(m->root, AT_RECURSIVE, 0, 0,
                              spec->propagation & MS_SLAVE ? MS_SLAVE : MS_PRIVATE, -1);
    }
    for (unsigned i = 0; i < spec->mount_count; i++) {
        const struct spec_mount *s = &spec->mounts[i];
        bool idmap = s->extra & NAME_MOUNT_IDMAP;
        int r;

        m->trees[i] = m->late[i] = -1;
        if (!(s->flags & MS_BIND) || (s->flags & MS_REMOUNT) || (!idmap && m->root < 0) ||
            (s->extra & NAME_MOUNT_COPY_SYMLINK))
            continue;
        m->trees[i] = mounts_open_bind(m, s);
        if (m->trees[i] < 0)
            return m->trees[i];
        r = idmap ? mounts_map_ids(m, s, m->trees[i]) : 0;
        if (r < 0)
            return r;
        /* Made outside, it is a peer of the host's mount: what is mounted on it would show there.
         */
        (void)!mounts_set(m->trees[i], AT_RECURSIVE, 0, 0, s->propagations ? MS_SLAVE : MS_PRIVATE,
                          -1);
    }
    return m->root >= 0 ? mounts_prepare_devices(m) : 0;
}

/* The mount that path lies on, when "/" stays shared: what is attached to it must not spread. */
static int mounts_parent_private(const char *path)
{
    char parent[4096];

    if (strlen(path) >= sizeof(parent))
        return -ENAMETOOLONG;
    strcpy(parent, path);
    for (;;) {
        char *slash;

        if (mount(NULL, *parent ? parent : "/", NULL, MS_PRIVATE, NULL) == 0)
            return 0;
        slash = strrchr(parent, '/');
        if (errno != EINVAL || !slash) /* EINVAL: not a mount point, look above */
            return -errno;
        *slash = '\0';
    }
}

int mounts_isolate(struct mounts *m, const char *rootfs)
{
    CLEANUP(fd) int target = -1;
    uint64_t wanted = m->spec->propagation;
    int r = 0;

    if (wanted & MS_SHARED)
        r = mounts_parent_private(rootfs);
    else if (mount(NULL, "/", NULL, (wanted & MS_SLAVE ? MS_SLAVE : MS_PRIVATE) | MS_REC, NULL) < 0)
        r = -errno;
    if (r < 0)
        return err_set(m->err, r, "mount propagation: %s", strerror(-r));
    target = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (m->root < 0)
        m->root = target < 0 ? -errno : mounts_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
    if (m->root < 0)
        return err_set(m->err, m->root, "root file system %s: %s", rootfs, strerror(-m->root));
    /* In a user namespace the path may be closed to us. Any directory can carry the tree. */
    if (target < 0)
        target = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = mounts_attach(m->root, target);
    return r < 0 ? err_set(m->err, r, "root file system %s: %s", rootfs, strerror(-r)) : 0;
}

/* A descriptor of what has just been mounted at the destination. */
static int mounts_reopen(struct mounts *m, const struct spec_mount *s)
{
    return s->extra & NAME_MOUNT_DEST_NOFOLLOW ? path_open_nofollow(m->root, s->destination)
                                               : path_open(m->root, s->destination, O_PATH);
}

static int mounts_propagate(struct mounts *m, const struct spec_mount *s, int at)
{
    for (unsigned i = 0; i < s->propagations; i++) {
        uint64_t p = s->propagation[i];
        int r = mounts_set(at, p & MS_REC ? AT_RECURSIVE : 0, 0, 0, p & ~(uint64_t)MS_REC, -1);

        if (r < 0)
            return mounts_fail(m, s, r, "propagation");
    }
    if (s->rec_set || s->rec_clear) {
        int r = mounts_set(at, AT_RECURSIVE, s->rec_set, s->rec_clear, 0, -1);

        if (r < 0)
            return mounts_fail(m, s, r, "recursive options");
    }
    return 0;
}

static bool mounts_is_dir(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int mounts_target(struct mounts *m, const struct spec_mount *s, bool dir)
{
    int fd;

    if (s->extra & NAME_MOUNT_DEST_NOFOLLOW) {
        fd = path_open_nofollow(m->root, s->destination);
        if (fd != -ENOENT)
            return fd;
    }
    return dir ? path_make_dir(m->root, s->destination, 0755)
               : path_make_file(m->root, s->destination, 0644);
}

/* crun's copy-symlink: a link is made again instead of being mounted. True when that was it. */
static int mounts_copy_link(struct mounts *m, const struct spec_mount *s)
{
    CLEANUP(fd) int bundle = open(m->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd) int dir = -1;
    char text[4096], last[256], there[4096];
    ssize_t n = readlinkat(bundle, s->source, text, sizeof(text) - 1);

    if (n < 0)
        return errno == EINVAL ? 0 : mounts_fail(m, s, -errno, "source");
    text[n] = '\0';
    dir = path_make_parent(m->root, s->destination, last, sizeof(last));
    if (dir < 0)
        return mounts_fail(m, s, dir, "target");
    if (symlinkat(text, dir, last) == 0)
        return 1;
    if (errno == EEXIST && readlinkat(dir, last, there, sizeof(there)) == n &&
        !memcmp(there, text, (size_t)n))
        return 1;
    return mounts_fail(m, s, -errno, "link");
}

static int mounts_bind(struct mounts *m, const struct spec_mount *s, int prepared)
{
    CLEANUP(fd) int tree = prepared;
    CLEANUP(fd) int target = -1;
    int r;

    if (s->extra & NAME_MOUNT_COPY_SYMLINK) {
        r = mounts_copy_link(m, s);
        if (r)
            return r < 0 ? r : 0;
    }
    if (tree < 0)
        tree = mounts_open_bind(m, s);
    if (tree < 0)
        return tree;
    target = mounts_target(m, s, mounts_is_dir(tree));
    if (target < 0)
        return mounts_fail(m, s, target, "target");
    r = mounts_attach(tree, target);
    if (r < 0)
        return mounts_fail(m, s, r, "");
    return mounts_propagate(m, s, tree);
}

/* sysfs wants the network namespace to be ours; without one a rootless container sees the host's.
 */
static int mounts_sysfs(struct mounts *m, const struct spec_mount *s, int target)
{
    CLEANUP(fd) int tree = mounts_clone(AT_FDCWD, "/sys", AT_RECURSIVE);
    int r = tree < 0 ? tree : mounts_set(tree, AT_RECURSIVE, mounts_attributes(s->flags), 0, 0, -1);

    if (!r)
        r = mounts_attach(tree, target);
    return r < 0 ? mounts_fail(m, s, r, "") : 0;
}

/* devpts options without gid=: the group is not mapped in a small user namespace. */
static const char *mounts_without_gid(struct mounts *m, const char *data)
{
    const char *gid = data ? strstr(data, "gid=") : NULL;
    size_t len;

    if (!gid || (gid != data && gid[-1] != ','))
        return NULL;
    len = strcspn(gid, ",");
    len += gid[len] == ',';
    return arena_text(m->spec->arena, "%.*s%s", (int)(gid - data), data, gid + len);
}

/* Onto the current directory, for a path through /proc/self/fd makes the kernel build that entry.
 */
static int mounts_on(int target, const char *source, const struct spec_mount *s, uint64_t flags,
                     const char *data)
{
    bool here = fchdir(target) == 0;

    return mount(source, here ? "." : PATH_OF(target), s->type, flags, data);
}

static int mounts_fs(struct mounts *m, const struct spec_mount *s, int target, bool late)
{
    uint64_t flags = s->flags & ~(uint64_t)(MS_REC | (late ? MS_RDONLY : 0));
    const char *source = s->source ? s->source : s->type;
    const char *data = s->data, *label = m->spec->mount_label;

    if (label && *label && label_usable(LABEL_SELINUX)) {
        data = label_mount_data(m->spec->arena, s->type, data, label);
        if (!data)
            return mounts_fail(m, s, -ENOMEM, "");
    }
    if (mounts_on(target, source, s, flags, data) == 0)
        return 0;
    if (errno == EPERM && !strcmp(s->type, "sysfs") && m->in_userns)
        return mounts_sysfs(m, s, target);
    if (errno == EINVAL && !strcmp(s->type, "devpts") && m->in_userns &&
        (data = mounts_without_gid(m, data)) && mounts_on(target, source, s, flags, data) == 0)
        return 0;
    return mounts_fail(m, s, -errno, "");
}

static bool mounts_needs_reopen(const struct spec_mount *s, bool late)
{
    return s->propagations || s->rec_set || s->rec_clear || late ||
           (s->extra & NAME_MOUNT_TMPCOPYUP);
}

static int mounts_make(struct mounts *m, unsigned i)
{
    const struct spec_mount *s = &m->spec->mounts[i];
    bool late = s->flags & MS_RDONLY && s->type && !strcmp(s->type, "tmpfs");
    CLEANUP(fd) int target = -1;
    CLEANUP(fd) int at = -1;
    int r;

    if (s->flags & MS_REMOUNT) {
        at = mounts_reopen(m, s);
        if (at < 0 || mount(s->source, PATH_OF(at), s->type, s->flags, s->data) < 0)
            return mounts_fail(m, s, at < 0 ? at : -errno, "remount");
        return mounts_propagate(m, s, at);
    }
    if (s->flags & MS_BIND)
        return mounts_bind(m, s, m->trees[i]);
    target = mounts_target(m, s, true);
    if (target < 0)
        return mounts_fail(m, s, target, "target");
    if (!strcmp(s->type, "cgroup") || !strcmp(s->type, "cgroup2")) {
        r = m->before_groups(m->arg);
        return r < 0 ? r : mounts_cgroup(m, s, target);
    }
    r = mounts_fs(m, s, target, late);
    if (r < 0 || !mounts_needs_reopen(s, late))
        return r;
    at = mounts_reopen(m, s);
    if (at < 0)
        return mounts_fail(m, s, at, "it is gone");
    if (s->extra & NAME_MOUNT_TMPCOPYUP) {
        r = mounts_copy_tree(target, at);
        if (r < 0)
            return mounts_fail(m, s, r, "tmpcopyup");
    }
    r = mounts_propagate(m, s, at);
    if (!r && late)
        m->late[i] = take_fd(&at);
    return r;
}

/* "/dev", "/dev/", "//dev" */
static bool mounts_is_dev(const char *path)
{
    path += strspn(path, "/");
    return !strncmp(path, "dev", 3) && !path[3 + strspn(path + 3, "/")];
}

int mounts_make_all(struct mounts *m)
{
    int r = 0;

    m->dev_ours = true;
    for (unsigned i = 0; i < m->spec->mount_count && !r; i++) {
        const struct spec_mount *s = &m->spec->mounts[i];

        if (mounts_is_dev(s->destination))
            m->dev_ours = !(s->flags & MS_BIND);
        r = mounts_make(m, i);
    }
    return r;
}

int mounts_pivot(struct mounts *m)
{
    CLEANUP(fd) int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    uint64_t wanted = m->spec->propagation;
    int r = 0;

    for (unsigned i = 0; i < m->spec->mount_count && !r; i++)
        if (m->late[i] >= 0)
            r = mounts_set(m->late[i], 0, MOUNT_ATTR_RDONLY, 0, 0, -1);
    if (!r && m->spec->rootfs_readonly)
        r = mounts_set(m->root, 0, MOUNT_ATTR_RDONLY, 0, 0, -1);
    if (r < 0)
        return err_set(m->err, r, "read-only: %s", strerror(-r));
    if (old < 0 || fchdir(m->root) < 0)
        return err_set(m->err, -errno, "root file system: %s", strerror(errno));
    if (m->no_pivot) {
        if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
            return err_set(m->err, -errno, "root file system: cannot move it to /: %s",
                           strerror(errno));
    } else {
        /* Stacked on each other; the old root is then the current directory's mount. */
        if (syscall(SYS_pivot_root, ".", ".") < 0 || fchdir(old) < 0 ||
            mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0 ||
            chdir("/") < 0)
            return err_set(m->err, -errno, "root file system: pivot_root: %s", strerror(errno));
    }
    if (wanted && mount(NULL, "/", NULL, wanted, NULL) < 0)
        return err_set(m->err, -errno, "rootfsPropagation: %s", strerror(errno));
    return 0;
}
