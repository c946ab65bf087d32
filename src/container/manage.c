/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to containers that exist. Contract: container/container.h. */
#include "base/cleanup.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/hooks.h"
#include "container/notify.h"
#include "container/path.h"
#include "container/rdt.h"
#include "container/systemd.h"
#include "container/wire.h"
#include "host/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { MANAGE_PATIENCE_MS = 10000, MANAGE_REAPING_MS = 3000, MANAGE_CREATING_MS = 2000 };

int container_find_groups(const struct container_runtime *rt, struct cgroup *ret, struct err *err)
{
    int r;

    if (rt->groups && rt->groups->count) {
        *ret = *rt->groups;
        return 0;
    }
    r = cgroup_find(rt->arena, ret, err);
    if (!r && rt->groups)
        *rt->groups = *ret;
    return r;
}

int container_groups(const struct container_runtime *rt, const struct state *state,
                     struct cgroup *ret, struct err *err)
{
    struct cgroup g = {.arena = rt->arena};
    int r = state->cgroup ? container_find_groups(rt, &g, err) : 0;

    if (r < 0)
        return r;
    g.path = state->cgroup;
    g.made = state->cgroup_made;
    g.rootless = systemd_is_rootless();
    for (unsigned i = 0; g.path && i < g.count; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s%s", g.at[i].dir, g.path);
        if (access(path, F_OK) == 0)
            g.joined |= 1u << i;
    }
    *ret = g;
    return 0;
}

int container_open(const struct container_runtime *rt, const char *id, struct container_info *ret,
                   struct err *err)
{
    struct container_info info = {0};
    struct cgroup groups;
    int r = state_open(rt->root, id, &info.at, err);

    if (r < 0)
        return r;
    r = state_load(rt->arena, &info.at, id, &info.state, err);
    if (!r)
        info.status = state_look(&info.at, &info.state);
    /* Between its name and its process a container has nothing to tell: milliseconds, and an engine
     * that looks too early takes "creating" for an answer. */
    for (unsigned ms = 0; !r && info.status == STATE_CREATING && ms < MANAGE_CREATING_MS; ms++) {
        (void)poll(NULL, 0, 1);
        r = state_load(rt->arena, &info.at, id, &info.state, err);
        info.status = state_look(&info.at, &info.state);
    }
    if (r < 0) {
        state_close(&info.at);
        return r;
    }
    if ((info.status == STATE_RUNNING || info.status == STATE_CREATED) &&
        container_groups(rt, &info.state, &groups, err) == 0 && cgroup_is_frozen(&groups))
        info.status = STATE_PAUSED;
    *ret = info;
    return 0;
}

void container_close(struct container_info *info)
{
    state_close(&info->at);
}

static int manage_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int container_list(const struct container_runtime *rt, const char ***ret_ids, struct err *err)
{
    const char **ids = arena_get(rt->arena, 1, sizeof(*ids));
    unsigned count = 0, room = 1;
    int fd = -1, r = state_open_root(rt->root, false, &fd, err);
    DIR *list = r < 0 ? NULL : fdopendir(fd);

    if (r < 0 && r != -ENOENT)
        return r;
    for (struct dirent *e; list && ids && (e = readdir(list));) {
        if (*e->d_name == '.' || (e->d_type != DT_REG && e->d_type != DT_DIR) ||
            !path_is_plain_name(e->d_name))
            continue;
        if (count + 1 == room) {
            const char **more = arena_get(rt->arena, room *= 2, sizeof(*more));

            if (more)
                memcpy(more, ids, count * sizeof(*ids));
            ids = more;
        }
        if (ids)
            ids[count++] = arena_text(rt->arena, "%s", e->d_name);
    }
    if (list)
        closedir(list);
    if (!ids)
        return err_set(err, -ENOMEM, "no memory");
    qsort(ids, count, sizeof(*ids), manage_compare);
    *ret_ids = ids;
    return 0;
}

static int manage_kill_one(void *arg, pid_t pid)
{
    const int *signal = arg;

    (void)kill(pid, *signal);
    return 0;
}

int container_kill(const struct container_runtime *rt, const char *id, int signal, bool all,
                   struct err *err)
{
    struct container_info c;
    struct cgroup groups;
    CLEANUP(fd) int pidfd = -1;
    int r = container_open(rt, id, &c, err);

    if (r < 0)
        return r;
    container_close(&c);
    if (all) {
        r = container_groups(rt, &c.state, &groups, err);
        if (!r && groups.path)
            return cgroup_each_process(&groups, manage_kill_one, &signal);
        if (r < 0)
            return r;
    }
    pidfd = state_pidfd(&c.state);
    if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
        return err_set(err, -ESRCH, "container '%s' is not running", id);
    return 0;
}

