/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls a running monitor needs. Others fail with EPERM, so that a library that tries
 * its luck does no harm to the guest; those that no honest path makes end the process, so that an
 * attack is seen (the keeper writes the signal down).
 *
 * Files: what can be opened is up to the layers before. Threads: vCPUs are started inside.
 */
#include "host/sandbox_layers.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

static const int seccomp_allowed[] = {
    /* memory */
    CALL(brk),
    CALL(madvise),
    CALL(membarrier),
    CALL(mmap),
    CALL(mremap),
    CALL(munmap),
    /* open descriptors */
    CALL(close),
    CALL(dup),
    CALL(dup2),
    CALL(fallocate),
    CALL(fcntl),
    CALL(fdatasync),
    CALL(fstat),
    CALL(fstatfs),
    CALL(fsync),
    CALL(ftruncate),
    CALL(lseek),
    CALL(pread64),
    CALL(preadv),
    CALL(preadv2),
    CALL(pwrite64),
    CALL(pwritev),
    CALL(pwritev2),
    CALL(read),
    CALL(readv),
    CALL(write),
    CALL(writev),
    CALL(memfd_create),
    CALL(pipe2),
    CALL(poll),
    CALL(io_uring_enter), /* rings that are there already and bound to their files: block/ring.h */
    CALL(ppoll),
    /* the guest's directory */
    CALL(getdents64),
    CALL(newfstatat),
    CALL(openat),
    CALL(renameat),
    CALL(renameat2),
    CALL(unlinkat),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(statx),
    /* connections that are there, and those that come */
    CALL(accept4),
    CALL(getpeername),
    CALL(getsockname),
    CALL(getsockopt),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(sendmsg),
    CALL(sendto),
    CALL(setsockopt),
    CALL(shutdown),
    /* waiting and time */
    CALL(clock_getres),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(epoll_wait),
    CALL(eventfd2),
    CALL(futex),
    CALL(gettimeofday),
    CALL(nanosleep),
    CALL(restart_syscall),
    CALL(sched_yield),
    CALL(signalfd4),
    CALL(timerfd_create),
    CALL(timerfd_gettime),
    CALL(timerfd_settime),
    /* itself */
    CALL(exit),
    CALL(exit_group),
    CALL(getegid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getpid),
    CALL(getrandom),
    CALL(getrusage),
    CALL(gettid),
    CALL(getuid),
    CALL(rseq),
    CALL(rt_sigaction),
    CALL(rt_sigpending),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(sched_getaffinity),
    CALL(sched_getparam),
    CALL(sched_getscheduler),
    CALL(set_robust_list),
    CALL(sigaltstack),
    CALL(sysinfo),
};

static const int seccomp_deadly[] = {
    CALL(execve),
    CALL(execveat),
    CALL(fork),
    CALL(vfork),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(unshare),
    CALL(setns),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(reboot),
    CALL(keyctl),
    CALL(add_key),
    CALL(request_key),
    CALL(socket),
    CALL(connect),
    CALL(bind),
    CALL(kill),
    CALL(pidfd_open),
    CALL(pidfd_getfd),
    CALL(pidfd_send_signal),
    CALL(setuid),
    CALL(setresuid),
    CALL(setreuid),
    CALL(capset),
    CALL(open_by_handle_at),
    CALL(io_uring_register),
    CALL(io_uring_setup),
};

/* With conditions on their arguments: clone, mprotect, tgkill, prctl, seccomp, ioctl. */
enum { SECCOMP_CONDITIONS = 6 };

unsigned sandbox_call_count(void)
{
    return (unsigned)ARRAY_LEN(seccomp_allowed) + SECCOMP_CONDITIONS;
}

static int seccomp_each(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; !r && i < count; i++) {
        r = seccomp_rule_add(ctx, action, calls[i], 0);
        if (r == -EDOM) /* a call this architecture never had */
            r = 0;
    }
    return r;
}

/* The kernel looks at 32 bits of a request. */
static int seccomp_ioctls(scmp_filter_ctx ctx, const uint32_t *ioctls)
{
    int r = 0;

    for (; ioctls && *ioctls && !r; ioctls++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, *ioctls));
    return r;
}

/* Calls that are fine with some arguments only. */
static int seccomp_conditions(scmp_filter_ctx ctx)
{
    int r;

    /* Threads, not processes. clone3 hides its flags from filters: libc then falls back. */
    r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    /* New code only by the mappings made for it, never by changing data's protection. */
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* Signals to our own threads: vCPU kicks, abort(). */
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(prctl), 1,
                             SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    /* A thread may shorten its own list further: sandbox_thread.h. */
    if (!r)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(seccomp), 2,
                             SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER, 0),
                             SCMP_A1(SCMP_CMP_EQ, 0, 0));
    return r;
}

int sandbox_seccomp(const struct sandbox_config *config, struct err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r;

    if (!ctx)
        return err_set(err, -ENOMEM, "seccomp: out of memory");
    r = seccomp_each(ctx, SCMP_ACT_ALLOW, seccomp_allowed, ARRAY_LEN(seccomp_allowed));
    if (!r)
        r = seccomp_each(ctx, SCMP_ACT_KILL_PROCESS, seccomp_deadly, ARRAY_LEN(seccomp_deadly));
    if (!r)
        r = seccomp_conditions(ctx);
    if (!r)
        r = seccomp_ioctls(ctx, config->ioctls);
    if (!r)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1); /* threads that are there already */
    if (!r)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    if (r == -EINVAL || r == -ENOSYS)
        return err_set(err, -EOPNOTSUPP, "seccomp: not in this kernel");
    return r < 0 ? err_set(err, r, "seccomp: %s", strerror(-r)) : 0;
}
