/* SPDX-License-Identifier: Apache-2.0 */
/* create and run. Contract: container/container.h; the process itself: container/init.h. */
#include "container/create.h"

#include "base/cleanup.h"
#include "container/cgroup.h"
#include "container/hooks.h"
#include "container/label.h"
#include "container/links.h"
#include "container/notify.h"
#include "container/out.h"
#include "container/path.h"
#include "container/systemd.h"
#include "container/userns.h"
#include "container/wire.h"
#include "host/file.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CREATE_CONFIG = 64 << 20, CREATE_PATIENCE_MS = 10000 };

/* The bundle's configuration: parsed, and the text as it was, which is kept. */
static int create_read_config(struct create *m, int bundle)
{
    const char *name = m->c->config ? m->c->config : "config.json";
    char *copy;
    int r = file_read(bundle, name, CREATE_CONFIG, &m->config, &m->config_len, NULL);

    if (r < 0)
        return err_set(m->err, r, "%s/%s: %s", m->c->bundle, name, strerror(-r));
    copy = arena_copy(m->rt->arena, m->config, m->config_len);
    if (!copy)
        return err_set(m->err, -ENOMEM, "%s: no memory", name);
    return spec_parse(m->rt->arena, copy, m->config_len, m->rt->note, m->rt->note_arg, &m->spec,
                      m->err);
}

int container_read_spec(const struct container_runtime *rt, const struct state_place *at,
                        const char *id, struct spec *ret, struct err *err)
{
    char *text;
    size_t len;
    int r = state_config(rt->arena, at, id, &text, &len, err);

    return r < 0 ? r : spec_parse(rt->arena, text, len, NULL, NULL, ret, err);
}

/* RFC 3339 by hand: gmtime_r() would read the host's time zone file first. The algorithm is the
 * usual one for days since 0000-03-01. */
static const char *create_now(struct arena *arena)
{
    struct timespec now;
    long days, era, of_era, year, of_year, month, second;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    second = now.tv_sec % 86400;
    days = now.tv_sec / 86400 + 719468;
    era = days / 146097;
    of_era = days % 146097;
    year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year + year / 4 - year / 100);
    month = (5 * of_year + 2) / 153;
    return arena_text(arena, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%09ldZ",
                      year + era * 400 + (month >= 10), month < 10 ? month + 3 : month - 9,
                      of_year - (153 * month + 2) / 5 + 1, second / 3600, second / 60 % 60,
                      second % 60, now.tv_nsec);
}

