/* SPDX-License-Identifier: Apache-2.0 */
/* Finding hierarchies, making, entering and removing groups. Contract: container/cgroup.h. */
#include "container/cgroup.h"

#include "base/cleanup.h"
#include "container/path.h"
#include "host/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CGROUP_MOUNTINFO = 4 << 20, CGROUP_DEPTH = 32 };

/* The controllers among a version 1 mount's super options, ",a,b,". */
static const char *cgroup_names_of(struct arena *arena, const char *options)
{
    static const char *const others[] = {
        "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"};
    const char *names = ",";

    while (*options && names) {
        size_t len = strcspn(options, ",");
        bool other = !strncmp(options, "release_agent=", 14);

        for (size_t i = 0; i < ARRAY_LEN(others); i++)
            other |= strlen(others[i]) == len && !strncmp(options, others[i], len);
        if (!other && len)
            names = arena_text(arena, "%s%.*s,", names, (int)len, options);
        options += len + (options[len] == ',');
    }
    return names;
}

/* "36 35 98:0 /root /dir rw,... tags - type source super-options" (proc(5)). */
static void cgroup_read_mount(struct cgroup *g, char *line, uint64_t *ret_id)
{
    char *dash = strstr(line, " - "), *field[5] = {0}, *save = NULL;
    char *type, *options;
    unsigned n = 0;

    if (!dash || g->count == CGROUP_HIERARCHIES)
        return;
    type = dash + 3;
    if (strncmp(type, "cgroup", 6))
        return;
    *dash = '\0';
    options = strrchr(type, ' ');
    for (char *f = strtok_r(line, " ", &save); f && n < 5; f = strtok_r(NULL, " ", &save))
        field[n++] = f;
    if (n < 5 || !options)
        return;
    g->at[g->count] = (struct cgroup_hierarchy){.dir = arena_text(g->arena, "%s", field[4]),
                                                .v2 = !strncmp(type, "cgroup2 ", 8)};
    g->at[g->count].controllers = g->at[g->count].v2 ? "" : cgroup_names_of(g->arena, options + 1);
    *ret_id = strtoull(field[0], NULL, 10);
    if (g->at[g->count].dir && g->at[g->count].controllers)
        g->count++;
}

/* Its path leads to another mount: often a group of the same hierarchy, bound over it. */
static bool cgroup_is_hidden(const struct cgroup_hierarchy *h, uint64_t id)
{
    struct statx found = {0};
    struct statfs fs;

    if (statx(AT_FDCWD, h->dir, AT_NO_AUTOMOUNT, STATX_MNT_ID, &found) == 0 &&
        found.stx_mask & STATX_MNT_ID)
        return found.stx_mnt_id != id;
    return statfs(h->dir, &fs) < 0 ||
           (uint64_t)fs.f_type != (h->v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

/* Hidden; or the same hierarchy mounted once more, which is still the same. */
static bool cgroup_is_of_no_use(const struct cgroup *g, const struct cgroup_hierarchy *h,
                                uint64_t id)
{
    if (cgroup_is_hidden(h, id))
        return true;
    for (const struct cgroup_hierarchy *k = g->at; k < h; k++)
        if (k->v2 == h->v2 && !strcmp(k->controllers, h->controllers))
            return true;
    return false;
}

int cgroup_find(struct arena *arena, struct cgroup *ret, struct err *err)
{
    struct cgroup g = {.arena = arena};
    CLEANUP(free) char *text = NULL;
    char *save = NULL;
    int r = file_read(AT_FDCWD, "/proc/self/mountinfo", CGROUP_MOUNTINFO, &text, NULL, err);

    if (r < 0)
        return r;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        unsigned before = g.count;
        uint64_t id = 0;

        cgroup_read_mount(&g, l, &id);
        if (g.count > before && cgroup_is_of_no_use(&g, &g.at[before], id))
            g.count--;
    }
    *ret = g;
    return 0;
}

bool cgroup_has_v1(const struct cgroup *g)
{
    for (unsigned i = 0; i < g->count; i++)
        if (!g->at[i].v2)
            return true;
    return false;
}

const struct cgroup_hierarchy *cgroup_unified(const struct cgroup *g)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->at[i].v2)
            return &g->at[i];
    return NULL;
}

const struct cgroup_hierarchy *cgroup_controller(const struct cgroup *g, const char *name)
{
    char with_commas[40];

    snprintf(with_commas, sizeof(with_commas), ",%s,", name);
    for (unsigned i = 0; i < g->count; i++)
        if (!g->at[i].v2 && (g->joined & 1u << i) && strstr(g->at[i].controllers, with_commas))
            return &g->at[i];
    return NULL;
}

