/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw mode by termios. tcsetattr() is async-signal-safe (POSIX.1-2017, 2.4.3), so the handlers may
 * put the terminal back themselves. A process stopped and continued by its shell finds the shell's
 * settings; SIGCONT makes it raw again.
 */
#include "host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { TERMINAL_STACK = 32768 };

static struct {
    volatile sig_atomic_t raw;
    bool prepared;
    int fd;
    struct termios before, during;
} terminal;

static const int terminal_fatal[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGABRT,
                                     SIGSEGV, SIGBUS, SIGILL,  SIGFPE,  SIGXCPU, SIGXFSZ};

void terminal_restore(void)
{
    int saved = errno;

    if (terminal.raw) {
        terminal.raw = 0;
        (void)tcsetattr(terminal.fd, TCSAFLUSH, &terminal.before);
    }
    errno = saved;
}

/* At once: a terminal that was stopped (ctrl-s) would never have written what is left. */
static void terminal_on_fatal(int sig)
{
    if (terminal.raw)
        (void)tcsetattr(terminal.fd, TCSANOW, &terminal.before);
    terminal.raw = 0;
    signal(sig, SIG_DFL);
    raise(sig);
}

static void terminal_on_stop(int sig)
{
    int saved = errno, was_raw = terminal.raw;

    terminal_restore();
    raise(SIGSTOP); /* here the process stands until it is continued */
    if (was_raw && tcsetattr(terminal.fd, TCSADRAIN, &terminal.during) == 0)
        terminal.raw = 1;
    errno = saved;
}

/* Signals the program reads itself (signalfd) are blocked and never get here. */
static void terminal_prepare(void)
{
    /* A stack of its own: one that ran over is what some of these tell of. */
    static char stack[TERMINAL_STACK];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = terminal_on_fatal, .sa_flags = SA_ONSTACK};
    struct sigaction stop = {.sa_handler = terminal_on_stop, .sa_flags = SA_RESTART};

    if (terminal.prepared)
        return;
    terminal.prepared = true;
    (void)sigaltstack(&other, NULL);
    for (size_t i = 0; i < ARRAY_LEN(terminal_fatal); i++) {
        struct sigaction old;

        if (!sigaction(terminal_fatal[i], NULL, &old) && old.sa_handler == SIG_DFL)
            sigaction(terminal_fatal[i], &action, NULL);
    }
    sigaction(SIGTSTP, &stop, NULL);
    sigaction(SIGTTIN, &stop, NULL);
    sigaction(SIGTTOU, &stop, NULL);
    atexit(terminal_restore);
}

int terminal_raw(int fd, struct err *err)
{
    if (terminal.raw)
        return 0;
    if (tcgetattr(fd, &terminal.before) < 0)
        return err_set(err, -errno, "the terminal cannot be used: %s", strerror(errno));
    terminal_prepare();
    terminal.fd = fd;
    terminal.during = terminal.before;
    cfmakeraw(&terminal.during);
    terminal.raw = 1; /* before the change: a signal in between must undo it */
    if (tcsetattr(fd, TCSADRAIN, &terminal.during) < 0) {
        terminal.raw = 0;
        return err_set(err, -errno, "the terminal cannot be made raw: %s", strerror(errno));
    }
    return 0;
}

bool terminal_size(int fd, unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
        return false;
    *ret_rows = size.ws_row;
    *ret_columns = size.ws_col;
    return true;
}
