/* SPDX-License-Identifier: Apache-2.0 */
/* From birth to exec. Contract: container/init.h. */
#include "container/init.h"

#include "base/cleanup.h"
#include "container/hooks.h"
#include "container/label.h"
#include "container/links.h"
#include "container/numa.h"
#include "container/path.h"
#include "container/sysctl.h"
#include "container/term.h"
#include "container/userns.h"
#include "container/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool init_has_new(const struct init *in, uint64_t flag)
{
    const struct spec_namespace *ns = spec_namespace(in->spec, flag);

    return ns && !ns->path;
}

/* Root of the user namespace, or whom it has instead. What one that is joined maps, we are not
 * told: there the kernel says. */
static int init_be_root(struct init *in)
{
    const struct spec_maps *maps = &in->spec->maps;
    bool joined = !init_has_new(in, CLONE_NEWUSER);
    uid_t uid = joined || userns_outside(maps->uid, maps->uids, 0) >= 0 ? 0 : in->spec->process.uid;
    gid_t gid = joined || userns_outside(maps->gid, maps->gids, 0) >= 0 ? 0 : in->spec->process.gid;

    if (in->become.keep_groups == false && setgroups(0, NULL) < 0) {
        if (errno != EPERM)
            return err_set(&in->err, -errno, "groups: %s", strerror(errno));
        in->become.setgroups_denied = true;
    }
    if (joined && setresgid(gid, gid, gid) < 0 && errno == EINVAL)
        gid = in->spec->process.gid;
    if (joined && setresuid(uid, uid, uid) < 0 && errno == EINVAL)
        uid = in->spec->process.uid;
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_set(&in->err, -errno, "user %u, group %u: %s", uid, gid, strerror(errno));
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0; /* a change of user clears it */
}

static int init_user(struct init *in)
{
    int r = 0;

    if (in->new_user)
        r = wire_expect(in->wire, WIRE_MAPS, NULL, NULL, &in->err);
    if (!r && spec_namespace(in->spec, CLONE_NEWUSER))
        r = init_be_root(in);
    return r;
}

static int init_namespaces(struct init *in)
{
    for (unsigned i = 0; i < in->spec->namespace_count; i++)
        if (in->joins[i] >= 0 && setns(in->joins[i], (int)in->spec->namespaces[i].flag) < 0)
            return err_set(&in->err, -errno, "namespace %s: cannot join it: %s",
                           in->spec->namespaces[i].path, strerror(errno));
    if (in->spec->hostname && sethostname(in->spec->hostname, strlen(in->spec->hostname)) < 0)
        return err_set(&in->err, -errno, "hostname: %s", strerror(errno));
    if (in->spec->domainname &&
        setdomainname(in->spec->domainname, strlen(in->spec->domainname)) < 0)
        return err_set(&in->err, -errno, "domainname: %s", strerror(errno));
    if (init_has_new(in, CLONE_NEWNET)) {
        int r = links_loopback_up(&in->err);

        if (r < 0)
            return r;
    }
    return sysctl_apply(in->spec, in->proc, &in->err);
}

static bool init_is_realtime(const struct init *in)
{
    const struct spec_scheduler *s = &in->spec->process.scheduler;

    return s->given && (s->policy == SCHED_FIFO || s->policy == SCHED_RR);
}

