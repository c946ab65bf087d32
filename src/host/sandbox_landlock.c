/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock: files only below the guest's directory, no TCP, no signals and no abstract sockets to
 * the outside. Spec: Linux Documentation/userspace-api/landlock.rst, ABI 1 to 7. The structures are
 * ours because system headers are older than kernels; a kernel takes a prefix it knows by its size.
 */
#include "host/sandbox_layers.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_BLOCK = 1 << 11,
    FS_TRUNCATE = 1 << 14,
    FS_ABI1 = (1 << 13) - 1, /* execute ... make_sym */
    FS_REFER = 1 << 13,      /* ABI 2 */
    FS_IOCTL_DEV = 1 << 15,  /* ABI 5 */
    NET_BIND_TCP = 1 << 0,   /* ABI 4 */
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,
    RULE_PATH_BENEATH = 1,
    CREATE_VERSION = 1,
};

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

int sandbox_landlock_version(void)
{
    long r = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

    return r < 0 ? 0 : (int)r;
}

/* What of the handled rights a kernel of that version knows. */
static struct ruleset_attr landlock_handled(int version, size_t *ret_size)
{
    struct ruleset_attr attr = {.fs = FS_ABI1};

    attr.fs |= version >= 2 ? (uint64_t)FS_REFER : 0;
    attr.fs |= version >= 3 ? (uint64_t)FS_TRUNCATE : 0;
    attr.fs |= version >= 5 ? (uint64_t)FS_IOCTL_DEV : 0;
    attr.net = version >= 4 ? (uint64_t)NET_BIND_TCP | NET_CONNECT_TCP : 0;
    attr.scoped = version >= 6 ? (uint64_t)SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0;
    *ret_size = version >= 6 ? sizeof(attr) : version >= 4 ? 16 : 8;
    return attr;
}

/* Nothing but `allowed`, and that only below a directory. */
static int landlock_beneath(int dir_fd, uint64_t allowed, struct err *err)
{
    int version = sandbox_landlock_version();
    size_t size;
    struct ruleset_attr attr = landlock_handled(version, &size);
    struct path_beneath_attr rule = {.allowed = allowed & attr.fs, .parent_fd = dir_fd};
    CLEANUP(fd) int fd = -1;

    if (!version)
        return err_set(err, -EOPNOTSUPP, "landlock: not in this kernel, or not switched on");
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0 || syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_set(err, -errno, "landlock: %s", strerror(errno));
    /* Without root's rights it wants no_new_privs first; that is on, except when tried alone. */
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return err_set(err, -errno, "landlock: %s", strerror(errno));
    return 0;
}

int sandbox_landlock(const struct sandbox_config *config, struct err *err)
{
    return landlock_beneath(config->dir_fd,
                            FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_FILE |
                                FS_MAKE_REG | FS_TRUNCATE,
                            err);
}

int sandbox_landlock_tree(int dir_fd, bool read_only, struct err *err)
{
    const uint64_t refused = FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_IOCTL_DEV;
    const uint64_t all = (FS_ABI1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV) & ~refused;

    return landlock_beneath(dir_fd, read_only ? FS_READ_FILE | FS_READ_DIR : all, err);
}

int sandbox_landlock_files(const char *const *files, struct err *err)
{
    int version = sandbox_landlock_version();
    size_t size;
    struct ruleset_attr attr = landlock_handled(version, &size);
    CLEANUP(fd) int fd = -1;

    if (!version)
        return err_set(err, -EOPNOTSUPP, "landlock: not in this kernel, or not switched on");
    attr.net = 0;
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0)
        return err_set(err, -errno, "landlock: %s", strerror(errno));
    for (; files && *files; files++) {
        CLEANUP(fd) int file = open(*files, O_PATH | O_CLOEXEC);
        struct path_beneath_attr rule = {.allowed = FS_READ_FILE, .parent_fd = file};

        if (file >= 0 && syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &rule, 0) < 0)
            return err_set(err, -errno, "landlock: %s: %s", *files, strerror(errno));
    }
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return err_set(err, -errno, "landlock: %s", strerror(errno));
    return 0;
}
