/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more process in a running container. The runtime joins only the pid namespace, for its
 * child; the child joins everything else by the pidfd of the container's init, in one call, and
 * becomes the program. Nobody in the container can look into it meanwhile: it is not dumpable, and
 * its executable cannot be written (container/self.h). Contract: container/container.h.
 */
#include "base/cleanup.h"
#include "container/become.h"
#include "container/caps.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/hooks.h"
#include "container/label.h"
#include "container/systemd.h"
#include "container/term.h"
#include "container/wire.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct exec {
    const struct container_runtime *rt;
    const struct container_exec *e;
    struct container_info c;
    struct spec spec; /* the container's */
    struct cgroup groups;
    struct seccomp_filter filter;
    struct become become;
    int pidfd, group, console, wire, peer, master;
    int tasks[WIRE_FDS];
    unsigned task_count;
    uint64_t namespaces; /* that differ from ours */
    pid_t pid;
    bool failed; /* the child said so */
    bool attach; /* it waits for systemd to move it */
    struct err *err;
};

int container_exec_template(const struct container_runtime *rt, const char *id,
                            struct spec *ret_spec, struct spec_process *ret, struct err *err)
{
    struct state_place at;
    int r = state_open(rt->root, id, &at, err);

    if (r < 0)
        return r;
    r = container_read_spec(rt, &at, id, ret_spec, err);
    state_close(&at);
    if (r < 0)
        return err_wrap(err, r, "container '%s'", id);
    *ret = ret_spec->process;
    ret->terminal = false;
    ret->args = NULL;
    ret->columns = ret->rows = 0;
    return 0;
}

/* A namespace that is ours already must not, and for user namespaces cannot, be joined. */
static bool exec_is_other(pid_t pid, const char *name)
{
    char ours[48], theirs[48];
    struct stat a, b;

    snprintf(ours, sizeof(ours), "/proc/self/ns/%s", name);
    snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", pid, name);
    return stat(ours, &a) < 0 || stat(theirs, &b) < 0 || a.st_ino != b.st_ino;
}

static void exec_find_namespaces(struct exec *x)
{
    for (unsigned i = 0; i < x->spec.namespace_count; i++) {
        uint64_t flag = x->spec.namespaces[i].flag;

        if (flag != CLONE_NEWUSER || exec_is_other(x->c.state.pid, "user"))
            x->namespaces |= flag;
    }
}

/* The version 2 group of the container's init, which may have moved below the one we made. */
static int exec_group_of_init(struct exec *x)
{
    const struct cgroup_hierarchy *h = cgroup_unified(&x->groups);
    char path[PATH_MAX], text[PATH_MAX], name[48], *at;
    CLEANUP(fd) int fd = -1;
    ssize_t n;

    snprintf(name, sizeof(name), "/proc/%d/cgroup", x->c.state.pid);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0 || !h)
        return -1;
    text[n] = '\0';
    at = strstr(text, "0::/");
    if (!at)
        return -1;
    at[strcspn(at, "\n")] = '\0';
    if (snprintf(path, sizeof(path), "%s%s", h->dir, at + 3) >= (int)sizeof(path))
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int exec_open_group(struct exec *x)
{
    const struct cgroup_hierarchy *h = cgroup_unified(&x->groups);
    char path[PATH_MAX];

    x->group = -1;
    if (!h || !x->groups.path || !(x->groups.joined & 1u << (h - x->groups.at)))
        return 0;
    snprintf(path, sizeof(path), "%s%s", h->dir, x->groups.path);
    x->group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return x->group < 0 ? err_set(x->err, -errno, "cgroup %s: %s", path, strerror(errno)) : 0;
}

static int exec_sub_group(struct exec *x)
{
    const char *below = x->e->cgroup;

    if (!below || !x->groups.path || !*below || !strcmp(below, "/"))
        return 0;
    if (strstr(below, ".."))
        return err_set(x->err, -EINVAL, "--cgroup %s: climbs with '..'", below);
    x->groups.path =
        arena_text(x->rt->arena, "%s%s%s", x->groups.path, *below == '/' ? "" : "/", below);
    x->groups.joined = 0;
    return 0;
}

static int exec_groups(struct exec *x)
{
    int n, r = container_groups(x->rt, &x->c.state, &x->groups, x->err);

    if (!r)
        r = exec_sub_group(x);
    if (!r && x->e->cgroup && x->groups.path) {
        r = cgroup_make_v2(&x->groups, &x->group, x->err);
        if (!r)
            r = cgroup_make_v1(&x->groups, x->err);
    } else if (!r) {
        r = exec_open_group(x);
    }
    if (r < 0)
        return r;
    n = cgroup_open_tasks(&x->groups, x->tasks, WIRE_FDS, x->err);
    x->task_count = n < 0 ? 0 : (unsigned)n;
    return n < 0 ? n : 0;
}

