/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: authentication, calls, signals. Contract: container/dbus.h. */
#include "container/dbus.h"

#include "base/cleanup.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DBUS_PATIENCE_MS = 30000, DBUS_LINE = 512 };

static int64_t dbus_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int dbus_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len = strlen(path);

    if (fd < 0)
        return -errno;
    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len);
    if (*path == '@') /* unix(7): abstract names start with NUL and have no end but the length */
        address.sun_path[0] = '\0';
    if (connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*path != '@'))) < 0)
        return -errno;
    return take_fd(&fd);
}

static int dbus_wait(const struct dbus *d, int64_t until)
{
    struct pollfd at = {.fd = d->fd, .events = POLLIN};
    int64_t left = until - dbus_now_ms();
    int n = poll(&at, 1, left > 0 ? (int)left : 0);

    return n > 0 ? 0 : n < 0 && errno == EINTR ? 0 : n < 0 ? -errno : -ETIMEDOUT;
}

/* A bus that hangs up is an error, not a signal that would end us halfway through a container. */
static int dbus_write_all(int fd, const void *data, size_t len)
{
    for (const char *p = data; len;) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -errno;
        p += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

/* Reads a line of the authentication, byte by byte: nothing behind it may be swallowed. */
static int dbus_read_line(struct dbus *d, const char *start)
{
    int64_t until = dbus_now_ms() + DBUS_PATIENCE_MS;
    char line[DBUS_LINE];
    size_t len = 0;

    while (len < sizeof(line) - 1 && (len < 2 || memcmp(line + len - 2, "\r\n", 2) != 0)) {
        int r = dbus_wait(d, until);
        ssize_t n = r < 0 ? r : read(d->fd, line + len, 1);

        if (n <= 0)
            return r < 0 ? r : n < 0 ? -errno : -ECONNRESET;
        len++;
    }
    line[len] = '\0';
    return strncmp(line, start, strlen(start)) == 0 ? 0 : -EACCES;
}

/* "Authentication Protocol": without a claim the server takes the socket's credentials, which are
 * right in a user namespace too, where our own number is not the server's. All in one write, and
 * messages only after the answer: systemd's private socket does not look again at what came behind
 * BEGIN in the same piece. */
static int dbus_authenticate(struct dbus *d)
{
    static const char lines[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
    int r = dbus_write_all(d->fd, lines, sizeof(lines) - 1);

    if (!r)
        r = dbus_read_line(d, "DATA");
    return r ? r : dbus_read_line(d, "OK ");
}

static int dbus_say_hello(struct dbus *d, struct err *err)
{
    const struct dbus_call hello = {.service = "org.freedesktop.DBus",
                                    .path = "/org/freedesktop/DBus",
                                    .interface = "org.freedesktop.DBus",
                                    .member = "Hello"};
    struct dbus_message reply;

    return dbus_call(d, &hello, &reply, err);
}

int dbus_open(struct dbus *d, const char *path, bool daemon, struct err *err)
{
    int r;

    *d = (struct dbus){.fd = dbus_connect(path), .daemon = daemon};
    if (d->fd < 0)
        return err_set(err, d->fd, "D-Bus %s: %s", path, strerror(-d->fd));
    r = dbus_authenticate(d);
    if (r < 0)
        err_set(err, r, "D-Bus %s: cannot authenticate: %s", path, strerror(-r));
    else if (daemon)
        r = dbus_say_hello(d, err);
    if (r < 0)
        dbus_close(d);
    return r;
}

void dbus_close(struct dbus *d)
{
    if (d->fd >= 0)
        close(d->fd);
    free(d->data);
    *d = (struct dbus){.fd = -1};
}

static void dbus_put_field(struct dbus_body *b, uint8_t code, const char *type, const char *text)
{
    dbus_put_struct(b);
    dbus_put_byte(b, code);
    dbus_put_signature(b, type);
    if (*type == 'g')
        dbus_put_signature(b, text);
    else
        dbus_put_text(b, text);
}

static int dbus_send(struct dbus *d, const struct dbus_call *c)
{
    struct dbus_body head = {0};
    size_t fields;
    int r;

    dbus_put_byte(&head, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B');
    dbus_put_byte(&head, DBUS_CALL);
    dbus_put_byte(&head, 0);
    dbus_put_byte(&head, 1);
    dbus_put_u32(&head, c->signature ? (uint32_t)c->body->buf.len : 0);
    dbus_put_u32(&head, ++d->serial);
    dbus_begin_array(&head, 8, &fields);
    dbus_put_field(&head, 1, "o", c->path);
    dbus_put_field(&head, 2, "s", c->interface);
    dbus_put_field(&head, 3, "s", c->member);
    if (d->daemon)
        dbus_put_field(&head, 6, "s", c->service);
    if (c->signature)
        dbus_put_field(&head, 8, "g", c->signature);
    dbus_end_array(&head, 8, fields);
    dbus_put_struct(&head);
    if (c->signature && !head.failed &&
        (c->body->failed || buf_append(&head.buf, buf_data(&c->body->buf), c->body->buf.len) < 0))
        head.failed = true;
    r = head.failed ? -ENOMEM : dbus_write_all(d->fd, buf_data(&head.buf), head.buf.len);
    dbus_body_done(&head);
    return r;
}

static int dbus_read_more(struct dbus *d, int64_t until)
{
    int r = dbus_wait(d, until);
    ssize_t n;

    if (r < 0)
        return r;
    if (d->room - d->len < 4096) {
        size_t room = d->room ? d->room * 2 : 16384;
        uint8_t *more = room > 2 * (size_t)DBUS_MESSAGE_CAP ? NULL : realloc(d->data, room);

        if (!more)
            return -ENOMEM;
        d->data = more;
        d->room = room;
    }
    n = read(d->fd, d->data + d->len, d->room - d->len);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : n < 0 ? -errno : -ECONNRESET;
    d->len += (size_t)n;
    return 0;
}

static int dbus_receive(struct dbus *d, int64_t until, struct dbus_message *ret)
{
    ssize_t whole;
    int r = 0;

    if (d->used)
        memmove(d->data, d->data + d->used, d->len - d->used);
    d->len -= d->used;
    d->used = 0;
    while (!(whole = d->len ? dbus_measure(d->data, d->len) : 0) && !r)
        r = dbus_read_more(d, until);
    if (r < 0 || whole < 0)
        return r < 0 ? r : (int)whole;
    d->used = (size_t)whole;
    return dbus_parse(d->data, (size_t)whole, ret);
}

int dbus_call(struct dbus *d, const struct dbus_call *c, struct dbus_message *ret, struct err *err)
{
    int64_t until = dbus_now_ms() + DBUS_PATIENCE_MS;
    int r = dbus_send(d, c);

    while (!r) {
        r = dbus_receive(d, until, ret);
        if (!r && ret->type == DBUS_SIGNAL && d->on_signal)
            d->on_signal(d->arg, ret);
        if (!r && ret->reply_to == d->serial &&
            (ret->type == DBUS_RETURN || ret->type == DBUS_ERROR))
            break;
    }
    if (r < 0)
        return err_set(err, r, "D-Bus: %s: %s", c->member, strerror(-r));
    if (ret->type == DBUS_ERROR) {
        const char *text = *ret->signature == 's' ? dbus_get_text(ret) : "";

        return err_set(err, -EREMOTEIO, "%s: %s", c->member, *text ? text : ret->error);
    }
    return 0;
}

int dbus_listen(struct dbus *d, bool (*wanted)(void *arg), int timeout_ms, struct err *err)
{
    int64_t until = dbus_now_ms() + timeout_ms;
    struct dbus_message m;

    while (!wanted(d->arg)) {
        int r = dbus_receive(d, until, &m);

        if (r < 0)
            return err_set(err, r, "D-Bus: %s", strerror(-r));
        if (m.type == DBUS_SIGNAL && d->on_signal)
            d->on_signal(d->arg, &m);
    }
    return 0;
}