/* The bundle and the root file system as absolute paths that exist. */
static int create_paths(struct create *m)
{
    char bundle[PATH_MAX], rootfs[PATH_MAX];
    const char *written = m->spec.rootfs;
    struct stat st;

    if (!realpath(m->c->bundle, bundle))
        return err_set(m->err, -errno, "bundle %s: %s", m->c->bundle, strerror(errno));
    written = *written == '/' ? written : arena_text(m->rt->arena, "%s/%s", bundle, written);
    if (!realpath(written, rootfs) || stat(rootfs, &st) < 0)
        return err_set(m->err, -errno, "root file system %s: %s", written, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(m->err, -ENOTDIR, "root file system %s: is no directory", written);
    if (!strcmp(rootfs, "/"))
        return err_set(m->err, -EINVAL, "root file system: / is the host's own");
    m->state.bundle = arena_text(m->rt->arena, "%s", bundle);
    m->state.rootfs = arena_text(m->rt->arena, "%s", rootfs);
    return 0;
}

/* What we know and cannot do is refused before anything exists. */
static int create_check(struct create *m)
{
    const struct spec *s = &m->spec;
    const char *handler = spec_annotation(s, "run.oci.handler");

    if (!s->process.given && !m->waits) /* runtime.md "Create": start needs it, create does not */
        return err_set(m->err, -EINVAL, "config.json: process is missing: there is nothing to run");
    if (!spec_namespace(s, CLONE_NEWNS))
        return err_set(m->err, -EINVAL,
                       "config.json: linux.namespaces: a container needs a mount "
                       "namespace, or its mounts would be the host's");
    if (geteuid() && !spec_namespace(s, CLONE_NEWUSER))
        return err_set(m->err, -EPERM,
                       "config.json: linux.namespaces: without root rights a "
                       "container needs a user namespace");
    if (handler)
        return err_set(m->err, -EOPNOTSUPP, "annotation run.oci.handler: there is no handler '%s'",
                       handler);
    if (s->process.terminal && m->c->detach && !m->c->console_socket)
        return err_set(m->err, -EINVAL,
                       "a terminal needs --console-socket when nobody stays with the container");
    if (!s->process.terminal && m->c->console_socket)
        return err_set(m->err, -EINVAL, "--console-socket: the process has no terminal");
    return 0;
}

/* What depends on this host's kernel and processor. */
static int create_check_host(struct create *m)
{
    int r = label_check(&m->spec.process, m->err);

    if (r < 0)
        return r;
    label_check_mounts(m->spec.mount_label, m->rt->note, m->rt->note_arg);
    if (!m->spec.intel_rdt)
        return 0;
    m->rdt_root = rdt_find(m->rt->arena);
    if (!m->rdt_root)
        return err_set(m->err, -EOPNOTSUPP,
                       "config.json: linux.intelRdt: no resctrl file system is mounted on this "
                       "host; leave it out, or mount one, which takes a CPU with RDT");
    return rdt_parse(m->rt->arena, m->spec.intel_rdt, m->c->id, &m->rdt, m->err);
}

int container_connect(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(fd) int at = -1;

    if (fd < 0)
        return err_set(err, -errno, "console socket: %s", strerror(errno));
    if (strlen(path) < sizeof(address.sun_path)) {
        strcpy(address.sun_path, path);
    } else { /* engines like long paths: through the descriptor it is short */
        at = open(path, O_PATH | O_CLOEXEC);
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", at);
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(err, -errno, "console socket %s: %s", path, strerror(errno));
    return take_fd(&fd);
}

static int create_listen(struct create *m)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const struct state_name name = state_name(&m->at, STATE_START);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", m->at.root,
             name.text);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0)
        return err_set(m->err, -errno, "container '%s': its socket %s: %s", m->c->id, name.text,
                       strerror(errno));
    m->init.start = take_fd(&fd);
    return 0;
}

static int create_save_annotations(struct create *m)
{
    m->state.annotations = NULL;
    if (m->spec.annotations && m->spec.annotations->count) {
        m->state.annotations = hooks_annotations(m->rt->arena, m->spec.annotations);
        if (!m->state.annotations)
            return err_set(m->err, -ENOMEM, "no memory");
    }
    return 0;
}

/* The place systemd will make, by name: what to undo is written down before it exists. */
static int create_plan_scope(struct create *m)
{
    const struct spec *s = &m->spec;
    bool v2 = !cgroup_has_v1(&m->groups);
    int r;

    if (!m->groups.count)
        return err_set(m->err, -EOPNOTSUPP,
                       "the systemd cgroup manager needs control groups, and none are mounted");
    r = systemd_names(m->rt->arena, s->cgroups_path, m->c->id, systemd_is_rootless(), &m->scope,
                      m->err);
    if (!r)
        r = systemd_open(&m->bus, m->err);
    if (!r)
        r = systemd_find(&m->bus, m->rt->arena, v2, spec_annotation(s, "run.oci.systemd.subgroup"),
                         &m->scope, m->err);
    if (r < 0)
        return r;
    m->groups.path = arena_text(m->rt->arena, "%s%s%s", m->scope.group, *m->scope.inner ? "/" : "",
                                m->scope.inner);
    m->state.scope = m->scope.name;
    m->state.systemd = true;
    return m->groups.path ? 0 : err_set(m->err, -ENOMEM, "no memory");
}

