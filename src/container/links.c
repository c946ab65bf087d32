/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of a container. Contract: container/links.h. */
#include "container/links.h"

#include "base/cleanup.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct links_request {
    struct nlmsghdr head;
    struct ifinfomsg info;
    char attributes[128];
};

static void links_add(struct links_request *q, unsigned short type, const void *data, size_t len)
{
    struct rtattr *a = (struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

static int links_talk(int fd, struct links_request *q)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[1024];
    } answer;
    ssize_t n;

    q->head.nlmsg_type = RTM_NEWLINK;
    q->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    if (send(fd, q, q->head.nlmsg_len, 0) < 0)
        return -errno;
    n = recv(fd, &answer, sizeof(answer), 0);
    if (n < 0)
        return -errno;
    return (size_t)n >= NLMSG_LENGTH(sizeof(answer.error)) && answer.head.nlmsg_type == NLMSG_ERROR
               ? answer.error.error
               : -EPROTO;
}

static void links_init(struct links_request *q, int index)
{
    *q = (struct links_request){0};
    q->head.nlmsg_len = NLMSG_LENGTH(sizeof(q->info));
    q->info.ifi_family = AF_UNSPEC;
    q->info.ifi_index = index;
}

int links_loopback_up(struct err *err)
{
    CLEANUP(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct links_request q;
    int r = fd < 0 ? -errno : 0;

    links_init(&q, 1); /* loopback is every namespace's first */
    q.info.ifi_flags = q.info.ifi_change = IFF_UP;
    if (!r)
        r = links_talk(fd, &q);
    return r < 0 ? err_set(err, r, "loopback interface: %s", strerror(-r)) : 0;
}

int links_move(const struct spec *spec, int netns, struct err *err)
{
    CLEANUP(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return err_set(err, -errno, "netDevices: %s", strerror(errno));
    for (unsigned i = 0; i < spec->net_device_count; i++) {
        const struct spec_net_device *d = &spec->net_devices[i];
        unsigned index = if_nametoindex(d->host_name);
        struct links_request q;
        int r;

        if (!index)
            return err_set(err, -ENODEV, "netDevices: %s: no such interface", d->host_name);
        links_init(&q, (int)index);
        links_add(&q, IFLA_NET_NS_FD, &netns, sizeof(netns));
        if (d->name && *d->name)
            links_add(&q, IFLA_IFNAME, d->name, strlen(d->name) + 1);
        r = links_talk(fd, &q);
        if (r < 0)
            return err_set(err, r, "netDevices: %s: %s", d->host_name, strerror(-r));
    }
    return 0;
}
