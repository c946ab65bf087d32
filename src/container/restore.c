/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a checkpointed container back by criu. Contract: container/container.h. */
#include "container/create.h"

#include "base/cleanup.h"
#include "container/checkpoint.h"
#include "container/criu.h"
#include "container/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RESTORE_LOG_LEVEL = 4, RESTORE_NAMESPACES = 2 };

struct restore {
    const struct container_restore *c;
    struct create make;
    struct checkpoint_record record;
    struct criu_options options;
    struct criu criu;
    int images, work, namespaces[RESTORE_NAMESPACES];
    int tasks[WIRE_FDS];
    unsigned task_count;
    const char *rootfs;
};

/* A mount of today's configuration is what it says; the rest is what it was, with today's group
 * and masking directory for the old ones. */
static const char *restore_source(struct restore *t, const struct checkpoint_mount *m)
{
    struct create *k = &t->make;
    struct arena *arena = k->rt->arena;
    const char *old = t->record.cgroup;
    size_t len = strlen(m->source), tail = old ? strlen(old) : 0;

    for (unsigned i = 0; i < k->spec.mount_count; i++) {
        const struct spec_mount *s = &k->spec.mounts[i];

        if (!strcmp(s->destination, m->at) && s->source && s->flags & MS_BIND)
            return *s->source == '/' ? s->source
                                     : arena_text(arena, "%s/%s", k->state.bundle, s->source);
    }
    if (tail && k->groups.path && len > tail && !strcmp(m->source + len - tail, old))
        return arena_text(arena, "%.*s%s", (int)(len - tail), m->source, k->groups.path);
    if (len > 7 && !strcmp(m->source + len - 7, "/.empty"))
        return arena_text(arena, "%s/.empty", k->rt->root);
    return m->source;
}

/* A path the host showed had no link in it. One with a link was made so since: maybe by the
 * container, in a directory it could write to, and criu would follow it. */
static int restore_check_source(const char *source, const char *at, struct err *err)
{
    CLEANUP(free) char *real = realpath(source, NULL);

    if (!real)
        return err_set(err, -errno, "mount %s: %s, where it was from: %s", at, source,
                       strerror(errno));
    return strcmp(real, source) ? err_set(err, -ELOOP,
                                          "mount %s: %s, where it was from, leads through a "
                                          "symbolic link now",
                                          at, source)
                                : 0;
}

static int restore_mounts(struct restore *t)
{
    for (unsigned i = 0; i < t->record.count; i++) {
        const struct checkpoint_mount *m = &t->record.mounts[i];
        const char *source = restore_source(t, m);
        char *text = source ? arena_text(t->make.rt->arena, "mnt[%s]:%s", m->at, source) : NULL;

        if (!text)
            return err_set(t->make.err, -ENOMEM, "no memory");
        if (source == m->source) {
            int r = restore_check_source(source, m->at, t->make.err);

            if (r < 0)
                return r;
        }
        criu_put_text(&t->options, CRIU_EXTERNAL, text);
    }
    return 0;
}

/* Pipes and files of outside that the program had for 0, 1, 2 become ours of now. */
static void restore_descriptors(struct restore *t)
{
    for (int fd = 0; fd < 3; fd++) {
        const char *name = t->record.descriptors[fd];

        if (name && (!strncmp(name, "pipe:", 5) || !strncmp(name, "socket:", 7) ||
                     !strncmp(name, "file[", 5)))
            criu_put_inherit(&t->options, name, fd);
    }
}

static int restore_namespaces(struct restore *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->make.spec.namespace_count; i++) {
        const struct spec_namespace *ns = &t->make.spec.namespaces[i];
        bool net = ns->flag == CLONE_NEWNET;

        if (!ns->path || (!net && ns->flag != CLONE_NEWPID) || n == RESTORE_NAMESPACES ||
            checkpoint_is_our_namespace(ns->path, ns->flag))
            continue;
        t->namespaces[n] = open(ns->path, O_RDONLY | O_CLOEXEC);
        if (t->namespaces[n] < 0)
            return err_set(t->make.err, -errno, "namespace %s: %s", ns->path, strerror(errno));
        criu_put_inherit(&t->options, net ? "extRootNetNS" : "extRootPidNS", t->namespaces[n++]);
    }
    return 0;
}