int container_pause(const struct container_runtime *rt, const char *id, bool frozen,
                    struct err *err)
{
    struct container_info c;
    struct cgroup groups;
    int r = container_open(rt, id, &c, err);

    if (r < 0)
        return r;
    container_close(&c);
    if (c.status == STATE_STOPPED || c.status == STATE_CREATING)
        return err_set(err, -EBUSY, "container '%s' is %s: only a running one can be paused", id,
                       state_status_names[c.status]);
    if (!frozen && c.status != STATE_PAUSED)
        return err_set(err, -EBUSY, "container '%s' is not paused", id);
    r = container_groups(rt, &c.state, &groups, err);
    return r < 0 ? r : cgroup_freeze(&groups, frozen, err);
}

struct manage_pids {
    struct arena *arena;
    pid_t *pids;
    unsigned count, room;
};

static int manage_add_pid(void *arg, pid_t pid)
{
    struct manage_pids *p = arg;

    if (p->count + 1 >= p->room) {
        pid_t *more = arena_get(p->arena, p->room = p->room * 2 + 64, sizeof(*more));

        if (!more)
            return -ENOMEM;
        if (p->count)
            memcpy(more, p->pids, p->count * sizeof(*more));
        p->pids = more;
    }
    p->pids[p->count++] = pid;
    return 0;
}

int container_processes(const struct container_runtime *rt, const char *id, pid_t **ret_pids,
                        struct err *err)
{
    struct manage_pids pids = {.arena = rt->arena};
    struct container_info c;
    struct cgroup groups;
    int r = container_open(rt, id, &c, err);

    if (r < 0)
        return r;
    container_close(&c);
    r = container_groups(rt, &c.state, &groups, err);
    if (r < 0)
        return r;
    if (groups.path)
        r = cgroup_each_process(&groups, manage_add_pid, &pids);
    else if (c.status != STATE_STOPPED)
        r = manage_add_pid(&pids, c.state.pid);
    if (!r && !pids.pids)
        pids.pids = arena_get(rt->arena, 1, sizeof(pid_t));
    if (r < 0 || !pids.pids)
        return err_set(err, r < 0 ? r : -ENOMEM, "container '%s': %s", id,
                       strerror(r < 0 ? -r : ENOMEM));
    pids.pids[pids.count] = 0;
    *ret_pids = pids.pids;
    return 0;
}

/* systemd must know, or its next reload would bring back the old limits. */
static int manage_update_scope(const struct container_info *c, const struct cgroup *groups,
                               const struct spec_resources *resources, struct err *err)
{
    struct dbus bus;
    int r = systemd_open(&bus, err);

    if (r < 0)
        return r;
    r = systemd_update(&bus, c->state.scope, resources, !cgroup_has_v1(groups), err);
    dbus_close(&bus);
    return r;
}

int container_update(const struct container_runtime *rt, const char *id,
                     const struct spec_resources *resources, struct err *err)
{
    struct container_info c;
    struct cgroup groups;
    int r = container_open(rt, id, &c, err);

    if (r < 0)
        return r;
    container_close(&c);
    if (c.status == STATE_STOPPED)
        return err_set(err, -EBUSY, "container '%s' is stopped: it has no limits to change", id);
    r = container_groups(rt, &c.state, &groups, err);
    if (r < 0)
        return r;
    if (!groups.path)
        return err_set(err, -EOPNOTSUPP, "container '%s' has no cgroup, so no limits", id);
    if (c.state.scope)
        r = manage_update_scope(&c, &groups, resources, err);
    if (!r)
        r = cgroup_limit(&groups, resources, true, err);
    return r < 0 ? r : cgroup_devices(&groups, resources, err);
}

/* A process that is no child of ours: its pidfd becomes readable at its end. */
static bool manage_wait_end(int pidfd, int ms)
{
    struct pollfd at = {.fd = pidfd, .events = POLLIN};

    return poll(&at, 1, ms) == 1;
}

static void manage_remove_rdt(const struct container_runtime *rt, const struct spec *spec,
                              const char *id)
{
    const char *root = rdt_find(rt->arena);
    struct err ignored;
    struct rdt rdt;

    if (root && rdt_parse(rt->arena, spec->intel_rdt, id, &rdt, &ignored) == 0)
        rdt_remove(root, &rdt, id);
}

static int manage_poststop(const struct container_runtime *rt, struct container_info *c,
                           const struct spec *spec, struct err *err)
{
    struct spec read;
    int r = 0;

    if (!c->state.pid) /* it never had a process */
        return 0;
    if (!spec)
        r = container_read_spec(rt, &c->at, c->state.id, &read, err);
    if (r < 0)
        return r;
    spec = spec ? spec : &read;
    if (spec->intel_rdt)
        manage_remove_rdt(rt, spec, c->state.id);
    if (!spec->hook_count[SPEC_POSTSTOP])
        return 0;
    return hooks_run(spec, SPEC_POSTSTOP,
                     hooks_state(rt->arena, spec->version, c->state.id, "stopped", 0,
                                 c->state.bundle, spec->annotations),
                     err);
}