/* The version 1 groups, as late as possible: the runtime makes them while we mount. */
static int init_groups(struct init *in)
{
    int fds[WIRE_FDS];
    unsigned count = 0;
    int r = 0;

    if (in->joined_groups)
        return 0;
    in->joined_groups = true;
    if (in->groups) {
        struct wire_message m;

        r = wire_receive(in->wire, &m, fds, &count);
        if (!r && m.kind != WIRE_GROUPS)
            r = -EPIPE;
        if (r < 0)
            return err_set(&in->err, r, "cgroup: the runtime is gone");
        in->cgroup->joined |= (unsigned)m.number;
        r = cgroup_join(fds, count);
        if (r == -EINVAL && init_is_realtime(in))
            return err_set(&in->err, r,
                           "process.scheduler: the container's cpu group has no real-time share; "
                           "give it one by linux.resources.cpu.realtimeRuntime");
        if (r < 0)
            return err_set(&in->err, r, "cgroup: cannot join it: %s", strerror(-r));
    }
    if (init_has_new(in, CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
        return err_set(&in->err, -errno, "cgroup namespace: %s", strerror(errno));
    return 0;
}

static int init_before_group_mount(void *arg)
{
    return init_groups(arg);
}

static int init_cwd(struct init *in)
{
    int fd = path_make_dir(in->mounts.root, in->spec->process.cwd, 0755);

    if (fd >= 0)
        close(fd);
    else if (fd != -EROFS && fd != -EACCES)
        return err_set(&in->err, fd, "cwd %s: %s", in->spec->process.cwd, strerror(-fd));
    return 0;
}

/* The directory with the notify socket, where the program looks for it. */
static int init_notify(struct init *in)
{
    CLEANUP(fd) int target = -1;
    CLEANUP(fd) int tree = -1;
    int r;

    if (!in->notify_dir)
        return 0;
    tree = mounts_clone(AT_FDCWD, in->notify_dir, 0);
    target = tree < 0 ? tree : path_make_dir(in->mounts.root, in->notify_mount, 0755);
    r = target < 0 ? target : mounts_attach(tree, target);
    return r < 0 ? err_set(&in->err, r, "NOTIFY_SOCKET %s: %s", in->notify_mount, strerror(-r)) : 0;
}

static int init_files(struct init *in)
{
    int r;

    (void)umask(0);
    in->mounts.err = &in->err;
    in->mounts.before_groups = init_before_group_mount;
    in->mounts.arg = in;
    r = mounts_isolate(&in->mounts, in->rootfs);
    if (!r)
        r = mounts_make_all(&in->mounts);
    if (!r)
        r = mounts_devices(&in->mounts);
    if (!r)
        r = init_notify(in);
    if (!r)
        r = init_cwd(in);
    return r ? r : init_groups(in);
}

/* Our pid as the runtime sees it: /proc is the runtime's. */
static pid_t init_pid(const struct init *in)
{
    char self[16] = "";
    ssize_t n = readlinkat(in->proc, "self", self, sizeof(self) - 1);

    if (n > 0)
        self[n] = '\0';
    return (pid_t)atoi(self);
}

static const char *init_hook_state(const struct init *in, const char *status)
{
    return hooks_state(in->spec->arena, in->spec->version, in->id, status, init_pid(in), in->bundle,
                       in->spec->annotations);
}

/* prestart and createRuntime by the runtime, createContainer here; all before pivot_root. */
static int init_hooks(struct init *in)
{
    int r = 0;

    if (in->spec->hook_count[SPEC_PRESTART] || in->spec->hook_count[SPEC_CREATE_RUNTIME]) {
        r = wire_send(in->wire, WIRE_MADE, 0, NULL, NULL, 0);
        if (!r)
            r = wire_expect(in->wire, WIRE_GO_ON, NULL, NULL, &in->err);
    }
    if (!r && in->spec->hook_count[SPEC_CREATE_CONTAINER])
        r = hooks_run(in->spec, SPEC_CREATE_CONTAINER, init_hook_state(in, "creating"), &in->err);
    return r;
}

static int init_console_mount(struct init *in, int slave)
{
    CLEANUP(fd) int tree = mounts_clone(slave, "", AT_EMPTY_PATH);
    CLEANUP(fd)
    int target = tree < 0 ? tree : path_make_file(in->mounts.root, "/dev/console", 0620);
    int r = target < 0 ? target : mounts_attach(tree, target);

    return r < 0 ? err_set(&in->err, r, "/dev/console: %s", strerror(-r)) : 0;
}

static int init_terminal(struct init *in)
{
    struct term term;
    int r;

    if (!in->spec->process.terminal)
        return 0;
    r = term_open(in->mounts.root, &in->spec->process, &term, &in->err);
    if (r < 0)
        return r;
    r = init_console_mount(in, term.slave);
    if (!r && in->console >= 0)
        r = wire_pass_fd(in->console, term.master, "/dev/ptmx", 9);
    else if (!r)
        r = wire_send(in->wire, WIRE_MASTER, 0, NULL, &term.master, 1);
    if (r < 0 && !in->err.code)
        err_set(&in->err, r, "console socket: %s", strerror(-r));
    close(term.master);
    if (in->console >= 0)
        close(take_fd(&in->console));
    return r < 0 ? r : term_take(&term, &in->err);
}

static int init_set_up(struct init *in)
{
    int r;

    in->proc = in->become.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (in->proc < 0 || !path_is_on(in->proc, PROC_SUPER_MAGIC))
        return err_set(&in->err, -ENOENT, "/proc is not mounted on this host");
    r = init_user(in);
    if (!r && setsid() < 0)
        r = err_set(&in->err, -errno, "session: %s", strerror(errno));
    in->become.err = &in->err;
    if (!r)
        r = become_limit(&in->become);
    if (!r)
        r = numa_apply(in->spec->memory_policy, &in->err);
    if (!r)
        r = init_namespaces(in);
    if (!r)
        r = init_files(in);
    if (!r)
        r = init_hooks(in);
    if (!r)
        r = init_terminal(in);
    if (!r)
        r = label_open(&in->spec->process, in->proc, &in->become.label_fd, &in->err);
    if (!r)
        r = mounts_hide(&in->mounts);
    if (!r)
        r = mounts_pivot(&in->mounts);
    in->become.root = in->mounts.root;
    if (r < 0 || !in->spec->process.given) /* start will say so */
        return r;
    return become_find(&in->become);
}

/* A created container sits here until "start" connects; whatever fails later is told there. */
static int init_wait_for_start(struct init *in)
{
    int fd;

    if (in->start < 0)
        return 0;
    do
        fd = accept4(in->start, NULL, NULL, SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_set(&in->err, -errno, "waiting for start: %s", strerror(errno));
    close(take_fd(&in->start));
    in->wire = fd;
    return wire_expect(fd, WIRE_START, NULL, NULL, &in->err);
}

static int init_go(struct init *in)
{
    int r;

    if (in->become.filter->notify)
        in->become.seccomp_state =
            hooks_seccomp_state(in->spec->arena, init_pid(in), in->become.filter->listener_metadata,
                                init_hook_state(in, "creating"));
    r = wire_expect(in->wire, WIRE_START, NULL, NULL, &in->err);
    if (!r)
        r = prctl(PR_SET_PDEATHSIG, 0) < 0 ? -errno : 0;
    if (r < 0)
        return r;
    if (in->start >= 0)
        close(take_fd(&in->wire));
    r = init_wait_for_start(in);
    if (!r && !in->spec->process.given)
        r = err_set(&in->err, -EINVAL,
                    "config.json: process is missing: there is nothing to start");
    if (!r && in->spec->hook_count[SPEC_START_CONTAINER])
        r = hooks_run(in->spec, SPEC_START_CONTAINER, init_hook_state(in, "created"), &in->err);
    return r < 0 ? r : become_exec(&in->become);
}

void init_main(struct init *in)
{
    int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;

    if (in->peer >= 0)
        close(take_fd(&in->peer));
    for (size_t i = 0; i < ARRAY_LEN(in->ours); i++)
        close(in->ours[i]);
    if (!r)
        r = init_set_up(in);
    if (!r)
        r = init_go(in);
    if (!in->err.code)
        err_set(&in->err, r, "%s", strerror(-r));
    if (in->wire >= 0)
        (void)!wire_send(in->wire, WIRE_FAILED, 0, &in->err, NULL, 0);
    _exit(127);
}
