/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a running container to files by criu. Contract: container/container.h. */
#include "container/checkpoint.h"

#include "base/cleanup.h"
#include "container/cgroup.h"
#include "container/criu.h"
#include "container/json.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { CHECKPOINT_LOG_LEVEL = 4, CHECKPOINT_REAPING_MS = 2000 };

struct checkpoint {
    const struct container_runtime *rt;
    const struct container_checkpoint *c;
    struct container_info info;
    struct spec spec;
    struct cgroup groups;
    struct checkpoint_record record;
    struct criu_options options;
    struct criu criu;
    int images, work;
    struct err *err;
};

/* Net and pid namespaces of others are named; the rest criu could not give back. */
static int checkpoint_namespaces(struct checkpoint *k)
{
    for (unsigned i = 0; i < k->spec.namespace_count; i++) {
        const struct spec_namespace *ns = &k->spec.namespaces[i];
        bool net = ns->flag == CLONE_NEWNET;
        char text[64];
        struct stat st;

        snprintf(text, sizeof(text), "/proc/%d/ns/%s", k->info.state.pid,
                 checkpoint_namespace_file(ns->flag));
        if (!ns->path || checkpoint_is_our_namespace(text, ns->flag))
            continue;
        if (!net && ns->flag != CLONE_NEWPID)
            return err_set(k->err, -EOPNOTSUPP,
                           "container '%s': namespace %s is another's: only network and pid "
                           "namespaces of others can be left out of a checkpoint",
                           k->c->id, ns->path);
        if (stat(text, &st) < 0)
            return err_set(k->err, -errno, "container '%s': %s: %s", k->c->id, text,
                           strerror(errno));
        snprintf(text, sizeof(text), "%s[%lu]:%s", net ? "net" : "pid", (unsigned long)st.st_ino,
                 net ? "extRootNetNS" : "extRootPidNS");
        criu_put_text(&k->options, CRIU_EXTERNAL, text);
    }
    return 0;
}

/* What the program was started with: pipes and files outside its mounts that it still has. */
static int checkpoint_descriptors(struct checkpoint *k)
{
    struct json_reader r = {.arena = k->rt->arena, .what = "descriptors", .err = k->err};
    const char *text = k->info.state.descriptors;
    struct json *at;
    char *copy = text ? arena_text(k->rt->arena, "{\"d\":%s}", text) : NULL;
    const char **names;
    int code = copy ? json_parse(k->rt->arena, r.what, copy, strlen(copy), &at, k->err) : 0;

    if (!copy || code < 0)
        return code;
    names = json_take_texts(&r, at, "d");
    for (size_t i = 0; names && i < 3 && names[i]; i++)
        k->record.descriptors[i] = names[i];
    return r.code;
}

/* The mount of a descriptor, where it is none of the container's; 0: it is, or cannot be told. */
static unsigned checkpoint_foreign_mount(pid_t pid, int fd)
{
    CLEANUP(free) char *info = NULL;
    CLEANUP(free) char *mounts = NULL;
    char path[64], wanted[24];
    const char *at;
    unsigned id;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
    if (file_read(AT_FDCWD, path, 65536, &info, NULL, NULL) < 0)
        return 0;
    at = strstr(info, "mnt_id:");
    snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
    if (!at || sscanf(at, "mnt_id: %u", &id) != 1 ||
        file_read(AT_FDCWD, path, 4 << 20, &mounts, NULL, NULL) < 0)
        return 0;
    snprintf(wanted, sizeof(wanted), "\n%u ", id);
    return strncmp(mounts, wanted + 1, strlen(wanted) - 1) != 0 && !strstr(mounts, wanted) ? id : 0;
}

