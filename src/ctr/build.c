/* SPDX-License-Identifier: Apache-2.0 */
/* Building a container: its root mounted, its user found, its configuration written. */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "ctr/bundle.h"
#include "host/file.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Run directories are memory: nothing there outlives the host, so nothing is synced. */
static int build_write(int dir_fd, const char *name, const char *text, mode_t mode, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    int r;

    (void)!unlinkat(dir_fd, name, 0);
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    r = fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
    if (!r && fchmod(fd, mode) < 0) /* umask is 077 */
        r = -errno;
    return r < 0 ? err_set(err, r, "%s: cannot write: %s", name, strerror(-r)) : 0;
}

int ctr_write_run(int dir_fd, const char *name, const char *text, struct err *err)
{
    return build_write(dir_fd, name, text, 0600, err);
}

int ctr_write_json(int dir_fd, const char *name, json_t *json, struct err *err)
{
    CLEANUP(free) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (!text)
        return err_set(err, -EINVAL, "%s: a text of it is no UTF-8, or memory is short", name);
    return build_write(dir_fd, name, text, 0600, err);
}

static int build_root(struct ctr *c, struct err *err)
{
    if (c->root.mounted) /* of an earlier run */
        return 0;
    if (mkdirat(c->run_fd, "root", 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "guest '%s': %s: %s", c->guest.name, c->root_path,
                       strerror(errno));
    return ctr_root_mount(&c->all->layers, &c->guest, &c->config, c->root_path, &c->root, err);
}

/* hosts, hostname, resolv.conf: files in the guest's directory, so what is written there stays. */
static int build_etc(const struct ctr *c, struct err *err)
{
    CLEANUP(fd) int etc = -1;
    char hosts[VM_NAME_MAX + 100], hostname[VM_NAME_MAX + 8];
    const char *resolver = ctr_net_resolver(&c->config);
    int r;

    (void)snprintf(hosts, sizeof(hosts),
                   "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t%s\n",
                   c->guest.name);
    (void)snprintf(hostname, sizeof(hostname), "%s\n", c->guest.name);
    if (mkdirat(c->run_fd, "etc", 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "etc: %s", strerror(errno));
    etc = openat(c->run_fd, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (etc < 0 || fchmod(etc, 0755) < 0)
        return err_set(err, -errno, "etc: %s", strerror(errno));
    r = build_write(etc, "hosts", hosts, 0644, err);
    if (!r)
        r = build_write(etc, "hostname", hostname, 0644, err);
    return r ? r : build_write(etc, "resolv.conf", resolver ? resolver : "", 0644, err);
}

/* The root as the container sees it: while it runs, with its mounts. */
int ctr_open_root(const struct ctr *c, int *ret_fd, struct err *err)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/root", c->pid);
    fd = open(c->pid ? path : c->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "guest '%s': its root: %s", c->guest.name, strerror(errno));
    *ret_fd = fd;
    return 0;
}

/* In a user namespace that has so many. */
static int build_fit_user(const char *name, unsigned users, struct ctr_user *u, struct err *err)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < u->group_count; i++)
        if (u->groups[i] < users)
            u->groups[kept++] = u->groups[i];
    u->group_count = users > 1 ? kept : 0;
    if (u->uid < users && u->gid < users)
        return 0;
    if (users > 1)
        return err_set(err, -EPERM, "user '%.60s': your containers have users up to %u", name,
                       users - 1);
    return err_set(err, -EPERM,
                   "user '%.60s': your containers have one user only, root, which is you; for "
                   "more install uidmap and have root give you ids: usermod --add-subuids "
                   "100000-165535 --add-subgids 100000-165535 YOU",
                   name);
}

int ctr_find_user(const struct ctr *c, const char *wish, struct ctr_user *ret, struct err *err)
{
    const char *name = wish ? wish : c->config.user ? c->config.user : "";
    CLEANUP(fd) int root_fd = -1;
    int r = ctr_open_root(c, &root_fd, err);

    if (!r)
        r = ctr_user_find(root_fd, name, ret, err);
    return r < 0 || !c->all->users ? r : build_fit_user(name, c->all->users, ret, err);
}

static int build_config(struct ctr *c, struct err *err)
{
    CLEANUP(free) char *etc = NULL;
    struct ctr_user user;
    struct ctr_bundle bundle = {
        .config = &c->config,
        .name = c->guest.name,
        .root = c->root_path,
        .user = &user,
        .seccomp = c->all->seccomp,
        .users = c->all->users,
        .group = &c->all->group,
    };
    const char *program = c->config.command ? c->config.command[0] : NULL;
    int r;

    if (program && *program)
        r = ctr_find_user(c, NULL, &user, err);
    else
        r = err_set(err, -EINVAL,
                    program ? "its command begins with an empty word; give a program's name"
                            : "its image says nothing about what to run; give a command");

    if (!r)
        r = ctr_group_check(&c->all->group, &c->config, err);
    if (!r)
        r = build_etc(c, err);
    if (r < 0)
        return r;
    if (asprintf(&etc, "%s/etc", c->run_path) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    bundle.etc = etc;
    return ctr_write_json(c->run_fd, "config.json", ctr_bundle_make(&bundle), err);
}

int ctr_build(struct ctr *c, struct err *err)
{
    int r = build_root(c, err);

    return r ? r : build_config(c, err);
}
