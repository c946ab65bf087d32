/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a riscv64 guest: what `ethtool -l` and `ethtool -L` do, for the pairs of queues of a device:
 * `channels IFNAME [N]` prints "in use/at most", with N after setting that.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq ifr;

    if (argc < 2)
        return 2;
    memset(&ifr, 0, sizeof(ifr));
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
    ifr.ifr_data = (void *)&c;
    if (ioctl(fd, SIOCETHTOOL, &ifr) < 0) {
        perror("ETHTOOL_GCHANNELS");
        return 1;
    }
    if (argc > 2) {
        c.cmd = ETHTOOL_SCHANNELS;
        c.combined_count = (unsigned)atoi(argv[2]);
        if (ioctl(fd, SIOCETHTOOL, &ifr) < 0) {
            perror("ETHTOOL_SCHANNELS");
            return 1;
        }
        c.cmd = ETHTOOL_GCHANNELS;
        if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
            return 1;
    }
    printf("%u/%u\n", c.combined_count, c.max_combined);
    return 0;
}
