/* SPDX-License-Identifier: Apache-2.0 */
/* System call filters: profile to program. Contract: container/seccomp.h. */
#include "container/seccomp.h"

#include "base/cleanup.h"
#include "container/names.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Declared after the kernel's own header: both define struct seccomp_data. */
static const struct name_value seccomp_actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {0},
};
const char *const seccomp_action_names[] = {"SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO",
                                            "SCMP_ACT_KILL",        "SCMP_ACT_KILL_PROCESS",
                                            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                            "SCMP_ACT_NOTIFY",      "SCMP_ACT_TRACE",
                                            "SCMP_ACT_TRAP",        NULL};

static const struct name_value seccomp_operators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {0},
};
const char *const seccomp_operator_names[] = {"SCMP_CMP_NE",        "SCMP_CMP_LT", "SCMP_CMP_LE",
                                              "SCMP_CMP_EQ",        "SCMP_CMP_GE", "SCMP_CMP_GT",
                                              "SCMP_CMP_MASKED_EQ", NULL};

static const struct name_value seccomp_arches[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {0},
};
const char *const seccomp_arch_names[] = {
    "SCMP_ARCH_AARCH64",   "SCMP_ARCH_ARM",      "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",   "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",    "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC",      "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",   "SCMP_ARCH_RISCV64",  "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",
    "SCMP_ARCH_X32",       "SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",   NULL};

static const struct name_value seccomp_flags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5},
    {0},
};
const char *const seccomp_flag_names[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                          "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                          "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL};

struct seccomp_build {
    struct json_reader r;
    scmp_filter_ctx ctx;
    uint32_t fallback; /* the default action */
    bool refuse_unknown, notify;
};

static uint32_t seccomp_action(struct seccomp_build *b, const struct json *at, const char *name,
                               const char *errno_name)
{
    const char *text = json_take_text(&b->r, at, name);
    int64_t number = json_take_int(&b->r, at, errno_name, 0, 0xffff, EPERM);
    uint64_t action;

    if (!text || !name_find(seccomp_actions, text, &action)) {
        (void)json_refuse(&b->r, at, "%s: unknown action '%s'", name, text ? text : "");
        return SCMP_ACT_KILL_THREAD;
    }
    if (action == SCMP_ACT_ERRNO(0))
        return SCMP_ACT_ERRNO((uint32_t)number);
    if (action == SCMP_ACT_TRACE(0))
        return SCMP_ACT_TRACE((uint32_t)number);
    b->notify |= action == SCMP_ACT_NOTIFY;
    return (uint32_t)action;
}

static void seccomp_read_arches(struct seccomp_build *b, const struct json *profile)
{
    const char **names = json_take_texts(&b->r, profile, "architectures");
    uint64_t arch;

    for (; names && *names; names++) {
        int r;

        if (!name_find(seccomp_arches, *names, &arch)) {
            (void)json_refuse(&b->r, json_get(profile, "architectures"), "unknown '%s'", *names);
            return;
        }
        r = seccomp_arch_add(b->ctx, (uint32_t)arch);
        if (r < 0 && r != -EEXIST)
            (void)json_refuse(&b->r, json_get(profile, "architectures"), "%s: %s", *names,
                              strerror(-r));
    }
}

static unsigned seccomp_read_args(struct seccomp_build *b, const struct json *list,
                                  struct scmp_arg_cmp *args, unsigned room)
{
    unsigned n = 0;

    for (const struct json *c = list ? list->child : NULL; c && n < room; c = c->next) {
        const char *name = json_take_text(&b->r, c, "op");
        uint64_t op = 0;

        args[n].arg = (unsigned)json_take_int(&b->r, c, "index", 0, 5, 0);
        args[n].datum_a = json_take_u64(&b->r, c, "value", 0);
        args[n].datum_b = json_take_u64(&b->r, c, "valueTwo", 0);
        if (!name || !name_find(seccomp_operators, name, &op))
            (void)json_refuse(&b->r, c, "unknown operator '%s'", name ? name : "");
        args[n++].op = (enum scmp_compare)op;
    }
    if (list && list->count > room)
        (void)json_refuse(&b->r, list, "more than %u comparisons", room);
    return n;
}

/* libseccomp takes each argument once in a rule; a list that names one twice means "any of". */
static bool seccomp_arg_twice(const struct scmp_arg_cmp *args, unsigned count)
{
    unsigned used = 0;

    for (unsigned i = 0; i < count; i++) {
        if (used & 1u << args[i].arg)
            return true;
        used |= 1u << args[i].arg;
    }
    return false;
}

static int seccomp_add(struct seccomp_build *b, uint32_t action, int call,
                       const struct scmp_arg_cmp *args, unsigned count)
{
    int r = 0;

    if (!seccomp_arg_twice(args, count))
        return seccomp_rule_add_array(b->ctx, action, call, count, args);
    for (unsigned i = 0; i < count && !r; i++)
        r = seccomp_rule_add_array(b->ctx, action, call, 1, &args[i]);
    return r;
}

