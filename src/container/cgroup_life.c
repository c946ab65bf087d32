/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in a group; freezing, killing, removing. Contract: container/cgroup.h. */
#include "container/cgroup.h"

#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CGROUP_DEPTH = 32, CGROUP_PATIENCE_MS = 10000 };

/* One hierarchy that shows all members: the version 2 one when we are there, else any. */
static const struct cgroup_hierarchy *cgroup_any(const struct cgroup *g)
{
    const struct cgroup_hierarchy *v1 = NULL;

    for (unsigned i = 0; g->path && i < g->count; i++) {
        if (!(g->joined & 1u << i))
            continue;
        if (g->at[i].v2)
            return &g->at[i];
        if (!v1 || strstr(g->at[i].controllers, ",freezer,"))
            v1 = &g->at[i];
    }
    return v1;
}

static int cgroup_each_in(int dir, int (*fn)(void *arg, pid_t pid), void *arg)
{
    CLEANUP(file) FILE *file = NULL;
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int pid, r = 0;

    file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file)
        return fd < 0 && (errno == ENOENT || errno == EOPNOTSUPP) ? 0 : -errno;
    while (!r && fscanf(file, "%d", &pid) == 1)
        if (pid > 0)
            r = fn(arg, pid);
    return r;
}

static int cgroup_walk(int dir, unsigned depth, int (*fn)(void *arg, pid_t pid), void *arg)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    int r = cgroup_each_in(dir, fn, arg);

    for (struct dirent *e; !r && list && depth < CGROUP_DEPTH && (e = readdir(list));) {
        CLEANUP(fd) int below = -1;

        if (e->d_type != DT_DIR || *e->d_name == '.')
            continue;
        below = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (below >= 0)
            r = cgroup_walk(below, depth + 1, fn, arg);
    }
    if (list)
        closedir(list);
    return r;
}

static int cgroup_open_dir(const struct cgroup *g, const struct cgroup_hierarchy *h)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s%s", h->dir, g->path) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

int cgroup_each_process(const struct cgroup *g, int (*fn)(void *arg, pid_t pid), void *arg)
{
    const struct cgroup_hierarchy *h = cgroup_any(g);
    CLEANUP(fd) int dir = h ? cgroup_open_dir(g, h) : -ENOENT;

    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    return cgroup_walk(dir, 0, fn, arg);
}

static bool cgroup_says(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                        const char *wanted)
{
    char text[256];

    return cgroup_read(g, h, file, text, sizeof(text)) == 0 && strstr(text, wanted);
}

int cgroup_freeze(const struct cgroup *g, bool frozen, struct err *err)
{
    const struct cgroup_hierarchy *v1 = cgroup_controller(g, "freezer"), *v2 = cgroup_unified(g);
    int r;

    if (!g->path || (!v1 && !(v2 && g->joined & 1u << (v2 - g->at))))
        return err_set(err, -EOPNOTSUPP, "the container has no cgroup that could be frozen");
    r = v1 ? cgroup_set(g, v1, "freezer.state", frozen ? "FROZEN" : "THAWED", err)
           : cgroup_set(g, v2, "cgroup.freeze", frozen ? "1" : "0", err);
    for (unsigned ms = 0; !r && ms < CGROUP_PATIENCE_MS; ms++) {
        if (v1 ? cgroup_says(g, v1, "freezer.state", frozen ? "FROZEN" : "THAWED")
               : cgroup_says(g, v2, "cgroup.events", frozen ? "frozen 1" : "frozen 0"))
            return 0;
        /* A process that forks while it is frozen may hang in between: ask again. */
        if (v1 && frozen && ms % 10 == 9)
            r = cgroup_set(g, v1, "freezer.state", "FROZEN", err);
        (void)poll(NULL, 0, 1);
    }
    return r ? r : err_set(err, -ETIMEDOUT, "cgroup %s: does not freeze", g->path);
}

void cgroup_thaw_process(const struct cgroup *g, pid_t pid)
{
    char name[48], text[4096], *at;
    CLEANUP(fd) int fd = -1;
    ssize_t n;

    snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return;
    text[n] = '\0';
    at = strstr(text, ":freezer:/");
    for (unsigned i = 0; at && i < g->count; i++) {
        struct cgroup there = {.path = at + 9};

        at[strcspn(at, "\n")] = '\0';
        if (strstr(g->at[i].controllers, ",freezer,"))
            (void)!cgroup_write(&there, &g->at[i], "freezer.state", "THAWED");
    }
}

