/* SPDX-License-Identifier: Apache-2.0 */
/* Records between the runtime and the container's first process. Contract: container/wire.h. */
#include "container/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_head {
    int kind, number, code;
};

int wire_send(int socket, enum wire_kind kind, int number, const struct err *err, const int *fds,
              unsigned count)
{
    struct wire_head head = {(int)kind, number, err ? err->code : 0};
    char none[1] = "";
    struct iovec iov[2] = {
        {&head, sizeof(head)},
        {err ? (void *)(uintptr_t)err->text : none, err ? strlen(err->text) + 1 : 1}};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(WIRE_FDS * sizeof(int))];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    if (count) {
        struct cmsghdr *c;

        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static void wire_take_fds(struct msghdr *message, int *ret_fds, unsigned *ret_count)
{
    unsigned room = ret_count ? WIRE_FDS : 0, n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        const unsigned char *data = CMSG_DATA(c);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;

            memcpy(&fd, data + at, sizeof(fd));
            if (n < room)
                ret_fds[n++] = fd;
            else
                close(fd);
        }
    }
    if (ret_count)
        *ret_count = n;
}

int wire_receive(int socket, struct wire_message *ret, int *ret_fds, unsigned *ret_count)
{
    struct wire_head head = {0};
    struct iovec iov[2] = {{&head, sizeof(head)}, {ret->err.text, sizeof(ret->err.text)}};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(WIRE_FDS * sizeof(int))];
    struct msghdr message = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
    unsigned reset = 0;
    ssize_t n;

    /* ECONNRESET comes once, before what is still queued, when the other end died with something
     * unread. */
    do
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset++)));
    if (n < 0)
        return -errno;
    wire_take_fds(&message, ret_fds, ret_count);
    if (n < (ssize_t)sizeof(head)) {
        ret->kind = WIRE_NONE;
        return 0;
    }
    ret->kind = (enum wire_kind)head.kind;
    ret->number = head.number;
    ret->err.code = head.code;
    ret->err.text[sizeof(ret->err.text) - 1] = '\0';
    return 0;
}

int wire_expect(int socket, enum wire_kind kind, int *ret_fds, unsigned *ret_count, struct err *err)
{
    struct wire_message m;
    int r = wire_receive(socket, &m, ret_fds, ret_count);

    if (r < 0)
        return err_set(err, r, "the container's first process does not answer: %s", strerror(-r));
    if (m.kind == WIRE_FAILED)
        return err_set(err, m.err.code ? m.err.code : -EIO, "%s", m.err.text);
    if (m.kind == WIRE_NONE)
        return err_set(err, -EPIPE, "the container's first process ended before it was set up");
    if (m.kind != kind)
        return err_set(err, -EPROTO, "the container's first process said %d instead of %d", m.kind,
                       kind);
    return 0;
}

int wire_pass_fd(int socket, int fd, const void *text, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)text, len};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}
