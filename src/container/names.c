/* SPDX-License-Identifier: Apache-2.0 */
/* Names and numbers, each table from the manual page named above it. */
#include "container/names.h"

#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>

#define NAME(x)                                                                                    \
    {                                                                                              \
#x, (uint64_t)(x)                                                                          \
    }

/* getrlimit(2) */
const struct name_value name_rlimits[] = {
    NAME(RLIMIT_AS),
    NAME(RLIMIT_CORE),
    NAME(RLIMIT_CPU),
    NAME(RLIMIT_DATA),
    NAME(RLIMIT_FSIZE),
    NAME(RLIMIT_LOCKS),
    NAME(RLIMIT_MEMLOCK),
    NAME(RLIMIT_MSGQUEUE),
    NAME(RLIMIT_NICE),
    NAME(RLIMIT_NOFILE),
    NAME(RLIMIT_NPROC),
    NAME(RLIMIT_RSS),
    NAME(RLIMIT_RTPRIO),
    NAME(RLIMIT_RTTIME),
    NAME(RLIMIT_SIGPENDING),
    NAME(RLIMIT_STACK),
    {0},
};

/* namespaces(7), names of runtime-spec config-linux "Namespaces" */
const struct name_value name_namespaces[] = {
    {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mount", CLONE_NEWNS},
    {"network", CLONE_NEWNET},   {"pid", CLONE_NEWPID}, {"time", CLONE_NEWTIME},
    {"user", CLONE_NEWUSER},     {"uts", CLONE_NEWUTS}, {0},
};

/* sched(7) */
const struct name_value name_schedulers[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},       {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}, {0},
};

/* sched_setattr(2) */
const struct name_value name_sched_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}, {0},
};

/* personality(2) */
const struct name_value name_personalities[] = {
    {"LINUX", PER_LINUX},
    {"LINUX32", PER_LINUX32},
    {0},
};

bool name_find(const struct name_value *table, const char *name, uint64_t *ret)
{
    for (; table->name; table++)
        if (!strcmp(table->name, name)) {
            *ret = table->value;
            return true;
        }
    return false;
}

int name_signal(const char *text)
{
    const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    int offset;

    if (*text >= '0' && *text <= '9' && !*end)
        return number < (unsigned long)_NSIG ? (int)number : -1;
    for (int n = 1; n < 32; n++) {
        const char *known = sigabbrev_np(n);

        if (known && !strcasecmp(known, name))
            return n;
    }
    if (!strcasecmp(name, "CLD"))
        return SIGCHLD;
    if (!strcasecmp(name, "IOT"))
        return SIGABRT;
    if (!strcasecmp(name, "RTMIN"))
        return SIGRTMIN;
    if (!strcasecmp(name, "RTMAX"))
        return SIGRTMAX;
    if (sscanf(name, "RTMIN+%d%c", &offset, &(char){0}) == 1 && offset >= 0 &&
        SIGRTMIN + offset <= SIGRTMAX)
        return SIGRTMIN + offset;
    if (sscanf(name, "RTMAX-%d%c", &offset, &(char){0}) == 1 && offset >= 0 &&
        SIGRTMAX - offset >= SIGRTMIN)
        return SIGRTMAX - offset;
    return -1;
}

/* capabilities(7), in order of their numbers */
static const char *const name_capabilities[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

int name_capability(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(name_capabilities); i++)
        if (!strcasecmp(name_capabilities[i], name))
            return (int)i;
    return -1;
}

const char *name_of_capability(unsigned number)
{
    return number < ARRAY_LEN(name_capabilities) ? name_capabilities[number] : NULL;
}

