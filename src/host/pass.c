/* SPDX-License-Identifier: Apache-2.0 */
#include "host/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union pass_control {
    char bytes[CMSG_SPACE(sizeof(int) * PASS_FDS_MAX)];
    struct cmsghdr align;
};

int pass_send(int link, const void *data, size_t len, const int *fds, unsigned count)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    union pass_control control = {0};
    ssize_t n;

    if (count > PASS_FDS_MAX)
        return -E2BIG;
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                                    .cmsg_type = SCM_RIGHTS,
                                                    .cmsg_len = CMSG_LEN(sizeof(int) * count)};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(int) * count);
    }
    do
        n = sendmsg(link, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n == (ssize_t)len ? 0 : -EMSGSIZE;
}

/* Fewer than were asked for are fine, more are closed by the kernel (there is no room for them). */
static void pass_take(struct msghdr *message, int *ret_fds, unsigned count)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(message);
    size_t n;

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len < CMSG_LEN(0))
        return;
    n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        if (i < count)
            ret_fds[i] = fd;
        else
            close(fd);
    }
}

int pass_receive(int link, void *data, size_t len, int *ret_fds, unsigned count)
{
    struct iovec iov = {data, len};
    union pass_control control;
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(link, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    for (unsigned i = 0; i < count; i++)
        ret_fds[i] = -1;
    if (n > 0)
        pass_take(&message, ret_fds, count);
    if (n == (ssize_t)len && !(message.msg_flags & MSG_TRUNC))
        return 1;
    for (unsigned i = 0; i < count; i++)
        if (ret_fds[i] >= 0)
            close(ret_fds[i]);
    return n < 0 ? -errno : -EPIPE;
}
