/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a killed monitor left. Its containers run on: their output waits in FIFOs, their networks'
 * helpers watch nobody but them. "init" in a guest's run directory says which process is a
 * container's first one, since when, and whether somebody waited for it in the foreground. The next
 * command that looks at guests starts a monitor, which takes over what runs, ends what cannot go on
 * (a terminal went with the monitor, or with the command in the foreground), and deletes the rest.
 */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "ctr/ctr.h"
#include "ctr/files.h"
#include "host/dirs.h"
#include "host/file.h"
#include "vm/config.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A monitor that takes over hundreds of containers needs seconds. */
enum { INIT_MAX = 256, HELLO_TRIES = 6000 };

/* Start time of a process in ticks since the host's (proc(5), field 22); 0: there is none. */
static unsigned long long adopt_start_time(pid_t pid)
{
    CLEANUP(free) char *text = NULL;
    unsigned long long start = 0;
    char path[40], state = 0;
    const char *at;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (file_read(AT_FDCWD, path, 8192, &text, NULL, NULL) < 0 || !(at = strrchr(text, ')')) ||
        sscanf(at + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &start) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : start;
}

void ctr_note_init(const struct ctr *c)
{
    char text[INIT_MAX];
    struct err err;

    (void)snprintf(text, sizeof(text), "%d %llu %d\n", c->pid, adopt_start_time(c->pid),
                   c->owner && !c->owner->detached);
    if (ctr_write_run(c->run_fd, "init", text, &err) < 0)
        log_warn("guest '%s': %s", c->guest.name, err.text);
}

/* *ret_pid 0: it does not run any more. False: nothing was noted. */
static bool adopt_read_init(int run_fd, pid_t *ret_pid, bool *ret_foreground)
{
    CLEANUP(free) char *text = NULL;
    unsigned long long start = 0;
    int pid = 0, foreground = 0;

    if (file_read(run_fd, "init", INIT_MAX, &text, NULL, NULL) < 0 ||
        sscanf(text, "%d %llu %d", &pid, &start, &foreground) != 3 || pid <= 1)
        return false;
    *ret_pid = start && adopt_start_time(pid) == start ? (pid_t)pid : 0;
    *ret_foreground = foreground != 0;
    return true;
}

/* Takes its streams over and waits for its end. */
static int adopt_running(struct ctr *c, pid_t pid, struct err *err)
{
    int r = c->config.tty ? 0 : ctr_proc_adopt_fifos(c->proc, c->run_fd, err);

    c->pid = pid;
    c->begun = true;
    c->phase = CTR_RUNNING;
    return r ? r : ctr_proc_started(c->proc, pid, err);
}

/* A pause or a resume that had not been written down yet. Where a stop was quicker, its signal
 * waits for the processes to be thawed. */
static void adopt_on_status(struct ctr_question *q, const struct buf *out)
{
    struct ctr *c = q->ctr;
    json_t *json = json_loadb((const char *)buf_data(out), out->len, 0, NULL);
    const char *status = json_string_value(json_object_get(json, "status"));

    if (status && !strcmp(status, "paused") && c->record.state == VM_RUNNING)
        ctr_state(c, VM_PAUSED, "%s", "");
    else if (status && !strcmp(status, "running") && c->record.state == VM_PAUSED)
        ctr_state(c, VM_RUNNING, "%s", "");
    else if (status && !strcmp(status, "paused") && c->record.state == VM_STOPPING)
        ctr_loosen(c);
    json_decref(json);
}

/* A start was not written down as done; a stop's patience went with the monitor that had it, so
 * that one begins anew. */
static void adopt_go_on(struct ctr *c)
{
    const char *const words[] = {"state", c->guest.name, NULL};
    bool stopping = c->record.state == VM_STOPPING;

    ctr_ask(c, NULL, words, true, adopt_on_status);
    ctr_memory_watch(c);
    if (stopping || c->record.state == VM_STARTING)
        ctr_state(c, VM_RUNNING, "%s", "");
    if (stopping)
        ctr_stop(c, CTR_STOP_SECONDS);
}

static void adopt_one(struct ctrs *all, struct guest *guest)
{
    const char *why = "its monitor was killed, and it ended before the next one came";
    struct ctr *c = ctr_take(all, guest);
    bool foreground = false;
    struct err err = {0};
    pid_t pid = 0;

    if (!c)
        return;
    if (adopt_read_init(c->run_fd, &pid, &foreground) && pid && adopt_running(c, pid, &err) == 0) {
        if (!foreground && !c->config.tty) {
            adopt_go_on(c);
            return;
        }
        why = foreground ? "its monitor was killed while a command waited for it"
                         : "its terminal went with its monitor, which was killed";
    }
    ctr_end_lost(c, err.code ? err.text : why);
}

/* A container's guest whose lock nobody holds, but whose run directory is still there. */
static void adopt_name(struct ctrs *all, const char *name)
{
    struct vm_config config = {0};
    struct guest guest = GUEST_NONE;
    bool container;

    if (vm_name_check(name, NULL) < 0 || store_open(name, &guest, NULL) < 0)
        return;
    container =
        !guest_read_config(&guest, &config, NULL) && config.technique == TECHNIQUE_CONTAINER;
    vm_config_done(&config);
    if (container && file_lock(guest.lock_fd) == 0)
        adopt_one(all, &guest);
    guest_close(&guest);
}

static DIR *adopt_open_dir(void)
{
    CLEANUP(free) char *path = NULL;

    return dirs_get_sub(DIRS_RUN, "guests", &path, NULL) < 0 ? NULL : opendir(path);
}

pid_t ctrs_left_init(void)
{
    const struct dirent *e;
    DIR *dir = adopt_open_dir();
    bool foreground;
    pid_t pid = 0;

    while (dir && !pid && (e = readdir(dir))) {
        CLEANUP(fd)
        int run_fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (*e->d_name != '.' && run_fd >= 0 && !adopt_read_init(run_fd, &pid, &foreground))
            pid = 0;
    }
    if (dir)
        closedir(dir);
    return pid;
}

void ctrs_adopt(struct ctrs *all)
{
    const struct dirent *e;
    DIR *dir = adopt_open_dir();

    while (dir && (e = readdir(dir)))
        adopt_name(all, e->d_name);
    if (dir)
        closedir(dir);
}

/* --- in commands --- */

/* A monitor lives and has taken over what it found (it says hello only then), or there was none
 * since the host has started. */
static bool tidy_is_needless(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int lock_fd = -1;

    if (ctr_files_open(&dir_fd, NULL) < 0)
        return true;
    lock_fd = openat(dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock_fd < 0)
        return true;
    for (unsigned i = 0; i < HELLO_TRIES && file_is_locked(lock_fd); i++) {
        CLEANUP(fd) int link = -1;

        if (ctr_files_connect(dir_fd, &link) == 0)
            return true;
        (void)nanosleep(&pause, NULL);
    }
    return file_is_locked(lock_fd);
}

static bool tidy_is_left(const char *name)
{
    struct vm_config config = {0};
    struct guest guest = GUEST_NONE;
    bool left = false;

    if (vm_name_check(name, NULL) < 0 || store_open(name, &guest, NULL) < 0)
        return false;
    if (!guest_is_alive(&guest) && !guest_read_config(&guest, &config, NULL))
        left = config.technique == TECHNIQUE_CONTAINER;
    vm_config_done(&config);
    guest_close(&guest);
    return left;
}

void ctr_tidy(void)
{
    const struct dirent *e;
    bool left = false;
    struct err err;
    DIR *dir;

    if (tidy_is_needless())
        return;
    dir = adopt_open_dir();
    while (dir && !left && (e = readdir(dir)))
        left = tidy_is_left(e->d_name);
    if (dir)
        closedir(dir);
    if (left && ctr_start_monitor(&err) < 0)
        log_warn("containers of a killed monitor: %s", err.text);
    else if (left)
        (void)tidy_is_needless(); /* another command's may have been quicker, and is at it */
}
