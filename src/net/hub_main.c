/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub of a named network: takes guests on its socket, and carries their frames from one to the
 * others (net/switch.h). A member that is slow loses frames past its queue's limit; nobody else
 * waits for it. Every message is checked before it goes on, since the next one trusts us no more
 * than we trust the last. Addresses: net/dhcp.h.
 */
#include "base/bits.h"
#include "base/cleanup.h"
#include "base/net_frame.h"
#include "host/process.h"
#include "net/dhcp.h"
#include "net/helper.h"
#include "net/hub.h"
#include "net/hub_files.h"
#include "net/queue.h"
#include "net/switch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { BATCH = 32, FIRST_MEMBER_MS = 5000, MESSAGE_MAX = NET_HEADER_SIZE + NET_FRAME_MAX };

struct hub {
    int listen_fd;
    bool had_members;
    struct net_subnet subnet;
    struct net_switch table;
    struct net_queue member[NET_SWITCH_PORTS];
    uint8_t message[MESSAGE_MAX];
};

static void hub_take(struct hub *h)
{
    int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int port = fd < 0 ? -1 : net_switch_add(&h->table);

    if (port < 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    h->member[port] = (struct net_queue){.fd = fd};
    h->had_members = true;
    if (send(fd, "", 1, MSG_NOSIGNAL) != 1) /* hello */
        h->member[port].over = true;
}

static void hub_drop(struct hub *h, unsigned port)
{
    close(h->member[port].fd);
    buf_done(&h->member[port].wait);
    net_switch_remove(&h->table, port);
}

static void hub_forward(struct hub *h, unsigned from, size_t len)
{
    uint8_t *frame = h->message + NET_HEADER_SIZE, answer[NET_HEADER_SIZE + NET_DHCP_FRAME] = {0};
    uint64_t to = net_switch_route(&h->table, from, frame);
    size_t n =
        net_dhcp_answer(&h->subnet, frame, len - NET_HEADER_SIZE, from, answer + NET_HEADER_SIZE);

    if (n) {
        net_queue_send(&h->member[from], answer, NET_HEADER_SIZE + n);
        return;
    }
    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++)
        if (to & BIT(i))
            net_queue_send(&h->member[i], h->message, len);
}

static void hub_receive(struct hub *h, unsigned port)
{
    struct net_queue *m = &h->member[port];
    struct net_frame frame;

    for (unsigned i = 0; i < BATCH && !m->over; i++) {
        ssize_t n = recv(m->fd, h->message, sizeof(h->message), MSG_DONTWAIT);

        if (n <= 0) {
            m->over = n == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        if (n > NET_HEADER_SIZE &&
            net_header_decode(h->message, (size_t)n - NET_HEADER_SIZE, &frame))
            hub_forward(h, port, (size_t)n);
    }
}

static void hub_turn(struct hub *h)
{
    struct pollfd p[NET_SWITCH_PORTS + 1] = {{.fd = h->listen_fd, .events = POLLIN}};

    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++) {
        bool used = h->table.ports & BIT(i);

        p[i + 1] = (struct pollfd){.fd = used ? h->member[i].fd : -1, .events = POLLIN};
        if (used && h->member[i].wait.len)
            p[i + 1].events |= POLLOUT;
    }
    if (!poll(p, ARRAY_LEN(p), h->had_members ? -1 : FIRST_MEMBER_MS))
        h->had_members = true; /* nobody came */
    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++) {
        if (p[i + 1].revents & POLLOUT)
            net_queue_flush(&h->member[i]);
        if (p[i + 1].revents & (POLLIN | POLLHUP | POLLERR))
            hub_receive(h, i);
    }
    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++)
        if (h->table.ports & BIT(i) && h->member[i].over)
            hub_drop(h, i);
    if (p[0].revents & POLLIN)
        hub_take(h);
}

static int hub_listen(const char *network, int dir_fd, int *ret_fd)
{
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;

    hub_address(dir_fd, network, &address);
    (void)unlinkat(dir_fd, network, 0); /* of one that was killed */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(dir_fd, network, 0600, 0) < 0 || listen(fd, NET_SWITCH_PORTS) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

int net_hub_main(const char *network, const char *subnet)
{
    struct hub *h = calloc(1, sizeof(*h));
    const struct sandbox_helper box = {
        .name = "network hub", .uuid = "00000000", .accepts_local = true};
    int dir_fd, lock_fd, r = hub_open_dir(&dir_fd, NULL);
    struct err err;

    if (r < 0 || !h || !net_subnet_parse(subnet, &h->subnet) ||
        hub_lock(dir_fd, network, &lock_fd) < 0)
        return EXIT_FAILED; /* there is one already */
    process_set_name("posada-hub");
    signal(SIGPIPE, SIG_IGN);
    if (hub_listen(network, dir_fd, &h->listen_fd) < 0)
        return EXIT_FAILED;
    close(dir_fd);
    if (net_helper_enter(&box, &err) < 0)
        return EXIT_FAILED;
    close(NET_HUB_READY_FD);
    while (h->table.ports || !h->had_members)
        hub_turn(h);
    return EXIT_OK;
}
