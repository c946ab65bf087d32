/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MOUNT: mounts shares of the host (virtio-fs). A child does it, because the driver may still be on
 * its way and the agent has other things to do; its exit code is the errno.
 */
#include "agent.h"

#include "base/endian.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOUNT_HEAD = 8, TRIES = 50, TRY_NS = 200000000 };

struct mount_child {
    pid_t pid; /* 0: none */
    uint32_t number;
};

static struct mount_child children[AGENT_MOUNTS];

/* Any directory that is missing on the way is made. */
static int mount_make_point(const char *path)
{
    char part[4096];

    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return ENAMETOOLONG;
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(part, 0755);
        *slash = '/';
    }
    return mkdir(part, 0755) < 0 && errno != EEXIST ? errno : 0;
}

static bool mount_is_there(const char *tag)
{
    FILE *f = fopen("/proc/self/mounts", "re");
    char line[8192], from[64], type[64];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, "%63s %*s %63s", from, type) == 2 && strcmp(from, tag) == 0 &&
                strcmp(type, "virtiofs") == 0;
    if (f)
        (void)fclose(f);
    return found;
}

/* While the device is not known yet, mounting fails with EINVAL; without its driver, with ENODEV.
 */
static int mount_share(const char *tag, const char *path, uint32_t flags)
{
    const unsigned long how =
        MS_NODEV | MS_NOSUID | (flags & AGENT_MOUNT_READ_ONLY ? MS_RDONLY : 0);
    const struct timespec pause = {.tv_nsec = TRY_NS};
    int r = mount_is_there(tag) ? EEXIST : mount_make_point(path);

    if (r)
        return r == EEXIST ? 0 : r;
    for (int i = 0; i < TRIES; i++) {
        if (mount(tag, path, "virtiofs", how, NULL) == 0)
            return 0;
        r = errno;
        if (r != EINVAL && r != ENODEV)
            return r;
        (void)nanosleep(&pause, NULL);
    }
    return r;
}

static void mount_answer(struct port *p, uint32_t number, uint32_t code)
{
    uint8_t data[8];

    st_le32(data, number);
    st_le32(data + 4, code);
    port_send(p, AGENT_MOUNTED, 0, data, sizeof(data));
}

static noreturn_fn void mount_child(const char *tag, const char *path, uint32_t flags)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    _exit(mount_share(tag, path, flags));
}

bool mount_frame(struct port *p, const uint8_t *payload, size_t len)
{
    const char *tag = (const char *)payload + MOUNT_HEAD, *path;
    struct mount_child *c = children;

    if (len < MOUNT_HEAD + 4 || payload[len - 1] || !memchr(tag, '\0', len - MOUNT_HEAD - 1))
        return false;
    path = tag + strlen(tag) + 1;
    while (c < children + AGENT_MOUNTS && c->pid)
        c++;
    if (c == children + AGENT_MOUNTS)
        return false;
    c->number = ld_le32(payload);
    c->pid = fork();
    if (c->pid == 0)
        mount_child(tag, path, ld_le32(payload + 4));
    if (c->pid < 0) {
        c->pid = 0;
        mount_answer(p, c->number, (uint32_t)errno);
    }
    return true;
}

void mount_reaped(struct port *p, pid_t pid, int status)
{
    for (struct mount_child *c = children; c < children + AGENT_MOUNTS; c++)
        if (c->pid == pid) {
            c->pid = 0;
            mount_answer(p, c->number, WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : EIO);
        }
}