int cgroup_choose(struct cgroup *g, const char *wanted, const char *id, struct err *err)
{
    if (wanted && path_climbs(wanted))
        return err_set(err, -EINVAL, "config.json: linux.cgroupsPath: '%s' climbs with '..'",
                       wanted);
    if (wanted && strlen(wanted) > 1024)
        return err_set(err, -EINVAL, "config.json: linux.cgroupsPath: longer than 1024 bytes");
    if (wanted && *wanted)
        g->path = arena_text(g->arena, "%s%s", *wanted == '/' ? "" : "/", wanted);
    else
        g->path = arena_text(g->arena, "/posada-%s", id);
    if (!g->path)
        return err_set(err, -ENOMEM, "no memory");
    if (!g->path[strspn(g->path, "/.")])
        return err_set(err, -EINVAL, "config.json: linux.cgroupsPath: '%s' is the root group",
                       wanted);
    if (!g->count)
        g->path = NULL;
    return 0;
}

static int cgroup_file_path(const struct cgroup *g, const struct cgroup_hierarchy *h,
                            const char *file, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%s%s%s%s", h->dir, g->path, *file ? "/" : "", file);

    return n >= (int)size ? -ENAMETOOLONG : 0;
}

int cgroup_open(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                int flags)
{
    char path[PATH_MAX];
    int fd, r = cgroup_file_path(g, h, file, path, sizeof(path));

    if (r < 0)
        return r;
    fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

int cgroup_write(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                 const char *text)
{
    CLEANUP(fd) int fd = cgroup_open(g, h, file, O_WRONLY);

    if (fd < 0)
        return fd;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_read(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
                char *buf, size_t size)
{
    CLEANUP(fd) int fd = cgroup_open(g, h, file, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (n < 0)
        return fd < 0 ? fd : -errno;
    buf[n] = '\0';
    return 0;
}

int cgroup_set(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
               const char *text, struct err *err)
{
    int r = cgroup_write(g, h, file, text);

    if (r < 0)
        return err_set(err, r, "cgroup %s%s: %s = %s: %s", h->dir, g->path, file, text,
                       r == -ENOENT ? "this host's kernel has no such file" : strerror(-r));
    return 0;
}

/* A fresh cpuset has neither CPUs nor memory and takes nobody in: its parent's are meant. */
static void cgroup_inherit_cpuset(const char *dir, size_t parent_len)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    char path[PATH_MAX + 32], value[4096];

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(fd) int from = -1;
        CLEANUP(fd) int to = -1;
        ssize_t n;

        snprintf(path, sizeof(path), "%.*s/%s", (int)parent_len, dir, files[i]);
        from = open(path, O_RDONLY | O_CLOEXEC);
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        to = open(path, O_RDWR | O_CLOEXEC);
        if (from < 0 || to < 0 || (read(to, value, 2) > 1))
            continue;
        n = read(from, value, sizeof(value));
        if (n > 0)
            (void)!write(to, value, (size_t)n);
    }
}

bool cgroup_lists(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list; (at = strstr(at, name)); at += len)
        if ((at == list || at[-1] == ' ') && (!at[len] || at[len] == ' ' || at[len] == '\n'))
            return true;
    return false;
}