static int restore_options(struct restore *t)
{
    const struct container_checkpoint *f = &t->c->from;
    const char *config = checkpoint_config(&t->make.spec);
    const struct {
        enum criu_option option;
        bool on;
    } flags[] = {
        {CRIU_SIBLING, true},
        {CRIU_NOTIFY_SCRIPTS, true},
        {CRIU_MANAGE_CGROUPS, true},
        {CRIU_ORPHAN_PTS_MASTER, t->make.spec.process.terminal},
        {CRIU_EXT_UNIX_SK, f->ext_unix_sk},
        {CRIU_TCP_ESTABLISHED, f->tcp_established},
        {CRIU_TCP_CLOSE, f->tcp_close},
        {CRIU_SHELL_JOB, f->shell_job},
        {CRIU_FILE_LOCKS, f->file_locks},
        {CRIU_LINK_REMAP, f->link_remap},
        {CRIU_AUTO_DEDUP, f->auto_dedup},
    };
    int r;

    criu_put_number(&t->options, CRIU_IMAGES_FD, (uint64_t)t->images);
    criu_put_number(&t->options, CRIU_WORK_FD, (uint64_t)t->work);
    criu_put_text(&t->options, CRIU_ROOT, t->rootfs);
    criu_put_number(&t->options, CRIU_LOG_LEVEL, RESTORE_LOG_LEVEL);
    criu_put_text(&t->options, CRIU_LOG_FILE, "restore.log");
    criu_put_number(&t->options, CRIU_CGROUPS_MODE, (uint64_t)f->cgroups_mode);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].on)
            criu_put_number(&t->options, flags[i].option, 1);
    if (config)
        criu_put_text(&t->options, CRIU_CONFIG_FILE, config);
    if (t->c->lsm_profile)
        criu_put_text(&t->options, CRIU_LSM_PROFILE, t->c->lsm_profile);
    restore_descriptors(t);
    r = restore_mounts(t);
    if (!r)
        r = restore_namespaces(t);
    return r ? r : t->options.failed ? err_set(t->make.err, -ENOMEM, "no memory") : 0;
}

/* In criu's process: the groups the container is to be in, which it inherits; and a mount of its
 * root file system, where criu wants a mount point, that nobody else sees. */
