/* SPDX-License-Identifier: Apache-2.0 */
/* The default profile of containers. Contract: ctr/profile.h; shape: runtime-spec config-linux.md.
 */
#include "ctr/profile.h"

#include <errno.h>
#include <linux/sched.h>
#include <posada/types.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const char *const profile_caps[] = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",     "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",  "CAP_NET_RAW",      "CAP_SETFCAP",    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",      "CAP_SETUID", "CAP_SETPCAP",      "CAP_SYS_CHROOT", NULL};

static const char *const profile_masked[] = {"/proc/acpi",
                                             "/proc/asound",
                                             "/proc/interrupts",
                                             "/proc/kcore",
                                             "/proc/keys",
                                             "/proc/latency_stats",
                                             "/proc/sched_debug",
                                             "/proc/scsi",
                                             "/proc/timer_list",
                                             "/proc/timer_stats",
                                             "/sys/devices/virtual/powercap",
                                             "/sys/firmware",
                                             NULL};
static const char *const profile_readonly[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};

/* By subject; names this architecture does not have are no harm. */
static const char *const profile_allowed[] = {
    /* files by descriptor */
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek close "
    "close_range dup dup2 dup3 fcntl fcntl64 ioctl flock fsync fdatasync sync syncfs "
    "sync_file_range sync_file_range2 fallocate fadvise64 fadvise64_64 arm_fadvise64_64 readahead "
    "ftruncate ftruncate64 sendfile sendfile64 copy_file_range splice tee vmsplice fstat fstat64 "
    "fstatfs fstatfs64 fchmod fchown fchown32 getdents getdents64 fchdir cachestat riscv_hwprobe "
    "riscv_flush_icache",
    /* files by name */
    "open openat openat2 creat access faccessat faccessat2 stat stat64 lstat lstat64 fstatat64 "
    "newfstatat statx statfs statfs64 statmount listmount readlink readlinkat link linkat symlink "
    "symlinkat unlink unlinkat mkdir mkdirat rmdir rename renameat renameat2 mknod mknodat chmod "
    "fchmodat fchmodat2 chown chown32 lchown lchown32 fchownat truncate truncate64 utime utimes "
    "utimensat utimensat_time64 futimesat chdir getcwd umask chroot name_to_handle_at",
    "setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr fgetxattr getxattrat listxattr "
    "llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat "
    "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark "
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    /* memory */
    "brk mmap mmap2 munmap mremap mprotect pkey_mprotect pkey_alloc pkey_free msync mincore "
    "madvise "
    "process_madvise mlock mlock2 mlockall munlock munlockall remap_file_pages memfd_create "
    "memfd_secret membarrier map_shadow_stack mseal process_mrelease modify_ldt",
    "shmget shmat shmctl shmdt semget semop semctl semtimedop semtimedop_time64 msgget msgsnd "
    "msgrcv msgctl ipc mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive "
    "mq_timedreceive_time64 mq_notify mq_getsetattr",
    /* waiting */
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 "
    "epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 "
    "signalfd signalfd4 pipe pipe2 io_setup io_destroy io_submit io_cancel io_getevents "
    "io_pgetevents io_pgetevents_time64 futex futex_time64 futex_waitv futex_wait futex_wake "
    "futex_requeue set_robust_list get_robust_list rseq restart_syscall",
    "timer_create timer_settime timer_settime64 timer_gettime timer_gettime64 timer_getoverrun "
    "timer_delete timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime "
    "timerfd_gettime64 nanosleep clock_nanosleep clock_nanosleep_time64 clock_gettime "
    "clock_gettime64 clock_getres clock_getres_time64 gettimeofday time times getitimer setitimer "
    "alarm adjtimex",
    /* sockets; socket itself: below */
    "socketcall socketpair bind connect listen accept accept4 getsockname getpeername getsockopt "
    "setsockopt shutdown send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg "
    "recvmmsg_time64",
    /* processes; clone itself: below */
    "fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill "
    "pidfd_open pidfd_send_signal rt_sigaction rt_sigprocmask rt_sigpending rt_sigqueueinfo "
    "rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 "
    "sigaltstack signal sigaction sigpending sigprocmask sigreturn sigsuspend pause",
    "getpid gettid getppid getpgid getpgrp setpgid getsid setsid set_tid_address arch_prctl "
    "set_thread_area get_thread_area set_tls get_tls arm_sync_file_range breakpoint cacheflush "
    "prctl seccomp ptrace process_vm_readv process_vm_writev pidfd_getfd prlimit64 getrlimit "
    "ugetrlimit setrlimit getrusage getcpu sysinfo uname capget capset getrandom",
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 setuid setuid32 setgid "
    "setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 "
    "getresuid getresuid32 getresgid getresgid32 setfsuid setfsuid32 setfsgid setfsgid32 getgroups "
    "getgroups32 setgroups setgroups32",
    "nice getpriority setpriority ioprio_get ioprio_set sched_yield sched_getaffinity "
    "sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam "
    "sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min "
    "sched_rr_get_interval sched_rr_get_interval_time64 uretprobe",
};

