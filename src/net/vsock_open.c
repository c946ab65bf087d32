/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the host's end of a vsock: what a monitor does before its sandbox. */
#include "base/cleanup.h"
#include "net/helper.h"
#include "net/vsock.h"
#include "net/vsock_path.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

int vsock_path_split(const char *path, struct vsock_path *ret, struct err *err)
{
    const char *slash = strrchr(path, '/');

    if (*path != '/' || !slash[1] || strlen(slash + 1) > VSOCK_NAME_MAX ||
        slash - path >= (ptrdiff_t)sizeof(ret->dir))
        return err_set(err, -EINVAL,
                       "vsock '%.80s': expected an absolute path whose last part has at most %d "
                       "characters",
                       path, VSOCK_NAME_MAX);
    (void)snprintf(ret->dir, sizeof(ret->dir), "%.*s", slash == path ? 1 : (int)(slash - path),
                   path);
    (void)snprintf(ret->name, sizeof(ret->name), "%s", slash + 1);
    return 0;
}

static int vsock_open_dir(const struct vsock_path *p, int *ret_fd, struct err *err)
{
    *ret_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? err_set(err, -errno, "vsock %s/%s: %s", p->dir, p->name, strerror(errno))
                       : 0;
}

/* Whether it is a socket whose last listener has gone. */
static bool vsock_is_dead(int dir_fd, const char *name)
{
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    struct stat st;

    if (fd < 0 || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    vsock_address(dir_fd, name, &address);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
           errno == ECONNREFUSED;
}

void vsock_address(int dir_fd, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%.*s", dir_fd,
                   VSOCK_NAME_MAX, name);
}

static int vsock_listen(const struct vsock_path *p, int *ret_fd, struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    int r = vsock_open_dir(p, &dir_fd, err);

    if (r < 0)
        return r;
    if (vsock_is_dead(dir_fd, p->name))
        (void)unlinkat(dir_fd, p->name, 0);
    vsock_address(dir_fd, p->name, &address);
    /* umask is 077: only its owner may connect. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return err_set(err, errno == EADDRINUSE ? -EBUSY : -errno, "vsock %s/%s: %s", p->dir,
                       p->name,
                       errno == EADDRINUSE ? "another guest or program uses it, or it is no socket"
                                           : strerror(errno));
    *ret_fd = take_fd(&fd);
    return 0;
}

void net_vsock_tidy(const char *path)
{
    CLEANUP(fd) int dir_fd = -1;
    struct vsock_path p;

    if (vsock_path_split(path, &p, NULL) < 0 || vsock_open_dir(&p, &dir_fd, NULL) < 0)
        return;
    if (vsock_is_dead(dir_fd, p.name))
        (void)unlinkat(dir_fd, p.name, 0);
}

int net_vsock_start(const struct net_vsock_config *config, pid_t *ret_pid, int *ret_fd,
                    struct err *err)
{
    const char *argv[] = {"posada", "net-vsock", config->path, NULL};
    const struct net_helper_config helper = {.guest = config->guest,
                                             .what = "vsock helper",
                                             .argv = (char *const *)(uintptr_t)argv,
                                             .log_fd = config->log_fd};

    return net_helper_start(&helper, ret_pid, ret_fd, NULL, err);
}

int net_vsock_open(struct loop *loop, const struct net_vsock_config *config,
                   struct vsockdev **ret_dev, struct err *err)
{
    CLEANUP(fd) int listen_fd = -1;
    int helper_fd = -1;
    struct vsock_path p;
    pid_t pid;
    int r = vsock_path_split(config->path, &p, err);

    if (!r)
        r = vsock_listen(&p, &listen_fd, err);
    if (!r)
        r = net_vsock_start(config, &pid, &helper_fd, err);
    return r ? r : net_vsock_new(loop, take_fd(&listen_fd), helper_fd, config, ret_dev, err);
}