static int restore_enter(void *arg, struct err *err)
{
    struct restore *t = arg;
    int r = cgroup_join(t->tasks, t->task_count);

    if (r < 0)
        return err_set(err, r, "cgroup: cannot join it: %s", strerror(-r));
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(t->rootfs, t->rootfs, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_set(err, -errno, "root file system %s: %s", t->rootfs, strerror(errno));
    return 0;
}

static int restore_take_master(struct restore *t, int fd, struct err *err)
{
    CLEANUP(fd) int socket = -1;
    int r;

    if (!t->make.c->console_socket) {
        t->make.master = fd;
        return 0;
    }
    socket = container_connect(t->make.c->console_socket, err);
    r = socket < 0 ? socket : wire_pass_fd(socket, fd, "/dev/ptmx", 9);
    close(fd);
    return r < 0 && !err->code ? err_set(err, r, "console socket: %s", strerror(-r)) : r;
}

static int restore_notify(void *arg, const struct criu_answer *a, int fd, struct err *err)
{
    struct restore *t = arg;

    if (!strcmp(a->script, "orphan-pts-master") && fd >= 0)
        return restore_take_master(t, fd, err);
    if (fd >= 0)
        close(fd);
    if (strcmp(a->script, "setup-namespaces") || a->pid <= 0)
        return 0;
    t->make.pid = t->make.state.pid = a->pid;
    if (t->make.rdt_root) { /* its first process is alone yet: the others inherit from it */
        int r = rdt_apply(t->make.rdt_root, &t->make.rdt, t->make.c->id, a->pid, err);

        if (r < 0)
            return r;
    }
    return create_run_hooks(&t->make, "created");
}

/* criu makes the first process as our child, and leaves it to us when it gives up. What it says
 * is not enough to kill by. */
static bool restore_is_child(pid_t pid)
{
    siginfo_t info;

    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int restore_groups(struct restore *t)
{
    struct create *m = &t->make;
    int n, r = 0;

    if (!m->state.scope)
        r = cgroup_make_v2(&m->groups, &t->criu.group, m->err);
    if (!r && !m->state.scope)
        r = create_limit(m);
    n = r < 0 ? r : cgroup_open_tasks(&m->groups, t->tasks, WIRE_FDS, m->err);
    t->task_count = n < 0 ? 0 : (unsigned)n;
    return n < 0 ? n : 0;
}

static int restore_prepare(struct restore *t)
{
    struct create *m = &t->make;
    const struct container_checkpoint *f = &t->c->from;
    bool claimed;
    int r = t->images = checkpoint_open_dir(f->image_path, false, "image path", m->err);
    if (r >= 0)
        r = t->work = checkpoint_open_dir(f->work_path ? f->work_path : f->image_path, true,
                                          "work path", m->err);
    if (r >= 0)
        r = criu_probe(&t->criu, t->work, m->err);
    if (r >= 0)
        r = checkpoint_load(m->rt->arena, t->images, &t->record, m->err);
    if (r < 0)
        return r;
    if (m->rt->manager == CONTAINER_SYSTEMD)
        return err_set(m->err, -EOPNOTSUPP,
                       "restore: not with the systemd manager; --cgroup-manager cgroupfs is");
    r = create_begin(m, &claimed);
    t->rootfs = m->state.rootfs;
    if (!r)
        r = restore_groups(t);
    if (!r)
        r = restore_options(t);
    if (r < 0 && claimed)
        create_undo(m);
    return r;
}

static int restore_make(struct restore *t)
{
    struct create *m = &t->make;
    struct criu_answer a;
    int r = criu_request(&t->criu, CRIU_RESTORE, &t->options, &a, m->err);

    if (!r && (!a.success || a.pid <= 0))
        r = checkpoint_explain(t->work, "restore.log", "restore", m->c->id, a.error, a.message,
                               m->err);
    if (r < 0) {
        if (!restore_is_child(m->pid))
            m->pid = 0;
        return r;
    }
    m->pid = m->state.pid = a.pid;
    m->state.start_time = state_start_time(m->pid);
    m->state.cgroup_made = m->groups.made;
    r = state_update(&m->at, &m->state, m->err);
    if (!r)
        r = container_write_pid(m->c->pid_file, m->pid, m->err);
    return r ? r : create_poststart(m);
}

static void restore_done(struct restore *t)
{
    const int fds[] = {t->images, t->work, t->criu.group, t->namespaces[0], t->namespaces[1]};

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (unsigned i = 0; i < t->task_count; i++)
        close(t->tasks[i]);
    criu_options_done(&t->options);
    create_done(&t->make);
}

int container_restore(const struct container_runtime *rt, const struct container_restore *c,
                      int *ret_code, struct err *err)
{
    struct restore t = {.c = c,
                        .criu = {.program = rt->criu,
                                 .group = -1,
                                 .enter = restore_enter,
                                 .notify = restore_notify},
                        .images = -1,
                        .work = -1,
                        .namespaces = {-1, -1}};
    int r;

    create_init(&t.make, rt, &c->create, err);
    t.criu.arg = &t;
    r = restore_prepare(&t);
    if (!r) {
        r = restore_make(&t);
        if (r < 0)
            create_undo(&t.make);
    }
    *ret_code = 0;
    if (!r && !c->create.detach) {
        container_hold_signals();
        state_unlock(&t.make.at);
        r = container_follow(t.make.pid, t.make.master, -1, ret_code, err);
        if (!r)
            r = create_finish(&t.make);
    }
    restore_done(&t);
    return r;
}
