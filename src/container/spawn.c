/* SPDX-License-Identifier: Apache-2.0 */
/* Making the container's first process. Contract: container/init.h. */
#include "container/init.h"

#include "base/cleanup.h"
#include "container/names.h"
#include "container/userns.h"
#include "container/wire.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *spawn_name(uint64_t flag)
{
    for (const struct name_value *n = name_namespaces; n->name; n++)
        if (n->value == flag)
            return n->name;
    return "?";
}

int init_open_namespaces(struct init *in, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_LEN(in->joins); i++)
        in->joins[i] = -1;
    for (unsigned i = 0; i < in->spec->namespace_count; i++) {
        const struct spec_namespace *ns = &in->spec->namespaces[i];
        int type;

        if (!ns->path)
            continue;
        in->joins[i] = open(ns->path, O_RDONLY | O_CLOEXEC);
        if (in->joins[i] < 0)
            return err_set(err, -errno, "%s namespace %s: %s", spawn_name(ns->flag), ns->path,
                           strerror(errno));
        type = ioctl(in->joins[i], NS_GET_NSTYPE);
        if (type < 0 || (uint64_t)(unsigned)type != ns->flag)
            return err_set(err, -EINVAL, "%s namespace %s: it is none", spawn_name(ns->flag),
                           ns->path);
    }
    return 0;
}

/* Cgroup namespaces start at the group one is in: made once we are there. */
static uint64_t spawn_new_flags(const struct init *in)
{
    uint64_t flags = 0;

    for (unsigned i = 0; i < in->spec->namespace_count; i++)
        if (!in->spec->namespaces[i].path)
            flags |= in->spec->namespaces[i].flag;
    return flags & ~(uint64_t)CLONE_NEWCGROUP;
}

static pid_t spawn_clone(uint64_t flags, int group)
{
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    long pid;

    if (flags & CLONE_PARENT)
        args.exit_signal = 0;
    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)group;
    }
    pid = syscall(SYS_clone3, &args, sizeof(args));
    return pid < 0 ? -errno : (pid_t)pid;
}

/* Joining a user or pid namespace and setting a clock's offset concern only children, and other
 * people's namespaces are joined with the rights of before: then a process in between does it. */
static bool spawn_needs_between(const struct init *in)
{
    bool joins = false, special = in->spec->time_offsets;

    for (unsigned i = 0; i < in->spec->namespace_count; i++) {
        if (in->joins[i] < 0)
            continue;
        joins = true;
        special |= in->spec->namespaces[i].flag & (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWTIME);
    }
    return special || (joins && in->new_user);
}

static int spawn_join(struct init *in, uint64_t flag, struct err *err)
{
    for (unsigned i = 0; i < in->spec->namespace_count; i++) {
        if (in->joins[i] < 0 || in->spec->namespaces[i].flag != flag)
            continue;
        if (setns(in->joins[i], (int)flag) < 0)
            return err_set(err, -errno, "%s namespace %s: cannot join it: %s", spawn_name(flag),
                           in->spec->namespaces[i].path, strerror(errno));
        close(in->joins[i]);
        in->joins[i] = -1;
    }
    return 0;
}

/* With our rights where that works, with those of the user namespace's root otherwise. */
static int spawn_join_all(struct init *in, struct err *err)
{
    static const uint64_t order[] = {CLONE_NEWIPC, CLONE_NEWUTS,    CLONE_NEWNET,
                                     CLONE_NEWPID, CLONE_NEWCGROUP, CLONE_NEWTIME};
    struct err ignored;
    int r;

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        (void)!spawn_join(in, order[i], &ignored);
    r = spawn_join(in, CLONE_NEWUSER, err);
    for (size_t i = 0; !r && i < ARRAY_LEN(order); i++)
        r = spawn_join(in, order[i], err);
    return r;
}

/* {"monotonic": {"secs": 1, "nanosecs": 2}, "boottime": ...} */
static int spawn_time_offsets(const struct init *in, struct err *err)
{
    static const char *const clocks[] = {"monotonic", "boottime"};
    struct json_reader r = {.what = "config.json", .err = err};
    CLEANUP(fd) int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set(err, -errno, "linux.timeOffsets: %s", strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(clocks); i++) {
        const struct json *at = json_take(&r, in->spec->time_offsets, clocks[i], JSON_OBJECT);
        char text[64];

        if (!at)
            continue;
        snprintf(text, sizeof(text), "%s %lld %lld\n", clocks[i],
                 (long long)json_take_int(&r, at, "secs", INT64_MIN + 1, INT64_MAX, 0),
                 (long long)json_take_int(&r, at, "nanosecs", 0, 999999999, 0));
        if (r.code)
            return r.code;
        if (write(fd, text, strlen(text)) < 0)
            return err_set(err, -errno, "linux.timeOffsets.%s: %s", clocks[i], strerror(errno));
    }
    return 0;
}

static int spawn_wait_for_maps(struct init *in, struct err *err)
{
    int r = unshare(CLONE_NEWUSER) < 0 ? -errno : wire_send(in->wire, WIRE_MAPS, 0, NULL, NULL, 0);

    if (r < 0)
        return err_set(err, r, "user namespace: %s", strerror(-r));
    r = wire_expect(in->wire, WIRE_MAPS, NULL, NULL, err);
    in->new_user = false; /* the maps are there: the child need not wait again */
    return r;
}

