/* SPDX-License-Identifier: Apache-2.0 */
/* Running criu and talking to it. Contract: container/criu.h. */
#include "container/criu.h"

#include "base/cleanup.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CRIU_MESSAGE = 65536 };

#define CRIU_CHECK_LOG "check.log"

/* In criu's process: descriptors at the numbers that the request names, nothing else open. */
static int criu_place_fds(int *socket, const struct criu_options *o)
{
    unsigned count = o ? o->fd_count : 0;
    int moved[CRIU_FDS];

    *socket = fcntl(*socket, F_DUPFD, CRIU_FIRST_FD + CRIU_FDS);
    for (unsigned i = 0; i < count; i++) { /* out of the way first */
        moved[i] = fcntl(o->fds[i], F_DUPFD, CRIU_FIRST_FD + CRIU_FDS + 1);
        if (moved[i] < 0)
            return -errno;
    }
    for (unsigned i = 0; i < count; i++)
        if (dup2(moved[i], CRIU_FIRST_FD + (int)i) < 0)
            return -errno;
    if (*socket < 0)
        return -errno;
    if (dup2(*socket, 3) < 0)
        return -errno;
    *socket = 3;
    (void)close_range(4, CRIU_FIRST_FD - 1, 0);
    (void)close_range(CRIU_FIRST_FD + count, ~0u, 0);
    return 0;
}

static noreturn_fn void criu_child(const struct criu *c, int socket, const struct criu_options *o)
{
    struct err err = {0};
    sigset_t none;
    int r = c->enter ? c->enter(c->arg, &err) : 0;
    const char *program = c->program ? c->program : "criu";
    int quiet;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (!r)
        r = criu_place_fds(&socket, o);
    quiet = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++) /* it writes its own log */
        if (!r && dup2(quiet, fd) < 0)
            r = -errno;
    if (!r) {
        (void)execlp(program, "criu", "swrk", "3", NULL);
        r = -errno;
        err_set(&err, r, "%s: %s", program, strerror(-r));
    }
    /* The parent takes what is no answer for our sentence. */
    if (err.code)
        (void)!send(socket, err.text, strlen(err.text) + 1, MSG_NOSIGNAL);
    _exit(127);
}

static pid_t criu_start(const struct criu *c, const struct criu_options *o, int *ret_socket)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    int pair[2];
    long pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    if (c->group >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)c->group;
    }
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        criu_child(c, pair[1], o);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return -errno;
    }
    *ret_socket = pair[0];
    return (pid_t)pid;
}

/* message criu_req { type = 1; opts = 2; notify_success = 3; keep_open = 4; features = 5 } */
static int criu_send(int socket, enum criu_type type, const struct criu_options *o)
{
    struct criu_options m = {0};
    int r;

    criu_put_number(&m, 1, type);
    if (type == CRIU_NOTIFY)
        criu_put_number(&m, 3, 1);
    if (type == CRIU_FEATURES) { /* mem_track wanted */
        const uint8_t wanted[] = {1 << 3, 1};

        criu_put_bytes(&m, 5, wanted, sizeof(wanted));
    }
    if (o) {
        m.failed |= o->failed;
        criu_put_bytes(&m, 2, buf_data(&o->buf), o->buf.len);
    }
    r = m.failed                                                      ? -ENOMEM
        : send(socket, buf_data(&m.buf), m.buf.len, MSG_NOSIGNAL) < 0 ? -errno
                                                                      : 0;
    criu_options_done(&m);
    return r;
}

static int criu_receive(int socket, struct criu_answer *ret, int *ret_fd, struct err *err)
{
    static uint8_t data[CRIU_MESSAGE];
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec vec = {data, sizeof(data) - 1};
    struct msghdr m = {.msg_iov = &vec,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    unsigned resets = 0;
    ssize_t n;

    /* The other end's closing before it has read our request is told first, and once; what it said
     * before is behind that. */
    do
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
    *ret_fd = -1;
    if (n <= 0)
        return err_set(err, n < 0 ? -errno : -EPIPE, "criu ended without an answer");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    if (criu_parse(data, (size_t)n, ret) == 0)
        return 0;
    data[n] = '\0';
    return err_set(err, -EBADMSG, "%.300s", (const char *)data);
}

static int criu_talk(const struct criu *c, int socket, enum criu_type type, struct criu_answer *ret,
                     struct err *err)
{
    for (;;) {
        int fd, r = criu_receive(socket, ret, &fd, err);

        if (!r && ret->type == CRIU_NOTIFY) {
            if (c->notify)
                r = c->notify(c->arg, ret, fd, err);
            else if (fd >= 0)
                close(fd);
            if (!r)
                r = criu_send(socket, CRIU_NOTIFY, NULL);
            if (r < 0)
                return err->code ? err->code : err_set(err, r, "criu: %s", strerror(-r));
            continue;
        }
        if (fd >= 0)
            close(fd);
        if (!r && ret->type != type)
            r = err_set(err, -EBADMSG, "criu answered something else than was asked");
        return r;
    }
}

int criu_request(const struct criu *c, enum criu_type type, const struct criu_options *o,
                 struct criu_answer *ret, struct err *err)
{
    CLEANUP(fd) int socket = -1;
    pid_t pid = criu_start(c, o, &socket);
    int status, r = pid < 0 ? pid : 0;

    if (r < 0)
        return err_set(err, r, "criu: %s", strerror(-r));
    err->code = 0;
    (void)!criu_send(socket, type, o); /* if it has ended its words may be in the queue */
    r = criu_talk(c, socket, type, ret, err);
    close(take_fd(&socket)); /* it ends when nobody asks any more */
    if (r < 0)
        (void)kill(pid, SIGKILL);
    (void)!process_wait(pid, &status);
    return r;
}

/* The kernel's features, by criu's own judgement. */
static int criu_check(const struct criu *c, int work, struct err *err)
{
    struct criu_options o = {0};
    struct criu_answer a;
    int r;

    criu_put_number(&o, CRIU_IMAGES_FD, (uint64_t)work);
    criu_put_number(&o, CRIU_LOG_LEVEL, 1);
    criu_put_text(&o, CRIU_LOG_FILE, CRIU_CHECK_LOG);
    r = criu_request(c, CRIU_CHECK, &o, &a, err);
    criu_options_done(&o);
    if (!r && !a.success)
        return err_set(err, -EOPNOTSUPP,
                       "this criu does not get along with this kernel: " CRIU_CHECK_LOG
                       " in the work path tells why");
    (void)unlinkat(work, CRIU_CHECK_LOG, 0);
    return r;
}

int criu_probe(const struct criu *c, int work, struct err *err)
{
    const struct criu plain = {.program = c->program, .group = -1};
    struct criu_answer a;
    int r = criu_request(&plain, CRIU_VERSION, NULL, &a, err);

    if (r < 0 && strstr(err->text, "No such file"))
        return err_set(err, -EOPNOTSUPP,
                       "checkpoints need criu, and %s is not to be found; install the package criu",
                       c->program ? c->program : "criu");
    if (r < 0)
        return r;
    if (a.major < 0x8000 && a.major * 10000 + a.minor * 100 + a.patch < CRIU_OLDEST)
        return err_set(err, -EOPNOTSUPP,
                       "criu %u.%u.%u is too old for containers of today: 3.17 is the least",
                       a.major, a.minor, a.patch);
    return criu_check(&plain, work, err);
}
