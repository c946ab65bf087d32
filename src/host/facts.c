/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of the kernel, one function each, in one table. Contract: host/facts.h. */
#include "host/facts.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_CAP = 65536, CLOCK_READS = 2000, MEMORY_WANTED_MIB = 512 };

void fact_set(struct fact *fact, enum fact_result result, const char *fmt, ...)
{
    va_list ap;

    fact->result = result;
    va_start(ap, fmt);
    vsnprintf(fact->detail, sizeof(fact->detail), fmt, ap);
    va_end(ap);
}

void fact_fix(struct fact *fact, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fact->fix, sizeof(fact->fix), fmt, ap);
    va_end(ap);
}

/* The first line of a small file of the kernel's; empty when there is none. */
static void fact_line(const char *path, char *buf, size_t size)
{
    CLEANUP(free) char *text = NULL;

    *buf = '\0';
    if (!file_read(AT_FDCWD, path, TEXT_CAP, &text, NULL, NULL))
        snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
}

/* --- the processor --- */

static bool cpu_has_flag(const char *text, const char *flag)
{
    size_t len = strlen(flag);

    for (const char *at = text; (at = strstr(at, flag)); at += len)
        if (at > text && at[-1] == ' ' && (at[len] == ' ' || at[len] == '\n'))
            return true;
    return false;
}

static void fact_processor(struct fact *f)
{
    CLEANUP(free) char *text = NULL;
    const char *model;
    char name[100] = "unknown";
    bool vmx, svm;

    if (file_read(AT_FDCWD, "/proc/cpuinfo", 1 << 20, &text, NULL, NULL) < 0) {
        fact_set(f, FACT_DEGRADED, "/proc/cpuinfo cannot be read; %d processors", get_nprocs());
        return;
    }
    model = strstr(text, "model name");
    model = model ? strchr(model, ':') : NULL;
    if (model)
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(model + 2, "\n"), model + 2);
    vmx = cpu_has_flag(text, "vmx");
    svm = cpu_has_flag(text, "svm");
    fact_set(f, FACT_OK, "%d of %s; %s", get_nprocs(), name,
             vmx   ? "VT-x"
             : svm ? "AMD-V"
                   : "neither VT-x nor AMD-V");
}

/* A KVM that works where the processor has no virtualization is one in software. */
static void fact_kvm(struct fact *f)
{
    CLEANUP(free) char *text = NULL;
    CLEANUP(fd) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    CLEANUP(fd) int vm_fd = -1;
    bool real;

    if (fd < 0) {
        fact_set(f, FACT_NO, "/dev/kvm: %s", strerror(errno));
        fact_fix(f, errno == EACCES ? "add yourself to the group kvm"
                                    : "load kvm_intel or kvm_amd, or enable nested virtualization");
        return;
    }
    vm_fd = ioctl(fd, KVM_CREATE_VM, 0);
    if (vm_fd < 0) {
        fact_set(f, FACT_NO, "/dev/kvm opens, but makes no machine: %s", strerror(errno));
        return;
    }
    real = !file_read(AT_FDCWD, "/proc/cpuinfo", 1 << 20, &text, NULL, NULL) &&
           (cpu_has_flag(text, "vmx") || cpu_has_flag(text, "svm"));
    fact_set(f, real ? FACT_OK : FACT_DEGRADED, "/dev/kvm makes machines (version %d), by %s",
             ioctl(fd, KVM_GET_API_VERSION, 0),
             real ? "the processor" : "software: the processor has no virtualization");
}

static void fact_memory(struct fact *f)
{
    struct sysinfo info;
    uint64_t mib;

    sysinfo(&info);
    mib = (uint64_t)(info.freeram + info.bufferram) * info.mem_unit >> 20;
    fact_set(f, mib < MEMORY_WANTED_MIB ? FACT_DEGRADED : FACT_OK, "%llu of %llu MiB free",
             (unsigned long long)mib, (unsigned long long)info.totalram * info.mem_unit >> 20);
    if (f->result != FACT_OK)
        fact_fix(f, "guests of 1 GiB may not fit; use --memory 256M, or free some");
}

static void fact_huge_pages(struct fact *f)
{
    char mode[80];

    fact_line("/sys/kernel/mm/transparent_hugepage/enabled", mode, sizeof(mode));
    if (strstr(mode, "[always]") || strstr(mode, "[madvise]"))
        fact_set(f, FACT_OK, "transparent: %s", mode);
    else
        fact_set(f, FACT_DEGRADED, "transparent: %s", *mode ? mode : "this kernel has none");
    if (f->result != FACT_OK && *mode)
        fact_fix(f, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

/* Measured: a clock source that needs a system call is no fast one, whatever its name. */
static void fact_clock(struct fact *f)
{
    char source[60];
    struct timespec start, now;
    double ns;

    fact_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
              sizeof(source));
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < CLOCK_READS; i++)
        clock_gettime(CLOCK_MONOTONIC, &now);
    ns = ((double)(now.tv_sec - start.tv_sec) * 1e9 + (double)(now.tv_nsec - start.tv_nsec)) /
         CLOCK_READS;
    fact_set(f, ns > 400 ? FACT_DEGRADED : FACT_OK, "%s, %.0f ns a reading",
             *source ? source : "unknown source", ns);
    if (f->result != FACT_OK)
        fact_fix(f, "a guest reads the clock often; the source tsc would be faster");
}

/* --- isolation --- */