/* The words of a group's file; dir is len long. The descriptor, or -1. */
static int cgroup_open_list(const char *dir, size_t len, const char *name, int flags, char *buf,
                            size_t size)
{
    char path[PATH_MAX];
    int fd;
    ssize_t n;

    snprintf(path, sizeof(path), "%.*s/%s", (int)len, dir, name);
    fd = open(path, flags | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    return fd;
}

/* Each group passes on all the controllers it has (cgroup-v2.rst, "Enabling and Disabling"). To say
 * again what it does already would make the kernel wait for groups that are being removed. */
static void cgroup_pass_on(const char *dir, size_t len)
{
    char have[512], passed[512], *save = NULL;
    CLEANUP(fd)
    int from = cgroup_open_list(dir, len, "cgroup.controllers", O_RDONLY, have, sizeof(have));
    CLEANUP(fd) int to = -1;

    if (from < 0 || !*have)
        return;
    to = cgroup_open_list(dir, len, "cgroup.subtree_control", O_RDWR, passed, sizeof(passed));
    for (char *c = strtok_r(have, " \n", &save); c && to >= 0; c = strtok_r(NULL, " \n", &save)) {
        char add[64];

        if (cgroup_lists(passed, c))
            continue;
        snprintf(add, sizeof(add), "+%.60s", c);
        (void)!write(to, add, strlen(add)); /* one by one: a single busy one must not stop others */
    }
}

/* The last parts of a path that could not be made to its end. */
static void cgroup_unmake(char *path, unsigned fresh)
{
    while (fresh--) {
        *strrchr(path, '/') = '\0';
        (void)rmdir(path);
    }
}

/* Makes the path's parts one below the other, or nothing. *made: how many of the last ones are new.
 */
static int cgroup_make_path(const struct cgroup *g, const struct cgroup_hierarchy *h,
                            unsigned *made)
{
    char path[PATH_MAX];
    size_t at = strlen(h->dir), end;
    bool cpuset = strstr(h->controllers, ",cpuset,");
    unsigned fresh = 0;
    int r = cgroup_file_path(g, h, "", path, sizeof(path));

    if (r < 0)
        return r;
    for (; path[at]; at = end) {
        char rest;

        end = at + strspn(path + at, "/");
        end += strcspn(path + end, "/");
        rest = path[end];
        path[end] = '\0';
        if (h->v2)
            cgroup_pass_on(path, at);
        if (mkdir(path, 0755) == 0)
            fresh++;
        else if (errno != EEXIST) {
            r = -errno;
            cgroup_unmake(path, fresh);
            return r;
        }
        if (cpuset)
            cgroup_inherit_cpuset(path, at);
        path[end] = rest;
    }
    *made = fresh > *made ? fresh : *made;
    return 0;
}

static int cgroup_make_one(struct cgroup *g, unsigned i, struct err *err)
{
    int r = cgroup_make_path(g, &g->at[i], &g->made);

    if (!r) {
        g->joined |= 1u << i;
        return 0;
    }
    if (g->rootless && (r == -EACCES || r == -EPERM || r == -EROFS))
        return 0;
    return err_set(err, r, "cgroup %s%s: %s", g->at[i].dir, g->path, strerror(-r));
}

int cgroup_make_v2(struct cgroup *g, int *ret_fd, struct err *err)
{
    const struct cgroup_hierarchy *h = cgroup_unified(g);
    char path[PATH_MAX];
    unsigned i = (unsigned)(h - g->at);
    int r;

    *ret_fd = -1;
    if (!g->path || !h)
        return 0;
    r = cgroup_make_one(g, i, err);
    if (r < 0 || !(g->joined & 1u << i))
        return r;
    r = cgroup_file_path(g, h, "", path, sizeof(path));
    *ret_fd = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_set(err, -errno, "cgroup %s: %s", path, strerror(errno));
    return 0;
}

int cgroup_make_inner(struct cgroup *g, int *ret_fd, struct err *err)
{
    const struct cgroup_hierarchy *h = cgroup_unified(g);
    char path[PATH_MAX];
    int r = h ? cgroup_file_path(g, h, "", path, sizeof(path)) : -ENOENT;

    if (!r && mkdir(path, 0755) < 0 && errno != EEXIST)
        r = -errno;
    if (!r)
        *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r < 0 || *ret_fd < 0)
        return err_set(err, r < 0 ? r : -errno, "cgroup %s: %s", g->path,
                       strerror(r < 0 ? -r : errno));
    g->joined |= 1u << (h - g->at);
    g->made = 1;
    return 0;
}

void cgroup_delegate(const struct cgroup *g)
{
    const struct cgroup_hierarchy *h = cgroup_unified(g);
    char path[PATH_MAX];

    if (h && cgroup_file_path(g, h, "", path, sizeof(path)) == 0)
        cgroup_pass_on(path, (size_t)(strrchr(path, '/') - path));
}

int cgroup_make_v1(struct cgroup *g, struct err *err)
{
    int r = 0;

    for (unsigned i = 0; g->path && i < g->count && !r; i++)
        if (!g->at[i].v2)
            r = cgroup_make_one(g, i, err);
    return r;
}

int cgroup_open_tasks(const struct cgroup *g, int *fds, unsigned room, struct err *err)
{
    unsigned n = 0;

    for (unsigned i = 0; g->path && i < g->count && n < room; i++) {
        char path[PATH_MAX];
        int r;

        if (g->at[i].v2 || !(g->joined & 1u << i))
            continue;
        r = cgroup_file_path(g, &g->at[i], "tasks", path, sizeof(path));
        fds[n] = r < 0 ? r : open(path, O_WRONLY | O_CLOEXEC);
        if (fds[n] < 0)
            return err_set(err, -errno, "cgroup %s: %s", path, strerror(errno));
        n++;
    }
    return (int)n;
}

int cgroup_join(const int *fds, unsigned count)
{
    int r = 0;

    for (unsigned i = 0; i < count; i++) {
        if (write(fds[i], "0", 1) != 1 && !r)
            r = -errno;
        close(fds[i]);
    }
    return r;
}

int cgroup_limit(const struct cgroup *g, const struct spec_resources *resources, bool updating,
                 struct err *err)
{
    struct spec_resources v1, v2;
    int r;

    if (!g->path || !resources->given)
        return 0;
    if (!cgroup_has_v1(g))
        return cgroup_limit_v2(g, resources, err);
    cgroup_split(g, resources, &v1, &v2);
    r = cgroup_limit_v1(g, &v1, updating, err);
    return r || !v2.given ? r : cgroup_limit_v2(g, &v2, err);
}

int cgroup_devices(const struct cgroup *g, const struct spec_resources *resources, struct err *err)
{
    const struct cgroup_hierarchy *h = cgroup_unified(g);
    char path[PATH_MAX];
    CLEANUP(fd) int fd = -1;

    if (!g->path || !resources->device_count)
        return 0;
    if (cgroup_controller(g, "devices"))
        return cgroup_devices_v1(g, resources, err);
    if (!h || !(g->joined & 1u << (h - g->at)))
        return 0;
    if (cgroup_file_path(g, h, "", path, sizeof(path)) == 0)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cgroup %s: %s", path, strerror(errno));
    return devbpf_attach(fd, resources, err);
}
