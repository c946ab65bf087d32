/* SPDX-License-Identifier: Apache-2.0 */
/* Staying with a container's program until it ends. Contract: container/container.h. */
#include "base/cleanup.h"
#include "container/container.h"
#include "container/notify.h"
#include "host/file.h"
#include "host/process.h"
#include "host/terminal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct follow {
    pid_t pid;
    int pidfd, signals, master, notify;
    bool input; /* ours is still worth reading */
};

static void follow_size(const struct follow *f)
{
    struct winsize size;

    if (f->master >= 0 && ioctl(0, TIOCGWINSZ, &size) == 0)
        (void)ioctl(f->master, TIOCSWINSZ, &size);
}

static void follow_signal(const struct follow *f)
{
    struct signalfd_siginfo info;

    if (read(f->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGWINCH)
        follow_size(f);
    else if (info.ssi_signo != SIGCHLD)
        (void)syscall(SYS_pidfd_send_signal, f->pidfd, info.ssi_signo, NULL, 0);
}

/* False when nothing more comes that way. */
static bool follow_copy(int from, int to)
{
    char data[8192];
    ssize_t n = read(from, data, sizeof(data));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    return n > 0 && file_write_all(to, data, (size_t)n) == 0;
}

/* What the program printed last is still in the terminal when it has ended. */
static void follow_drain(const struct follow *f)
{
    struct pollfd at = {.fd = f->master, .events = POLLIN};

    while (f->master >= 0 && poll(&at, 1, 0) > 0 && at.revents & POLLIN &&
           follow_copy(f->master, 1))
        ;
}

static void follow_loop(struct follow *f)
{
    for (;;) {
        struct pollfd at[5] = {{.fd = f->pidfd, .events = POLLIN},
                               {.fd = f->signals, .events = POLLIN},
                               {.fd = f->master, .events = POLLIN},
                               {.fd = f->master >= 0 && f->input ? 0 : -1, .events = POLLIN},
                               {.fd = f->notify, .events = POLLIN}};

        if (poll(at, 5, -1) < 0 && errno != EINTR)
            return;
        if (at[1].revents)
            follow_signal(f);
        if (at[2].revents && !follow_copy(f->master, 1))
            f->master = -1;
        if (at[3].revents)
            f->input = follow_copy(0, f->master);
        if (at[4].revents && notify_message(f->notify))
            f->notify = -1;
        if (at[0].revents)
            return;
    }
}

void container_hold_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
}

int container_follow(pid_t pid, int master, int notify, int *ret_code, struct err *err)
{
    CLEANUP(fd) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    CLEANUP(fd) int signals = -1;
    struct follow f = {.pid = pid, .master = master, .notify = notify, .input = true};
    bool raw = master >= 0 && terminal_raw(0, err) == 0;
    sigset_t all;
    int status = 0, r;

    sigfillset(&all);
    container_hold_signals();
    signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (pidfd < 0 || signals < 0)
        return err_set(err, -errno, "waiting for the container: %s", strerror(errno));
    f.pidfd = pidfd;
    f.signals = signals;
    follow_size(&f);
    follow_loop(&f);
    follow_drain(&f);
    if (raw)
        terminal_restore();
    r = process_wait(pid, &status);
    if (r < 0)
        return err_set(err, r, "waiting for the container: %s", strerror(-r));
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}