/* Of the host's administration: known, and not for containers. clone3 is none of them, but what it
 * makes cannot be seen by a filter: programs fall back to clone. */
static const char profile_refused[] =
    "acct add_key bpf clock_adjtime clock_settime clock_settime64 delete_module fanotify_init "
    "finit_module fsconfig fsmount fsopen fspick get_mempolicy init_module ioperm iopl kcmp "
    "kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr "
    "move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pivot_root "
    "quotactl quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname "
    "sethostname setns settimeofday stime swapoff swapon syslog umount umount2 unshare uselib "
    "userfaultfd ustat vhangup vm86 vm86old _sysctl sysfs io_uring_setup io_uring_enter "
    "io_uring_register create_module query_module get_kernel_syms";

json_t *ctr_json_texts(const char *const *texts)
{
    json_t *array = json_array();

    for (; *texts; texts++)
        json_array_append_new(array, json_string(*texts));
    return array;
}

static void profile_add_words(json_t *names, const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " ");

        json_array_append_new(names, json_stringn(words, len));
        words += len + (words[len] == ' ');
    }
}

json_t *ctr_profile_capabilities(bool root)
{
    json_t *caps = ctr_json_texts(profile_caps), *sets = json_object();

    json_object_set(sets, "bounding", caps);
    if (root) {
        json_object_set(sets, "effective", caps);
        json_object_set(sets, "permitted", caps);
    }
    json_decref(caps);
    return sets;
}

json_t *ctr_profile_masked(void)
{
    return ctr_json_texts(profile_masked);
}

json_t *ctr_profile_readonly(void)
{
    return ctr_json_texts(profile_readonly);
}

/* --- system calls --- */

/* New namespaces by clone() are refused; its flags are its first argument where we run. */
static json_t *profile_clone(void)
{
    const json_int_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                  CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

    return json_pack("{s:[s], s:s, s:[{s:i, s:I, s:i, s:s}]}", "names", "clone", "action",
                     "SCMP_ACT_ALLOW", "args", "index", 0, "value", namespaces, "valueTwo", 0, "op",
                     "SCMP_CMP_MASKED_EQ");
}

/* All families but vsock, which leads to the machine around, and those of raw hardware. */
static json_t *profile_socket(unsigned family, const char *op)
{
    return json_pack("{s:[s], s:s, s:[{s:i, s:i, s:s}]}", "names", "socket", "action",
                     "SCMP_ACT_ALLOW", "args", "index", 0, "value", (int)family, "op", op);
}

static json_t *profile_personality(json_int_t value)
{
    return json_pack("{s:[s], s:s, s:[{s:i, s:I, s:s}]}", "names", "personality", "action",
                     "SCMP_ACT_ALLOW", "args", "index", 0, "value", value, "op", "SCMP_CMP_EQ");
}

static json_t *profile_architectures(void)
{
#if defined(__x86_64__)
    return json_pack("[s, s, s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32");
#elif defined(__aarch64__)
    return json_pack("[s, s]", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM");
#else
    return json_array(); /* the native one alone */
#endif
}

json_t *ctr_profile_seccomp(void)
{
    enum { FAMILY_VSOCK = 40 };
    static const json_int_t personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
    json_t *allowed = json_array(), *refused = json_array(), *calls = json_array();

    for (size_t i = 0; i < ARRAY_LEN(profile_allowed); i++)
        profile_add_words(allowed, profile_allowed[i]);
    profile_add_words(refused, profile_refused);
    json_array_append_new(calls,
                          json_pack("{s:o, s:s}", "names", allowed, "action", "SCMP_ACT_ALLOW"));
    json_array_append_new(calls, json_pack("{s:o, s:s, s:i}", "names", refused, "action",
                                           "SCMP_ACT_ERRNO", "errnoRet", EPERM));
    json_array_append_new(calls, profile_clone());
    json_array_append_new(calls, profile_socket(FAMILY_VSOCK, "SCMP_CMP_LT"));
    json_array_append_new(calls, profile_socket(FAMILY_VSOCK, "SCMP_CMP_GT"));
    for (size_t i = 0; i < ARRAY_LEN(personalities); i++)
        json_array_append_new(calls, profile_personality(personalities[i]));
    return json_pack("{s:s, s:i, s:o, s:o}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet",
                     ENOSYS, "architectures", profile_architectures(), "syscalls", calls);
}