static int exec_seccomp(struct exec *x)
{
    const struct spec *s = &x->spec;
    bool strict = spec_annotation(s, "run.oci.seccomp_fail_unknown_syscall") != NULL;
    CLEANUP(fd) int root = -1;
    int r;

    x->become.filter = &x->filter;
    x->become.seccomp_socket = -1;
    if (!s->seccomp)
        return 0;
    r = state_open_root(x->rt->root, false, &root, x->err);
    if (!r) /* out of the cache */
        r = seccomp_compile(x->rt->arena, s->seccomp, root, strict, &x->filter, x->err);
    return r ? r : seccomp_connect(&x->filter, &x->become.seccomp_socket, x->err);
}

static int exec_prepare(struct exec *x)
{
    int r = container_open(x->rt, x->e->id, &x->c, x->err);

    if (r < 0)
        return r;
    if (x->c.status != STATE_RUNNING && x->c.status != STATE_CREATED)
        return err_set(x->err, -EBUSY, "container '%s' is %s: exec needs a running one", x->e->id,
                       state_status_names[x->c.status]);
    x->pidfd = state_pidfd(&x->c.state);
    if (x->pidfd < 0)
        return err_set(x->err, -ESRCH, "container '%s' is not running", x->e->id);
    if (x->e->spec)
        x->spec = *x->e->spec;
    else
        r = container_read_spec(x->rt, &x->c.at, x->e->id, &x->spec, x->err);
    if (!r)
        r = label_check(x->e->process, x->err);
    if (!r)
        r = exec_seccomp(x);
    if (!r)
        r = exec_groups(x);
    if (!r && x->e->console_socket) {
        x->console = container_connect(x->e->console_socket, x->err);
        r = x->console < 0 ? x->console : 0;
    }
    if (r < 0)
        return r;
    exec_find_namespaces(x);
    x->become =
        (struct become){.arena = x->rt->arena,
                        .process = x->e->process,
                        .filter = &x->filter,
                        .id = x->e->id,
                        .keep_fds = x->e->preserve_fds,
                        .seccomp_socket = x->become.seccomp_socket,
                        .label_fd = -1,
                        .in_userns = x->namespaces & CLONE_NEWUSER,
                        .setgroups_denied = x->namespaces & CLONE_NEWUSER,
                        .keep_groups = spec_annotation(&x->spec, "run.oci.keep_original_groups")};
    return 0;
}

static int exec_terminal(struct exec *x)
{
    struct term term;
    int r;

    if (!x->e->process->terminal)
        return 0;
    r = term_open(x->become.root, x->e->process, &term, x->become.err);
    if (r < 0)
        return r;
    r = x->console >= 0 ? wire_pass_fd(x->console, term.master, "/dev/ptmx", 9)
                        : wire_send(x->wire, WIRE_MASTER, 0, NULL, &term.master, 1);
    close(term.master);
    if (r < 0)
        return err_set(x->become.err, r, "console socket: %s", strerror(-r));
    return term_take(&term, x->become.err);
}

