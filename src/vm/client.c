/* SPDX-License-Identifier: Apache-2.0 */
/* Client side of the control protocol, blocking. Contract: vm/client.h. */
#include "vm/client.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "vm/control.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ANSWER_MAX = 65536 };

static int client_not_ready(const struct guest *guest, struct err *err)
{
    return err_set(err, -EBUSY, "guest '%s' is not ready yet, or just ending", guest->name);
}

int client_connect(const struct guest *guest, int *ret_fd, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r;

    if (!guest_is_alive(guest))
        return err_set(err, -EBUSY, "guest '%s' is not running", guest->name);
    r = guest_open_run_dir(guest, &dir_fd, err);
    if (r == -ENOENT) /* also of a guest that somebody just removes */
        return client_not_ready(guest, err);
    if (r < 0)
        return r;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/control", dir_fd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return client_not_ready(guest, err);
        return err_set(err, -errno, "guest '%s': control socket: %s", guest->name, strerror(errno));
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int client_send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int client_send(int fd, json_t *request, struct err *err)
{
    CLEANUP(free) char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    int r;

    json_decref(request);
    if (!text)
        return err_set(err, -ENOMEM, "out of memory");
    if (strlen(text) >= CONN_REQUEST_MAX)
        return err_set(err, -E2BIG, "more than %d KiB of arguments and environment cannot be sent",
                       CONN_REQUEST_MAX >> 10);
    r = client_send_all(fd, text, strlen(text));
    if (!r)
        r = client_send_all(fd, "\n", 1);
    return r < 0 ? err_set(err, -ECONNRESET, "the guest's process went away") : 0;
}

/* Takes exactly one line: a look at what is there first, then no more than that. */
static ssize_t client_take(int fd, char *line, size_t room)
{
    ssize_t n = recv(fd, line, room, MSG_PEEK);
    char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;

    if (n <= 0)
        return n;
    return recv(fd, line, end ? (size_t)(end - line) + 1 : (size_t)n, 0);
}

static int client_read_line(int fd, char *line)
{
    size_t len = 0;

    while (len < ANSWER_MAX) {
        ssize_t n = client_take(fd, line + len, ANSWER_MAX - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -ECONNRESET;
        len += (size_t)n;
        if (line[len - 1] == '\n') {
            line[len - 1] = '\0';
            return 0;
        }
    }
    return -EPROTO;
}

int client_receive(int fd, json_t **ret_answer, struct err *err)
{
    CLEANUP(free) char *line = malloc(ANSWER_MAX);
    json_t *json;
    int r = line ? client_read_line(fd, line) : -ENOMEM;

    if (r < 0)
        return err_set(err, r, "the guest's process went away");
    json = json_loads(line, 0, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return err_set(err, -EPROTO, "the guest's process gave an answer nobody understands");
    }
    if (!json_is_true(json_object_get(json, "ok"))) {
        const char *text = json_string_value(json_object_get(json, "error"));

        r = (int)json_integer_value(json_object_get(json, "code"));
        r = err_set(err, r < 0 ? r : -EIO, "%s", text ? text : "the guest's process refused");
        if (err)
            text_make_printable(err->text, sizeof(err->text));
        json_decref(json);
        return r;
    }
    if (ret_answer)
        *ret_answer = json;
    else
        json_decref(json);
    return 0;
}

int client_ask(int fd, json_t *request, json_t **ret_answer, struct err *err)
{
    int r = client_send(fd, request, err);

    return r < 0 ? r : client_receive(fd, ret_answer, err);
}