bool cgroup_is_frozen(const struct cgroup *g)
{
    const struct cgroup_hierarchy *v1 = cgroup_controller(g, "freezer"), *v2 = cgroup_unified(g);

    if (v1)
        return cgroup_says(g, v1, "freezer.state", "FR"); /* FROZEN, FREEZING */
    return v2 && g->path && cgroup_says(g, v2, "cgroup.freeze", "1");
}

struct cgroup_killing {
    unsigned found;
};

static int cgroup_kill_one(void *arg, pid_t pid)
{
    struct cgroup_killing *k = arg;

    k->found++;
    (void)kill(pid, SIGKILL);
    return 0;
}

int cgroup_kill(const struct cgroup *g, struct err *err)
{
    const struct cgroup_hierarchy *v1 = cgroup_controller(g, "freezer"), *v2 = cgroup_unified(g);

    for (unsigned ms = 0; ms < CGROUP_PATIENCE_MS; ms++) {
        struct cgroup_killing k = {0};
        int r;

        if (v2 && g->path)
            (void)!cgroup_write(g, v2, "cgroup.kill", "1");
        r = cgroup_each_process(g, cgroup_kill_one, &k);
        if (r < 0 && r != -ENODEV && r != -ENOENT)
            return err_set(err, r, "cgroup %s: %s", g->path, strerror(-r));
        if (!k.found)
            return 0;
        if (v1)
            (void)!cgroup_write(g, v1, "freezer.state", "THAWED");
        else if (v2 && g->path)
            (void)!cgroup_write(g, v2, "cgroup.freeze", "0");
        (void)poll(NULL, 0, 1);
    }
    return err_set(err, -ETIMEDOUT, "cgroup %s: processes in it do not end", g->path);
}

/* Groups the container made below its own; deepest first. */
static void cgroup_prune(int dir, unsigned depth)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);

    for (struct dirent *e; list && depth < CGROUP_DEPTH && (e = readdir(list));) {
        int below;

        if (e->d_type != DT_DIR || *e->d_name == '.')
            continue;
        below = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (below >= 0) {
            cgroup_prune(below, depth + 1);
            close(below);
        }
        (void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
    }
    if (list)
        closedir(list);
}

/* A group stays busy for a moment after its last process was reaped. */
static int cgroup_rmdir(const char *path)
{
    for (unsigned ms = 0; ms < CGROUP_PATIENCE_MS; ms++) {
        int dir;

        if (rmdir(path) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            return -errno;
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir >= 0) {
            cgroup_prune(dir, 0);
            close(dir);
        }
        if (ms)
            (void)poll(NULL, 0, 1);
    }
    return -EBUSY;
}

static int cgroup_remove_in(const struct cgroup *g, const struct cgroup_hierarchy *h)
{
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s%s", h->dir, g->path) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    r = cgroup_rmdir(path);
    for (unsigned above = 1; !r && above < g->made; above++) {
        char *slash = strrchr(path, '/');

        if (!slash || slash <= path + strlen(h->dir))
            break;
        *slash = '\0';
        if (rmdir(path) < 0) /* another container moved in beside ours: it stays */
            break;
    }
    return r;
}

bool cgroup_remove_quick(const struct cgroup *g)
{
    for (unsigned i = 0; g->path && i < g->count; i++) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), "%s%s", g->at[i].dir, g->path) >= (int)sizeof(path) ||
            (rmdir(path) < 0 && errno != ENOENT))
            return false;
    }
    return g->made <= 1;
}

int cgroup_remove(const struct cgroup *g, struct err *err)
{
    int first = 0;

    for (unsigned i = 0; g->path && i < g->count; i++) {
        int r = cgroup_remove_in(g, &g->at[i]);

        if (r < 0 && !first && !g->rootless)
            first = err_set(err, r, "cgroup %s%s: cannot remove it: %s", g->at[i].dir, g->path,
                            strerror(-r));
    }
    return first;
}
