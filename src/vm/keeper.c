/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: starts a guest's monitor and outlives it. It sees no hostile input but one byte an
 * event, so it keeps the rights that cleaning up needs, which the monitor gives away. It also
 * starts the guest again where its restart policy says so, whether or not any command line still
 * lives. If the keeper is killed as well, the next command cleans up (store_tidy()).
 */
#include "vm/monitor.h"

#include "base/cleanup.h"
#include "host/process.h"
#include "host/sandbox.h"
#include "vm/events.h"
#include "vm/helpers.h"
#include "vm/network.h"
#include "vm/restart.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

struct keeper {
    struct guest guest;
    sigset_t signals; /* that ask for the end; blocked, and taken while no monitor runs */
    unsigned tries;   /* restarts in a row */
    bool built;       /* the machine could be, once */
    uint64_t started; /* the present run, seconds since 1970 */
    struct helpers helpers;
};

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
    int pair[2], fds[3], r;

    strcpy(name, guest->name);
    if (log_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "guest '%s': cannot start its process: %s", name,
                       strerror(errno));
    fds[MONITOR_OWNER_FD - 3] = pair[1];
    fds[MONITOR_LOCK_FD - 3] = guest->lock_fd;
    fds[MONITOR_DIR_FD - 3] = guest->dir_fd;
    r = process_spawn_detached("/proc/self/exe", argv, fds, ARRAY_LEN(fds), log_fd, ret_pid, err);
    close(pair[1]);
    if (r < 0)
        close(pair[0]);
    else
        *ret_owner_fd = pair[0];
    return r;
}

/* --- one run --- */

static noreturn_fn void keeper_become_monitor(struct keeper *k, int owner_fd, int event_fd,
                                              struct networks *net)
{
    process_set_name("posada-guest");
    sigprocmask(SIG_UNBLOCK, &k->signals, NULL);
    _exit(monitor_main(&k->guest, owner_fd, event_fd, net));
}

static pid_t keeper_start(struct keeper *k, int owner_fd, int *ret_event_fd)
{
    struct vm_config config = {0};
    struct networks net;
    int events[2] = {-1, -1}, run_fd;
    pid_t pid;

    (void)guest_refresh(&k->guest);
    if (!guest_run_dir(&k->guest, &run_fd, NULL)) /* as long as it is there, there is to clean */
        close(run_fd);
    /* Without one, its events are lost. */
    (void)!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, events);
    (void)!guest_read_config(&k->guest, &config, NULL); /* the monitor says what is wrong with it */
    networks_prepare(&net, &config, STDERR_FILENO);
    vm_config_done(&config);
    sandbox_prepare_child();
    pid = fork();
    if (pid == 0) {
        if (events[0] >= 0)
            close(events[0]);
        keeper_become_monitor(k, owner_fd, events[1], &net);
    }
    sandbox_child_is_born();
    networks_close(&net);
    if (events[1] >= 0)
        close(events[1]);
    if (pid > 0)
        (void)!guest_write_pid(&k->guest, pid, NULL);
    *ret_event_fd = events[0];
    k->started = (uint64_t)time(NULL);
    return pid;
}

/* What the monitor says happens, a byte each. It may be hostile: only known ones count. False: it
 * has closed its end. */
