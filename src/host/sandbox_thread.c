/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists are compiled while memory and files may still be had and installed by a bare
 * seccomp(2).
 */
#include "host/sandbox_thread.h"

#include "host/sandbox_calls.h"
#include "host/sandbox_refusal.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILTER_MAX = 4096 };

static struct sock_fprog thread_filter[SANDBOX_THREADS];

unsigned sandbox_thread_call_count(enum sandbox_thread kind)
{
    return sandbox_calls_count(1u << kind);
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
    scmp_filter_ctx ctx = sandbox_calls_filter();
    int r = ctx ? sandbox_calls_add(ctx, 1u << kind, ioctls) : -ENOMEM;

    if (!r)
        r = thread_export(ctx, &thread_filter[kind]);
    seccomp_release(ctx);
    return r;
}

int sandbox_prepare_threads(const uint32_t *ioctls, struct err *err)
{
    /* One heap for all: for heaps of their own, threads would count the host's CPUs, read how it
     * overcommits memory and change what a mapping allows. */
    (void)mallopt(M_ARENA_MAX, 1);
    for (unsigned i = 0; i < SANDBOX_THREADS; i++) {
        int r = thread_make((enum sandbox_thread)i, ioctls);

        if (r)
            return err_set(err, r, "seccomp: no lists for threads: %s", strerror(-r));
    }
    return 0;
}

void sandbox_forget_threads(void)
{
    for (unsigned i = 0; i < SANDBOX_THREADS; i++)
        thread_filter[i].len = 0;
}

int sandbox_enter_thread(enum sandbox_thread kind)
{
    static const char *const names[SANDBOX_THREADS] = {"its main thread", "a vCPU's thread",
                                                       "a disk worker"};

    if (!thread_filter[kind].len)
        return 0;
    sandbox_refusal_thread(names[kind]);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &thread_filter[kind]) ? -errno : 0;
}
