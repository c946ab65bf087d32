/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs in a guest for vsock.test, since busybox knows no vsock:
 *   vsock_guest cid             prints the guest's CID
 *   vsock_guest connect PORT    standard input to the host's PORT, what comes back to standard
 * output vsock_guest listen PORT     accepts one connection after another and sends back what it
 * hears
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* wants sys/socket.h before it */

static void die(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void put(int fd, const char *data, ssize_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, (size_t)len);

        if (n < 0)
            die("write");
        data += n;
        len -= n;
    }
}

static int make(unsigned cid, const char *port, struct sockaddr_vm *address)
{
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    *address = (struct sockaddr_vm){
        .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = (unsigned)strtoul(port, NULL, 10)};
    if (fd < 0)
        die("socket");
    return fd;
}

/* A child writes what standard input brings; we write out what comes back until its end. */
static int run_connect(const char *port)
{
    static char data[65536];
    struct sockaddr_vm address;
    int fd = make(VMADDR_CID_HOST, port, &address), status = 1;
    ssize_t n;
    pid_t pid;

    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("connect");
    pid = fork();
    if (pid == 0) {
        while ((n = read(0, data, sizeof(data))) > 0)
            put(fd, data, n);
        if (shutdown(fd, SHUT_WR) < 0)
            die("shutdown");
        _exit(0);
    }
    while ((n = read(fd, data, sizeof(data))) > 0)
        put(1, data, n);
    if (n < 0)
        die("read");
    (void)waitpid(pid, &status, 0);
    return status != 0;
}

static _Noreturn void run_listen(const char *port)
{
    static char data[65536];
    struct sockaddr_vm address;
    int fd = make(VMADDR_CID_ANY, port, &address);

    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
        die("listen");
    (void)puts("listening");
    (void)fflush(stdout);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        ssize_t n;

        if (client < 0)
            die("accept");
        while ((n = read(client, data, sizeof(data))) > 0)
            put(client, data, n);
        (void)close(client);
    }
}

static int run_cid(void)
{
    int fd = open("/dev/vsock", O_RDONLY);
    unsigned cid;

    if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
        die("/dev/vsock");
    (void)printf("%u\n", cid);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "cid"))
        return run_cid();
    if (argc == 3 && !strcmp(argv[1], "connect"))
        return run_connect(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "listen"))
        run_listen(argv[2]);
    return 2;
}
