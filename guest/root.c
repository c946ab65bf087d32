/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roots on disks. The file systems init has mounted move along; what was started before (the DHCP
 * client) stays in the initramfs, whose /etc/resolv.conf is shown in a root without an init of its
 * own, so that a new lease reaches it.
 */
#include "root.h"

#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#define ROOT_IMAGE   "/image"
#define ROOT_CHANGES "/changes"
#define ROOT_RESIZE  _IOW('f', 16, uint64_t) /* EXT4_IOC_RESIZE_FS, fs/ext4/ext4.h */

enum { DEVICE_WAIT_MS = 3000 };

enum root_kind root_kind(void)
{
    char kind[32];

    if (!setup_option("posada.root", kind, sizeof(kind)))
        return ROOT_MEMORY;
    return strcmp(kind, "overlay") == 0 ? ROOT_OVERLAY : ROOT_DISK;
}

static bool root_fail(const char *what)
{
    (void)fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
    return false;
}

static void root_await(const char *device)
{
    const struct timespec step = {0, 5000000};

    for (int ms = 0; ms < DEVICE_WAIT_MS && access(device, F_OK) < 0; ms += 5)
        (void)nanosleep(&step, NULL);
}

/* An ext4 file system smaller than its disk takes the rest of it. */
static void root_grow(const char *device, const char *where)
{
    int disk = open(device, O_RDONLY | O_CLOEXEC);
    int dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t bytes = 0, blocks;
    struct statfs fs;

    if (disk >= 0 && dir >= 0 && ioctl(disk, BLKGETSIZE64, &bytes) == 0 && fstatfs(dir, &fs) == 0 &&
        fs.f_bsize > 0) {
        blocks = bytes / (uint64_t)fs.f_bsize;
        /* f_blocks leaves out the file system's own overhead: an eighth more is surely new. */
        if (blocks - blocks / 8 > (uint64_t)fs.f_blocks && ioctl(dir, ROOT_RESIZE, &blocks) < 0)
            (void)root_fail("the disk's file system cannot grow");
    }
    if (disk >= 0)
        (void)close(disk);
    if (dir >= 0)
        (void)close(dir);
}

static bool root_mount_disk(const char *device, const char *where)
{
    root_await(device);
    (void)mkdir(where, 0755);
    if (mount(device, where, "ext4", MS_NOATIME, NULL) < 0)
        return root_fail(device);
    root_grow(device, where);
    return true;
}

static bool root_mount_overlay(void)
{
    root_await("/dev/vda");
    (void)mkdir(ROOT_IMAGE, 0755);
    (void)mkdir(ROOT_CHANGES, 0755);
    if (mount("/dev/vda", ROOT_IMAGE, "erofs", MS_RDONLY | MS_NOATIME, NULL) < 0)
        return root_fail("/dev/vda");
    if (access("/dev/vdb", F_OK) == 0) {
        if (!root_mount_disk("/dev/vdb", ROOT_CHANGES))
            return false;
    } else if (mount("changes", ROOT_CHANGES, "tmpfs", 0, "mode=0755") < 0) {
        return root_fail(ROOT_CHANGES);
    }
    (void)mkdir(ROOT_CHANGES "/upper", 0755);
    (void)mkdir(ROOT_CHANGES "/work", 0755);
    if (mount("root", ROOT_MOUNT, "overlay", MS_NOATIME,
              "lowerdir=" ROOT_IMAGE ",upperdir=" ROOT_CHANGES "/upper,workdir=" ROOT_CHANGES
              "/work") < 0)
        return root_fail("the image's overlay");
    return true;
}

/* --- names --- */

static void root_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return;
    (void)!write(fd, text, strlen(text));
    (void)close(fd);
}

/* The guest's name, where programs of the root look for it. The user's own word stands: only the
 * image's name, or none, is replaced. */
static void root_name(bool whole)
{
    char name[65] = "", have[80] = "", text[300];
    int fd;

    if (!setup_option("posada.hostname", name, sizeof(name)))
        return;
    fd = open(ROOT_MOUNT "/etc/hostname", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        (void)!read(fd, have, sizeof(have) - 1);
        (void)close(fd);
    }
    have[strcspn(have, "\n")] = '\0';
    if (*have && strcmp(have, "posada") != 0)
        return;
    (void)snprintf(text, sizeof(text), "%s\n", name);
    root_write(ROOT_MOUNT "/etc/hostname", text);
    (void)snprintf(text, sizeof(text),
                   "127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\t\tlocalhost ip6-localhost\n", name);
    if (whole || access(ROOT_MOUNT "/etc/hosts", F_OK) < 0)
        root_write(ROOT_MOUNT "/etc/hosts", text);
}

bool root_mount(enum root_kind kind)
{
    (void)mkdir(ROOT_MOUNT, 0755);
    if (!(kind == ROOT_DISK ? root_mount_disk("/dev/vda", ROOT_MOUNT) : root_mount_overlay()))
        return false;
    (void)mkdir(ROOT_MOUNT "/etc", 0755);
    root_name(kind == ROOT_DISK);
    return true;
}

/* --- entering --- */

/* In a root without an init of its own nobody else asks for an address. */
static void root_share_resolver(void)
{
    const char *path = ROOT_MOUNT "/etc/resolv.conf";
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0) /* a link to nowhere, most likely */
        return;
    (void)close(fd);
    fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0)
        (void)close(fd);
    (void)mount("/etc/resolv.conf", path, NULL, MS_BIND, NULL);
}

static bool root_has_init(const char *root)
{
    char path[64];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/sbin/init", root);
    return lstat(path, &st) == 0;
}

bool root_enter(void)
{
    static const char *const move[] = {"/dev", "/proc", "/sys", "/run"};
    char to[64];

    if (root_kind() == ROOT_OVERLAY || !root_has_init(ROOT_MOUNT))
        root_share_resolver();
    for (size_t i = 0; i < sizeof(move) / sizeof(move[0]); i++) {
        (void)snprintf(to, sizeof(to), ROOT_MOUNT "%s", move[i]);
        (void)mkdir(to, 0755);
        if (mount(move[i], to, NULL, MS_MOVE, NULL) < 0)
            return root_fail(to);
    }
    (void)mkdir(ROOT_MOUNT "/tmp", 01777);
    if (chdir(ROOT_MOUNT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
        return root_fail("cannot enter the root");
    return true;
}

void root_hand_over(void)
{
    char *const env[] = {"HOME=/", "TERM=vt220", NULL};

    if (!root_has_init(""))
        return;
    (void)execle("/sbin/init", "/sbin/init", (char *)NULL, env);
    (void)root_fail("/sbin/init");
}
