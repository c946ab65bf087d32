/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a container. Contract and order: ctr/internal.h. A container's end is told to clients
 * at once; what is left of it is deleted behind, and its lock goes last.
 */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "host/loop.h"
#include "host/signals.h"
#include "vm/config.h"
#include "vm/network.h"
#include "vm/own.h"
#include "vm/restart.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

enum { SETTLE_NS = 1000000, PID_FILE_MAX = 32 };

/* --- the record --- */

void ctr_sync(struct ctr *c)
{
    struct err err;

    if (guest_write_record(&c->guest, &c->record, &err) < 0)
        log_warn("guest '%s': its state cannot be written down: %s", c->guest.name, err.text);
}

void ctr_state(struct ctr *c, enum vm_state state, const char *fmt, ...)
{
    va_list ap;

    c->record.state = state;
    va_start(ap, fmt);
    vsnprintf(c->record.reason, sizeof(c->record.reason), fmt, ap);
    va_end(ap);
    loop_timer_set(c->sync, 0);
}

static void ctr_on_sync(void *arg)
{
    ctr_sync(arg);
}

unsigned ctr_failure_code(const struct err *err)
{
    static const char program[] = "executable file '";

    if (strncmp(err->text, program, strlen(program)) != 0)
        return EXIT_RUN_FAILED;
    return strstr(err->text, "' not found") ? EXIT_COMMAND_NOT_FOUND : EXIT_CANNOT_INVOKE;
}

struct ctr_oci ctr_oci_of(const struct ctr *c, const char *log_path)
{
    return (struct ctr_oci){
        .program = c->all->oci,
        .root = c->all->oci_root,
        .log = log_path,
        .log_dir = c->run_fd,
        .manager = c->all->own_user ? "disabled" : "cgroupfs",
    };
}

/* --- the last of it --- */

static void ctr_free(struct ctr *c)
{
    ctr_exec_free_all(c);
    ctr_questions_free(c);
    ctr_job_done(&c->job);
    ctr_proc_free(c->proc);
    control_free(c->control);
    guest_log_close(c->log);
    loop_timer_free(c->timer);
    loop_timer_free(c->sync);
    ctr_net_down(&c->net);
    if (c->run_fd >= 0)
        close(c->run_fd);
    free(c->run_path);
    free(c->root_path);
    free(c->log_path);
    vm_config_done(&c->config);
    guest_close(&c->guest);
    free(c);
}

/* Nothing of the run is left but the record; the guest goes too, where it asked for that. */
static void ctr_clear(struct ctr *c)
{
    int r = ctr_root_unmount(&c->all->layers, &c->root, c->root_path);

    (void)!guest_write_pid(&c->guest, 0, NULL);
    if (r < 0) {
        log_warn("guest '%s': its root stays mounted: %s", c->guest.name, strerror(-r));
        return;
    }
    guest_remove_run_dir(&c->guest);
    if (c->config.net_count)
        networks_sweep();
}

static void ctr_over(struct ctr *c)
{
    struct ctrs *all = c->all;

    ctr_clear(c);
    if (c->config.auto_remove)
        (void)!store_remove_locked(&c->guest, NULL);
    ctrs_forget(all, c);
    ctr_free(c);
}

/* Looked at now and then; CTR_LAST_WORDS_NS is the limit for clients that do not read. */
static void ctr_settle(struct ctr *c)
{
    if (!control_idle(c->control) && c->last_words_ns < CTR_LAST_WORDS_NS) {
        c->last_words_ns += SETTLE_NS;
        loop_timer_set(c->timer, SETTLE_NS);
        return;
    }
    ctr_over(c);
}

/* --- once more --- */

static bool ctr_is_due(struct ctr *c)
{
    struct restart_policy policy = {RESTART_NO, 0};
    struct vm_config config;
    int r;

    if (guest_is_wanted_stopped(&c->guest) || guest_read_config(&c->guest, &config, NULL) < 0)
        return false;
    r = restart_parse(config.restart, &policy, NULL);
    vm_config_done(&config);
    return !r && restart_is_due(&policy, &c->record, c->tries);
}

