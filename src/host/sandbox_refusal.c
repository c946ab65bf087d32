/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells of refused system calls; contract: sandbox_refusal.h. In a signal's handler nothing may be
 * used but write(2): the refused call may come out of the middle of malloc(). One line a call
 * number, so that whoever makes refused calls for ever does not fill the log.
 */
#include "host/sandbox_refusal.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { CALLS_MAX = 1024 };

static char refusal_name[80];
static _Thread_local const char *refusal_thread = "a thread of its";
static atomic_bool refusal_told[CALLS_MAX];

/* What the refused call gives back. */
static void refusal_result(ucontext_t *context, int result)
{
#if defined(__x86_64__)
    context->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
    context->uc_mcontext.regs[0] = (unsigned long long)(long long)result;
#elif defined(__riscv)
    context->uc_mcontext.__gregs[REG_A0] = (unsigned long)(long)result;
#else
#error "where does a system call's result go?"
#endif
}

static size_t refusal_add(char *line, size_t at, size_t room, const char *text)
{
    while (*text && at < room)
        line[at++] = *text++;
    return at;
}

static const char *refusal_decimal(unsigned value, char digits[12])
{
    char *p = digits + 11;

    *p = '\0';
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return p;
}

static void refusal_tell(unsigned call)
{
    char digits[12], line[200];
    const char *const parts[] = {"warning: guest '",
                                 refusal_name,
                                 "': system call ",
                                 refusal_decimal(call, digits),
                                 " of ",
                                 refusal_thread,
                                 " was refused: its sandbox does not know it\n"};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        n = refusal_add(line, n, sizeof(line), parts[i]);
    (void)!write(STDERR_FILENO, line, n);
}

static void refusal_taken(int number, siginfo_t *info, void *context)
{
    unsigned call = (unsigned)info->si_syscall;
    int saved = errno;

    if (call >= CALLS_MAX || !atomic_exchange(&refusal_told[call], true))
        refusal_tell(call);
    refusal_result(context, -EPERM);
    errno = saved;
}

void sandbox_refusal_name(const char *name)
{
    snprintf(refusal_name, sizeof(refusal_name), "%s", name);
}

int sandbox_refusal_init(const char *name, struct err *err)
{
    struct sigaction action = {.sa_sigaction = refusal_taken, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sandbox_refusal_name(name);
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return err_set(err, -errno, "seccomp: cannot take SIGSYS: %s", strerror(errno));
    sandbox_refusal_thread("its main thread");
    return 0;
}

void sandbox_refusal_thread(const char *what)
{
    sigset_t set;

    refusal_thread = what;
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
