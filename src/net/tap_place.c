/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: net/tap_place.h. Taps: Linux Documentation/networking/tuntap.rst; ioctls: netdevice(7).
 */
#include "net/tap_place.h"

#include "base/cleanup.h"
#include "base/net_frame.h"
#include "host/pass.h"
#include "host/process.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* What the child sends back, with the tap when code is 0. */
struct place_answer {
    int code;
    char what[60];
};

static int place_failed(struct place_answer *a, const char *what)
{
    a->code = -errno;
    (void)snprintf(a->what, sizeof(a->what), "%s", what);
    return a->code;
}

static int place_make(const struct net_tap_place *p, int fd, struct place_answer *a)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    unsigned offloads = TUN_F_CSUM | (p->segments ? TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN : 0u);
    int size = NET_HEADER_SIZE;

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", p->name);
    if (ioctl(fd, TUNSETIFF, &r) < 0)
        return place_failed(a, "make the interface");
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
        return place_failed(a, "set up its offloads");
    return 0;
}

static void place_ipv4(struct sockaddr *to, uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};

    memcpy(to, &in, sizeof(in));
}

static int place_route(const struct net_tap_place *p, int fd, struct place_answer *a)
{
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};

    if (!p->gateway)
        return 0;
    place_ipv4(&route.rt_dst, 0);
    place_ipv4(&route.rt_genmask, 0);
    place_ipv4(&route.rt_gateway, p->gateway);
    return ioctl(fd, SIOCADDRT, &route) < 0 ? place_failed(a, "set its route") : 0;
}

static int place_configure(const struct net_tap_place *p, struct place_answer *a)
{
    CLEANUP(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {0};

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", p->name);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    if (!net_mac_parse(p->mac, (uint8_t *)r.ifr_hwaddr.sa_data)) {
        errno = EINVAL;
        return place_failed(a, "read its MAC address");
    }
    if (fd < 0 || ioctl(fd, SIOCSIFHWADDR, &r) < 0)
        return place_failed(a, "set its MAC address");
    r.ifr_mtu = (int)p->mtu;
    if (ioctl(fd, SIOCSIFMTU, &r) < 0)
        return place_failed(a, "set its MTU");
    place_ipv4(&r.ifr_addr, p->address);
    if (ioctl(fd, SIOCSIFADDR, &r) < 0)
        return place_failed(a, "set its address");
    place_ipv4(&r.ifr_netmask, p->mask);
    if (ioctl(fd, SIOCSIFNETMASK, &r) < 0)
        return place_failed(a, "set its network mask");
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        return place_failed(a, "switch it on");
    return place_route(p, fd, a);
}

/* A tap belongs to the namespace in which its device file was opened. */
static noreturn_fn void place_child(const struct net_tap_place *p, int wire)
{
    struct place_answer a = {0};
    int fd = -1;

    if (setns(p->netns_fd, CLONE_NEWNET) < 0)
        (void)place_failed(&a, "enter its network namespace");
    else if ((fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)) < 0)
        (void)place_failed(&a, "open /dev/net/tun");
    else if (place_make(p, fd, &a) == 0)
        (void)place_configure(p, &a);
    (void)!pass_send(wire, &a, sizeof(a), &fd, a.code ? 0 : 1);
    _exit(0);
}

int net_tap_place(const struct net_tap_place *place, int *ret_fd, struct err *err)
{
    struct place_answer a = {.code = -EIO, .what = "hear of it"};
    CLEANUP(fd) int ours = -1;
    int pair[2], fd = -1, status;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "interface %s: %s", place->name, strerror(errno));
    ours = pair[0];
    pid = fork();
    if (pid == 0)
        place_child(place, pair[1]);
    close(pair[1]);
    if (pid < 0)
        return err_set(err, -errno, "interface %s: %s", place->name, strerror(errno));
    (void)!process_wait(pid, &status);
    if (pass_receive(ours, &a, sizeof(a), &fd, 1) <= 0 || fd < 0)
        return err_set(err, a.code ? a.code : -EIO, "interface %s: cannot %s: %s", place->name,
                       a.what, strerror(a.code ? -a.code : EIO));
    *ret_fd = fd;
    return 0;
}