static void ctr_wait_again(struct ctr *c)
{
    unsigned ms = restart_delay_ms(c->tries);
    char ended[200];

    (void)snprintf(ended, sizeof(ended), "%s (exit code %u%s%.120s)",
                   c->record.state == VM_FAILED ? "failed" : "ended", c->record.exit_code,
                   c->record.reason[0] ? ", " : "", c->record.reason);
    c->phase = CTR_WAITING;
    c->record.started = (uint64_t)time(NULL);
    ctr_state(c, VM_STARTING, "restart %u in %u.%u s, for it %s", c->tries + 1, ms / 1000,
              ms / 100 % 10, ended);
    event_add(EVENT_RESTARTING, &c->guest,
              json_pack("{s:i, s:f}", "restart", (int)c->tries + 1, "delay", (double)ms / 1000));
    loop_timer_set(c->timer, ms * UINT64_C(1000000));
}

/* What posada-oci knew of it is gone. */
static void ctr_on_deleted(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr *c = arg;

    if (code)
        log_warn("guest '%s': cannot be deleted: %s", c->guest.name, err->text);
    ctr_proc_free(c->proc);
    c->proc = NULL;
    c->pid = 0;
    if (time(NULL) - (time_t)c->record.started >= RESTART_SOUND_SECONDS)
        c->tries = 0;
    if (ctr_is_due(c)) {
        ctr_wait_again(c);
        return;
    }
    c->phase = CTR_OVER;
    ctr_settle(c);
}

static void ctr_delete(struct ctr *c)
{
    const char *const words[] = {"delete", "--force", c->guest.name, NULL};
    struct ctr_oci oci = ctr_oci_of(c, c->log_path);
    struct ctr_job_config config = {.loop = c->all->loop,
                                    .oci = &oci,
                                    .words = words,
                                    .in = -1,
                                    .out = -1,
                                    .err_fd = -1,
                                    .done = ctr_on_deleted,
                                    .arg = c};
    struct err err = {0};

    ctr_job_done(&c->job);
    if (ctr_job_start(&c->job, &config, &err) < 0)
        ctr_on_deleted(c, 1, NULL, &err);
}

/* --- the end of a run --- */

static void ctr_tell_end(void *arg, struct conn *conn)
{
    const struct ctr *c = arg;

    if (!conn->waiting)
        return;
    conn_answer(conn, json_pack("{s:s, s:i, s:s}", "state", vm_state_name(c->record.state),
                                "exit_code", (int)c->record.exit_code, "reason", c->record.reason));
    conn_finish(conn);
}

static void ctr_end(struct ctr *c, enum vm_state state, unsigned code, const char *reason)
{
    if (c->phase >= CTR_CLEANING)
        return;
    c->phase = CTR_CLEANING;
    c->record.exit_code = code;
    c->record.ended = (uint64_t)time(NULL);
    c->record.restarts = c->tries;
    c->record.state = state;
    snprintf(c->record.reason, sizeof(c->record.reason), "%s", reason ? reason : "");
    loop_timer_set(c->timer, UINT64_MAX);
    loop_timer_set(c->sync, UINT64_MAX);
    ctr_sync(c);
    ctr_exec_free_all(c);
    ctr_questions_free(c);
    if (c->proc)
        stream_end(ctr_proc_stream(c->proc), code, state == VM_FAILED ? c->record.reason : NULL);
    event_add(state == VM_STOPPED ? EVENT_STOPPED : EVENT_FAILED, &c->guest,
              json_pack("{s:i, s:s}", "exit_code", (int)code, "reason", c->record.reason));
    if (c->starter) {
        conn_refuse_text(c->starter, -EIO, c->record.reason);
        c->starter = NULL;
    }
    control_each(c->control, ctr_tell_end, c);
    ctr_net_down(&c->net);
    ctr_delete(c);
}

/* Asked to end before it began, or between two runs: then the last run's end stands. */
static void ctr_end_unborn(struct ctr *c, const char *why)
{
    if (c->phase == CTR_BUILT) {
        ctr_end(c, VM_STOPPED, EXIT_SIGNAL_BASE + SIGKILL, why);
        return;
    }
    loop_timer_set(c->timer, UINT64_MAX);
    c->record.state = VM_STOPPED;
    c->record.reason[0] = '\0';
    ctr_sync(c);
    control_each(c->control, ctr_tell_end, c);
    c->phase = CTR_OVER;
    ctr_settle(c);
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
        ctr_end(c, VM_STOPPED, ctr_exit_code(status), c->kill_wanted ? "killed by request" : NULL);
}

