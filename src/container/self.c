/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's own executable. Contract: container/self.h. */
#include "container/self.h"

#include "base/cleanup.h"
#include "container/mounts.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { SELF_SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

extern char **environ;

/* An ordinary user's container has his and his subordinate ids: a file of root's that he may not
 * write is out of its reach already. */
static bool self_is_foreign(int exe)
{
    struct stat st;

    return geteuid() != 0 && fstat(exe, &st) == 0 && st.st_uid == 0 && st.st_gid == 0 &&
           !(st.st_mode & (S_IWOTH | S_IWGRP));
}

static bool self_is_safe(int exe)
{
    struct statfs fs;
    int seals = fcntl(exe, F_GET_SEALS);

    if (seals >= 0 && (seals & SELF_SEALS) == SELF_SEALS)
        return true;
    if (fstatfs(exe, &fs) == 0 && fs.f_flags & 1 /* ST_RDONLY */)
        return true;
    return self_is_foreign(exe);
}

static int self_mount(int exe)
{
    int tree = mounts_clone(exe, "", AT_EMPTY_PATH);
    int r = tree < 0
                ? tree
                : mounts_set(tree, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, MS_PRIVATE, -1);

    if (r < 0 && tree >= 0)
        close(tree);
    return r < 0 ? r : tree;
}

static int self_copy(int exe)
{
    CLEANUP(fd) int copy = memfd_create("posada-oci", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat st;
    off_t done = 0;

    if (copy < 0 || fstat(exe, &st) < 0)
        return -errno;
    while (done < st.st_size)
        if (sendfile(copy, exe, &done, (size_t)(st.st_size - done)) <= 0)
            return errno ? -errno : -EIO;
    if (fcntl(copy, F_ADD_SEALS, SELF_SEALS) < 0)
        return -errno;
    return take_fd(&copy);
}

int self_protect(char *const *argv, struct err *err)
{
    CLEANUP(fd) int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int fd;

    if (exe < 0)
        return err_set(err, -errno, "/proc/self/exe: %s", strerror(errno));
    if (self_is_safe(exe))
        return 0;
    fd = self_mount(exe);
    if (fd < 0)
        fd = self_copy(exe);
    if (fd < 0)
        return err_set(err, fd, "the runtime cannot protect its executable: %s", strerror(-fd));
    syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
    return err_set(err, -errno, "the runtime cannot execute itself: %s", strerror(errno));
}
