/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in a guest for reach.test: sends back what it hears on a UDP port, by IPv4 and IPv6. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    static char data[65536];
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    address.sin6_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "7"));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        perror("udp");
        return 1;
    }
    for (;;) {
        struct sockaddr_in6 from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);

        if (n >= 0)
            (void)!sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}
