/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory as the whole world. Contract: host/sandbox_tree.h.
 *
 * The directory (with what is mounted below it) is cloned as a mount of its own, made harmless, put
 * where it was and made the root; the old root goes. /proc/self/fd is cloned before, and hangs
 * nowhere: it leads to our own descriptors and to no other file of /proc.
 */
#include "host/sandbox_tree.h"

#include "base/cleanup.h"
#include "host/sandbox_layers.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CALL(name) SCMP_SYS(name)

enum { DESCRIPTORS = 1 << 20, DESCRIPTORS_LEAST = 1024 };
enum { MNT_DETACH_FLAG = 2, AT_RECURSIVE_FLAG = 0x8000 };

static int tree_failed(const struct sandbox_tree *config, const char *what, struct err *err)
{
    return err_set(err, -errno, "%s: %s: %s", config->name, what, strerror(errno));
}

/* --- The mount --- */
static int tree_clone(int dir_fd, bool read_only)
{
    const struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                MOUNT_ATTR_NOEXEC |
                                                (read_only ? (uint64_t)MOUNT_ATTR_RDONLY : 0),
                                    .propagation = 1 << 18 /* MS_PRIVATE */};
    CLEANUP(fd)
    int fd = (int)syscall(SYS_open_tree, dir_fd, "",
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE_FLAG);

    if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE_FLAG, &attr,
                          sizeof(attr)) < 0)
        return -1;
    return take_fd(&fd);
}

static int tree_pivot(const struct sandbox_tree *config, struct sandbox_tree_fds *fds,
                      struct err *err)
{
    CLEANUP(fd)
    int proc =
        (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    CLEANUP(fd) int tree = tree_clone(fds->root, config->read_only);

    if (proc < 0 || tree < 0)
        return tree_failed(config, "cannot clone its mount", err);
    if (syscall(SYS_move_mount, tree, "", fds->root, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ||
        fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        syscall(SYS_umount2, ".", MNT_DETACH_FLAG) < 0 || chdir("/") < 0)
        return tree_failed(config, "cannot make it the root", err);
    close(fds->root);
    close(fds->proc);
    fds->proc = take_fd(&proc);
    fds->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fds->root < 0 ? tree_failed(config, "cannot open it again", err) : 0;
}

/* --- Rights --- */
static int tree_capabilities(const struct sandbox_tree *config, uint32_t kept, struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = kept, .permitted = kept}};

    return syscall(SYS_capset, &header, caps) < 0 ? tree_failed(config, "capabilities", err) : 0;
}

/* Without CAP_FSETID a write takes set-user-ID from a file; without CAP_MKNOD there are no devices;
 * CAP_DAC_READ_SEARCH would open files by their handles. */
static int tree_user(const struct sandbox_tree *config, bool root, struct err *err)
{
    const uint32_t few = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER |
                         1u << CAP_SETGID | 1u << CAP_SETUID;

    if (root && setgroups(0, NULL) < 0)
        return tree_failed(config, "groups", err);
    if (root && config->become &&
        (setresgid(config->gid, config->gid, config->gid) < 0 ||
         setresuid(config->uid, config->uid, config->uid) < 0))
        return tree_failed(config, "its user", err);
    return tree_capabilities(config, root && !config->become ? few : 0, err);
}

/* A descriptor a file the guest knows: as many as may be. */
static unsigned tree_limits(void)
{
    const struct rlimit none = {0, 0};
    struct rlimit files = {DESCRIPTORS, DESCRIPTORS};

    (void)setrlimit(RLIMIT_CORE, &none);
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return DESCRIPTORS_LEAST;
    files.rlim_cur = files.rlim_max < DESCRIPTORS ? files.rlim_max : DESCRIPTORS;
    return setrlimit(RLIMIT_NOFILE, &files) == 0 ? (unsigned)files.rlim_cur : DESCRIPTORS_LEAST;
}

