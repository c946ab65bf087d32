/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes which system call; contract: sandbox_calls.h. Everything that can be done before is: by
 * then descriptors are open, signals have their handlers, rings their files, translated code its
 * memory. The threads of engines that translate make the same calls as those of KVM, and
 * ftruncate() for perf's map.
 *
 * None of them waits with a limit of its own (poll, nanosleep): after SIGCONT these go on by
 * restart_syscall, which would have to be here. A socket's own limit (SO_RCVTIMEO) does not.
 *
 * The table is found by reading what the sandboxed code calls, and by running all tests with an
 * eye on "was refused" in the guests' logs.
 */
#include "host/sandbox_calls.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

enum {
    M = CALLS_MAIN,
    V = CALLS_VCPU,
    W = CALLS_WORKER,
    B = CALLS_BIRTH,
};

enum call_condition {
    CALL_ANY,
    CALL_NO_CODE, /* memory that is not executable */
    CALL_OURS,    /* signals to our own threads: kicks, abort() */
    CALL_THREAD,  /* threads, not processes */
    CALL_NAME,    /* a thread its own name */
    CALL_SHORTEN, /* a thread its own list */
    CALL_IOCTL,   /* the requests that engine and networks still make */
};

static const struct call {
    int number;
    uint8_t threads, condition;
} calls[] = {
    /* memory */
    {CALL(brk), M | B, CALL_ANY},
    {CALL(madvise), M | V | W, CALL_ANY},
    {CALL(mmap), M | V | W, CALL_NO_CODE},
    {CALL(mprotect), B, CALL_NO_CODE}, /* stacks */
    {CALL(munmap), M | V | W, CALL_ANY},
    /* disks: rings are there already and bound to their files (block/ring.h) */
    {CALL(fallocate), M | W, CALL_ANY},
    {CALL(fdatasync), M | W, CALL_ANY},
    {CALL(fsync), M | W, CALL_ANY},
    {CALL(ftruncate), M | V | W, CALL_ANY}, /* a vCPU: perf's map of translated code */
    {CALL(io_uring_enter), M | V | W, CALL_ANY},
    {CALL(lseek), M | W, CALL_ANY},
    {CALL(pread64), M | W, CALL_ANY},
    {CALL(preadv), M | W, CALL_ANY},
    {CALL(preadv2), M | V | W, CALL_ANY}, /* a vCPU: what the page cache has */
    {CALL(pwrite64), M | W, CALL_ANY},
    {CALL(pwritev), M | W, CALL_ANY},
    {CALL(pwritev2), M | V | W, CALL_ANY},
    /* the guest's directory: logs that turn over, the record of its state */
    {CALL(fstat), M | W, CALL_ANY},
    {CALL(newfstatat), M | W, CALL_ANY}, /* how some libc do fstat() */
    {CALL(openat), M | B, CALL_ANY},
    {CALL(renameat), M, CALL_ANY},
#ifdef __riscv
    {CALL(renameat2), M, CALL_ANY}, /* there is no renameat */
#endif
    {CALL(unlinkat), M, CALL_ANY},
    /* descriptors: connections, networks, shares, the console */
    {CALL(accept4), M, CALL_ANY},
    {CALL(close), M | V | W, CALL_ANY},
    {CALL(getsockopt), M, CALL_ANY}, /* who connects to the control socket */
    {CALL(ioctl), M | V | W, CALL_IOCTL},
    {CALL(read), M | W, CALL_ANY},
    {CALL(readv), M | V, CALL_ANY},
    {CALL(recvfrom), M | V, CALL_ANY},
    {CALL(recvmsg), M, CALL_ANY}, /* helpers that were started anew */
    {CALL(sendmsg), M | V, CALL_ANY},
    {CALL(sendto), M | V | W, CALL_ANY},
    {CALL(setsockopt), M, CALL_ANY}, /* a debugger's connection, a share's new helper */
    {CALL(shutdown), M | V, CALL_ANY},
    {CALL(write), M | V | W, CALL_ANY},
    {CALL(writev), M | V | W, CALL_ANY},
    /* waiting and time */
    {CALL(clock_gettime), M | V | W, CALL_ANY}, /* where the vDSO has no clock */
    {CALL(epoll_ctl), M | V | W, CALL_ANY},
    {CALL(epoll_wait), M, CALL_ANY},
    {CALL(futex), M | V | W | B, CALL_ANY},
    {CALL(sched_yield), M | V | W, CALL_ANY},
    {CALL(timerfd_settime), M | V | W, CALL_ANY},
    /* itself */
    {CALL(exit), V | W, CALL_ANY},
    {CALL(exit_group), M, CALL_ANY},
    {CALL(getpid), M, CALL_ANY}, /* abort() */
    {CALL(getrandom), M | V, CALL_ANY},
    {CALL(gettid), M | B, CALL_ANY},
    {CALL(rt_sigreturn), M | V | W, CALL_ANY},
    {CALL(tgkill), M | V | W, CALL_OURS},
    /* threads, when they are made */
    {CALL(clone), B, CALL_THREAD},
    {CALL(prctl), B, CALL_NAME},
    {CALL(rseq), B, CALL_ANY},
    {CALL(rt_sigaction), B, CALL_ANY}, /* with the first one */
    {CALL(rt_sigprocmask), W | B, CALL_ANY},
    {CALL(seccomp), B, CALL_SHORTEN},
    {CALL(set_robust_list), B, CALL_ANY},
#ifndef __x86_64__
    {CALL(epoll_pwait), M, CALL_ANY}, /* there is no epoll_wait */
#endif
};

