/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper of a vsock: connects to PATH_P when its monitor asks for port P, and hands over the
 * connection. All that a guest decides here is P. It ends with its monitor's side of the link.
 */
#include "base/cleanup.h"
#include "host/pass.h"
#include "host/process.h"
#include "net/helper.h"
#include "net/vsock.h"
#include "net/vsock_dial.h"
#include "net/vsock_path.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

/* The directory is the root, or at least where we are. */
static int helper_connect(const char *name, uint32_t port, int *ret_fd)
{
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", name, port);
    /* A listener with a full queue refuses, too: nobody waits here. */
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* False: the monitor is gone. */
static bool helper_serve(const char *name)
{
    struct pollfd p = {.fd = NET_HELPER_LINK_FD, .events = POLLIN};
    struct vsock_dial dial;
    CLEANUP(fd) int fd = -1;
    int r = poll(&p, 1, -1) < 0 ? 0 : pass_receive(NET_HELPER_LINK_FD, &dial, sizeof(dial), &fd, 1);

    if (r <= 0)
        return r == 0;
    dial.code = helper_connect(name, dial.host_port, &fd);
    return !pass_send(NET_HELPER_LINK_FD, &dial, sizeof(dial), &fd, dial.code ? 0 : 1);
}

int net_vsock_main(const char *path)
{
    struct vsock_path p;
    struct err err = {0};
    const struct sandbox_helper box = {.name = "vsock helper", .connects_in = p.dir};
    int r = vsock_path_split(path, &p, &err);

    process_set_name("posada-vsock");
    signal(SIGPIPE, SIG_IGN);
    if (!r)
        r = net_helper_enter(&box, &err);
    if (net_helper_report(NET_HELPER_LINK_FD, &err) < 0 || r < 0)
        return EXIT_FAILED;
    while (helper_serve(p.name))
        ;
    return EXIT_OK;
}
