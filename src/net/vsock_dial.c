/* SPDX-License-Identifier: Apache-2.0 */
#include "net/vsock_dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union dial_control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

bool vsock_dial_send(int link, const struct vsock_dial *dial, int fd)
{
    struct iovec iov = {(void *)(uintptr_t)dial, sizeof(*dial)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    union dial_control control = {0};

    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
    }
    return sendmsg(link, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*dial);
}

int vsock_dial_receive(int link, struct vsock_dial *ret_dial, int *ret_fd)
{
    struct iovec iov = {ret_dial, sizeof(*ret_dial)};
    union dial_control control;
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(link, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    *ret_fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    if (n == (ssize_t)sizeof(*ret_dial))
        return 1;
    if (*ret_fd >= 0)
        close(*ret_fd);
    return n < 0 ? -errno : -EPIPE;
}
