/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the monitor. Contract: ctr/files.h. */
#include "ctr/files.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { HELLO_MS = 5000 };

int ctr_files_open(int *ret_dir_fd, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    int r = dirs_get_sub(DIRS_RUN, "containers", &path, err);

    if (r < 0)
        return r;
    *ret_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_dir_fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
}

int ctr_files_lock(int dir_fd, int *ret_fd)
{
    CLEANUP(fd) int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : file_lock(fd);

    if (!r)
        *ret_fd = take_fd(&fd);
    return r;
}

static void files_address(int dir_fd, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/socket", dir_fd);
}

int ctr_files_listen(int dir_fd, int *ret_fd, struct err *err)
{
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;

    files_address(dir_fd, &address);
    (void)!unlinkat(dir_fd, "socket", 0); /* of one that was killed */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(dir_fd, "socket", 0600, 0) < 0 || listen(fd, 128) < 0)
        return err_set(err, -errno, "socket: %s", strerror(errno));
    *ret_fd = take_fd(&fd);
    return 0;
}

int ctr_files_connect(int dir_fd, int *ret_fd)
{
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct sockaddr_un address;
    char hello;

    files_address(dir_fd, &address);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    if (poll(&p, 1, HELLO_MS) <= 0 || recv(fd, &hello, 1, MSG_DONTWAIT) != 1)
        return -ECONNRESET;
    *ret_fd = take_fd(&fd);
    return 0;
}

int ctr_files_log(int dir_fd)
{
    int fd = openat(dir_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd < 0 ? -errno : fd;
}
