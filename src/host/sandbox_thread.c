/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists are compiled while memory and files may still be had and installed by a bare
 * seccomp(2). What a vCPU does beside KVM's ioctls: devices, on its thread - rings of disks,
 * messages of networks and shares, timers, watches of the loop - and malloc(). What it leaves to
 * others: opening and renaming files (logs turn over on the loop), new threads, disk files.
 * Not on the list because they are never reached, or because the caller has another way when they
 * fail: brk and mremap (malloc maps instead), gettid, getpid and rt_sigprocmask (the engine has
 * asked before: engine_ops.begin).
 */
#include "host/sandbox_thread.h"
#include "base/bits.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

static const int thread_vcpu[] = {
    CALL(clock_gettime), /* where the vDSO has no clock */
    CALL(close),         /* connections */
    CALL(epoll_ctl),      CALL(exit),
    CALL(futex),          CALL(getrandom),
    CALL(io_uring_enter), CALL(madvise),
    CALL(munmap),         CALL(preadv2), /* of what the page cache has */
    CALL(pwritev2),       CALL(readv),
    CALL(recvfrom),       CALL(rt_sigreturn),
    CALL(sendmsg),        CALL(sendto),
    CALL(shutdown),       CALL(timerfd_settime),
    CALL(write),          CALL(writev),
};

static const int thread_worker[] = {
    CALL(clock_gettime),   CALL(close),  CALL(epoll_ctl),      CALL(exit),      CALL(fallocate),
    CALL(fdatasync),       CALL(fstat),  CALL(fsync),          CALL(ftruncate), CALL(futex),
    CALL(io_uring_enter),  CALL(lseek),  CALL(madvise),        CALL(munmap),    CALL(newfstatat),
    CALL(pread64),         CALL(preadv), CALL(preadv2),        CALL(pwrite64),  CALL(pwritev),
    CALL(pwritev2),        CALL(read),   CALL(rt_sigprocmask), CALL(sendto),    CALL(write),
    CALL(timerfd_settime), CALL(writev),
};

static const struct {
    const int *calls;
    unsigned count;
} thread_lists[SANDBOX_THREADS] = {
    [SANDBOX_VCPU] = {thread_vcpu, ARRAY_LEN(thread_vcpu)},
    [SANDBOX_WORKER] = {thread_worker, ARRAY_LEN(thread_worker)},
};

/* With conditions: ioctl, mmap, mprotect, tgkill. */
enum { THREAD_CONDITIONS = 4, FILTER_MAX = 4096 };

static struct sock_fprog thread_filter[SANDBOX_THREADS];

unsigned sandbox_thread_call_count(enum sandbox_thread kind)
{
    return thread_lists[kind].count + THREAD_CONDITIONS;
}

static int thread_conditions(scmp_filter_ctx ctx, const uint32_t *ioctls)
{
    int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));

    if (!r) /* no code */
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    for (; ioctls && *ioctls && !r; ioctls++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, *ioctls));
    return r;
}

/* The compiled filter of ctx, by way of a file in memory. */
static int thread_export(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
    int fd = memfd_create("seccomp", MFD_CLOEXEC), r = fd < 0 ? -errno : 0;
    struct sock_filter *code = NULL;
    off_t len = 0;

    if (!r)
        r = seccomp_export_bpf(ctx, fd);
    if (!r)
        len = lseek(fd, 0, SEEK_END);
    if (!r && (len <= 0 || len > FILTER_MAX * (off_t)sizeof(*code)))
        r = -E2BIG;
    if (!r && !(code = malloc((size_t)len)))
        r = -ENOMEM;
    if (!r && pread(fd, code, (size_t)len, 0) != len)
        r = -EIO;
    if (fd >= 0)
        close(fd);
    if (r) {
        free(code);
        return r;
    }
    *ret =
        (struct sock_fprog){.len = (unsigned short)((size_t)len / sizeof(*code)), .filter = code};
    return 0;
}

static int thread_make(enum sandbox_thread kind, const uint32_t *ioctls)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = ctx ? 0 : -ENOMEM;

    for (unsigned i = 0; i < thread_lists[kind].count && !r; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, thread_lists[kind].calls[i], 0);
    if (!r)
        r = thread_conditions(ctx, ioctls);
    if (!r)
        r = thread_export(ctx, &thread_filter[kind]);
    seccomp_release(ctx);
    return r;
}

int sandbox_prepare_threads(const uint32_t *ioctls, struct err *err)
{
    for (unsigned i = 0; i < SANDBOX_THREADS; i++) {
        int r = thread_make((enum sandbox_thread)i, ioctls);

        if (r)
            return err_set(err, r, "seccomp: no lists for threads: %s", strerror(-r));
    }
    return 0;
}

int sandbox_enter_thread(enum sandbox_thread kind)
{
    if (!thread_filter[kind].len)
        return 0;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &thread_filter[kind]) ? -errno : 0;
}