static int exec_user_of_namespace(struct exec *x)
{
    if (!(x->namespaces & CLONE_NEWUSER))
        return 0;
    /* Root inside, so that what follows has its rights; where root is not mapped, whoever is. */
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return errno == EINVAL
                   ? 0
                   : err_set(x->become.err, -errno, "user namespace: %s", strerror(errno));
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

static int exec_enter(struct exec *x, struct err *err)
{
    uint64_t flags = x->namespaces & ~(uint64_t)CLONE_NEWPID;
    const struct spec_process *p = x->e->process;
    int r;

    x->become.err = err;
    x->become.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = label_open(p, x->become.proc, &x->become.label_fd, err);
    if (!r && p->initial_affinity && *p->initial_affinity)
        r = become_affinity(p->initial_affinity, err);
    if (!r)
        r = become_limit(&x->become);
    if (!r) {
        r = cgroup_join(x->tasks, x->task_count);
        if (r < 0)
            err_set(err, r, "cgroup: cannot join it: %s", strerror(-r));
    }
    if (!r && prctl(PR_SET_DUMPABLE, 0) < 0)
        r = err_set(err, -errno, "dumpable: %s", strerror(errno));
    if (!r && flags && setns(x->pidfd, (int)flags) < 0)
        r = err_set(err, -errno, "namespaces of container '%s': %s", x->e->id, strerror(errno));
    if (!r && setsid() < 0)
        r = err_set(err, -errno, "session: %s", strerror(errno));
    if (!r)
        r = exec_user_of_namespace(x);
    if (!r && p->final_affinity && *p->final_affinity)
        r = become_affinity(p->final_affinity, err);
    if (r < 0)
        return r;
    if (chdir("/") < 0)
        return err_set(err, -errno, "root directory: %s", strerror(errno));
    x->become.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = become_find(&x->become);
    return r ? r : exec_terminal(x);
}

/* Our own pid, outside: x->pid is the runtime's to know. */
static pid_t exec_pid(const struct exec *x)
{
    char self[16] = "";
    ssize_t n = readlinkat(x->become.proc, "self", self, sizeof(self) - 1);

    if (n > 0)
        self[n] = '\0';
    return (pid_t)atoi(self);
}

static noreturn_fn void exec_child(struct exec *x)
{
    struct err err = {0};
    int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;

    close(x->peer);
    if (!r)
        r = exec_enter(x, &err);
    if (!r)
        r = wire_expect(x->wire, WIRE_START, NULL, NULL, &err);
    if (!r)
        r = prctl(PR_SET_PDEATHSIG, 0) < 0 ? -errno : 0;
    if (!r && x->filter.notify)
        x->become.seccomp_state = hooks_seccomp_state(
            x->rt->arena, exec_pid(x), x->filter.listener_metadata,
            hooks_state(x->rt->arena, x->spec.version, x->e->id, "running", x->c.state.pid,
                        x->c.state.bundle, x->spec.annotations));
    if (!r)
        r = become_exec(&x->become);
    if (!err.code)
        err_set(&err, r, "%s", strerror(-r));
    (void)!wire_send(x->wire, WIRE_FAILED, 0, &err, NULL, 0);
    _exit(127);
}

/* Without rights over the container's namespaces its user namespace comes first. */
static int exec_join_pids(struct exec *x)
{
    uint64_t flags = x->namespaces & CLONE_NEWPID;

    if (!flags)
        return 0;
    if (setns(x->pidfd, CLONE_NEWPID) == 0)
        return 0;
    if (errno == EPERM && x->namespaces & CLONE_NEWUSER &&
        setns(x->pidfd, CLONE_NEWUSER | CLONE_NEWPID) == 0) {
        x->namespaces &= ~(uint64_t)CLONE_NEWUSER;
        x->become.in_userns = true;
        return 0;
    }
    return err_set(x->err, -errno, "pid namespace of container '%s': %s", x->e->id,
                   strerror(errno));
}

/* A detached process becomes an orphan when we end. Its new parent is the host's init, or an engine
 * that has made itself a subreaper to learn the end of the pid it reads from --pid-file. Where
 * neither reaps, as with a shell for init in somebody's own container, the zombie would keep the
 * container's pid namespace, so its init, so its groups for ever (zap_pid_ns_processes() of the
 * kernel). With nobody to tell its pid to, it gets a parent inside, whose end makes the container's
 * init its parent: that one's end takes everything along. */
static bool exec_wants_parent_inside(const struct exec *x)
{
    return x->e->detach && !x->e->pid_file && x->namespaces & CLONE_NEWPID;
}

/* The parent inside is a process of the host's that the container can see, for as long as its child
 * lives or we do: nothing it could be made to do reaches further than the container itself. */
static void exec_drop_all(const struct exec *x)
{
    const struct spec_capabilities none = {.given = true};

    if (x->namespaces & CLONE_NEWNS)
        (void)setns(x->pidfd, CLONE_NEWNS);
    close(x->peer); /* the wire: its end must be seen to close when the child executes */
    close(x->wire);
    (void)close_range(3, ~0u, 0);
    (void)!caps_bound(0);
    (void)!caps_set(&none);
}

static noreturn_fn void exec_parent_inside(struct exec *x)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    long pid = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ? -1 : 0;

    if (!pid)
        pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        exec_child(x);
    if (pid < 0) {
        struct err err;

        err_set(&err, -errno, "container '%s': no new process: %s", x->e->id, strerror(errno));
        (void)!wire_send(x->wire, WIRE_FAILED, 0, &err, NULL, 0);
        _exit(127);
    }
    exec_drop_all(x);
    (void)!waitpid((pid_t)pid, NULL, 0); /* it has failed; else the runtime ends us */
    _exit(0);
}

/* cgroup-v2.rst, "Delegation Containment": who moves needs rights over what both have above. */
static int exec_no_process(const struct exec *x, int code)
{
    if (code == EACCES && x->group >= 0)
        return err_set(x->err, -code,
                       "container '%s': no new process: from the control group that we are in "
                       "nobody may enter the container's; do it from the session that started it, "
                       "or as root",
                       x->e->id);
    return err_set(x->err, -code, "container '%s': no new process: %s", x->e->id, strerror(code));
}

