/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of user namespaces. Contract: container/userns.h. */
#include "container/userns.h"

#include "base/cleanup.h"
#include "container/caps.h"
#include "host/file.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USERNS_TEXT = SPEC_IDS * 36 };

static void userns_format(const struct spec_map *maps, unsigned count, char *buf, size_t size)
{
    size_t len = 0;

    *buf = '\0';
    for (unsigned i = 0; i < count && len < size; i++)
        len += (size_t)snprintf(buf + len, size - len, "%u %u %u\n", maps[i].inside,
                                maps[i].outside, maps[i].size);
}

static int userns_write_proc(pid_t pid, const char *name, const char *text)
{
    char path[64];
    CLEANUP(fd) int fd = -1;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* newuidmap PID inside outside size...: knows from /etc/subuid what the user may have. */
static int userns_run_helper(const char *program, pid_t pid, const struct spec_map *maps,
                             unsigned count, struct err *err)
{
    CLEANUP(free) char **argv = calloc(3 * count + 3, sizeof(*argv));
    CLEANUP(free) char *words = calloc(3 * count + 1, 12);
    int status = 0, r;
    pid_t child;

    if (!argv || !words)
        return err_set(err, -ENOMEM, "no memory");
    argv[0] = (char *)(uintptr_t)program;
    for (unsigned i = 0; i <= 3 * count; i++) {
        const struct spec_map *m = i ? &maps[(i - 1) / 3] : NULL;
        const uint32_t values[] = {m ? m->inside : 0, m ? m->outside : 0, m ? m->size : 0};

        argv[i + 1] = words + 12 * i;
        snprintf(argv[i + 1], 12, "%u", i ? values[(i - 1) % 3] : (unsigned)pid);
    }
    child = vfork();
    if (child == 0) {
        execvp(program, argv);
        _exit(errno == ENOENT ? 127 : 126);
    }
    r = child < 0 ? -errno : process_wait(child, &status);
    if (r < 0)
        return err_set(err, r, "%s: %s", program, strerror(-r));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(err, -EOPNOTSUPP, "%s is not installed: package uidmap has it", program);
    if (status)
        return err_set(err, -EPERM,
                       "%s refused the maps: do /etc/subuid and /etc/subgid give you these ids?",
                       program);
    return 0;
}

/* What the kernel lets anybody do: one id, his own. */
static bool userns_is_own(const struct spec_map *maps, unsigned count, uint32_t own)
{
    return count == 1 && maps[0].size == 1 && maps[0].outside == own;
}

static int userns_write_uids(pid_t pid, const struct spec_maps *maps, bool able, struct err *err)
{
    char text[USERNS_TEXT];
    int r;

    if (!able && !userns_is_own(maps->uid, maps->uids, geteuid()))
        return userns_run_helper("newuidmap", pid, maps->uid, maps->uids, err);
    userns_format(maps->uid, maps->uids, text, sizeof(text));
    r = userns_write_proc(pid, "uid_map", text);
    return r < 0 ? err_set(err, r, "uidMappings: the kernel refuses them: %s", strerror(-r)) : 0;
}

static int userns_write_gids(pid_t pid, const struct spec_maps *maps, bool able, struct err *err)
{
    char text[USERNS_TEXT];
    int r = 0;

    if (!able && !userns_is_own(maps->gid, maps->gids, getegid()))
        return userns_run_helper("newgidmap", pid, maps->gid, maps->gids, err);
    if (!able) /* without rights a group may be mapped only once none can be dropped */
        r = userns_write_proc(pid, "setgroups", "deny");
    userns_format(maps->gid, maps->gids, text, sizeof(text));
    if (!r)
        r = userns_write_proc(pid, "gid_map", text);
    return r < 0 ? err_set(err, r, "gidMappings: the kernel refuses them: %s", strerror(-r)) : 0;
}

int userns_write_maps(pid_t pid, const struct spec_maps *maps, struct err *err)
{
    int r = userns_write_gids(pid, maps, caps_have(CAP_SETGID), err);

    return r < 0 ? r : userns_write_uids(pid, maps, caps_have(CAP_SETUID), err);
}

/* The holder lives only until its namespace has been opened. */
static int userns_hold(const struct spec_maps *maps, pid_t child, struct err *err)
{
    char path[64];
    int fd, r = userns_write_maps(child, maps, err);

    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_set(err, -errno, "a user namespace: %s", strerror(errno)) : fd;
}

int userns_make(const struct spec_maps *maps, struct err *err)
{
    int status, fd, hold[2];
    pid_t child, parent = getpid();
    char byte;

    if (pipe2(hold, O_CLOEXEC) < 0)
        return err_set(err, -errno, "a user namespace: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        close(hold[0]);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
            unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            _exit(1);
        (void)!write(hold[1], "", 1);
        for (;;)
            (void)pause();
    }
    close(hold[1]);
    if (child < 0 || read(hold[0], &byte, 1) != 1)
        fd = err_set(err, -EPERM, "a user namespace: the kernel gives none");
    else
        fd = userns_hold(maps, child, err);
    close(hold[0]);
    if (child > 0) {
        (void)kill(child, SIGKILL);
        (void)!process_wait(child, &status);
    }
    return fd;
}

static bool userns_same_list(const struct spec_map *a, unsigned n, const struct spec_map *b,
                             unsigned m)
{
    for (unsigned i = 0; n == m && i < n; i++)
        if (a[i].inside != b[i].inside || a[i].outside != b[i].outside || a[i].size != b[i].size)
            return false;
    return n == m;
}

bool userns_same(const struct spec_maps *a, const struct spec_maps *b)
{
    return userns_same_list(a->uid, a->uids, b->uid, b->uids) &&
           userns_same_list(a->gid, a->gids, b->gid, b->gids);
}

int64_t userns_outside(const struct spec_map *maps, unsigned count, uint32_t inside)
{
    for (unsigned i = 0; i < count; i++)
        if (inside >= maps[i].inside && inside - maps[i].inside < maps[i].size)
            return (int64_t)maps[i].outside + (inside - maps[i].inside);
    return -1;
}
