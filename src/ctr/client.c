/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing a container to its monitor, which is started when there is none. A monitor says hello to
 * whoever comes: silence means that it was just ending, and another one is needed.
 */
#include "ctr/ctr.h"
#include "ctr/files.h"

#include "base/cleanup.h"
#include "host/pass.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CONNECT_TRIES = 20, PAUSE_NS = 50000000, LINK_FDS = 3 };

/* Waits until the new monitor listens, or gives up (another may have been quicker). */
static int client_start_monitor(int dir_fd, struct err *err)
{
    char program[] = "posada", verb[] = "container-monitor";
    char *argv[] = {program, verb, NULL};
    CLEANUP(fd) int log_fd = ctr_files_log(dir_fd);
    int ready[2], r;
    pid_t pid;
    char byte;

    if (log_fd < 0 || pipe2(ready, O_CLOEXEC) < 0)
        return err_set(err, -errno, "the monitor of containers: %s", strerror(errno));
    r = process_spawn_detached("/proc/self/exe", argv, &ready[1], 1, log_fd, &pid, err);
    close(ready[1]);
    if (!r)
        (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    return r;
}

int ctr_start_monitor(struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    int r = ctr_files_open(&dir_fd, err);

    return r ? r : client_start_monitor(dir_fd, err);
}

static int client_connect_monitor(int *ret_fd, struct err *err)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    CLEANUP(fd) int dir_fd = -1;
    int r = ctr_files_open(&dir_fd, err), code = -ENOENT;

    for (unsigned i = 0; !r && i < CONNECT_TRIES; i++) {
        code = ctr_files_connect(dir_fd, ret_fd);
        if (!code)
            return 0;
        if (i > 1)
            (void)nanosleep(&pause, NULL);
        r = client_start_monitor(dir_fd, err);
    }
    return r ? r
             : err_set(
                   err, code,
                   "the monitor of containers does not answer: %s; its log is containers/log in "
                   "the run directory",
                   strerror(-code));
}

/* Its name is its directory's. */
static int client_hand_over(int fd, const struct guest *guest, int owner_fd)
{
    const int fds[LINK_FDS] = {guest->dir_fd, guest->lock_fd, owner_fd};

    return pass_send(fd, "", 1, fds, LINK_FDS);
}

int ctr_spawn(const struct guest *guest, int *ret_owner_fd, struct err *err)
{
    CLEANUP(fd) int link = -1;
    CLEANUP(fd) int theirs = -1;
    int pair[2], r = client_connect_monitor(&link, err);

    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "guest '%s': %s", guest->name, strerror(errno));
    theirs = pair[1];
    r = client_hand_over(link, guest, theirs);
    if (r < 0) {
        close(pair[0]);
        return err_set(err, r, "guest '%s': the monitor of containers went away: %s", guest->name,
                       strerror(-r));
    }
    *ret_owner_fd = pair[0];
    return 0;
}
