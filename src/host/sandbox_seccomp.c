/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of a monitor's whole process: the system calls of all its threads together
 * (sandbox_calls.h). Others are refused and told of, so that a library that tries its luck does no
 * harm to the guest; those that no honest path makes end the process, so that an attack is seen
 * (the keeper writes the signal down).
 *
 * Files: what can be opened is up to the layers before. Threads: vCPUs are started inside.
 */
#include "host/sandbox_calls.h"
#include "host/sandbox_layers.h"
#include "host/sandbox_refusal.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

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

unsigned sandbox_call_count(void)
{
    return sandbox_calls_count(CALLS_ALL);
}

static int seccomp_kill(scmp_filter_ctx ctx)
{
    int r = 0;

    for (size_t i = 0; !r && i < ARRAY_LEN(seccomp_deadly); i++) {
        r = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, seccomp_deadly[i], 0);
        if (r == -EDOM) /* a call this architecture never had */
            r = 0;
    }
    return r;
}

/* The library's errors do not tell: a kernel that takes filters looks for this one in vain. */
static int seccomp_lacks(void) /* 0, or why not */
{
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL);
    int code = r < 0 ? errno : EINVAL;

    return code == EFAULT ? 0 : code;
}

int sandbox_seccomp(const struct sandbox_config *config, struct err *err)
{
    scmp_filter_ctx ctx;
    int r;

    r = seccomp_lacks();
    if (r) {
        sandbox_forget_threads();
        return err_set(err, -EOPNOTSUPP, "seccomp: %s",
                       r == ENOSYS || r == EINVAL ? "not in this kernel" : strerror(r));
    }
    r = sandbox_refusal_init(config->name, err);
    if (r < 0)
        return r;
    ctx = sandbox_calls_filter();
    if (!ctx)
        return err_set(err, -ENOMEM, "seccomp: out of memory");
    r = sandbox_calls_add(ctx, CALLS_ALL, config->ioctls);
    if (!r)
        r = seccomp_kill(ctx);
    if (!r)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1); /* threads that are there already */
    if (!r)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r < 0 ? err_set(err, r, "seccomp: %s", strerror(-r)) : 0;
}
