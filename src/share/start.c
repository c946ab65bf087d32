/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a share's helper process and hears whether it could begin. */
#include "base/cleanup.h"
#include "host/process.h"
#include "share/share.h"
#include "share/window.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { START_TIMEOUT_MS = 20000, NUMBER_TEXT = 16 };

/* Its size cannot be changed any more: a hole would be a signal in whoever touches it. */
static int start_window(int *ret_fd)
{
    CLEANUP(fd) int fd = memfd_create("posada-share", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, (off_t)share_window_size()) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The helper's first message is the struct err of its start. */
static int start_await(int fd, const struct share_config *config, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct err theirs = {0};
    int r = poll(&p, 1, START_TIMEOUT_MS);

    if (r <= 0 || recv(fd, &theirs, sizeof(theirs), MSG_DONTWAIT) != (ssize_t)sizeof(theirs))
        return err_set(err, -EIO, "share '%s': its helper does not start; see monitor.log",
                       config->path);
    theirs.text[sizeof(theirs.text) - 1] = '\0';
    return theirs.code ? err_set(err, theirs.code, "%s", theirs.text) : 0;
}

static int start_spawn(const struct share_config *config, int link, int window, pid_t *ret_pid,
                       struct err *err)
{
    const struct share_owner *o = &config->owner;
    const unsigned numbers[] = {o->squash, o->uid, o->gid, o->guest_uid, o->guest_gid};
    char text[ARRAY_LEN(numbers)][NUMBER_TEXT];
    const char *argv[] = {
        "posada", "share-helper", config->guest, config->path, config->read_only ? "ro" : "rw",
        text[0],  text[1],        text[2],       text[3],      text[4],
        NULL};
    const int fds[] = {link, window};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void)snprintf(text[i], sizeof(text[i]), "%u", numbers[i]);
    return process_spawn_detached("/proc/self/exe", (char *const *)(uintptr_t)argv, fds,
                                  ARRAY_LEN(fds), config->log_fd, ret_pid, err);
}

int share_start(const struct share_config *config, pid_t *ret_pid, int ret_fds[2], struct err *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(fd) int window = -1;
    int pair[2], r = start_window(&window);

    if (!r && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        r = -errno;
    if (r < 0)
        return err_set(err, r, "share '%s': %s", config->path, strerror(-r));
    fd = pair[0];
    r = start_spawn(config, pair[1], window, ret_pid, err);
    close(pair[1]);
    if (!r)
        r = start_await(fd, config, err);
    if (r < 0)
        return r;
    ret_fds[0] = take_fd(&fd);
    ret_fds[1] = take_fd(&window);
    return 0;
}

int share_new(struct loop *loop, const struct share_config *config, struct fsdev **ret_dev,
              struct err *err)
{
    int fds[2];
    pid_t pid;
    int r = share_start(config, &pid, fds, err);

    return r ? r : share_link_new(loop, config, fds[0], fds[1], ret_dev, err);
}
