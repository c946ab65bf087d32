/* SPDX-License-Identifier: Apache-2.0 */
/* Processes in sessions of their own. They stay children, so that a starter that lives on can see
 * them out; when it ends first they are init's. */
#include "host/process.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPAWN_FDS_MAX = 8, SPAWN_HIGH = 100 };

struct spawn {
    const char *path;
    char *const *argv;
    const int *fds;
    unsigned count;
    int log_fd, fail_fd;
};

/* Descriptors go up out of the way first: one of them may be where another one has to go. */
static int spawn_place_fds(const struct spawn *s)
{
    int high[SPAWN_FDS_MAX + 3];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    unsigned n = s->count + 3;

    for (unsigned i = 0; i < n; i++) {
        int fd = i == 0 ? null : i < 3 ? s->log_fd : s->fds[i - 3];

        high[i] = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_HIGH);
        if (high[i] < 0)
            return -errno;
    }
    for (unsigned i = 0; i < n; i++)
        if (dup2(high[i], (int)i) < 0)
            return -errno;
    close_range(n, (unsigned)s->fail_fd - 1, 0);
    close_range((unsigned)s->fail_fd + 1, ~0u, 0);
    return 0;
}

static void spawn_default_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static noreturn_fn void spawn_exec(const struct spawn *s)
{
    int r = spawn_place_fds(s);

    setsid();
    spawn_default_signals();
    umask(077);
    if (!r && chdir("/") < 0)
        r = -errno;
    if (!r) {
        execv(s->path, s->argv);
        r = -errno;
    }
    (void)!write(s->fail_fd, &r, sizeof(r));
    _exit(127);
}

int process_spawn_detached(const char *path, char *const *argv, const int *fds, unsigned count,
                           int log_fd, pid_t *ret_pid, struct err *err)
{
    CLEANUP(fd) int read_fd = -1;
    CLEANUP(fd) int write_fd = -1;
    struct spawn s = {path, argv, fds, count, log_fd, -1};
    int pipe_fds[2], r;
    pid_t pid;

    if (count > SPAWN_FDS_MAX || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set(err, -errno, "%s: cannot start: %s", path, strerror(errno));
    read_fd = pipe_fds[0];
    /* Above the places the program's own descriptors take, and gone when exec succeeds. */
    s.fail_fd = write_fd = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, SPAWN_HIGH / 2);
    close(pipe_fds[1]);
    pid = fork();
    if (pid == 0)
        spawn_exec(&s);
    if (pid < 0)
        return err_set(err, -errno, "%s: cannot start: %s", path, strerror(errno));
    close(write_fd);
    write_fd = -1;
    if (read(read_fd, &r, sizeof(r)) == sizeof(r))
        return err_set(err, r, "%s: cannot start: %s", path, strerror(-r));
    *ret_pid = pid;
    return 0;
}

int process_wait(pid_t pid, int *ret_status)
{
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

bool process_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];
    size_t len;

    for (path = path ? path : "/bin:/usr/bin";; path += len + 1) {
        len = strcspn(path, ":");
        if (snprintf(file, sizeof(file), "%.*s%s%s", (int)len, path, len ? "/" : "", program) <
                (int)sizeof(file) &&
            access(file, X_OK) == 0)
            return true;
        if (!path[len])
            return false;
    }
}

void process_set_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}
