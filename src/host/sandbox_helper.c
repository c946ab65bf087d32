/* SPDX-License-Identifier: Apache-2.0 */
/* The box of helper processes: own user, no_new_privs, Landlock, a short list of system calls. */
#include "host/sandbox_helper.h"

#include "host/sandbox_layers.h"
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

enum { HELPER_UID_BASE = 0x71000000 }; /* beside the guests' (sandbox_namespaces.c) */

static const int helper_calls[] = {
    CALL(brk),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(close),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(epoll_wait),
    CALL(exit),
    CALL(exit_group),
    CALL(fcntl),
    CALL(fstat),
    CALL(futex),
    CALL(getpid),
    CALL(getrandom),
    CALL(gettid),
    CALL(gettimeofday),
    CALL(lseek),
    CALL(madvise),
    CALL(mmap),
    CALL(mremap),
    CALL(munmap),
    CALL(nanosleep),
    CALL(poll),
    CALL(ppoll),
    CALL(read),
    CALL(readv),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(restart_syscall),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sendmsg),
    CALL(sendto),
    CALL(shutdown),
    CALL(write),
    CALL(writev),
};

static const int helper_internet[] = {
    CALL(accept),      CALL(accept4),    CALL(connect), CALL(getpeername),
    CALL(getsockname), CALL(getsockopt), CALL(ioctl), /* FIONREAD */
    CALL(newfstatat),  CALL(openat),                  /* what Landlock leaves: the files named */
    CALL(setsockopt),  CALL(statx),
};

static const int helper_listens[] = {CALL(bind), CALL(listen)};

static const int helper_writes[] = {
    CALL(fallocate), CALL(fsync), CALL(ftruncate), CALL(pread64), CALL(pwrite64),
};

/* In a user namespace there may be no such user. */
static int helper_user(const struct sandbox_helper *config, struct err *err)
{
    uid_t uid = HELPER_UID_BASE + (uid_t)(strtoul(config->uuid, NULL, 16) & 0xffffff);

    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_set(err, errno == EINVAL || errno == EPERM ? -EOPNOTSUPP : -errno,
                       "own user: %s", strerror(errno));
    return 0;
}

static int helper_root(const struct sandbox_helper *config, struct err *err)
{
    const char *dir = config->connects_in;
    int r = sandbox_root(dir, err);

    if (r == -EOPNOTSUPP && chdir(dir) < 0)
        return err_set(err, -errno, "%s: %s", dir, strerror(errno));
    return r;
}

static int helper_allow(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; !r && i < count; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

static int helper_allow_internet(scmp_filter_ctx ctx)
{
    int r = helper_allow(ctx, helper_internet, ARRAY_LEN(helper_internet));

    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_INET, 0));
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_INET6, 0));
    return r;
}

static int helper_seccomp(const struct sandbox_helper *config, struct err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = ctx ? helper_allow(ctx, helper_calls, ARRAY_LEN(helper_calls)) : -ENOMEM;

    if (!r && config->writes_files)
        r = helper_allow(ctx, helper_writes, ARRAY_LEN(helper_writes));
    if (!r && config->internet)
        r = helper_allow_internet(ctx);
    if (!r && config->listens)
        r = helper_allow(ctx, helper_listens, ARRAY_LEN(helper_listens));
    if (!r && config->accepts_local)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(accept4), 0);
    if (!r && config->accepts_local)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(unlinkat), 0);
    if (!r && config->connects_in)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    if (!r && config->connects_in)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(connect), 0);
    if (!r)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    if (r == -EINVAL || r == -ENOSYS)
        return err_set(err, -EOPNOTSUPP, "seccomp: not in this kernel");
    return r < 0 ? err_set(err, r, "seccomp: %s", strerror(-r)) : 0;
}

static int helper_no_rights(const struct sandbox_helper *config, struct err *err)
{
    int r = sandbox_no_capabilities(NULL, err);

    if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = err_set(err, -errno, "no_new_privs: %s", strerror(errno));
    return r;
}

static int helper_landlock(const struct sandbox_helper *config, struct err *err)
{
    return config->accepts_local ? 0 : sandbox_landlock_files(config->files, err);
}

int sandbox_enter_helper(const struct sandbox_helper *config, struct sandbox_missing *ret_missing,
                         struct err *err)
{
    int (*const layers[])(const struct sandbox_helper *,
                          struct err *) = {config->connects_in ? helper_root : helper_user,
                                           helper_no_rights, helper_landlock, helper_seccomp};
    const struct rlimit none = {0, 0};

    *ret_missing = (struct sandbox_missing){{0}};
    (void)setrlimit(RLIMIT_CORE, &none);
    if (!config->writes_files) {
        (void)setrlimit(RLIMIT_FSIZE, &none);
        (void)signal(SIGXFSZ, SIG_IGN); /* a line for a log that is a file is lost, no more */
    }
    for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
        struct err why = {0};
        int r = layers[i](config, &why);

        if (r == -EOPNOTSUPP)
            sandbox_miss(ret_missing, why.text);
        else if (r < 0)
            return err_set(err, r, "%s: %s", config->name, why.text);
    }
    return 0;
}
