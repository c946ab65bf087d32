/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel parameters of a container. Contract: container/sysctl.h. */
#include "container/sysctl.h"

#include "base/cleanup.h"
#include "container/names.h"
#include "container/path.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t sysctl_namespace(const char *name)
{
    static const struct name_value exact[] = {
        {"kernel.msgmax", CLONE_NEWIPC},
        {"kernel.msgmnb", CLONE_NEWIPC},
        {"kernel.msgmni", CLONE_NEWIPC},
        {"kernel.sem", CLONE_NEWIPC},
        {"kernel.shmall", CLONE_NEWIPC},
        {"kernel.shmmax", CLONE_NEWIPC},
        {"kernel.shmmni", CLONE_NEWIPC},
        {"kernel.shm_rmid_forced", CLONE_NEWIPC},
        {"kernel.domainname", CLONE_NEWUTS},
        {"kernel.hostname", CLONE_NEWUTS},
        {0},
    };
    uint64_t flag;

    if (name_find(exact, name, &flag))
        return flag;
    if (!strncmp(name, "fs.mqueue.", 10))
        return CLONE_NEWIPC;
    if (!strncmp(name, "net.", 4))
        return CLONE_NEWNET;
    if (!strncmp(name, "user.", 5))
        return CLONE_NEWUSER;
    return 0;
}

/* Dots separate unless the first separator is a slash (sysctl.d(5)). */
static int sysctl_path(const char *name, char *dotted, char *path, size_t size)
{
    char separator = name[strcspn(name, "./")];

    if (snprintf(path, size, "sys/%s", name) >= (int)size)
        return -ENAMETOOLONG;
    snprintf(dotted, size, "%s", name);
    for (char *c = path + 4, *d = dotted; *c; c++, d++) {
        if (separator == '.' ? *c == '.' : false)
            *c = '/';
        else if (separator == '.' && *c == '/')
            *c = '.';
        if (separator == '/' && *d == '/')
            *d = '.';
    }
    return path_climbs(path) ? -EINVAL : 0;
}

static int sysctl_write(const struct spec *spec, int proc, const struct json *at, struct err *err)
{
    char dotted[512], path[512];
    CLEANUP(fd) int fd = -1;
    uint64_t flag;
    int r = sysctl_path(at->name, dotted, path, sizeof(path));

    if (r < 0)
        return err_set(err, r, "linux.sysctl: %s: not the name of a parameter", at->name);
    flag = sysctl_namespace(dotted);
    if (!flag)
        return err_set(err, -EPERM,
                       "linux.sysctl: %s: belongs to no namespace, it would change the host",
                       at->name);
    if (!spec_namespace(spec, flag))
        return err_set(err, -EPERM,
                       "linux.sysctl: %s: the container shares that namespace with the host",
                       at->name);
    fd = openat(proc, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || write(fd, at->text, strlen(at->text)) < 0)
        return err_set(err, -errno, "linux.sysctl: %s = %s: %s", at->name, at->text,
                       strerror(errno));
    return 0;
}

int sysctl_apply(const struct spec *spec, int proc, struct err *err)
{
    int r = 0;

    for (const struct json *c = spec->sysctl ? spec->sysctl->child : NULL; c && !r; c = c->next)
        r = sysctl_write(spec, proc, c, err);
    return r;
}
