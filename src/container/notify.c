/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3) of a container. Contract: container/notify.h. */
#include "container/notify.h"

#include "base/cleanup.h"
#include "container/path.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { NOTIFY_MESSAGE = 16 << 10 };

int notify_prepare(struct arena *arena, const struct state_place *at, const char *root,
                   struct init *in, struct err *err)
{
    const struct state_name name = state_name(at, STATE_NOTIFY);
    const char *socket = getenv("NOTIFY_SOCKET");

    if (!socket || *socket != '/' || path_climbs(socket))
        return 0;
    if (mkdirat(at->root, name.text, 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "NOTIFY_SOCKET: %s", strerror(errno));
    in->notify_dir = arena_text(arena, "%s/%s", root, name.text);
    in->notify_mount = arena_text(arena, "%s", socket);
    in->become.notify_path = arena_text(arena, "%s/notify", socket);
    return in->notify_dir && in->notify_mount && in->become.notify_path
               ? 0
               : err_set(err, -ENOMEM, "no memory");
}

int notify_listen(const struct state_place *place, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd)
    int at = openat(place->root, state_name(place, STATE_NOTIFY).text,
                    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(fd) int fd = -1;

    *ret_fd = -1;
    if (at < 0 || !getenv("NOTIFY_SOCKET"))
        return 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/notify", at);
    (void)unlinkat(at, "notify", 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(at, "notify", 0777, 0) < 0)
        return err_set(err, -errno, "NOTIFY_SOCKET: %s", strerror(errno));
    *ret_fd = take_fd(&fd);
    return 0;
}

static void notify_forward(const char *text, size_t len)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *path = getenv("NOTIFY_SOCKET");

    if (fd < 0 || !path || strlen(path) >= sizeof(address.sun_path))
        return;
    strcpy(address.sun_path, path);
    (void)sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address));
}

/* Only the lines that say something about the service, never about processes: MAINPID would be
 * one of the container's numbers. */
static bool notify_says_ready(const char *text)
{
    for (const char *l = text; l; l = strchr(l, '\n')) {
        l += *l == '\n';
        if (!strncmp(l, "READY=1", 7) && (!l[7] || l[7] == '\n'))
            return true;
    }
    return false;
}

bool notify_message(int socket)
{
    char text[NOTIFY_MESSAGE];
    ssize_t n = recv(socket, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return n < 0 && errno != EINTR;
    text[n] = '\0';
    if (!notify_says_ready(text))
        return false;
    notify_forward("READY=1", 7);
    return true;
}

void notify_pass_on(int socket, int pidfd)
{
    struct pollfd at[2] = {{.fd = socket, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

    while (poll(at, 2, -1) >= 0 || errno == EINTR) {
        if (at[0].revents) {
            if (notify_message(socket))
                return;
        } else if (at[1].revents) {
            return;
        }
    }
}