/* systemd has no scopes without a process: it gets the one that is to make the container's. */
int create_enter_scope(void *arg, pid_t pid, int *ret_group, struct err *err)
{
    struct create *m = arg;
    bool v2 = !cgroup_has_v1(&m->groups);
    int r = systemd_start(&m->bus, &m->scope, m->c->id, pid, &m->spec, v2, err);

    m->state.scope_made = !r;
    if (!r)
        r = state_update(&m->at, &m->state, err);
    if (r < 0)
        return r;
    if (*m->scope.inner)
        return cgroup_make_inner(&m->groups, ret_group, err);
    return cgroup_make_v2(&m->groups, ret_group, err);
}

/* What the first three descriptors are by name: checkpoints tell them by it. */
static const char *create_descriptors(struct arena *arena)
{
    const char *text = "[";

    for (int fd = 0; text && fd < 3; fd++) {
        struct out o = {0};
        char name[32], target[PATH_MAX];
        ssize_t n;

        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        n = readlink(name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        out_quoted(&o, target);
        text = o.failed ? NULL
                        : arena_text(arena, "%s%s%.*s", text, fd ? "," : "", (int)o.buf.len,
                                     (const char *)buf_data(&o.buf));
        out_done(&o);
    }
    return text ? arena_text(arena, "%s]", text) : NULL;
}

/* The plan, written down before any part of it is made. */
static int create_plan(struct create *m)
{
    const struct spec_namespace *pids = spec_namespace(&m->spec, CLONE_NEWPID);
    int r = 0;

    m->state.id = m->c->id;
    m->state.created = create_now(m->rt->arena);
    m->state.owner = geteuid() ? "" : "root";
    m->state.owner_uid = geteuid();
    m->state.own_pids = pids && !pids->path;
    m->state.detached = m->c->detach;
    m->state.descriptors = create_descriptors(m->rt->arena);
    if (!m->state.descriptors)
        return err_set(m->err, -ENOMEM, "no memory");
    if (m->rt->manager == CONTAINER_NO_CGROUPS)
        m->groups = (struct cgroup){.arena = m->rt->arena};
    else
        r = container_find_groups(m->rt, &m->groups, m->err);
    m->groups.rootless = systemd_is_rootless();
    if (!r && m->rt->manager == CONTAINER_SYSTEMD)
        r = create_plan_scope(m);
    else if (!r && m->rt->manager == CONTAINER_CGROUPFS)
        r = cgroup_choose(&m->groups, m->spec.cgroups_path, m->c->id, m->err);
    if (!r)
        r = create_save_annotations(m);
    if (r < 0)
        return r;
    m->state.cgroup = m->groups.path;
    m->state.cgroup_made = 64; /* until we know better */
    return state_save(&m->at, &m->state, m->config, m->config_len, m->err);
}

static int create_seccomp(struct create *m)
{
    bool strict = spec_annotation(&m->spec, "run.oci.seccomp_fail_unknown_syscall") != NULL;
    int r;

    m->init.become.filter = &m->filter;
    m->init.become.seccomp_socket = -1;
    if (!m->spec.seccomp)
        return 0;
    r = seccomp_compile(m->rt->arena, m->spec.seccomp, m->at.root, strict, &m->filter, m->err);
    if (!r)
        r = seccomp_connect(&m->filter, &m->init.become.seccomp_socket, m->err);
    return r;
}

static int create_console(struct create *m)
{
    m->init.console = -1;
    if (!m->c->console_socket)
        return 0;
    m->init.console = container_connect(m->c->console_socket, m->err);
    return m->init.console < 0 ? m->init.console : 0;
}

/* Everything before the process exists. */
static int create_prepare(struct create *m, bool wait_for_start)
{
    const struct spec_namespace *user = spec_namespace(&m->spec, CLONE_NEWUSER);
    struct init *in = &m->init;
    int r;

    in->ours[0] = m->at.root;
    in->ours[1] = m->at.file;
    in->spec = &m->spec;
    in->id = m->c->id;
    in->bundle = m->state.bundle;
    in->rootfs = m->state.rootfs;
    in->cgroup = &m->groups;
    in->groups = m->groups.path && cgroup_has_v1(&m->groups);
    in->new_user = user && !user->path;
    in->start = -1;
    in->mounts = (struct mounts){.spec = &m->spec,
                                 .cgroup = &m->groups,
                                 .empty = arena_text(m->rt->arena, "%s/.empty", m->rt->root),
                                 .bundle = m->state.bundle,
                                 .in_userns = user,
                                 .maps = &m->spec.maps,
                                 .no_pivot = m->c->no_pivot,
                                 .err = m->err};
    in->become = (struct become){.arena = m->rt->arena,
                                 .process = &m->spec.process,
                                 .id = m->c->id,
                                 .keep_fds = m->c->preserve_fds,
                                 .listen_fds = m->c->listen_fds,
                                 .keyring = !m->c->no_new_keyring,
                                 .label_fd = -1,
                                 .in_userns = user};
    in->become.keep_groups = spec_annotation(&m->spec, "run.oci.keep_original_groups") != NULL;
    if (!in->mounts.empty)
        return err_set(m->err, -ENOMEM, "no memory");
    if (m->spec.masked && mkdirat(m->at.root, ".empty", 0555) < 0 && errno != EEXIST)
        return err_set(m->err, -errno, "%s: %s", in->mounts.empty, strerror(errno));
    r = create_seccomp(m);
    if (!r)
        r = create_console(m);
    if (!r)
        r = init_open_namespaces(in, m->err);
    if (!r)
        r = mounts_prepare(&in->mounts, in->rootfs, user != NULL);
    if (!r && wait_for_start)
        r = create_listen(m);
    if (!r)
        r = notify_prepare(m->rt->arena, &m->at, m->rt->root, in, m->err);
    if (!r && !wait_for_start && in->notify_dir)
        r = notify_listen(&m->at, &m->notify, m->err);
    return r;
}

static int create_net_devices(struct create *m)
{
    CLEANUP(fd) int netns = -1;
    char path[48];

    if (!m->spec.net_device_count)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/ns/net", m->pid);
    netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0)
        return err_set(m->err, -errno, "netDevices: %s: %s", path, strerror(errno));
    return links_move(&m->spec, netns, m->err);
}