/* runtime-spec config "Linux mount options", mount(8) */
#define REC_ATIME(x) .rec_set = (x), .rec_clear = MOUNT_ATTR__ATIME
const struct name_mount_option name_mount_options[] = {
    {"async", .clear = MS_SYNCHRONOUS},
    {"atime", .clear = MS_NOATIME},
    {"bind", .set = MS_BIND},
    {"copy-symlink", .extra = NAME_MOUNT_COPY_SYMLINK},
    {.name = "defaults"},
    {"dest-nofollow", .extra = NAME_MOUNT_DEST_NOFOLLOW},
    {"dev", .clear = MS_NODEV},
    {"diratime", .clear = MS_NODIRATIME},
    {"dirsync", .set = MS_DIRSYNC},
    {"exec", .clear = MS_NOEXEC},
    {"idmap", .extra = NAME_MOUNT_IDMAP},
    {"mand", .set = MS_MANDLOCK},
    {"noatime", .set = MS_NOATIME},
    {"nodev", .set = MS_NODEV},
    {"nodiratime", .set = MS_NODIRATIME},
    {"noexec", .set = MS_NOEXEC},
    {"nomand", .clear = MS_MANDLOCK},
    {"norelatime", .clear = MS_RELATIME},
    {"nostrictatime", .clear = MS_STRICTATIME},
    {"nosuid", .set = MS_NOSUID},
    {"nosymfollow", .set = MS_NOSYMFOLLOW},
    {"private", .propagation = MS_PRIVATE},
    {"ratime", .rec_clear = MOUNT_ATTR__ATIME},
    {"rbind", .set = MS_BIND | MS_REC},
    {"rdev", .rec_clear = MOUNT_ATTR_NODEV},
    {"rdiratime", .rec_clear = MOUNT_ATTR_NODIRATIME},
    {"relatime", .set = MS_RELATIME},
    {"remount", .set = MS_REMOUNT},
    {"rexec", .rec_clear = MOUNT_ATTR_NOEXEC},
    {"ridmap", .extra = NAME_MOUNT_IDMAP | NAME_MOUNT_RIDMAP},
    {"rnoatime", REC_ATIME(MOUNT_ATTR_NOATIME)},
    {"rnodev", .rec_set = MOUNT_ATTR_NODEV},
    {"rnodiratime", .rec_set = MOUNT_ATTR_NODIRATIME},
    {"rnoexec", .rec_set = MOUNT_ATTR_NOEXEC},
    {"rnorelatime", .rec_clear = MOUNT_ATTR__ATIME},
    {"rnostrictatime", .rec_clear = MOUNT_ATTR__ATIME},
    {"rnosuid", .rec_set = MOUNT_ATTR_NOSUID},
    {"ro", .set = MS_RDONLY},
    {"rprivate", .propagation = MS_PRIVATE | MS_REC},
    {"rrelatime", REC_ATIME(MOUNT_ATTR_RELATIME)},
    {"rro", .rec_set = MOUNT_ATTR_RDONLY},
    {"rrw", .rec_clear = MOUNT_ATTR_RDONLY},
    {"rshared", .propagation = MS_SHARED | MS_REC},
    {"rslave", .propagation = MS_SLAVE | MS_REC},
    {"rstrictatime", REC_ATIME(MOUNT_ATTR_STRICTATIME)},
    {"rsuid", .rec_clear = MOUNT_ATTR_NOSUID},
    {"runbindable", .propagation = MS_UNBINDABLE | MS_REC},
    {"rw", .clear = MS_RDONLY},
    {"shared", .propagation = MS_SHARED},
    {"silent", .set = MS_SILENT},
    {"slave", .propagation = MS_SLAVE},
    {"src-nofollow", .extra = NAME_MOUNT_SRC_NOFOLLOW},
    {"strictatime", .set = MS_STRICTATIME},
    {"suid", .clear = MS_NOSUID},
    {"sync", .set = MS_SYNCHRONOUS},
    {"tmpcopyup", .extra = NAME_MOUNT_TMPCOPYUP},
    {"unbindable", .propagation = MS_UNBINDABLE},
    {0},
};

static int name_compare_option(const void *name, const void *option)
{
    return strcmp(name, ((const struct name_mount_option *)option)->name);
}

const struct name_mount_option *name_mount_option(const char *name)
{
    return bsearch(name, name_mount_options, ARRAY_LEN(name_mount_options) - 1,
                   sizeof(*name_mount_options), name_compare_option);
}