static int exec_spawn(struct exec *x)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    long pid;

    if (x->group >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)x->group;
    }
    pid = syscall(SYS_clone3, &args, sizeof(args));
    /* An ordinary user may enter only from within what is delegated to him: systemd moves it. */
    if (pid < 0 && (errno == EACCES || errno == EPERM) && x->c.state.scope) {
        args = (struct clone_args){.exit_signal = SIGCHLD};
        x->attach = true;
        pid = syscall(SYS_clone3, &args, sizeof(args));
    }
    if (pid < 0 && errno == EBUSY && x->group >= 0) {
        close(x->group);
        x->group = exec_group_of_init(x);
        args.cgroup = (unsigned)x->group;
        pid = x->group < 0 ? -1 : syscall(SYS_clone3, &args, sizeof(args));
    }
    if (pid == 0 && exec_wants_parent_inside(x))
        exec_parent_inside(x);
    if (pid == 0)
        exec_child(x);
    if (pid < 0)
        return exec_no_process(x, errno);
    x->pid = (pid_t)pid;
    return 0;
}

/* What of a group's path is below the scope: "/container", with exec --cgroup more. */
static const char *exec_below_scope(const char *path, const char *scope)
{
    size_t len = strlen(scope);

    for (const char *at = path; (at = strstr(at, scope)); at++)
        if (at > path && at[-1] == '/' && (at[len] == '/' || !at[len]))
            return at + len;
    return "";
}

static int exec_attach(const struct exec *x)
{
    const char *inner = exec_below_scope(x->groups.path, x->c.state.scope);
    struct dbus bus;
    int r = systemd_open(&bus, x->err);

    if (r < 0)
        return r;
    /* The scope's own group holds the container's on version 2, and is it on version 1. */
    r = systemd_attach(&bus, x->c.state.scope, cgroup_has_v1(&x->groups) ? "" : inner, x->pid,
                       x->err);
    dbus_close(&bus);
    return r;
}

/* The child needs no more than to be told to go on; its silence in the end means that exec worked.
 */
static int exec_talk(struct exec *x)
{
    struct wire_message m;
    int fds[WIRE_FDS], r = container_write_pid(x->e->pid_file, x->pid, x->err);
    unsigned count = 0;

    if (!x->e->detach)
        container_hold_signals();
    if (!r && x->attach)
        r = exec_attach(x);
    if (!r)
        r = wire_send(x->peer, WIRE_START, 0, NULL, NULL, 0);
    if (r == -EPIPE)
        r = 0; /* it has failed: the reason is in the queue */
    while (!r) {
        r = wire_receive(x->peer, &m, fds, &count);
        if (r || m.kind != WIRE_MASTER)
            break;
        x->master = count ? fds[0] : -1;
    }
    if (r < 0)
        return x->err->code ? r : err_set(x->err, r, "container '%s': %s", x->e->id, strerror(-r));
    x->failed = m.kind == WIRE_FAILED;
    return x->failed ? err_set(x->err, m.err.code ? m.err.code : -EIO, "%s", m.err.text) : 0;
}

static int exec_run(struct exec *x, int *ret_code)
{
    int pair[2], status, r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(x->err, -errno, "socket pair: %s", strerror(errno));
    x->peer = pair[0];
    x->wire = pair[1];
    x->err->code = 0;
    r = exec_join_pids(x);
    if (!r)
        r = exec_spawn(x);
    close(take_fd(&x->wire));
    if (r < 0)
        return r;
    r = exec_talk(x);
    if (r < 0) {
        if (!x->failed) /* else it ends by itself, and its parent inside reaps it */
            (void)kill(x->pid, SIGKILL);
        (void)!process_wait(x->pid, &status);
        if (x->e->pid_file)
            (void)unlink(x->e->pid_file);
        return r;
    }
    close(take_fd(&x->peer));
    if (!x->e->detach)
        return container_follow(x->pid, x->master, -1, ret_code, x->err);
    if (exec_wants_parent_inside(x)) {
        (void)kill(x->pid, SIGKILL);
        (void)!process_wait(x->pid, &status);
    }
    *ret_code = 0;
    return 0;
}

int container_exec(const struct container_runtime *rt, const struct container_exec *e,
                   int *ret_code, struct err *err)
{
    struct exec x = {.rt = rt,
                     .e = e,
                     .c = {.at = STATE_NOWHERE},
                     .pidfd = -1,
                     .group = -1,
                     .console = -1,
                     .wire = -1,
                     .peer = -1,
                     .master = -1,
                     .err = err};
    int r = exec_prepare(&x);

    if (!r)
        r = exec_run(&x, ret_code);
    container_close(&x.c);
    const int fds[] = {x.pidfd, x.group, x.console, x.wire, x.peer, x.master};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return r;
}
