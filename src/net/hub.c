/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining a named network. A hub says hello to each guest it takes: silence means that it was just
 * ending, and another one is needed.
 */
#include "net/hub.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/process.h"
#include "net/hub_files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum { JOIN_TRIES = 20, HELLO_MS = 2000, PAUSE_NS = 100000000 };

/* --- Files --- */
int hub_open_dir(int *ret_dir_fd, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    int r = dirs_get_sub(DIRS_RUN, "networks", &path, err);

    if (r < 0)
        return r;
    *ret_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_dir_fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
}

void hub_address(int dir_fd, const char *network, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%.70s", dir_fd, network);
}

void hub_lock_name(const char *network, char name[NAME_MAX])
{
    (void)snprintf(name, NAME_MAX, ".%.70s.lock", network);
}

int hub_lock(int dir_fd, const char *network, int *ret_fd)
{
    char name[NAME_MAX];
    struct stat ours, theirs;
    int fd;

    hub_lock_name(network, name);
    fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    /* Whoever cleaned up removed the file with the lock held: then ours is no longer the one. */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &ours) < 0 ||
        fstatat(dir_fd, name, &theirs, AT_SYMLINK_NOFOLLOW) < 0 || ours.st_ino != theirs.st_ino) {
        close(fd);
        return -EBUSY;
    }
    *ret_fd = fd;
    return 0;
}

static void hub_pause(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    (void)nanosleep(&pause, NULL);
}

/* -EBUSY: it lives, or is just ending. */
static int hub_remove(int dir_fd, const char *network)
{
    CLEANUP(fd) int lock_fd = -1;
    char name[NAME_MAX];
    int r = hub_lock(dir_fd, network, &lock_fd);

    if (r < 0)
        return r;
    hub_lock_name(network, name);
    (void)unlinkat(dir_fd, network, 0);
    (void)unlinkat(dir_fd, name, 0);
    return 0;
}

void net_hub_tidy(const char *network)
{
    CLEANUP(fd) int dir_fd = -1;

    if (hub_open_dir(&dir_fd, NULL) < 0)
        return;
    for (unsigned i = 0; i < 3 && hub_remove(dir_fd, network) == -EBUSY; i++)
        hub_pause();
}

void net_hub_sweep(void)
{
    CLEANUP(fd) int dir_fd = -1;
    const struct dirent *e;
    DIR *dir;
    int copy;

    if (hub_open_dir(&dir_fd, NULL) < 0)
        return;
    copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = copy < 0 ? NULL : fdopendir(copy);
    while (dir && (e = readdir(dir))) {
        char network[NAME_MAX], *end;

        (void)snprintf(network, sizeof(network), "%s", e->d_name + 1);
        end = strrchr(network, '.');
        if (e->d_name[0] != '.' || !end || end == network || strcmp(end, ".lock") != 0)
            continue;
        *end = '\0';
        (void)!hub_remove(dir_fd, network);
    }
    if (dir)
        closedir(dir);
}

/* --- Joining --- */
static int hub_start(const char *network, const struct net_subnet *subnet, int log_fd,
                     struct err *err)
{
    char program[] = "posada", verb[] = "net-hub", name[80], text[NET_SUBNET_TEXT];
    char *argv[] = {program, verb, name, text, NULL};
    int ready[2], r;
    pid_t pid;
    char byte;

    (void)snprintf(name, sizeof(name), "%s", network);
    net_subnet_print(subnet, text);
    if (pipe2(ready, O_CLOEXEC) < 0)
        return err_set(err, -errno, "network '%s': %s", network, strerror(errno));
    r = process_spawn_detached("/proc/self/exe", argv, &ready[1], 1, log_fd, &pid, err);
    close(ready[1]);
    if (!r)
        (void)!read(ready[0], &byte, 1); /* until it listens, or gives up */
    close(ready[0]);
    return r;
}

static int hub_connect(int dir_fd, const char *network, int *ret_fd)
{
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct sockaddr_un address;
    char hello;

    hub_address(dir_fd, network, &address);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    if (poll(&p, 1, HELLO_MS) <= 0 || recv(fd, &hello, 1, MSG_DONTWAIT) != 1)
        return -ECONNRESET;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

int net_hub_join(const char *network, const struct net_subnet *subnet, int log_fd, int *ret_fd,
                 struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    int r = hub_open_dir(&dir_fd, err), code = -ENOENT;

    for (unsigned i = 0; !r && i < JOIN_TRIES; i++) {
        code = hub_connect(dir_fd, network, ret_fd);
        if (!code)
            return 0;
        if (code == -EACCES || code == -EPERM)
            break;
        if (i > 1)
            hub_pause();
        r = hub_start(network, subnet, log_fd, err);
    }
    return r ? r
             : err_set(err, code, "network '%s': cannot reach its hub: %s", network,
                       strerror(-code));
}