/* While the container's process mounts: its version 1 groups, limits, devices. */
static bool create_wants_limits(const struct spec_resources *r)
{
    const int64_t limits[] = {r->memory.limit, r->memory.reservation, r->memory.swap,
                              r->cpu.shares,   r->cpu.quota,          r->pids,
                              r->block.weight};
    bool some = r->cpu.cpus || r->cpu.mems || r->huge_count || r->rdma_count || r->unified;

    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        some |= limits[i] != SPEC_UNSET && limits[i] != 0;
    for (unsigned kind = 0; kind < SPEC_THROTTLES; kind++)
        some |= r->block.throttle_count[kind] != 0;
    return some;
}

/* An ordinary user without a group of his own has no limits: to be said, not to fail for. */
static void create_say_unlimited(const struct create *m)
{
    if (create_wants_limits(&m->spec.resources) && m->rt->note)
        m->rt->note(m->rt->note_arg,
                    "config.json: linux.resources: not applied: no control group can be made here "
                    "with this user's rights");
}

int create_limit(struct create *m)
{
    int r = cgroup_make_v1(&m->groups, m->err);

    if (*m->scope.inner) /* the process that made ours has left it */
        cgroup_delegate(&m->groups);
    if (!r && m->groups.rootless && !m->groups.joined)
        create_say_unlimited(m);
    if (!r)
        r = cgroup_limit(&m->groups, &m->spec.resources, false, m->err);
    if (!r)
        r = cgroup_devices(&m->groups, &m->spec.resources, m->err);
    return r;
}

static int create_groups(struct create *m)
{
    int fds[WIRE_FDS], count, r = create_limit(m);

    if (r < 0 || !m->init.groups)
        return r;
    count = cgroup_open_tasks(&m->groups, fds, WIRE_FDS, m->err);
    if (count < 0)
        return count;
    r = wire_send(m->wire, WIRE_GROUPS, (int)m->groups.joined, NULL, fds, (unsigned)count);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    return r == -EPIPE ? 0 : r; /* it has failed: the reason is in the queue */
}

