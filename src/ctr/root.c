/* SPDX-License-Identifier: Apache-2.0 */
/* Roots of containers. Contract: ctr/root.h. Linux Documentation/filesystems/overlayfs.rst. */
#include "ctr/root.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include "host/dirs.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOP_TRIES = 16, SUPER_AT = 1024, EXT4_MAGIC_AT = 56, EXT4_MAGIC = 0xef53 };

#define EROFS_MAGIC 0xe0f5e1e2u

struct ctr_layer {
    struct ctr_layer *next;
    dev_t dev;
    ino_t ino;
    unsigned number, users;
};

int ctr_layers_init(struct ctr_layers *all, bool own_user, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    int r = dirs_get_sub(DIRS_RUN, "containers/layers", &path, err);

    *all = (struct ctr_layers){.dir_fd = -1, .own_user = own_user};
    if (r < 0)
        return r;
    all->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return all->dir_fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
}

bool ctr_root_has_erofs(void)
{
    CLEANUP(fd) int fd = geteuid() ? -1 : fsopen("erofs", FSOPEN_CLOEXEC);

    return fd >= 0;
}

/* --- one layer --- */

/* Before Linux 6.12 EROFS wants a block device. It goes with its last user. */
static int layer_loop(const char *path, char device[32])
{
    CLEANUP(fd) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    CLEANUP(fd) int file = open(path, O_RDONLY | O_CLOEXEC);
    struct loop_config config = {.fd = (uint32_t)file,
                                 .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR};

    if (control < 0 || file < 0)
        return -errno;
    for (unsigned i = 0; i < LOOP_TRIES; i++) { /* another may take the free one first */
        int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

        if (number < 0)
            return -errno;
        (void)snprintf(device, 32, "/dev/loop%d", number);
        fd = open(device, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
            return fd; /* kept open until it is mounted */
        close(fd);
        if (errno != EBUSY)
            return -errno;
    }
    return -EBUSY;
}

/* A disk of a recipe of ours is ext4; everything else that comes here is EROFS, made by us too. */
static bool layer_is_disk(const char *path)
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t super[EXT4_MAGIC_AT + 2];

    return fd >= 0 && pread(fd, super, sizeof(super), SUPER_AT) == sizeof(super) &&
           ld_le32(super) != EROFS_MAGIC && ld_le16(super + EXT4_MAGIC_AT) == EXT4_MAGIC;
}