/* Runs fn in a child; what it returns (0 or -errno). */
static int fact_in_child(int (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(-fn() & 0xff);
    if (pid < 0 || process_wait(pid, &status) < 0 || !WIFEXITED(status))
        return -EIO;
    return -WEXITSTATUS(status);
}

static int try_user_namespace(void)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0 ? -errno : 0;
}

static void fact_user_namespaces(struct fact *f)
{
    int r = fact_in_child(try_user_namespace);
    char limit[40];

    fact_line("/proc/sys/user/max_user_namespaces", limit, sizeof(limit));
    if (!r)
        fact_set(f, FACT_OK, "made one with its own mounts, processes and network (limit %s)",
                 limit);
    else
        fact_set(f, geteuid() ? FACT_NO : FACT_DEGRADED, "cannot make one: %s (limit %s)",
                 strerror(-r), *limit ? limit : "unknown");
    if (r)
        fact_fix(f, "sysctl user.max_user_namespaces=15000; on Ubuntu also "
                    "kernel.apparmor_restrict_unprivileged_userns=0");
}

static void fact_cgroups(struct fact *f)
{
    const char *root = "/sys/fs/cgroup";
    struct statfs fs;
    char controllers[160];

    if (statfs(root, &fs) < 0) {
        fact_set(f, FACT_NO, "%s: %s", root, strerror(errno));
    } else if (fs.f_type == CGROUP2_SUPER_MAGIC) {
        fact_line("/sys/fs/cgroup/cgroup.controllers", controllers, sizeof(controllers));
        fact_set(f, access("/sys/fs/cgroup/cgroup.procs", W_OK) ? FACT_DEGRADED : FACT_OK,
                 "version 2: %s%s", controllers,
                 access("/sys/fs/cgroup/cgroup.procs", W_OK) ? " (not ours to change)" : "");
    } else {
        bool writable =
            !access("/sys/fs/cgroup/memory", W_OK) && !access("/sys/fs/cgroup/cpu", W_OK);

        fact_set(f, FACT_DEGRADED,
                 "version 1, memory and cpu %s; no --memory-high, groups tell no pressure",
                 writable ? "ours to change" : "not ours to change");
        fact_fix(f, "boot with systemd.unified_cgroup_hierarchy=1");
    }
}

static void fact_landlock(struct fact *f)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 0) {
        fact_set(f, FACT_DEGRADED, "%s", strerror(errno));
        fact_fix(f, "boot a kernel of 5.13 or later with lsm=landlock,...");
    } else {
        fact_set(f, FACT_OK, "version %ld of its interface", abi);
    }
}

static void fact_seccomp(struct fact *f)
{
    static const char path[] = "/proc/sys/kernel/seccomp/actions_avail";
    char actions[160];

    fact_line(path, actions, sizeof(actions));
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        fact_set(f, FACT_NO, "%s", strerror(errno));
        fact_fix(f, "boot a kernel with CONFIG_SECCOMP_FILTER");
    } else {
        fact_set(f, strstr(actions, "user_notif") ? FACT_OK : FACT_DEGRADED, "filters: %s",
                 *actions ? actions : "unknown kinds");
    }
}

/* --- devices and calls --- */

static void fact_tun(struct fact *f)
{
    CLEANUP(fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    unsigned features = 0;

    if (fd < 0 || ioctl(fd, _IOR('T', 207, unsigned), &features) < 0) {
        fact_set(f, FACT_NO, "/dev/net/tun: %s", strerror(errno));
        fact_fix(f,
                 "modprobe tun; in a container: --device /dev/net/tun (user networks need none)");
    } else {
        fact_set(f, FACT_OK, "/dev/net/tun answers, features 0x%x", features);
    }
}

static void fact_userfaultfd(struct fact *f)
{
    CLEANUP(fd) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    CLEANUP(fd) int user_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

    if (fd >= 0) {
        fact_set(f, FACT_OK, "for faults of the kernel too");
    } else if (user_fd >= 0) {
        fact_set(f, FACT_DEGRADED, "for faults of user code only");
        fact_fix(f, "sysctl vm.unprivileged_userfaultfd=1");
    } else {
        fact_set(f, FACT_NO, "%s", strerror(errno));
        fact_fix(f, "boot a kernel with CONFIG_USERFAULTFD");
    }
}

static void fact_io_uring(struct fact *f)
{
    struct io_uring_params params = {0};
    CLEANUP(fd) int fd = (int)syscall(SYS_io_uring_setup, 4, &params);

    if (fd >= 0) {
        fact_set(f, FACT_OK, "a ring was made, features 0x%x", params.features);
        return;
    }
    fact_set(f, FACT_DEGRADED, "%s; disks use threads instead", strerror(errno));
    fact_fix(f, "sysctl kernel.io_uring_disabled=0; containers often forbid it by seccomp");
}

static const struct {
    const char *name;
    void (*measure)(struct fact *fact);
} fact_table[] = {
    {"processor", fact_processor},
    {"/dev/kvm", fact_kvm},
    {"memory", fact_memory},
    {"huge pages", fact_huge_pages},
    {"clock", fact_clock},
    {"user namespaces", fact_user_namespaces},
    {"cgroups", fact_cgroups},
    {"landlock", fact_landlock},
    {"seccomp", fact_seccomp},
    {"tun", fact_tun},
    {"userfaultfd", fact_userfaultfd},
    {"io_uring", fact_io_uring},
};

unsigned facts_kernel(struct fact *facts, unsigned room)
{
    unsigned n = 0;

    for (; n < ARRAY_LEN(fact_table) && n < room; n++) {
        facts[n] = (struct fact){.name = fact_table[n].name};
        fact_table[n].measure(&facts[n]);
    }
    return n;
}