/* Processes first, then the groups they were in. */
static int manage_clean_groups(const struct container_runtime *rt, const struct container_info *c,
                               const struct cgroup *known, struct err *err)
{
    struct cgroup groups;
    int r = 0;

    if (known)
        groups = *known;
    else
        r = container_groups(rt, &c->state, &groups, err);
    if (r < 0 || cgroup_remove_quick(&groups))
        return r;
    r = cgroup_kill(&groups, err);
    return r < 0 ? r : cgroup_remove(&groups, err);
}

/* The scope around the container's group. Where systemd is out of reach its group is removed like
 * any other: what is left of the unit goes when systemd finds it empty. */
static int manage_stop_scope(const struct container_runtime *rt, const struct container_info *c,
                             struct err *err)
{
    struct cgroup groups;
    struct dbus bus;
    char *path, *slash;
    int r = systemd_open(&bus, err);

    if (!r) {
        r = systemd_stop(&bus, c->state.scope, err);
        dbus_close(&bus);
        return r;
    }
    if (rt->note)
        rt->note(rt->note_arg, err->text);
    r = container_groups(rt, &c->state, &groups, err);
    if (r < 0 || cgroup_has_v1(&groups))
        return r;
    groups.path = path = arena_text(rt->arena, "%s", groups.path);
    slash = path ? strrchr(path, '/') : NULL;
    if (!slash || slash == path)
        return 0;
    *slash = '\0';
    return cgroup_remove(&groups, err);
}