/* A file of the host on 0, 1, 2: left out, and whatever the restorer has there takes its place. */
static int checkpoint_foreign_files(struct checkpoint *k)
{
    for (int fd = 0; fd < 3; fd++) {
        unsigned id = checkpoint_foreign_mount(k->info.state.pid, fd);
        char *path = arena_text(k->rt->arena, "/proc/%d/fd/%d", k->info.state.pid, fd);
        struct stat st;
        char *key;

        if (!path)
            return err_set(k->err, -ENOMEM, "no memory");
        if (!id || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        key = arena_text(k->rt->arena, "file[%x:%lx]", id, (unsigned long)st.st_ino);
        if (!key)
            return err_set(k->err, -ENOMEM, "no memory");
        criu_put_text(&k->options, CRIU_EXTERNAL, key);
        k->record.descriptors[fd] = key;
    }
    return 0;
}

static void checkpoint_flags(struct checkpoint *k)
{
    const struct container_checkpoint *c = k->c;
    const struct {
        enum criu_option option;
        bool on;
    } flags[] = {
        {CRIU_LEAVE_RUNNING, c->leave_running},
        {CRIU_EXT_UNIX_SK, c->ext_unix_sk},
        {CRIU_TCP_ESTABLISHED, c->tcp_established},
        {CRIU_TCP_SKIP_IN_FLIGHT, c->tcp_skip_in_flight},
        {CRIU_TCP_CLOSE, c->tcp_close},
        {CRIU_SHELL_JOB, c->shell_job},
        {CRIU_FILE_LOCKS, c->file_locks},
        {CRIU_LINK_REMAP, c->link_remap},
        {CRIU_AUTO_DEDUP, c->auto_dedup},
        {CRIU_TRACK_MEMORY, c->pre_dump || c->parent_path},
        {CRIU_ORPHAN_PTS_MASTER, k->spec.process.terminal},
        {CRIU_NOTIFY_SCRIPTS, true},
        {CRIU_MANAGE_CGROUPS, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].on)
            criu_put_number(&k->options, flags[i].option, 1);
}

/* A frozen group is dumped as it is; criu freezes others by it, at once. */
static void checkpoint_freezer(struct checkpoint *k)
{
    const struct cgroup_hierarchy *h = cgroup_controller(&k->groups, "freezer");
    char path[4200];

    if (!h)
        h = cgroup_unified(&k->groups);
    if (!k->groups.path || !h || !(k->groups.joined & 1u << (h - k->groups.at)))
        return;
    snprintf(path, sizeof(path), "%s%s", h->dir, k->groups.path);
    criu_put_text(&k->options, CRIU_FREEZE_CGROUP, path);
}

static int checkpoint_options(struct checkpoint *k)
{
    const char *config = checkpoint_config(&k->spec);
    int r;

    criu_put_number(&k->options, CRIU_IMAGES_FD, (uint64_t)k->images);
    criu_put_number(&k->options, CRIU_WORK_FD, (uint64_t)k->work);
    criu_put_number(&k->options, CRIU_PID, (uint64_t)k->info.state.pid);
    criu_put_text(&k->options, CRIU_ROOT, k->info.state.rootfs);
    criu_put_number(&k->options, CRIU_LOG_LEVEL, CHECKPOINT_LOG_LEVEL);
    criu_put_text(&k->options, CRIU_LOG_FILE, k->c->pre_dump ? "pre-dump.log" : "dump.log");
    criu_put_number(&k->options, CRIU_CGROUPS_MODE, (uint64_t)k->c->cgroups_mode);
    if (k->c->parent_path)
        criu_put_text(&k->options, CRIU_PARENT_IMAGES, k->c->parent_path);
    if (config)
        criu_put_text(&k->options, CRIU_CONFIG_FILE, config);
    checkpoint_flags(k);
    checkpoint_freezer(k);
    for (unsigned i = 0; i < k->record.count; i++) {
        const char *at = k->record.mounts[i].at;
        char *text = arena_text(k->rt->arena, "mnt[%s]:%s", at, at);

        if (!text)
            return err_set(k->err, -ENOMEM, "no memory");
        criu_put_text(&k->options, CRIU_EXTERNAL, text);
    }
    r = checkpoint_namespaces(k);
    return r < 0 ? r : k->options.failed ? err_set(k->err, -ENOMEM, "no memory") : 0;
}

static int checkpoint_can_pre_dump(struct checkpoint *k)
{
    struct criu_answer a;
    int r = criu_request(&k->criu, CRIU_FEATURES, NULL, &a, k->err);

    if (!r && !a.track_memory)
        r = err_set(k->err, -EOPNOTSUPP,
                    "--pre-dump: this kernel does not track changes of memory "
                    "(CONFIG_MEM_SOFT_DIRTY), so only whole checkpoints can be made");
    return r;
}

static int checkpoint_dump(struct checkpoint *k)
{
    bool pre = k->c->pre_dump;
    struct criu_answer a;
    int r = pre ? checkpoint_can_pre_dump(k) : 0;

    if (!r)
        r = criu_request(&k->criu, pre ? CRIU_PRE_DUMP : CRIU_DUMP, &k->options, &a, k->err);
    if (!r && !a.success)
        r = checkpoint_explain(k->work, pre ? "pre-dump.log" : "dump.log", "checkpoint", k->c->id,
                               a.error, a.message, k->err);
    return r;
}

static int checkpoint_prepare(struct checkpoint *k)
{
    int r = container_open(k->rt, k->c->id, &k->info, k->err);

    if (r < 0)
        return r;
    if (k->info.status != STATE_RUNNING && k->info.status != STATE_PAUSED)
        return err_set(k->err, -EBUSY,
                       "container '%s' is %s: only a running one can be checkpointed", k->c->id,
                       state_status_names[k->info.status]);
    if (k->c->parent_path && *k->c->parent_path == '/')
        return err_set(k->err, -EINVAL,
                       "--parent-path %s: criu wants it relative to the image path",
                       k->c->parent_path);
    r = container_read_spec(k->rt, &k->info.at, k->c->id, &k->spec, k->err);
    if (!r)
        r = container_groups(k->rt, &k->info.state, &k->groups, k->err);
    if (!r)
        r = k->images = checkpoint_open_dir(k->c->image_path, true, "image path", k->err);
    if (r >= 0)
        r = k->work = checkpoint_open_dir(k->c->work_path ? k->c->work_path : k->c->image_path,
                                          true, "work path", k->err);
    if (r >= 0)
        r = criu_probe(&k->criu, k->work, k->err);
    if (r >= 0)
        r = checkpoint_find_mounts(k->rt->arena, &k->spec, k->info.state.pid, &k->record, k->err);
    if (r >= 0)
        r = checkpoint_descriptors(k);
    if (r >= 0)
        r = checkpoint_foreign_files(k);
    k->record.cgroup = k->info.state.cgroup;
    if (r >= 0)
        r = checkpoint_options(k);
    return r < 0 ? r : 0;
}

/* In the host's pid namespace a restore wants the same number: it is free once the parent has
 * reaped, which is not ours to do. */
static void checkpoint_wait_reaped(const struct state *s)
{
    for (int ms = 0; !s->own_pids && ms < CHECKPOINT_REAPING_MS && kill(s->pid, 0) == 0; ms += 5)
        (void)poll(NULL, 0, 5);
}

int container_checkpoint(const struct container_runtime *rt, const struct container_checkpoint *c,
                         struct err *err)
{
    struct checkpoint k = {.rt = rt,
                           .c = c,
                           .info = {.at = STATE_NOWHERE},
                           .criu = {.program = rt->criu, .group = -1},
                           .images = -1,
                           .work = -1,
                           .err = err};
    int r = checkpoint_prepare(&k);

    if (!r)
        r = checkpoint_save(k.images, &k.record, err);
    if (!r)
        r = checkpoint_dump(&k);
    if (!r && !c->leave_running && !c->pre_dump) /* criu has ended it: its state is in the files */
        r = container_delete(rt, c->id, true, err);
    if (!r && !c->leave_running && !c->pre_dump)
        checkpoint_wait_reaped(&k.info.state);
    container_close(&k.info);
    criu_options_done(&k.options);
    const int fds[] = {k.images, k.work};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return r;
}