/* Refused and not told of: whoever makes them has another way and takes it; or, clone(), blocks
 * SIGSYS around it. */
static const struct {
    int number, error;
} calls_quiet[] = {
    /* 0, as the kernel says no: libc takes an error for the end of a heap that has grown, and
     * malloc() writes there. Like this it maps instead. */
    {CALL(brk), 0},
    {CALL(clone), EPERM},
    {CALL(clone3), ENOSYS},      /* hides its flags from filters: clone() then */
    {CALL(mremap), ENOMEM},      /* realloc() copies */
    {CALL(rt_sigaction), EPERM}, /* abort() of a first process: SIGABRT did not end it, HLT will */
    {CALL(rt_sigprocmask), EPERM}, /* libc at the end of a thread, where all are blocked */
};

scmp_filter_ctx sandbox_calls_filter(void)
{
    return seccomp_init(SCMP_ACT_TRAP);
}

static int call_add_ioctls(scmp_filter_ctx ctx, int number, const uint32_t *ioctls)
{
    int r = 0;

    for (; ioctls && *ioctls && !r; ioctls++) /* the kernel looks at 32 bits of a request */
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, *ioctls));
    return r;
}

static int call_add(scmp_filter_ctx ctx, const struct call *call, const uint32_t *ioctls)
{
    switch ((enum call_condition)call->condition) {
    case CALL_ANY: return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call->number, 0);
    case CALL_NO_CODE:
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call->number, 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    case CALL_OURS:
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call->number, 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    case CALL_THREAD:
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call->number, 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    case CALL_NAME:
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call->number, 1,
                                SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    case CALL_SHORTEN:
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call->number, 2,
                                SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER, 0),
                                SCMP_A1(SCMP_CMP_EQ, 0, 0));
    case CALL_IOCTL: return call_add_ioctls(ctx, call->number, ioctls);
    }
    return -EINVAL;
}

static bool calls_have(unsigned threads, int number)
{
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (calls[i].number == number && calls[i].threads & threads)
            return true;
    return false;
}

int sandbox_calls_add(scmp_filter_ctx ctx, unsigned threads, const uint32_t *ioctls)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(calls) && !r; i++) {
        if (calls[i].threads & threads)
            r = call_add(ctx, &calls[i], ioctls);
        if (r == -EDOM) /* a call this architecture never had */
            r = 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(calls_quiet) && !r; i++)
        if (!calls_have(threads, calls_quiet[i].number))
            r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)calls_quiet[i].error),
                                 calls_quiet[i].number, 0);
    return r;
}

unsigned sandbox_calls_count(unsigned threads)
{
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (calls[i].number >= 0 && calls[i].threads & threads) /* libseccomp: else it has none */
            count++;
    return count;
}