static bool keeper_pass_events(struct keeper *k, int event_fd)
{
    ssize_t n = 1;
    uint8_t byte;

    for (unsigned i = 0; i < 64 && (n = recv(event_fd, &byte, 1, 0)) == 1; i++)
        if (byte == MONITOR_BUILT)
            k->built = true;
        else if (byte >= MONITOR_LOST)
            helpers_lost(&k->helpers, byte - MONITOR_LOST);
        else if (byte >= EVENT_RUNNING && byte <= EVENT_STOPPING)
            event_add((enum event_action)byte, &k->guest, NULL);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* Until the monitor has ended; its status. Its own children may hold the pipe longer. */
static int keeper_watch(struct keeper *k, pid_t pid, int event_fd)
{
    CLEANUP(fd) int pid_fd = pidfd_open(pid, 0);
    struct pollfd fds[] = {{pid_fd, POLLIN, 0}, {event_fd, POLLIN, 0}};
    int status = 0;

    while (pid_fd >= 0 && !(fds[0].revents & POLLIN)) {
        if (poll(fds, 2, helpers_timeout_ms(&k->helpers)) < 0 && errno != EINTR)
            break;
        if (fds[1].revents && !keeper_pass_events(k, event_fd))
            fds[1].fd = -1;
        helpers_run(&k->helpers, &k->guest, event_fd);
    }
    if (process_wait(pid, &status) < 0)
        status = EXIT_FAILED << 8;
    if (event_fd >= 0)
        (void)keeper_pass_events(k, event_fd);
    helpers_end(&k->helpers);
    return status;
}

/* A monitor that ended well has written its record; this one is for those that did not. */
static void keeper_note_death(struct guest_record *record, int status)
{
    if (vm_state_is_final(record->state))
        return;
    record->state = VM_FAILED;
    record->ended = (uint64_t)time(NULL);
    record->exit_code = EXIT_RUN_FAILED;
    if (WIFSIGNALED(status))
        snprintf(record->reason, sizeof(record->reason),
                 "the guest's process was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(record->reason, sizeof(record->reason),
                 "the guest's process ended unexpectedly (exit code %d); see monitor.log",
                 WEXITSTATUS(status));
}

static void keeper_note_end(struct keeper *k, struct guest_record *record, int status)
{
    if (guest_read_own_record(&k->guest, record, NULL) < 0) {
        *record = (struct guest_record){.state = VM_FAILED, .exit_code = EXIT_RUN_FAILED};
        return;
    }
    keeper_note_death(record, status);
    record->restarts = k->tries;
    (void)!guest_write_record(&k->guest, record, NULL);
    event_add(
        record->state == VM_STOPPED ? EVENT_STOPPED : EVENT_FAILED, &k->guest,
        json_pack("{s:i, s:s}", "exit_code", (int)record->exit_code, "reason", record->reason));
}

/* What belongs to one run only. */
static void keeper_clean(struct keeper *k)
{
    struct vm_config config = {0};

    (void)!guest_write_pid(&k->guest, 0, NULL);
    if (!guest_read_config(&k->guest, &config, NULL))
        networks_tidy(&config);
    vm_config_done(&config);
    guest_remove_run_dir(&k->guest);
}

static void keeper_remove(struct keeper *k)
{
    struct vm_config config = {0};

    if (guest_read_config(&k->guest, &config, NULL) < 0)
        return;
    if (config.auto_remove)
        (void)!store_remove_locked(&k->guest, NULL);
    vm_config_done(&config);
}

/* --- once more --- */

static bool keeper_is_due(const struct keeper *k, const struct guest_record *record)
{
    struct restart_policy policy = {RESTART_NO, 0};
    struct vm_config config;
    int r;

    if (guest_is_wanted_stopped(&k->guest) || guest_read_config(&k->guest, &config, NULL) < 0)
        return false;
    r = restart_parse(config.restart, &policy, NULL);
    vm_config_done(&config);
    return !r && restart_is_due(&policy, record, k->tries);
}

static void keeper_say_waiting(struct keeper *k, const struct guest_record *record, unsigned ms)
{
    struct guest_record waiting = *record;

    waiting.state = VM_STARTING;
    waiting.started = (uint64_t)time(NULL);
    snprintf(waiting.reason, sizeof(waiting.reason),
             "restart %u in %u.%u s, for it %s (exit code %u%s%.200s)", k->tries + 1, ms / 1000,
             ms / 100 % 10, record->state == VM_FAILED ? "failed" : "ended", record->exit_code,
             record->reason[0] ? ", " : "", record->reason);
    (void)!guest_write_record(&k->guest, &waiting, NULL);
    (void)!guest_write_pid(&k->guest, getpid(), NULL); /* who is to be asked meanwhile */
    event_add(EVENT_RESTARTING, &k->guest,
              json_pack("{s:i, s:f}", "restart", (int)k->tries + 1, "delay", (double)ms / 1000));
}

/* Waits before the next run; false when somebody does not want it any more. */
static bool keeper_wait(struct keeper *k, const struct guest_record *record)
{
    unsigned ms;
    struct timespec wait;
    bool wanted;

    if (time(NULL) - (time_t)k->started >= RESTART_SOUND_SECONDS)
        k->tries = 0;
    if (!keeper_is_due(k, record))
        return false;
    ms = restart_delay_ms(k->tries);
    keeper_say_waiting(k, record, ms);
    wait = (struct timespec){ms / 1000, ms % 1000 * 1000000l};
    wanted = sigtimedwait(&k->signals, NULL, &wait) < 0 && keeper_is_due(k, record);
    (void)!guest_write_pid(&k->guest, 0, NULL);
    if (wanted)
        k->tries++;
    else
        (void)!guest_write_record(&k->guest, record, NULL);
    return wanted;
}

static void keeper_run(struct keeper *k)
{
    int owner_fd = MONITOR_OWNER_FD;
    struct guest_record record;
    int status, event_fd = -1;

    do {
        pid_t pid;

        event_add(EVENT_STARTING, &k->guest, NULL);
        pid = keeper_start(k, owner_fd, &event_fd);
        if (owner_fd >= 0)
            close(owner_fd);
        status = pid < 0 ? EXIT_FAILED << 8 : keeper_watch(k, pid, event_fd);
        if (event_fd >= 0)
            close(event_fd);
        keeper_note_end(k, &record, status);
        keeper_clean(k);
        /* A machine that cannot be built the first time is no guest that fails: who starts it is
         * told, and waits for us. */
        if (!k->built)
            break;
        owner_fd = -1;
    } while (keeper_wait(k, &record));
}

int keeper_main(void)
{
    struct keeper k = {.guest = GUEST_NONE};

    for (int fd = MONITOR_OWNER_FD; fd <= MONITOR_DIR_FD; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return EXIT_USAGE;
    if (guest_adopt(MONITOR_DIR_FD, MONITOR_LOCK_FD, &k.guest) < 0)
        return EXIT_USAGE;
    process_set_name("posada-keeper");
    sigemptyset(&k.signals);
    sigaddset(&k.signals, SIGHUP);
    sigaddset(&k.signals, SIGINT);
    sigaddset(&k.signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &k.signals, NULL);
    keeper_run(&k);
    keeper_remove(&k);
    return EXIT_OK;
}
