/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out: processes get SIGTERM and SIGHUP and a moment, then SIGKILL; file systems are
 * unmounted newest first (or made read-only), and the machine is told.
 */
#include "init.h"

#include <errno.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 3000, STEP_MS = 10, MOUNTS_MAX = 64 };

/* True once no child is left. Orphans are init's children too. */
static bool power_reap(unsigned ms)
{
    const struct timespec step = {0, STEP_MS * 1000000L};
    pid_t pid;

    for (unsigned t = 0;; t += STEP_MS) {
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0 && errno == ECHILD)
            return true;
        if (t >= ms)
            return false;
        (void)nanosleep(&step, NULL);
    }
}

static void power_end_processes(void)
{
    (void)kill(-1, SIGTERM);
    (void)kill(-1, SIGHUP); /* interactive shells ignore SIGTERM */
    (void)kill(-1, SIGCONT);
    if (power_reap(GRACE_MS))
        return;
    (void)kill(-1, SIGKILL);
    (void)power_reap(1000);
}

static bool power_keeps(const char *where)
{
    return strcmp(where, "/proc") == 0 || strcmp(where, "/sys") == 0 ||
           strncmp(where, "/dev", 4) == 0 || strcmp(where, "/") == 0;
}

static void power_unmount(void)
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    char *where[MOUNTS_MAX];
    const struct mntent *m;
    unsigned n = 0;

    while (f && n < MOUNTS_MAX && (m = getmntent(f)))
        if (!power_keeps(m->mnt_dir) && (where[n] = strdup(m->mnt_dir)))
            n++;
    if (f)
        (void)endmntent(f);
    while (n-- > 0) {
        if (umount2(where[n], 0) < 0)
            (void)mount(NULL, where[n], NULL, MS_REMOUNT | MS_RDONLY, NULL);
        free(where[n]);
    }
    (void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

void power_down(int command)
{
    power_end_processes();
    sync();
    power_unmount();
    (void)reboot(command);
    for (;;)
        (void)pause();
}