static int layer_mount_source(const char *type, const char *source, int to)
{
    CLEANUP(fd) int fs = fsopen(type, FSOPEN_CLOEXEC);
    CLEANUP(fd) int mounted = -1;

    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
        (!strcmp(type, "ext4") && fsconfig(fs, FSCONFIG_SET_FLAG, "norecovery", NULL, 0) < 0) ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    mounted = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
    if (mounted < 0 ||
        move_mount(mounted, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

static int layer_mount(const char *path, int to)
{
    bool disk = layer_is_disk(path);
    int r = disk ? -ENOTBLK : layer_mount_source("erofs", path, to), loop;
    char device[32];

    if (r != -ENOTBLK)
        return r;
    loop = layer_loop(path, device);
    if (loop < 0)
        return loop;
    r = layer_mount_source(disk ? "ext4" : "erofs", device, to);
    close(loop);
    return r;
}

static unsigned layer_free_number(const struct ctr_layers *all)
{
    unsigned number = 1;

    for (const struct ctr_layer *l = all->list; l; l = l->next)
        number = l->number >= number ? l->number + 1 : number;
    return number;
}

static int layer_new(struct ctr_layers *all, const char *path, const struct stat *st,
                     struct ctr_layer **ret)
{
    struct ctr_layer *layer = calloc(1, sizeof(*layer));
    CLEANUP(fd) int to = -1;
    char name[16];
    int r;

    if (!layer)
        return -ENOMEM;
    *layer =
        (struct ctr_layer){.dev = st->st_dev, .ino = st->st_ino, .number = layer_free_number(all)};
    (void)snprintf(name, sizeof(name), "%u", layer->number);
    if (mkdirat(all->dir_fd, name, 0755) < 0 && errno != EEXIST)
        r = -errno;
    else
        r = (to = openat(all->dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0
                ? -errno
                : layer_mount(path, to);
    if (r < 0) {
        free(layer);
        return r;
    }
    layer->next = all->list;
    all->list = layer;
    *ret = layer;
    return 0;
}

static int layer_hold(struct ctr_layers *all, const char *path, struct ctr_layer **ret)
{
    struct ctr_layer *layer = all->list;
    struct stat st;
    int r = 0;

    if (stat(path, &st) < 0)
        return -errno;
    while (layer && (layer->dev != st.st_dev || layer->ino != st.st_ino))
        layer = layer->next;
    if (!layer)
        r = layer_new(all, path, &st, &layer);
    if (r < 0)
        return r;
    layer->users++;
    *ret = layer;
    return 0;
}

static void layer_release(struct ctr_layers *all, struct ctr_layer *layer)
{
    struct ctr_layer **link = &all->list;
    char path[64];

    if (--layer->users)
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%u", all->dir_fd, layer->number);
    (void)umount2(path, MNT_DETACH);
    (void)rmdir(path);
    while (*link != layer)
        link = &(*link)->next;
    *link = layer->next;
    free(layer);
}

static void root_release(struct ctr_layers *all, struct ctr_root *root)
{
    while (root->count)
        layer_release(all, root->layer[--root->count]);
}

/* --- the overlay --- */

/* Lowest first in the configuration, highest first for overlayfs. Numbers keep it short, whatever
 * the paths are. */
static int root_lower(struct ctr_layers *all, const struct guest *guest,
                      const struct vm_config *config, struct ctr_root *root, char *lower,
                      size_t size, struct err *err)
{
    size_t at = 0;

    for (unsigned i = 0; config->layers && config->layers[i]; i++) {
        int r = i < CTR_LAYERS_MAX ? layer_hold(all, config->layers[i], &root->layer[i]) : -E2BIG;

        if (r < 0)
            return err_set(err, r, "guest '%s': layer %u of its image cannot be mounted: %s",
                           guest->name, i + 1, strerror(-r));
        root->count = i + 1;
    }
    for (unsigned i = root->count; i-- > 0;)
        at +=
            (size_t)snprintf(lower + at, size - at, "%s%u", at ? ":" : "", root->layer[i]->number);
    return 0;
}

static int root_own_dir(const struct guest *guest, const char *name, mode_t mode)
{
    int fd;

    if (mkdirat(guest->dir_fd, name, mode) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(guest->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && !strcmp(name, "upper"))
        (void)fchmod(fd, mode); /* it is the root that everybody in there sees; umask is 077 */
    return fd < 0 ? -errno : fd;
}

static int root_failed(const struct guest *guest, int fs, int code, struct err *err)
{
    char said[200];
    ssize_t n = fs < 0 ? -1 : read(fs, said, sizeof(said) - 1);

    said[n > 2 ? n - (said[n - 1] == '\n') : 0] = '\0';
    return err_set(err, -code, "guest '%s': its root cannot be mounted as overlay: %s%s%s",
                   guest->name, strerror(code), *said ? ": " : "", *said ? said + 2 : "");
}

static int root_overlay(const struct ctr_layers *all, const struct guest *guest, const char *lower,
                        const char *target, struct err *err)
{
    CLEANUP(fd) int upper = root_own_dir(guest, "upper", 0755);
    CLEANUP(fd) int work = root_own_dir(guest, "work", 0700);
    CLEANUP(fd) int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    CLEANUP(fd) int mounted = -1;
    char upper_path[32], work_path[32];

    if (upper < 0 || work < 0)
        return root_failed(guest, -1, upper < 0 ? -upper : -work, err);
    (void)snprintf(upper_path, sizeof(upper_path), "/proc/self/fd/%d", upper);
    (void)snprintf(work_path, sizeof(work_path), "/proc/self/fd/%d", work);
    if (fs < 0 || fchdir(all->dir_fd) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "source", "posada", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lower, 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper_path, 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work_path, 0) < 0 ||
        (all->own_user && fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0) ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return root_failed(guest, fs, errno, err);
    mounted = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    if (mounted < 0 || move_mount(mounted, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return root_failed(guest, fs, errno, err);
    return 0;
}

int ctr_root_mount(struct ctr_layers *all, const struct guest *guest,
                   const struct vm_config *config, const char *target, struct ctr_root *ret,
                   struct err *err)
{
    char lower[CTR_LAYERS_MAX * 12 + PATH_MAX] = "";
    struct ctr_root root = {.count = 0};
    int r = 0;

    if (config->tree && strpbrk(config->tree, ":\\"))
        r = err_set(err, -EINVAL, "%s: overlayfs takes no ':' in a path", config->tree);
    else if (config->tree)
        (void)snprintf(lower, sizeof(lower), "%s", config->tree);
    else
        r = root_lower(all, guest, config, &root, lower, sizeof(lower), err);
    if (!r)
        r = root_overlay(all, guest, lower, target, err);
    (void)!chdir("/");
    if (r < 0) {
        root_release(all, &root);
        return r;
    }
    root.mounted = true;
    *ret = root;
    return 0;
}

int ctr_root_unmount(struct ctr_layers *all, struct ctr_root *root, const char *target)
{
    if (root->mounted && umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
        return -errno;
    root->mounted = false;
    root_release(all, root);
    return 0;
}