int create_run_hooks(struct create *m, const char *status)
{
    const char *state;
    int r;

    if (!m->spec.hook_count[SPEC_PRESTART] && !m->spec.hook_count[SPEC_CREATE_RUNTIME])
        return 0;
    state = hooks_state(m->rt->arena, m->spec.version, m->c->id, status, m->pid, m->state.bundle,
                        m->spec.annotations);
    r = hooks_run(&m->spec, SPEC_PRESTART, state, m->err);
    return r ? r : hooks_run(&m->spec, SPEC_CREATE_RUNTIME, state, m->err);
}

static int create_hooks(struct create *m)
{
    int r;

    if (!m->spec.hook_count[SPEC_PRESTART] && !m->spec.hook_count[SPEC_CREATE_RUNTIME])
        return 0;
    r = wire_expect(m->wire, WIRE_MADE, NULL, NULL, m->err);
    if (!r)
        r = create_run_hooks(m, "created");
    if (!r)
        r = wire_send(m->wire, WIRE_GO_ON, 0, NULL, NULL, 0);
    return r;
}

int container_write_pid(const char *path, pid_t pid, struct err *err)
{
    char text[16];
    CLEANUP(fd) int fd = -1;
    CLEANUP(free) char *temp = NULL;

    if (!path)
        return 0;
    snprintf(text, sizeof(text), "%d", pid);
    if (asprintf(&temp, "%s.%d", path, getpid()) < 0)
        return err_set(err, -ENOMEM, "no memory");
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0 || rename(temp, path) < 0) {
        err_set(err, -errno, "pid file %s: %s", path, strerror(errno));
        (void)unlink(temp);
        return err->code;
    }
    return 0;
}

static int create_make(struct create *m)
{
    int r = 0;

    if (m->state.scope) {
        m->init.group = -1;
        m->init.enter = create_enter_scope;
        m->init.enter_arg = m;
    } else {
        r = cgroup_make_v2(&m->groups, &m->init.group, m->err);
    }
    if (!r)
        r = init_spawn(&m->init, &m->pid, &m->wire, m->err);
    if (r < 0)
        return r;
    m->state.pid = m->pid;
    m->state.start_time = state_start_time(m->pid);
    r = create_groups(m);
    if (!r) {
        m->state.cgroup_made = m->groups.made;
        r = state_update(&m->at, &m->state, m->err);
    }
    if (!r && m->rdt_root)
        r = rdt_apply(m->rdt_root, &m->rdt, m->c->id, m->pid, m->err);
    if (!r)
        r = create_net_devices(m);
    if (!r)
        r = create_hooks(m);
    if (!r)
        r = container_write_pid(m->c->pid_file, m->pid, m->err);
    if (!m->c->detach)
        container_hold_signals();
    if (!r)
        r = wire_send(m->wire, WIRE_START, 0, NULL, NULL, 0);
    return r == -EPIPE ? 0 : r; /* it has failed: the reason is in the queue */
}

void create_undo(struct create *m)
{
    struct container_info info = {.state = m->state, .status = STATE_STOPPED, .at = m->at};
    struct err ignored;
    int status;

    if (m->pid > 0) {
        (void)kill(m->pid, SIGKILL);
        (void)!process_wait(m->pid, &status);
    }
    if (m->c->pid_file && m->pid > 0)
        (void)unlink(m->c->pid_file);
    if (!m->state.scope) { /* who is in a group that was there before is no business of ours */
        info.state.cgroup = m->groups.made ? m->groups.path : NULL;
        info.state.cgroup_made = m->groups.made;
    }
    (void)!container_clean(m->rt, &info, NULL, &m->spec, &ignored);
}

