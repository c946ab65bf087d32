/* SPDX-License-Identifier: Apache-2.0 */
/* Running a program. Contract: image/child.h. */
#include "image/child.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { CHILD_TICK_MS = 200 };
enum { OUT, ERRORS, STATUS, FAILED, STREAMS }; /* FAILED: errno of an exec that failed */

struct child_streams {
    struct pollfd end[STREAMS]; /* ours */
    int theirs[STREAMS];
    char line[512];
    size_t line_len;
};

static void cleanup_child_streams(struct child_streams *s)
{
    for (int i = 0; i < STREAMS; i++) {
        cleanup_fd(&s->end[i].fd);
        cleanup_fd(&s->theirs[i]);
    }
}

static int child_open(struct child_streams *s)
{
    for (int i = 0; i < STREAMS; i++) {
        int p[2];

        if (pipe2(p, O_CLOEXEC) < 0)
            return -errno;
        s->end[i] = (struct pollfd){.fd = p[0], .events = POLLIN};
        s->theirs[i] = p[1];
    }
    return 0;
}

static void child_exec(const struct child *c, const struct child_streams *s, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int error;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    /* Our ends lie above 4 once these are moved; none of them is 0, 1 or 2. */
    (void)dup2(null, 0);
    (void)dup2(s->theirs[OUT], 1);
    (void)dup2(s->theirs[ERRORS], 2);
    (void)dup2(s->theirs[STATUS], CHILD_STATUS_FD);
    (void)setenv("LC_ALL", "C.UTF-8", 1);
    if (c->run)
        _exit(c->run(c->run_arg));
    if (!c->directory || chdir(c->directory) == 0)
        (void)execvp(c->argv[0], (char *const *)(uintptr_t)c->argv);
    error = errno;
    (void)!write(s->theirs[FAILED], &error, sizeof(error));
    _exit(127);
}

/* Keeps the last bytes: the reason comes at the end. */
static void child_errors(struct child *c, const char *data, size_t len)
{
    size_t have = strlen(c->errors), keep = sizeof(c->errors) - 1;

    if (len > keep) {
        data += len - keep;
        len = keep;
    }
    if (have + len > keep) {
        memmove(c->errors, c->errors + have + len - keep, keep - len);
        have = keep - len;
    }
    memcpy(c->errors + have, data, len);
    c->errors[have + len] = '\0';
}

static void child_status(struct child *c, struct child_streams *s, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n') {
            if (s->line_len < sizeof(s->line) - 1)
                s->line[s->line_len++] = data[i];
            continue;
        }
        s->line[s->line_len] = '\0';
        s->line_len = 0;
        if (c->status)
            c->status(c->arg, s->line);
    }
}

/* One stream has something: -errno, or a positive errno that exec failed with. */
static int child_read(struct child *c, struct child_streams *s, int stream)
{
    char data[4096];
    int fd = s->end[stream].fd, error;
    ssize_t n = read(fd, data, sizeof(data));

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0) {
        (void)close(fd);
        s->end[stream].fd = -1;
        return 0;
    }
    if (stream == ERRORS)
        child_errors(c, data, (size_t)n);
    else if (stream == STATUS || (stream == OUT && c->output_is_status))
        child_status(c, s, data, (size_t)n);
    else if (stream == OUT && c->output)
        return c->output->len + (size_t)n > c->output_cap ? -EFBIG
                                                          : buf_append(c->output, data, (size_t)n);
    if (stream != FAILED || n != sizeof(error))
        return 0;
    memcpy(&error, data, sizeof(error));
    return error;
}

static bool child_has_streams(const struct child_streams *s)
{
    for (int i = 0; i < STREAMS; i++)
        if (s->end[i].fd >= 0)
            return true;
    return false;
}

static int child_listen(struct child *c, struct child_streams *s)
{
    int r = 0;

    while (r == 0 && child_has_streams(s)) {
        if (poll(s->end, STREAMS, c->tick ? CHILD_TICK_MS : -1) < 0 && errno != EINTR)
            return -errno;
        if (c->tick)
            c->tick(c->arg);
        for (int i = 0; r == 0 && i < STREAMS; i++)
            if (s->end[i].fd >= 0 && s->end[i].revents)
                r = child_read(c, s, i);
    }
    return r < 0 ? r : -r;
}

static int child_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int child_run(struct child *c, struct err *err)
{
    CLEANUP(child_streams) struct child_streams s;
    pid_t parent = getpid(), pid = -1;
    int r, status;

    memset(&s, 0xff, sizeof(s)); /* every descriptor -1 */
    s.line_len = 0;
    c->errors[0] = '\0';
    r = child_open(&s);
    if (r == 0 && (pid = fork()) < 0)
        r = -errno;
    if (r < 0)
        return err_set(err, r, "cannot start %s: %s", c->argv[0], strerror(-r));
    if (pid == 0)
        child_exec(c, &s, parent);
    for (int i = 0; i < STREAMS; i++) {
        (void)close(s.theirs[i]);
        s.theirs[i] = -1;
    }
    r = child_listen(c, &s);
    if (r < 0)
        (void)kill(pid, SIGKILL);
    status = child_wait(pid);
    if (r < 0)
        return err_set(err, r, "cannot run %s: %s", c->argv[0], strerror(-r));
    return status;
}

bool child_error_line(const struct child *c, const char *prefix, char *line, size_t size)
{
    size_t len = strlen(prefix);

    for (const char *at = c->errors; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, prefix, len) != 0)
            continue;
        (void)snprintf(line, size, "%.*s", (int)strcspn(at + len, "\n"), at + len);
        return true;
    }
    return false;
}
