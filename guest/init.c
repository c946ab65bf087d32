/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of Posada's own small guests: file systems, modules for the devices that are there,
 * the agent, a login shell on every console, orphans, and an orderly end. It understands the
 * signals of busybox's poweroff, halt and reboot (SIGUSR2, SIGUSR1, SIGTERM), systemd's
 * (SIGRTMIN+4, +5) and the kernel's Ctrl-Alt-Del (SIGINT).
 * Kernel command line: posada.hostname=NAME, posada.root=KIND (root.h).
 */
#include "init.h"
#include "modules.h"
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGENT_PATH "/sbin/posada-agent"
#define INIT_PATH  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { SERVICES_MAX = 8, RESPAWN_SECONDS = 1 };

/* What init keeps running: the agent (tty empty) or a shell on a terminal. */
struct service {
    char tty[32];
    pid_t pid; /* 0: not running */
    time_t started;
    bool greeted;
};

struct init {
    struct service service[SERVICES_MAX];
    unsigned count;
    sigset_t signals;
    int agent; /* the program, opened while it could be seen */
};

static struct init init_state;

static time_t init_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void init_add(struct init *in, const char *tty)
{
    if (in->count == SERVICES_MAX)
        return;
    (void)snprintf(in->service[in->count++].tty, sizeof(in->service[0].tty), "%s", tty);
}

/* A shell for each console of the kernel's; tty0 stands for the first virtual terminal. */
static void init_add_consoles(struct init *in)
{
    char text[256], *at = text, *name;
    FILE *f = fopen("/sys/class/tty/console/active", "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    if (f)
        (void)fclose(f);
    text[n] = '\0';
    while ((name = strsep(&at, " \n")))
        if (*name)
            init_add(in, strcmp(name, "tty0") == 0 ? "tty1" : name);
    if (in->count == 1)
        init_add(in, "console");
}

/* Children */

static void init_child_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void init_open_terminal(const char *tty)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/dev/%s", tty);
    (void)setsid();
    fd = open(path, O_RDWR);
    if (fd < 0)
        _exit(1);
    (void)ioctl(fd, TIOCSCTTY, 1);
    for (int i = 0; i < 3; i++)
        (void)dup2(fd, i);
    if (fd > 2)
        (void)close(fd);
}

static void init_greet(void)
{
    struct utsname u;

    if (uname(&u) == 0)
        (void)dprintf(1, "\r\n%s: Linux %s on %s. Type 'poweroff' to end the guest.\r\n",
                      u.nodename, u.release, u.machine);
}

static void init_exec_shell(const struct service *s)
{
    char *const env[] = {"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=xterm",
                         INIT_PATH,    NULL};

    init_open_terminal(s->tty);
    if (!s->greeted)
        init_greet();
    if (chdir("/root") < 0)
        (void)!chdir("/");
    (void)execle("/bin/sh", "-sh", (char *)NULL, env);
    _exit(127);
}

static void init_start(struct service *s)
{
    s->started = init_now();
    s->pid = fork();
    if (s->pid < 0)
        s->pid = 0;
    if (s->pid == 0 && getpid() != 1) {
        init_child_signals();
        if (s->tty[0])
            init_exec_shell(s);
        (void)setsid();
        (void)fexecve(init_state.agent, (char *[]){"posada-agent", NULL}, environ);
        _exit(127);
    }
    s->greeted = true;
}

/* Starts what is not running, not more often than every RESPAWN_SECONDS. True: come again. */
static bool init_keep_running(struct init *in)
{
    bool waiting = false;

    for (unsigned i = 0; i < in->count; i++) {
        struct service *s = &in->service[i];

        if (s->pid)
            continue;
        if (!s->greeted || init_now() >= s->started + RESPAWN_SECONDS)
            init_start(s);
        waiting |= !s->pid;
    }
    return waiting;
}

static void init_reap(struct init *in)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        for (unsigned i = 0; i < in->count; i++)
            if (in->service[i].pid == pid)
                in->service[i].pid = 0;
}

static void init_block_signals(struct init *in)
{
    const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGRTMIN + 4, SIGRTMIN + 5};

    (void)sigemptyset(&in->signals);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        (void)sigaddset(&in->signals, handled[i]);
    (void)sigprocmask(SIG_BLOCK, &in->signals, NULL);
}

static void init_handle(struct init *in, int signal)
{
    if (signal == SIGCHLD)
        init_reap(in);
    else if (signal == SIGUSR1 || signal == SIGUSR2 || signal == SIGRTMIN + 4)
        power_down(RB_POWER_OFF);
    else if (signal > 0)
        power_down(RB_AUTOBOOT);
}

/* Signals as a new process 1 finds them. */
static void init_hand_over(const struct init *in)
{
    (void)sigprocmask(SIG_UNBLOCK, &in->signals, NULL);
    root_hand_over();
    (void)sigprocmask(SIG_BLOCK, &in->signals, NULL);
}

/* From the initramfs to the root the guest is to have. The network comes first where nobody in
 * that root would ask for it. */
static void init_root(struct init *in)
{
    enum root_kind kind = root_kind();

    if (kind == ROOT_MEMORY) {
        setup_network();
        return;
    }
    if (!root_mount(kind))
        power_down(RB_POWER_OFF);
    if (kind == ROOT_OVERLAY)
        setup_network();
    if (!root_enter())
        power_down(RB_POWER_OFF);
    if (kind == ROOT_DISK)
        init_hand_over(in);
}

static void init_loop(struct init *in)
{
    const struct timespec second = {1, 0};

    for (;;) {
        bool waiting = init_keep_running(in);

        init_handle(in, sigtimedwait(&in->signals, NULL, waiting ? &second : NULL));
    }
}

int main(void)
{
    if (getpid() != 1) {
        (void)fprintf(stderr, "init: this is process 1 of a guest, not a command\n");
        return 2;
    }
    init_block_signals(&init_state);
    (void)reboot(RB_DISABLE_CAD);
    setup_mounts();
    setup_hostname();
    modules_coldplug(); /* before the agent: its first command may look for a disk */
    setup_loopback();
    init_state.agent = open(AGENT_PATH, O_RDONLY | O_CLOEXEC);
    init_root(&init_state);
    init_add(&init_state, ""); /* first of what runs: somebody may be waiting for it */
    (void)init_keep_running(&init_state);
    if (access("/bin/sh", X_OK) == 0)
        init_add_consoles(&init_state);
    init_loop(&init_state);
}