/* Where the one we make is to be born, once others have made the place. */
static int spawn_take_group(struct init *in, struct err *err)
{
    struct wire_message m;
    int fds[WIRE_FDS], r;
    unsigned count = 0;

    if (!in->enter)
        return 0;
    r = wire_receive(in->wire, &m, fds, &count);
    if (r < 0 || m.kind != WIRE_GROUP)
        return err_set(err, -EPIPE, "cgroup: the runtime is gone");
    in->cgroup->joined |= (unsigned)m.number;
    in->group = count ? fds[0] : -1;
    return 0;
}

static int spawn_between_steps(struct init *in, uint64_t *flags, struct err *err)
{
    int r = spawn_join_all(in, err);

    if (!r && *flags & CLONE_NEWUSER) {
        r = spawn_wait_for_maps(in, err);
        *flags &= ~(uint64_t)CLONE_NEWUSER;
    }
    if (!r && *flags & CLONE_NEWTIME) {
        if (unshare(CLONE_NEWTIME) < 0)
            return err_set(err, -errno, "time namespace: %s", strerror(errno));
        if (in->spec->time_offsets)
            r = spawn_time_offsets(in, err);
        *flags &= ~(uint64_t)CLONE_NEWTIME;
    }
    return r;
}

static noreturn_fn void spawn_between(struct init *in, uint64_t flags)
{
    struct err err = {0};
    pid_t pid;
    int r;

    close(take_fd(&in->peer));
    r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : spawn_take_group(in, &err);
    if (!r)
        r = spawn_between_steps(in, &flags, &err);
    pid = r < 0 ? r : spawn_clone(flags | CLONE_PARENT, in->group);
    if (pid == 0)
        init_main(in);
    if (pid < 0 && !err.code)
        err_set(&err, pid, "namespaces: %s", strerror(-pid));
    (void)!wire_send(in->wire, pid < 0 ? WIRE_FAILED : WIRE_PID, pid, pid < 0 ? &err : NULL, NULL,
                     0);
    _exit(0);
}

/* The runtime's side of the conversation with the process in between. */
static int spawn_hear(const struct init *in, pid_t between, int wire, pid_t *ret_pid,
                      struct err *err)
{
    struct wire_message m;
    int r = wire_receive(wire, &m, NULL, NULL), status;

    if (!r && m.kind == WIRE_MAPS) {
        r = userns_write_maps(between, &in->spec->maps, err);
        if (!r)
            r = wire_send(wire, WIRE_MAPS, 0, NULL, NULL, 0);
        if (!r)
            r = wire_receive(wire, &m, NULL, NULL);
    }
    if (r < 0)
        (void)kill(between, SIGKILL);
    (void)!process_wait(between, &status);
    if (r < 0)
        return err->code ? err->code : err_set(err, r, "namespaces: %s", strerror(-r));
    if (m.kind == WIRE_FAILED)
        return err_set(err, m.err.code, "%s", m.err.text);
    if (m.kind != WIRE_PID)
        return err_set(err, -EPIPE, "namespaces: the helper process ended early");
    *ret_pid = m.number;
    return 0;
}

static int spawn_give_group(struct init *in, pid_t between, int wire, struct err *err)
{
    int r = in->enter(in->enter_arg, between, &in->group, err);

    if (r < 0)
        return r;
    r = wire_send(wire, WIRE_GROUP, (int)in->cgroup->joined, NULL, &in->group, in->group >= 0);
    return r < 0 ? err_set(err, r, "cgroup: %s", strerror(-r)) : 0;
}

static pid_t spawn_first(struct init *in, uint64_t flags, bool between)
{
    pid_t pid = spawn_clone(between ? 0 : flags, between ? -1 : in->group);

    if (pid == 0 && between)
        spawn_between(in, flags);
    if (pid == 0)
        init_main(in);
    return pid;
}

int init_spawn(struct init *in, pid_t *ret_pid, int *ret_wire, struct err *err)
{
    bool between = in->enter || spawn_needs_between(in), heard = false;
    uint64_t flags = spawn_new_flags(in);
    CLEANUP(fd) int ours = -1;
    CLEANUP(fd) int theirs = -1;
    int pair[2], r = 0;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "socket pair: %s", strerror(errno));
    ours = pair[0];
    theirs = in->wire = pair[1];
    in->peer = ours;
    pid = spawn_first(in, flags, between);
    if (pid < 0)
        return err_set(err, pid, "namespaces: %s%s", strerror(-pid),
                       pid == -EPERM ? " (without root rights a user namespace must be among them)"
                       : pid == -EBUSY
                           ? " (the cgroup takes no processes: it has controllers for groups below)"
                           : "");
    close(take_fd(&theirs));
    if (in->enter)
        r = spawn_give_group(in, pid, ours, err);
    if (between && !r) {
        heard = true;
        r = spawn_hear(in, pid, ours, &pid, err);
    } else if (in->new_user && !between)
        r = userns_write_maps(pid, &in->spec->maps, err);
    if (!r && in->new_user && !between)
        r = wire_send(ours, WIRE_MAPS, 0, NULL, NULL, 0);
    if (r < 0) {
        int status;

        if (pid > 0 && (!between || !heard)) {
            (void)kill(pid, SIGKILL);
            (void)!process_wait(pid, &status);
        }
        return err->code ? err->code : err_set(err, r, "namespaces: %s", strerror(-r));
    }
    *ret_pid = pid;
    *ret_wire = take_fd(&ours);
    return 0;
}