/* --- System calls --- */
static const int tree_calls[] = {
    /* files */
    CALL(openat),
    CALL(openat2),
    CALL(close),
    CALL(dup),
    CALL(fcntl),
    CALL(fstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(fstatfs),
    CALL(lseek),
    CALL(getdents64),
    CALL(readlinkat),
    CALL(read),
    CALL(readv),
    CALL(pread64),
    CALL(preadv),
    CALL(preadv2),
    CALL(write),
    CALL(writev),
    CALL(pwrite64),
    CALL(pwritev),
    CALL(pwritev2),
    CALL(fsync),
    CALL(fdatasync),
    CALL(syncfs),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(copy_file_range),
    CALL(mkdirat),
    CALL(symlinkat),
    CALL(linkat),
    CALL(unlinkat),
    CALL(renameat2),
    CALL(fchownat),
    CALL(utimensat),
    CALL(fgetxattr),
    CALL(fsetxattr),
    CALL(flistxattr),
    CALL(fremovexattr),
    CALL(setfsuid),
    CALL(setfsgid),
    CALL(capget),
    CALL(capset),
    CALL(geteuid),
    CALL(getegid),
    /* the link, threads, memory, time */
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(sendto),
    CALL(sendmsg),
    CALL(shutdown),
    CALL(poll),
    CALL(ppoll),
    CALL(brk),
    CALL(mmap),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    CALL(futex),
    CALL(rseq),
    CALL(set_robust_list),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(gettimeofday),
    CALL(getrandom),
    CALL(getpid),
    CALL(gettid),
    CALL(exit),
    CALL(exit_group),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(restart_syscall),
    CALL(sigaltstack),
};

static int tree_rule(scmp_filter_ctx ctx, int call, unsigned argument, uint64_t mask,
                     uint64_t value)
{
    const struct scmp_arg_cmp cmp = {argument, SCMP_CMP_MASKED_EQ, mask, value};

    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 1, &cmp);
}

static int tree_conditions(scmp_filter_ctx ctx)
{
    /* Threads, not processes; data, not code; pipes and sockets, not devices; no set-user-ID. */
    int r = tree_rule(ctx, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);

    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    if (!r)
        r = tree_rule(ctx, CALL(mprotect), 2, PROT_EXEC, 0);
    if (!r)
        r = tree_rule(ctx, CALL(mknodat), 2, S_IFMT, S_IFIFO);
    if (!r)
        r = tree_rule(ctx, CALL(mknodat), 2, S_IFMT, S_IFSOCK);
    if (!r)
        r = tree_rule(ctx, CALL(fchmodat), 2, S_ISUID, 0);
    if (!r)
        r = tree_rule(ctx, CALL(prctl), 0, UINT32_MAX, PR_SET_NAME);
    return r;
}

static int tree_seccomp(const struct sandbox_tree *config, struct err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = ctx ? 0 : -ENOMEM;

    for (size_t i = 0; !r && i < ARRAY_LEN(tree_calls); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, tree_calls[i], 0);
    if (!r)
        r = tree_conditions(ctx);
    if (!r)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    if (r == -EINVAL || r == -ENOSYS)
        return 0;
    return r < 0 ? err_set(err, r, "%s: seccomp: %s", config->name, strerror(-r)) : 0;
}

/* --- All --- */
static int tree_open(const struct sandbox_tree *config, struct sandbox_tree_fds *fds,
                     struct err *err)
{
    fds->root = open(config->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fds->root < 0)
        return tree_failed(config, "cannot be opened", err);
    fds->proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fds->proc < 0 ? tree_failed(config, "/proc", err) : 0;
}

int sandbox_enter_tree(const struct sandbox_tree *config, struct sandbox_tree_fds *ret_fds,
                       struct err *err)
{
    struct sandbox_tree_fds fds = {.root = -1, .proc = -1};
    bool root = geteuid() == 0; /* asked before a user namespace makes us look like it */
    bool apart;
    int r;

    fds.limit = tree_limits();
    r = sandbox_unshare(err);
    apart = !r;
    if (r < 0 && r != -EOPNOTSUPP)
        return r;
    r = tree_open(config, &fds, err); /* in the mount namespace it is to be cloned in */
    if (!r && apart)
        r = tree_pivot(config, &fds, err);
    if (!r)
        r = tree_user(config, root, err);
    if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = tree_failed(config, "no_new_privs", err);
    if (!r)
        r = sandbox_landlock_tree(fds.root, config->read_only, err);
    if (r == -EOPNOTSUPP)
        r = 0;
    if (!r)
        r = tree_seccomp(config, err);
    if (!r)
        *ret_fds = fds;
    return r;
}