static void seccomp_read_rule(struct seccomp_build *b, const struct json *rule)
{
    const char **names = json_take_texts(&b->r, rule, "names");
    uint32_t action = seccomp_action(b, rule, "action", "errnoRet");
    struct scmp_arg_cmp args[12];
    unsigned count =
        seccomp_read_args(b, json_take(&b->r, rule, "args", JSON_ARRAY), args, ARRAY_LEN(args));

    if (!names && !b->r.code)
        (void)json_refuse(&b->r, rule, "names is missing");
    if (action == b->fallback)
        return; /* libseccomp refuses what changes nothing */
    for (; names && *names && !b->r.code; names++) {
        int call = seccomp_syscall_resolve_name(*names), r;

        if (call == __NR_SCMP_ERROR) {
            if (b->refuse_unknown)
                (void)json_refuse(&b->r, rule, "unknown system call '%s'", *names);
            continue; /* profiles list the calls of every architecture and kernel */
        }
        r = seccomp_add(b, action, call, args, count);
        if (r < 0 && r != -EEXIST)
            (void)json_refuse(&b->r, rule, "%s: %s", *names, strerror(-r));
    }
}

static unsigned seccomp_read_flags(struct seccomp_build *b, const struct json *profile)
{
    const char **names = json_take_texts(&b->r, profile, "flags");
    unsigned flags = 0;
    uint64_t flag;

    for (; names && *names; names++) {
        if (!name_find(seccomp_flags, *names, &flag))
            (void)json_refuse(&b->r, profile, "unknown flag '%s'", *names);
        else
            flags |= (unsigned)flag;
    }
    return flags;
}

/* libseccomp 2.5 writes programs to descriptors only. */
static int seccomp_export(struct arena *arena, scmp_filter_ctx ctx, struct seccomp_filter *ret)
{
    CLEANUP(fd) int fd = memfd_create("seccomp", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
    off_t len = r < 0 ? 0 : lseek(fd, 0, SEEK_END);

    if (r < 0)
        return r;
    ret->count = (unsigned)((size_t)len / sizeof(struct sock_filter));
    ret->code = arena_get(arena, ret->count + 1, sizeof(struct sock_filter));
    if (!ret->code)
        return -ENOMEM;
    return pread(fd, ret->code, (size_t)len, 0) == len ? 0 : -EIO;
}

static int seccomp_build_profile(struct seccomp_build *b, const struct json *profile,
                                 struct seccomp_filter *ret)
{
    const struct json *rules = json_take(&b->r, profile, "syscalls", JSON_ARRAY);
    int r;

    b->fallback = seccomp_action(b, profile, "defaultAction", "defaultErrnoRet");
    ret->flags = seccomp_read_flags(b, profile);
    if (b->notify)
        return json_refuse(&b->r, profile,
                           "defaultAction: SCMP_ACT_NOTIFY would stop the runtime itself");
    if (b->r.code)
        return b->r.code;
    b->ctx = seccomp_init(b->fallback);
    if (!b->ctx)
        return err_set(b->r.err, -ENOMEM, "seccomp: libseccomp does not start");
    (void)seccomp_attr_set(b->ctx, SCMP_FLTATR_CTL_NNP, 0);
    (void)seccomp_attr_set(b->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    seccomp_read_arches(b, profile);
    for (const struct json *c = rules ? rules->child : NULL; c && !b->r.code; c = c->next)
        seccomp_read_rule(b, c);
    r = b->r.code ? b->r.code : seccomp_export(b->r.arena, b->ctx, ret);
    if (r == -EINVAL || r >= 0 || b->r.code)
        ret->notify = b->notify;
    seccomp_release(b->ctx);
    if (r < 0 && !b->r.code)
        return err_set(b->r.err, r, "config.json: linux.seccomp: cannot be compiled: %s",
                       strerror(-r));
    return r;
}

int seccomp_from_profile(struct arena *arena, const struct json *profile, bool refuse_unknown,
                         struct seccomp_filter *ret, struct err *err)
{
    struct seccomp_build b = {.r = {.arena = arena, .what = "config.json", .err = err},
                              .refuse_unknown = refuse_unknown};

    return seccomp_build_profile(&b, profile, ret);
}

int seccomp_install(const struct seccomp_filter *filter, int *ret_listener)
{
    struct sock_fprog program = {.len = (unsigned short)filter->count, .filter = filter->code};
    unsigned flags = filter->flags;
    long r;

    *ret_listener = -1;
    if (!filter->code)
        return 0;
    if (filter->notify)
        flags = (flags & ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC) | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (r < 0)
        return -errno;
    if (filter->notify)
        *ret_listener = (int)r;
    return 0;
}

int seccomp_connect(const struct seccomp_filter *filter, int *ret_socket, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = -1;

    *ret_socket = -1;
    if (!filter->notify)
        return 0;
    if (!filter->listener_path)
        return err_set(err, -EINVAL,
                       "config.json: linux.seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
    if (strlen(filter->listener_path) >= sizeof(address.sun_path))
        return err_set(err, -ENAMETOOLONG, "config.json: linux.seccomp.listenerPath is too long");
    strcpy(address.sun_path, filter->listener_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(err, -errno, "seccomp listener %s: %s", filter->listener_path,
                       strerror(errno));
    *ret_socket = take_fd(&fd);
    return 0;
}