void create_done(struct create *m)
{
    free(m->config);
    dbus_close(&m->bus);
    const int fds[] = {m->wire, m->master, m->notify};

    state_close(&m->at);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

int create_begin(struct create *m, bool *ret_claimed)
{
    CLEANUP(fd) int bundle = open(m->c->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r;

    *ret_claimed = false;
    if (bundle < 0)
        return err_set(m->err, -errno, "bundle %s: %s", m->c->bundle, strerror(errno));
    r = state_check_id(m->c->id, m->err);
    if (!r)
        r = create_read_config(m, bundle);
    if (!r)
        r = create_check(m);
    if (!r)
        r = create_check_host(m);
    if (!r)
        r = create_paths(m);
    if (!r)
        r = state_claim(m->rt->root, m->c->id, m->waits, &m->at, m->err);
    *ret_claimed = !r;
    return r ? r : create_plan(m);
}

/* Up to a container that waits: for "start", or (run) for nothing any more. */
static int create_all(struct create *m, bool wait_for_start)
{
    bool claimed;
    int r = create_begin(m, &claimed);

    if (!r)
        r = create_prepare(m, wait_for_start);
    if (!r)
        r = create_make(m);
    if (r < 0 && claimed)
        create_undo(m);
    return r;
}

void create_init(struct create *m, const struct container_runtime *rt,
                 const struct container_create *c, struct err *err)
{
    *m = (struct create){.rt = rt,
                         .c = c,
                         .at = STATE_NOWHERE,
                         .wire = -1,
                         .master = -1,
                         .notify = -1,
                         .bus = {.fd = -1},
                         .scope = {.inner = ""},
                         .err = err};
}

/* exec, or the end of its dependence on us, closes the wire; or it failed and says why. */
static int create_wait_exec(struct create *m)
{
    struct wire_message message;
    int fds[WIRE_FDS], r;
    unsigned count;

    do {
        r = wire_receive(m->wire, &message, fds, &count);
        if (!r && message.kind == WIRE_MASTER && count) /* the terminal is ours to keep */
            m->master = fds[0];
    } while (!r && message.kind == WIRE_MASTER);
    if (r < 0)
        return err_set(m->err, r, "container '%s': %s", m->c->id, strerror(-r));
    if (message.kind == WIRE_FAILED)
        return err_set(m->err, message.err.code ? message.err.code : -EIO, "%s", message.err.text);
    return 0;
}

int container_create(const struct container_runtime *rt, const struct container_create *c,
                     struct err *err)
{
    struct create m;
    int r;

    create_init(&m, rt, c, err);
    m.waits = true;
    r = create_all(&m, true);
    if (!r) { /* it closes the wire once it no longer depends on us */
        r = create_wait_exec(&m);
        if (r < 0)
            create_undo(&m);
    }
    create_done(&m);
    return r;
}

int create_poststart(struct create *m)
{
    if (!m->spec.hook_count[SPEC_POSTSTART])
        return 0;
    return hooks_run(&m->spec, SPEC_POSTSTART,
                     hooks_state(m->rt->arena, m->spec.version, m->c->id, "running", m->pid,
                                 m->state.bundle, m->spec.annotations),
                     m->err);
}

int create_finish(struct create *m)
{
    struct container_info info = {.state = m->state, .status = STATE_STOPPED, .at = m->at};

    int r;

    if (m->c->keep)
        return 0;
    r = state_lock(&m->at, CREATE_PATIENCE_MS);
    if (r < 0) /* somebody else has deleted it, or is about to: its name may be another's by now */
        return r == -ENOENT || r == -EAGAIN ? 0 : err_set(m->err, r, "lock: %s", strerror(-r));
    return container_clean(m->rt, &info, &m->groups, &m->spec, m->err);
}

int container_run(const struct container_runtime *rt, const struct container_create *c,
                  int *ret_code, struct err *err)
{
    struct create m;
    int r;

    create_init(&m, rt, c, err);
    r = create_all(&m, false);
    if (!r) {
        r = create_wait_exec(&m);
        if (!r)
            r = create_poststart(&m);
        if (r < 0)
            create_undo(&m);
    }
    if (!r && !c->detach) {
        state_unlock(&m.at); /* others may look at it, and delete it, from here on */
        r = container_follow(m.pid, m.master, m.notify, ret_code, err);
        if (!r)
            r = create_finish(&m);
    } else if (!r) {
        CLEANUP(fd) int pidfd = m.notify < 0 ? -1 : state_pidfd(&m.state);

        if (pidfd >= 0)
            notify_pass_on(m.notify, pidfd);
        *ret_code = 0;
    }
    create_done(&m);
    return r;
}
