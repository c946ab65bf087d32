/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a container, and hearing of its process's end: posada-oci makes its first process,
 * its networks are set up, posada-oci lets it go. Order and contract: ctr/internal.h.
 */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <errno.h>
#include <posada/log.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { PID_FILE_MAX = 32 };

/* NULL: its own doing. */
static const char *ctr_end_reason(const struct ctr *c, int status)
{
    if (c->kill_wanted)
        return "killed by request";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !c->stop_wanted &&
        ctr_memory_was_short(c))
        return "out of memory: it reached its limit (--memory), and the kernel killed it";
    return NULL;
}

/* Its first process has ended and all it printed has been passed on. */
static void ctr_on_ended(void *arg, int status)
{
    struct ctr *c = arg;

    if (c->phase == CTR_STARTING) { /* the step that is being done may know better why */
        c->ended_early = true;
        c->early_status = status;
        return;
    }
    if (status == CTR_STATUS_UNKNOWN)
        ctr_end(c, VM_FAILED, EXIT_RUN_FAILED,
                "ended while its monitor had been killed; its exit code is not known");
    else
        ctr_end(c, VM_STOPPED, ctr_exit_code(status), ctr_end_reason(c, status));
}

static void ctr_on_abandoned(void *arg)
{
    (void)arg; /* it lives on without clients */
}

void ctr_fail(struct ctr *c, const struct err *err)
{
    ctr_end(c, VM_FAILED, ctr_failure_code(err), err->text);
}

static void ctr_running(struct ctr *c)
{
    c->phase = CTR_RUNNING;
    ctr_note_init(c);
    ctr_memory_watch(c);
    event_add(EVENT_RUNNING, &c->guest, NULL);
    ctr_state(c, VM_RUNNING, "%s", "");
    if (c->starter) {
        ctr_sync(c); /* who asks next must not read of an older state */
        conn_answer(c->starter, NULL);
        c->starter = NULL;
    }
    if (c->ended_early)
        ctr_on_ended(c, c->early_status);
    else if (c->kill_wanted)
        ctr_kill(c);
    else if (c->stop_wanted)
        ctr_stop(c, c->stop_seconds);
}

static void ctr_on_started(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr *c = arg;

    if (code)
        ctr_fail(c, err);
    else
        ctr_running(c);
}

int ctr_step(struct ctr *c, const char *const *words, const int fds[3],
             void (*done)(void *arg, int code, const struct buf *out, const struct err *err),
             struct err *err)
{
    struct ctr_oci oci = ctr_oci_of(c, c->log_path);
    struct ctr_job_config config = {.loop = c->all->loop,
                                    .oci = &oci,
                                    .words = words,
                                    .in = fds ? fds[0] : -1,
                                    .out = fds ? fds[1] : -1,
                                    .err_fd = fds ? fds[2] : -1,
                                    .done = done,
                                    .arg = c};

    return ctr_job_start(&c->job, &config, err);
}

/* The pid in its file, and when that process began: a later one of the same number is another. */
static int ctr_read_pid(const struct ctr *c, pid_t *ret, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    int r = file_read(c->run_fd, "pid", PID_FILE_MAX, &text, NULL, err);
    long pid;

    if (r < 0)
        return r;
    pid = strtol(text, NULL, 10);
    if (pid <= 1 || pid > INT32_MAX)
        return err_set(err, -EIO, "guest '%s': its pid file makes no sense", c->guest.name);
    *ret = (pid_t)pid;
    return 0;
}

static void ctr_on_net(void *arg, const struct err *err)
{
    struct ctr *c = arg;
    const char *const words[] = {"start", c->guest.name, NULL};
    struct err mine;

    if (err->code)
        ctr_fail(c, err);
    else if (c->phase == CTR_STARTING && ctr_step(c, words, NULL, ctr_on_started, &mine) < 0)
        ctr_fail(c, &mine);
}

/* create or run has been done: its process is there. */
static void ctr_on_created(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr *c = arg;
    struct err mine;
    int r;

    if (code) {
        ctr_fail(c, err);
        return;
    }
    r = ctr_read_pid(c, &c->pid, &mine);
    if (!r)
        r = ctr_proc_started(c->proc, c->pid, &mine);
    if (!r)
        r = guest_write_pid(&c->guest, c->pid, &mine);
    if (!r && c->config.net_count) {
        const struct ctr_net_config net = {.loop = c->all->loop,
                                           .self = c->all->self,
                                           .guest = c->guest.name,
                                           .pid = c->pid,
                                           .run_fd = c->run_fd,
                                           .rate = c->config.net_rate,
                                           .done = ctr_on_net,
                                           .arg = c};

        r = ctr_net_up(&c->net, &net, &mine);
        if (!r)
            return;
    }
    if (r < 0)
        ctr_fail(c, &mine);
    else
        ctr_running(c);
}

struct ctr_proc *ctr_first_proc(struct ctr *c)
{
    const struct ctr_proc_config config = {
        .loop = c->all->loop,
        .log = c->log,
        .lives_on = true,
        .tty_dir = c->run_fd,
        .tty_name = c->config.tty ? "tty" : NULL,
        .open_stdin = c->config.open_stdin,
        .ended = ctr_on_ended,
        .abandoned = ctr_on_abandoned,
        .arg = c,
    };

    return ctr_proc_new(&config);
}

static int ctr_launch(struct ctr *c, struct err *err)
{
    CLEANUP(free) char *pid_path = NULL;
    CLEANUP(free) char *tty_path = NULL;
    const char *words[12];
    unsigned n = 0;
    int fds[3], r = ctr_proc_open_fifos(c->proc, c->run_fd, fds, err);

    if (r < 0)
        return r;
    if (asprintf(&pid_path, "%s/pid", c->run_path) < 0 ||
        asprintf(&tty_path, "%s/tty", c->run_path) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    words[n++] = c->config.net_count ? "create" : "run";
    if (!c->config.net_count)
        words[n++] = "--detach";
    words[n++] = "--bundle";
    words[n++] = c->run_path;
    words[n++] = "--pid-file";
    words[n++] = pid_path;
    if (c->config.tty) {
        words[n++] = "--console-socket";
        words[n++] = tty_path;
    }
    words[n++] = c->guest.name;
    words[n] = NULL;
    r = ctr_step(c, words, fds, ctr_on_created, err);
    ctr_proc_close_ends(fds);
    return r;
}

/* The next run, by its restart policy. */
void ctr_run_again(struct ctr *c)
{
    struct err err = {0};
    int r;

    if (!ctr_is_due(c)) {
        ctr_end_unborn(c, "");
        return;
    }
    c->tries++;
    c->begun = c->stop_wanted = c->kill_wanted = c->ended_early = false;
    c->record = (struct guest_record){.created = c->record.created,
                                      .started = (uint64_t)time(NULL),
                                      .restarts = c->tries,
                                      .state = VM_STARTING,
                                      .engine = "container"};
    c->phase = CTR_BUILT;
    event_add(EVENT_STARTING, &c->guest, NULL);
    r = ctr_build(c, &err);
    if (!r && !(c->proc = ctr_first_proc(c)))
        r = err_set(&err, -ENOMEM, "out of memory");
    if (r < 0)
        ctr_fail(c, &err);
    else
        ctr_begin(c);
}

void ctr_begin(struct ctr *c)
{
    struct err err;

    if (c->begun)
        return;
    c->begun = true;
    c->phase = CTR_STARTING;
    ctr_state(c, VM_STARTING, "starting its process");
    if (ctr_launch(c, &err) < 0)
        ctr_fail(c, &err);
}
