/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: starts a guest's monitor and outlives it. It sees no hostile input, so it keeps the
 * rights that cleaning up needs, which the monitor gives away. If the keeper is killed as well, the
 * next command cleans up (store_tidy()).
 */
#include "vm/monitor.h"

#include "base/cleanup.h"
#include "host/process.h"
#include "host/sandbox.h"
#include "vm/network.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static int spawn_log(const struct guest *guest)
{
    int fd = openat(guest->dir_fd, "monitor.log",
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd;
}

int monitor_spawn(const struct guest *guest, int *ret_owner_fd, pid_t *ret_pid, struct err *err)
{
    char verb[] = "monitor", self[] = "posada", name[VM_NAME_MAX + 1];
    char *argv[] = {self, verb, name, NULL};
    CLEANUP(fd) int log_fd = spawn_log(guest);
    int pair[2], fds[2], r;

    strcpy(name, guest->name);
    if (log_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "guest '%s': cannot start its process: %s", name,
                       strerror(errno));
    fds[MONITOR_OWNER_FD - 3] = pair[1];
    fds[MONITOR_LOCK_FD - 3] = guest->lock_fd;
    r = process_spawn_detached("/proc/self/exe", argv, fds, ARRAY_LEN(fds), log_fd, ret_pid, err);
    close(pair[1]);
    if (r < 0)
        close(pair[0]);
    else
        *ret_owner_fd = pair[0];
    return r;
}

static pid_t keeper_start(struct guest *guest)
{
    struct vm_config config = {0};
    struct networks net;
    pid_t pid;

    (void)!guest_read_config(guest, &config, NULL); /* the monitor says what is wrong with it */
    networks_prepare(&net, &config, STDERR_FILENO);
    vm_config_done(&config);
    sandbox_prepare_child();
    pid = fork();
    if (pid == 0) {
        process_set_name("posada-guest");
        _exit(monitor_main(guest, MONITOR_OWNER_FD, &net));
    }
    networks_close(&net);
    if (pid > 0)
        (void)!guest_write_pid(guest, pid, NULL);
    return pid;
}

/* A monitor that ended well has written its record; this one is for those that did not. */
static void keeper_note_death(const struct guest *guest, int status)
{
    struct guest_record record;

    if (guest_read_own_record(guest, &record, NULL) < 0 || vm_state_is_final(record.state))
        return;
    record.state = VM_FAILED;
    record.ended = (uint64_t)time(NULL);
    record.exit_code = EXIT_RUN_FAILED;
    if (WIFSIGNALED(status))
        snprintf(record.reason, sizeof(record.reason),
                 "the guest's process was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(record.reason, sizeof(record.reason),
                 "the guest's process ended unexpectedly (exit code %d); see monitor.log",
                 WEXITSTATUS(status));
    (void)!guest_write_record(guest, &record, NULL);
}

static void keeper_clean(struct guest *guest)
{
    struct vm_config config = {0};

    guest_remove_run_dir(guest->name);
    if (guest_read_config(guest, &config, NULL) < 0)
        return;
    networks_tidy(&config);
    if (config.auto_remove)
        (void)!store_remove_locked(guest, NULL);
    vm_config_done(&config);
}

int keeper_main(const char *name)
{
    struct guest guest = GUEST_NONE;
    int status = 0;
    pid_t pid;

    if (fcntl(MONITOR_LOCK_FD, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(MONITOR_OWNER_FD, F_SETFD, FD_CLOEXEC) < 0 || store_open(name, &guest, NULL) < 0)
        return EXIT_USAGE;
    /* Our copy of the locked description is the one that counts. */
    close(guest.lock_fd);
    guest.lock_fd = MONITOR_LOCK_FD;
    process_set_name("posada-keeper");
    pid = keeper_start(&guest);
    close(MONITOR_OWNER_FD);
    for (int sig = SIGHUP; sig <= SIGTERM; sig++)
        if (sig == SIGHUP || sig == SIGINT || sig == SIGTERM)
            signal(sig, SIG_IGN);
    if (pid < 0 || process_wait(pid, &status) < 0)
        status = EXIT_FAILED << 8;
    keeper_note_death(&guest, status);
    (void)!guest_write_pid(&guest, 0, NULL);
    keeper_clean(&guest);
    return EXIT_OK;
}
