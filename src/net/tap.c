/* SPDX-License-Identifier: Apache-2.0 */
/* Taps: Linux Documentation/networking/tuntap.rst. Frames stand behind virtio's 12-byte header. */
#include "net/tap.h"

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/net_frame.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int tap_failed(const char *name, const char *what, int code, struct err *err)
{
    if (code == EPERM || code == EACCES)
        return err_set(err, -EPERM,
                       "network 'tap:%s': no permission to %s; run posada as root, or use --net "
                       "user",
                       name, what);
    if (code == EBUSY)
        return err_set(err, -EBUSY, "network 'tap:%s': another guest or program uses it", name);
    return err_set(err, -code, "network 'tap:%s': cannot %s: %s", name, what, strerror(code));
}

const uint32_t net_tap_ioctls[] = {TUNSETOFFLOAD, 0};

static int tap_set_offload(int fd, uint32_t offloads)
{
    unsigned long takes = TUN_F_CSUM;

    if (offloads & BIT(NET_F_GUEST_TSO4))
        takes |= TUN_F_TSO4;
    if (offloads & BIT(NET_F_GUEST_TSO6))
        takes |= TUN_F_TSO6;
    if (takes & (TUN_F_TSO4 | TUN_F_TSO6) && offloads & BIT(NET_F_GUEST_ECN))
        takes |= TUN_F_TSO_ECN;
    return ioctl(fd, TUNSETOFFLOAD, takes);
}

void net_tap_offload(int fd, uint32_t offloads)
{
    (void)!tap_set_offload(fd, offloads); /* it took more when it was opened */
}

static int tap_attach(int fd, const char *name, struct err *err)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int size = NET_HEADER_SIZE;

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) < 0)
        return tap_failed(name, "open the interface", errno, err);
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || tap_set_offload(fd, UINT32_MAX) < 0)
        return tap_failed(name, "set up its offloads", errno, err);
    return 0;
}

static int tap_bridge(int socket_fd, const char *name, const char *bridge, struct err *err)
{
    struct ifreq r = {0};

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", bridge);
    r.ifr_ifindex = (int)if_nametoindex(name);
    if (ioctl(socket_fd, SIOCBRADDIF, &r) < 0 && errno != EBUSY)
        return err_set(err, -errno, "network 'tap:%s': cannot join bridge %s: %s", name, bridge,
                       strerror(errno));
    return 0;
}

static int tap_switch_on(const char *name, const char *bridge, struct err *err)
{
    CLEANUP(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {0};

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
        return tap_failed(name, "look at it", errno, err);
    if (bridge && tap_bridge(fd, name, bridge, err) < 0)
        return err ? err->code : -EIO;
    if (r.ifr_flags & IFF_UP)
        return 0;
    r.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? tap_failed(name, "switch it on", errno, err) : 0;
}

int net_tap_open(const char *spec, int *ret_fd, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    char name[2 * IFNAMSIZ], *bridge;
    int r;

    if (strlen(spec) >= sizeof(name))
        return err_set(err, -EINVAL, "--net tap:%.60s: expected tap:IFNAME or tap:IFNAME,BRIDGE",
                       spec);
    (void)snprintf(name, sizeof(name), "%s", spec);
    bridge = strchr(name, ',');
    if (bridge)
        *bridge++ = '\0';
    if (!*name || strlen(name) >= IFNAMSIZ || (bridge && (!*bridge || strlen(bridge) >= IFNAMSIZ)))
        return err_set(err, -EINVAL, "--net tap:%.60s: expected tap:IFNAME or tap:IFNAME,BRIDGE",
                       spec);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return tap_failed(name, "open /dev/net/tun", errno, err);
    r = tap_attach(fd, name, err);
    if (!r)
        r = tap_switch_on(name, bridge, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}