static bool manage_same_pids(pid_t init, pid_t pid)
{
    struct stat ours, theirs;
    char path[48];

    snprintf(path, sizeof(path), "/proc/%d/ns/pid", init);
    if (pid == init || stat(path, &ours) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    return stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino;
}

/* Why a killed init stays: it waits until every zombie of its pid namespace is reaped
 * (zap_pid_ns_processes() of the kernel), and one whose parent is outside only that one can reap.
 * 0: there is none. */
static pid_t manage_find_zombie(pid_t init, pid_t *ret_parent)
{
    DIR *proc = opendir("/proc");
    pid_t found = 0;

    for (struct dirent *e; proc && !found && (e = readdir(proc));) {
        CLEANUP(free) char *text = NULL;
        const char *parent;
        char path[300];

        if (*e->d_name < '1' || *e->d_name > '9' || !manage_same_pids(init, atoi(e->d_name)))
            continue;
        snprintf(path, sizeof(path), "/proc/%s/status", e->d_name);
        if (file_read(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0)
            continue;
        parent = strstr(text, "\nPPid:\t");
        if (!strstr(text, "\nState:\tZ") || !parent)
            continue;
        *ret_parent = atoi(parent + 7);
        if (!manage_same_pids(init, *ret_parent) && *ret_parent != init)
            found = atoi(e->d_name);
    }
    if (proc)
        closedir(proc);
    return found;
}

static int manage_does_not_end(const struct state *s, struct err *err)
{
    pid_t parent, zombie = manage_find_zombie(s->pid, &parent);

    if (zombie)
        return err_set(err, -ETIMEDOUT,
                       "container '%s': its process %d cannot end before process %d, an exec that "
                       "has ended, is reaped by its parent %d; end that one, then delete again",
                       s->id, s->pid, zombie, parent);
    return err_set(err, -ETIMEDOUT, "container '%s': its process %d does not end", s->id, s->pid);
}

int container_clean(const struct container_runtime *rt, struct container_info *c,
                    const struct cgroup *known, const struct spec *spec, struct err *err)
{
    CLEANUP(fd) int pidfd = state_pidfd(&c->state);
    struct cgroup groups = {.arena = rt->arena};
    struct err ignored;
    int r;

    if (pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        r = container_groups(rt, &c->state, &groups, err);
        if (!r && cgroup_is_frozen(&groups)) /* frozen version 1 processes do not even die */
            (void)!cgroup_freeze(&groups, false, &ignored);
        if (!manage_wait_end(pidfd, 200))
            cgroup_thaw_process(&groups, c->state.pid);
        /* A parent that reaps does so soon: one that never does need not be waited for so long. */
        if (!manage_wait_end(pidfd, MANAGE_REAPING_MS) &&
            (manage_find_zombie(c->state.pid, &(pid_t){0}) ||
             !manage_wait_end(pidfd, MANAGE_PATIENCE_MS)))
            return manage_does_not_end(&c->state, err);
    }
    if (c->state.scope && !c->state.scope_made) /* all there may be is another's by that name */
        r = 0;
    else
        r = manage_clean_groups(rt, c, known, err);
    if (!r && c->state.scope_made)
        r = manage_stop_scope(rt, c, err);
    if (r < 0)
        return r;
    if (manage_poststop(rt, c, spec, &ignored) < 0 && rt->note) /* runtime.md: logged, no more */
        rt->note(rt->note_arg, ignored.text);
    state_remove(&c->at, c->state.id);
    return 0;
}

/* The lock, and what the state is under it. -ENOENT: somebody else has deleted the container while
 * we waited; the name may be another's by now. */
static int manage_lock(const struct container_runtime *rt, struct container_info *c, bool force,
                       struct err *err)
{
    const char *id = c->state.id;
    int r = state_lock(&c->at, force ? MANAGE_PATIENCE_MS : 1000);

    if (r == -EAGAIN)
        return err_set(err, -EBUSY, "container '%s': somebody is creating or deleting it", id);
    if (r == -ENOENT)
        return err_set(err, r, "container '%s' does not exist", id);
    if (r < 0)
        return err_set(err, r, "container '%s': lock: %s", id, strerror(-r));
    return state_load(rt->arena, &c->at, id, &c->state, err);
}

int container_delete(const struct container_runtime *rt, const char *id, bool force,
                     struct err *err)
{
    struct container_info c;
    int r = container_open(rt, id, &c, err);

    if (r == -ENOENT && force) {
        state_sweep(rt->root, id);
        return 0;
    }
    if (r < 0)
        return r;
    /* What never started may go without force: engines count on it. */
    if (c.status != STATE_STOPPED && c.status != STATE_CREATED && !force) {
        container_close(&c);
        return err_set(err, -EBUSY, "container '%s' is %s: stop it first, or delete --force", id,
                       state_status_names[c.status]);
    }
    r = manage_lock(rt, &c, force, err); /* it may have got further while we waited */
    if (r == -ENOENT && force) {
        container_close(&c);
        return 0;
    }
    if (!r)
        r = container_clean(rt, &c, NULL, NULL, err);
    container_close(&c);
    return r;
}

/* The waiting process tells why its program could not be started; silence means it runs. */
static int manage_tell_start(struct container_info *c, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const struct state_name name = state_name(&c->at, STATE_START);
    struct wire_message m;
    int r;

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", c->at.root,
             name.text);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(err, -errno, "container '%s': its socket %s: %s", c->state.id, name.text,
                       strerror(errno));
    if (unlinkat(c->at.root, name.text, 0) < 0)
        return err_set(err, -EBUSY, "container '%s' is being started by somebody else",
                       c->state.id);
    r = wire_send(fd, WIRE_START, 0, NULL, NULL, 0);
    if (!r)
        r = wire_receive(fd, &m, NULL, NULL);
    if (r == -ECONNRESET || r == -EPIPE)
        return 0; /* it was exec that closed the other end */
    if (r < 0)
        return err_set(err, r, "container '%s': %s", c->state.id, strerror(-r));
    return m.kind == WIRE_FAILED ? err_set(err, m.err.code, "%s", m.err.text) : 0;
}

static int manage_start_hooks(const struct container_runtime *rt, struct container_info *c,
                              struct err *err)
{
    struct spec spec;
    int r = container_read_spec(rt, &c->at, c->state.id, &spec, err);

    if (r < 0 || !spec.hook_count[SPEC_POSTSTART])
        return r;
    r = hooks_run(&spec, SPEC_POSTSTART,
                  hooks_state(rt->arena, spec.version, c->state.id, "running", c->state.pid,
                              c->state.bundle, spec.annotations),
                  err);
    if (r < 0) /* runtime.md "Lifecycle" 9: stopped, and deleted */
        (void)!container_delete(rt, c->state.id, true, &(struct err){0});
    return r;
}

int container_start(const struct container_runtime *rt, const char *id, struct err *err)
{
    struct container_info c;
    CLEANUP(fd) int pidfd = -1;
    CLEANUP(fd) int notify = -1;
    int r = container_open(rt, id, &c, err);

    if (r < 0)
        return r;
    if (c.status != STATE_CREATED) {
        container_close(&c);
        return err_set(err, -EBUSY, "container '%s' is %s: only a created one can be started", id,
                       state_status_names[c.status]);
    }
    r = notify_listen(&c.at, &notify, err);
    if (!r)
        r = manage_tell_start(&c, err);
    if (!r)
        r = manage_start_hooks(rt, &c, err);
    pidfd = notify < 0 ? -1 : state_pidfd(&c.state);
    if (!r && pidfd >= 0)
        notify_pass_on(notify, pidfd);
    container_close(&c);
    return r;
}
