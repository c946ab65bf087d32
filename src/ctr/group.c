/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: ctr/group.h. */
#include "ctr/group.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GROUP_FILE_MAX = 65536 };

static const struct {
    const char *controller;
    unsigned means;
} group_controllers[] = {{"memory", CTR_GROUP_MEMORY | CTR_GROUP_MARKS},
                         {"cpu", CTR_GROUP_CPU},
                         {"pids", CTR_GROUP_PIDS}};

/* Where the version 2 hierarchy is; NULL: nowhere. */
static const char *group_mount(void)
{
    static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "%s/cgroup.controllers", places[i]);
        if (access(path, F_OK) == 0)
            return places[i];
    }
    return NULL;
}

/* What a list of controllers in a file is good for. */
static unsigned group_list(const char *mount, const char *path, const char *file)
{
    CLEANUP(free) char *text = NULL;
    char name[1200], *rest, *word;
    unsigned means = 0;

    (void)snprintf(name, sizeof(name), "%s%s/%s", mount, path, file);
    if (file_read(AT_FDCWD, name, GROUP_FILE_MAX, &text, NULL, NULL) < 0)
        return 0;
    rest = text;
    while ((word = strsep(&rest, " \n")))
        for (size_t i = 0; i < ARRAY_LEN(group_controllers); i++)
            if (!strcmp(word, group_controllers[i].controller))
                means |= group_controllers[i].means;
    return means;
}

static bool group_is_empty(const char *mount, const char *path)
{
    CLEANUP(free) char *text = NULL;
    char name[1200];

    (void)snprintf(name, sizeof(name), "%s%s/cgroup.procs", mount, path);
    return file_read(AT_FDCWD, name, GROUP_FILE_MAX, &text, NULL, NULL) == 0 && !*text;
}

/* Ours: we may make groups in it, and move a process of ours from below it to below it. */
static bool group_is_ours(const char *mount, const char *path)
{
    char dir[1100], procs[1200];

    (void)snprintf(dir, sizeof(dir), "%s%s", mount, path);
    (void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
    return access(dir, W_OK | X_OK) == 0 && access(procs, W_OK) == 0;
}

/* A group passes on controllers or has processes, not both. */
static unsigned group_means(const char *mount, const char *path)
{
    unsigned given = group_list(mount, path, "cgroup.subtree_control");

    if (!given && group_is_empty(mount, path))
        given = group_list(mount, path, "cgroup.controllers");
    return given | CTR_GROUP_FREEZES;
}

/* The best of those that it stands in, the nearest among equals. */
static void group_find_users(const char *mount, char *path, struct ctr_group *ret)
{
    for (char *end = path + strlen(path); end > path; end = strrchr(path, '/')) {
        unsigned means;

        *end = '\0';
        if (!group_is_ours(mount, path))
            continue;
        means = group_means(mount, path);
        if (means <= ret->means)
            continue;
        ret->means = means;
        (void)snprintf(ret->path, sizeof(ret->path), "%s", path);
    }
}

static void group_find_roots(const char *mount, struct ctr_group *ret)
{
    ret->means = CTR_GROUP_FREEZES | CTR_GROUP_CPU | CTR_GROUP_PIDS;
    if (mount)
        ret->means |= group_list(mount, "", "cgroup.controllers");
    if (access("/sys/fs/cgroup/memory", F_OK) == 0) /* version 1 */
        ret->means |= CTR_GROUP_MEMORY;
}

void ctr_group_find(struct ctr_group *ret)
{
    const char *mount = group_mount();
    CLEANUP(free) char *text = NULL;
    char *line, *rest;

    *ret = (struct ctr_group){0};
    if (geteuid() == 0) {
        group_find_roots(mount, ret);
        return;
    }
    if (!mount || file_read(AT_FDCWD, "/proc/self/cgroup", GROUP_FILE_MAX, &text, NULL, NULL) < 0)
        return;
    rest = text;
    while ((line = strsep(&rest, "\n")))
        if (!strncmp(line, "0::/", 4) && strlen(line) < sizeof(ret->path) && !strstr(line, "/../"))
            group_find_users(mount, line + 3, ret);
}

int ctr_group_check(const struct ctr_group *group, const struct vm_config *config, struct err *err)
{
    const struct {
        const char *option;
        bool wanted;
        unsigned means;
    } limits[] = {
        {"--memory", config->memory != 0, CTR_GROUP_MEMORY},
        {"--memory-reservation", config->memory_low != 0, CTR_GROUP_MEMORY},
        {"--memory-high", config->memory_high || config->memory_auto, CTR_GROUP_MEMORY},
        {"--cpus", config->millicpus != 0, CTR_GROUP_CPU},
        {"--pids", config->pids != 0, CTR_GROUP_PIDS},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (limits[i].wanted && !(group->means & limits[i].means))
            return err_set(err, -EPERM,
                           "%s: no control group that could hold this limit is yours; as root "
                           "there is one, if the kernel has its controller, or start posada in a "
                           "group that systemd delegates to "
                           "you with that controller: systemd-run --user --scope posada ...",
                           limits[i].option);
    if ((config->memory_high || config->memory_auto) && !(group->means & CTR_GROUP_MARKS))
        return err_set(err, -EOPNOTSUPP,
                       "--memory-high: control groups of version 1, as this host has them for "
                       "memory, have no such mark and tell no pressure; use --memory-reservation "
                       "(their soft limit), or boot with systemd.unified_cgroup_hierarchy=1");
    return 0;
}