static void ctr_on_abandoned(void *arg)
{
    (void)arg; /* it lives on without clients */
}

/* --- starting --- */

static void ctr_fail(struct ctr *c, const struct err *err)
{
    ctr_end(c, VM_FAILED, ctr_failure_code(err), err->text);
}

static void ctr_running(struct ctr *c)
{
    c->phase = CTR_RUNNING;
    ctr_note_init(c);
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
        ctr_stop(c, CTR_STOP_SECONDS);
}

static void ctr_on_started(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr *c = arg;

    if (code)
        ctr_fail(c, err);
    else
        ctr_running(c);
}

static int ctr_step(struct ctr *c, const char *const *words, const int fds[3],
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

static struct ctr_proc *ctr_first_proc(struct ctr *c)
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
static void ctr_run_again(struct ctr *c)
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

/* --- the end by request --- */

static void ctr_on_thawed(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr *c = arg;

    if (c->phase != CTR_RUNNING)
        return;
    event_add(EVENT_RESUMED, &c->guest, NULL);
    ctr_state(c, VM_RUNNING, "%s", "");
    if (c->kill_wanted)
        ctr_kill(c);
    else if (c->stop_wanted)
        ctr_stop(c, CTR_STOP_SECONDS);
}

/* A frozen container hears no signal. True: what was wanted is done once it is thawed. */
static bool ctr_thaw(struct ctr *c)
{
    const char *const words[] = {"resume", c->guest.name, NULL};
    struct err err;

    return c->record.state == VM_PAUSED && ctr_step(c, words, NULL, ctr_on_thawed, &err) == 0;
}

void ctr_kill(struct ctr *c)
{
    c->kill_wanted = true;
    switch (c->phase) {
    case CTR_BUILT:
    case CTR_WAITING: ctr_end_unborn(c, "killed by request"); break;
    case CTR_RUNNING:
        if (!ctr_thaw(c))
            ctr_proc_signal(c->proc, SIGKILL);
        break;
    default: break; /* it is starting, and killed then; or ending */
    }
}

void ctr_stop(struct ctr *c, unsigned seconds)
{
    int number = c->config.stop_signal ? signal_parse(c->config.stop_signal) : SIGTERM;

    c->stop_wanted = true;
    if (c->phase == CTR_BUILT || c->phase == CTR_WAITING) {
        ctr_end_unborn(c, "not started");
        return;
    }
    if (c->phase != CTR_RUNNING || c->record.state == VM_STOPPING || ctr_thaw(c))
        return;
    event_add(EVENT_STOPPING, &c->guest, NULL);
    ctr_state(c, VM_STOPPING, "waiting for its program to end, %u s at most", seconds);
    ctr_proc_signal(c->proc, number > 0 ? (unsigned)number : SIGTERM);
    loop_timer_set(c->timer, seconds * UINT64_C(1000000000));
}

/* --- the timer --- */

static void ctr_on_timer(void *arg)
{
    struct ctr *c = arg;

    switch (c->phase) {
    case CTR_RUNNING: ctr_proc_signal(c->proc, SIGKILL); break; /* a stop's patience is over */
    case CTR_WAITING: ctr_run_again(c); break;
    case CTR_OVER: ctr_settle(c); break;
    default: break;
    }
}

/* --- birth --- */

/* With the guest's descriptors and its files; its root is not mounted yet. */
static int ctr_open(struct ctr *c, struct err *err)
{
    struct control_events events = {ctr_request, ctr_gone, c};
    int listen_fd = -1, r = guest_read_config(&c->guest, &c->config, err);

    if (!r)
        r = own_resolve(c->guest.dir_fd, &c->config, err);
    if (!r)
        r = guest_read_own_record(&c->guest, &c->record, err);
    if (!r)
        r = guest_run_dir(&c->guest, &c->run_fd, err);
    if (!r && (asprintf(&c->run_path, "%s/%s", c->all->run_dir, c->guest.uuid) < 0 ||
               asprintf(&c->root_path, "%s/root", c->run_path) < 0 ||
               asprintf(&c->log_path, "%s/log", c->run_path) < 0))
        r = err_set(err, -ENOMEM, "out of memory");
    if (!r)
        r = guest_log_open(c->guest.dir_fd, "output.log", &c->log, err);
    c->timer = loop_timer_new(c->all->loop, ctr_on_timer, c);
    c->sync = loop_timer_new(c->all->loop, ctr_on_sync, c);
    if (!r && (!c->timer || !c->sync))
        r = err_set(err, -ENOMEM, "out of memory");
    if (!r)
        r = control_listen(c->run_fd, &listen_fd, err);
    return r ? r : control_new(c->all->loop, listen_fd, &events, &c->control, err);
}

static struct ctr *ctr_alloc(struct ctrs *all, struct guest *guest)
{
    struct ctr *c = calloc(1, sizeof(*c));

    if (!c) {
        guest_close(guest);
        return NULL;
    }
    c->all = all;
    c->guest = *guest;
    *guest = GUEST_NONE;
    c->run_fd = -1;
    c->job.child.pidfd = c->job.out_fd = -1;
    ctr_net_init(&c->net);
    return c;
}

/* Nothing is left of it before its owner hears why: who removes the guest then need not wait. */
static void ctr_refuse(struct ctr *c, int owner_fd, const struct err *err)
{
    c->record.state = VM_FAILED;
    c->record.exit_code = EXIT_RUN_FAILED;
    c->record.ended = (uint64_t)time(NULL);
    snprintf(c->record.reason, sizeof(c->record.reason), "%.299s", err->text);
    ctr_sync(c);
    event_add(EVENT_FAILED, &c->guest,
              json_pack("{s:i, s:s}", "exit_code", EXIT_RUN_FAILED, "reason", c->record.reason));
    ctr_clear(c);
    ctr_free(c);
    if (owner_fd >= 0) {
        control_refuse_fd(owner_fd, err);
        close(owner_fd);
    }
}

struct ctr *ctr_take(struct ctrs *all, struct guest *guest)
{
    struct ctr *c = ctr_alloc(all, guest);
    struct err err = {0};
    int r;

    if (!c)
        return NULL;
    r = ctr_open(c, &err);
    if (!r && !(c->proc = ctr_first_proc(c)))
        r = err_set(&err, -ENOMEM, "out of memory");
    if (r < 0) {
        ctr_refuse(c, -1, &err);
        return NULL;
    }
    c->next = all->list;
    all->list = c;
    return c;
}

void ctr_end_lost(struct ctr *c, const char *why)
{
    ctr_proc_signal(c->proc, SIGKILL);
    ctr_end(c, VM_FAILED, EXIT_RUN_FAILED, why);
}

static int ctr_set_up(struct ctr *c, struct err *err)
{
    int r = ctr_open(c, err);

    if (r < 0)
        return r;
    c->record = (struct guest_record){.created = c->record.created,
                                      .started = (uint64_t)time(NULL),
                                      .state = VM_STARTING,
                                      .engine = "container"};
    event_add(EVENT_STARTING, &c->guest, NULL);
    r = ctr_build(c, err);
    if (!r && !(c->proc = ctr_first_proc(c)))
        r = err_set(err, -ENOMEM, "out of memory");
    return r;
}

void ctr_new(struct ctrs *all, struct guest *guest, int owner_fd)
{
    struct ctr *c = ctr_alloc(all, guest);
    struct err err = {0};

    if (!c) {
        close(owner_fd);
        return;
    }
    if (ctr_set_up(c, &err) < 0) {
        ctr_refuse(c, owner_fd, &err);
        return;
    }
    c->next = all->list;
    all->list = c;
    c->owner = control_adopt(c->control, owner_fd);
    if (!c->owner) {
        ctr_kill(c);
        return;
    }
    c->owner->owner = true;
    ctr_state(c, VM_STARTING, "waiting for its owner");
    conn_answer(c->owner, NULL);
}
