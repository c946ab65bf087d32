/* SPDX-License-Identifier: Apache-2.0 */
#include "net/helper.h"

#include "base/cleanup.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <posada/log.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { START_TIMEOUT_MS = 20000 };

static int helper_await(int fd, const struct net_helper_config *config, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct err theirs = {0};
    int r = poll(&p, 1, START_TIMEOUT_MS);

    if (r <= 0 || recv(fd, &theirs, sizeof(theirs), MSG_DONTWAIT) != (ssize_t)sizeof(theirs))
        return err_set(err, -EIO, "guest '%s': its %s does not start; see monitor.log",
                       config->guest, config->what);
    theirs.text[sizeof(theirs.text) - 1] = '\0';
    return theirs.code ? err_set(err, theirs.code, "%s", theirs.text) : 0;
}

static int helper_pair(const struct net_helper_config *config, int *ret_ours, int *ret_theirs,
                       struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "guest '%s': %s: %s", config->guest, config->what,
                       strerror(errno));
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    return 0;
}

int net_helper_start(const struct net_helper_config *config, pid_t *ret_pid, int *ret_fd,
                     int *ret_orders_fd, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(fd) int orders = -1;
    int theirs[2] = {-1, -1}, r;

    r = helper_pair(config, &fd, &theirs[0], err);
    if (!r && ret_orders_fd)
        r = helper_pair(config, &orders, &theirs[1], err);
    if (!r)
        r = process_spawn_detached("/proc/self/exe", config->argv, theirs, ret_orders_fd ? 2 : 1,
                                   config->log_fd, ret_pid, err);
    for (unsigned i = 0; i < ARRAY_LEN(theirs); i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (!r)
        r = helper_await(fd, config, err);
    if (!r && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        r = err_set(err, -errno, "guest '%s': %s: %s", config->guest, config->what,
                    strerror(errno));
    if (!r)
        *ret_fd = take_fd(&fd);
    if (!r && ret_orders_fd)
        *ret_orders_fd = take_fd(&orders);
    return r;
}

int net_helper_start_tap(const struct net_helper_config *config, const struct net_helper_tap *tap,
                         pid_t *ret_pid, struct err *err)
{
    CLEANUP(fd) int ours = -1;
    int theirs = -1, fds[NET_HELPER_MORE_FD - 2], r = helper_pair(config, &ours, &theirs, err);

    if (r < 0)
        return r;
    fds[NET_HELPER_LINK_FD - 3] = tap->tap_fd;
    fds[NET_HELPER_REPORT_FD - 3] = theirs;
    fds[NET_HELPER_LIFE_FD - 3] = tap->life_fd;
    fds[NET_HELPER_RATES_FD - 3] = tap->rates_fd;
    fds[NET_HELPER_MORE_FD - 3] = tap->more_fd;
    r = process_spawn_detached("/proc/self/exe", config->argv, fds,
                               ARRAY_LEN(fds) - (tap->more_fd < 0), config->log_fd, ret_pid, err);
    close(theirs);
    return r ? r : helper_await(ours, config, err);
}

bool net_helper_has_tap(void)
{
    struct stat st;

    return fstat(NET_HELPER_LINK_FD, &st) == 0 && !S_ISSOCK(st.st_mode);
}

int net_helper_enter(const struct sandbox_helper *box, struct err *err)
{
    struct sandbox_missing missing;
    int r = sandbox_enter_helper(box, &missing, err);

    if (!r && missing.text[0])
        log_warn("%s: its sandbox is thinner than it should be, this host lacks: %s", box->name,
                 missing.text);
    return r;
}

int net_helper_report(int fd, const struct err *err)
{
    return send(fd, err, sizeof(*err), MSG_NOSIGNAL) < 0 ? -errno : 0;
}
