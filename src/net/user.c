/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of a user network: starts the helper and hears whether it could begin. */
#include "net/user.h"

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/net_frame.h"
#include "host/process.h"
#include "net/forward.h"
#include "net/port.h"
#include "net/slirp.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { START_TIMEOUT_MS = 20000, FIXED_ARGUMENTS = 6 };

bool net_user_available(void)
{
    struct slirp_api api;

    return slirp_load(&api, NULL) == 0;
}

/* The helper's first message is the struct err of its start. */
static int user_await(int fd, const struct net_user_config *config, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct err theirs = {0};
    int r = poll(&p, 1, START_TIMEOUT_MS);

    if (r <= 0 || recv(fd, &theirs, sizeof(theirs), MSG_DONTWAIT) != (ssize_t)sizeof(theirs))
        return err_set(err, -EIO, "guest '%s': its network helper does not start; see monitor.log",
                       config->guest);
    theirs.text[sizeof(theirs.text) - 1] = '\0';
    return theirs.code ? err_set(err, theirs.code, "%s", theirs.text) : 0;
}

static int user_spawn(const struct net_user_config *config, int link, struct err *err)
{
    const char *argv[FIXED_ARGUMENTS + NET_FORWARDS_MAX] = {"posada", "net-user", config->guest,
                                                            config->uuid, config->mac};
    unsigned count = FIXED_ARGUMENTS - 1;
    pid_t pid;

    for (char *const *f = config->forward; f && *f; f++) {
        if (count == ARRAY_LEN(argv) - 1)
            return err_set(err, -E2BIG, "guest '%s': more than %d forwarded ports", config->guest,
                           NET_FORWARDS_MAX);
        argv[count++] = *f;
    }
    return process_spawn_detached("/proc/self/exe", (char *const *)(uintptr_t)argv, &link, 1,
                                  config->log_fd, &pid, err);
}

int net_user_new(struct loop *loop, const struct net_user_config *config, struct netdev **ret_dev,
                 struct err *err)
{
    const struct net_port_config port = {
        .kind = "user",
        .name = "user",
        .offloads = (uint32_t)(BIT(NET_F_CSUM) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
                               BIT(NET_F_HOST_ECN)),
        .mtu = NET_USER_MTU,
        .lost = config->lost,
        .arg = config->arg,
    };
    CLEANUP(fd) int fd = -1;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "guest '%s': network: %s", config->guest, strerror(errno));
    fd = pair[0];
    r = user_spawn(config, pair[1], err);
    close(pair[1]);
    if (!r)
        r = user_await(fd, config, err);
    if (!r && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        r = err_set(err, -errno, "guest '%s': network: %s", config->guest, strerror(errno));
    if (r < 0)
        return r;
    return net_port_new(loop, take_fd(&fd), &port, ret_dev, err);
}
