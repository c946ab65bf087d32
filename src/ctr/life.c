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
#include "vm/restart.h"
#include <errno.h>
#include <posada/log.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

/* A start is over within PASSING_NS as a rule: then what it was on the way is never written. */
enum { SETTLE_NS = 1000000, PASSING_NS = 50000000, KILL_AGAIN_NS = 1000000000 };

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
    loop_timer_set(c->sync, state == VM_STARTING && c->phase != CTR_WAITING ? PASSING_NS : 0);
}

void ctr_on_sync(void *arg)
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
        .manager = c->all->group.means ? "cgroupfs" : "disabled",
    };
}

/* --- the last of it --- */

void ctr_free(struct ctr *c)
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
    ctr_pressure_end(&c->pressure);
    if (c->run_fd >= 0)
        close(c->run_fd);
    free(c->run_path);
    free(c->root_path);
    free(c->log_path);
    vm_config_done(&c->config);
    guest_close(&c->guest);
    free(c);
}

bool ctr_clear(struct ctr *c)
{
    int r = ctr_root_unmount(&c->all->layers, &c->root, c->root_path);

    (void)!guest_write_pid(&c->guest, 0, NULL);
    if (r < 0) {
        log_warn("guest '%s': its root stays mounted: %s", c->guest.name, strerror(-r));
        return false;
    }
    guest_remove_run_dir(&c->guest);
    if (c->config.net_count)
        networks_sweep();
    return true;
}

/* The guest goes too, where it asked for that: never through a root that is still mounted. */
static void ctr_over(struct ctr *c)
{
    struct ctrs *all = c->all;

    if (ctr_clear(c) && c->config.auto_remove)
        (void)!store_remove_locked(&c->guest, NULL);
    else if (c->config.auto_remove)
        ctr_sync(c);
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

/* On the loop's next turn: whoever calls may be a request of a connection of ours. */
static void ctr_close(struct ctr *c)
{
    c->phase = CTR_OVER;
    loop_timer_set(c->timer, 0);
}

/* --- once more --- */

bool ctr_is_due(struct ctr *c)
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
    (void)!guest_write_pid(&c->guest, 0, NULL); /* it may soon be another process's */
    if (time(NULL) - (time_t)c->record.started >= RESTART_SOUND_SECONDS)
        c->tries = 0;
    if (ctr_is_due(c)) {
        ctr_wait_again(c);
        return;
    }
    ctr_close(c);
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

void ctr_end(struct ctr *c, enum vm_state state, unsigned code, const char *reason)
{
    if (c->phase >= CTR_CLEANING)
        return;
    c->phase = CTR_CLEANING;
    c->killed = false;
    c->record.exit_code = code;
    c->record.ended = (uint64_t)time(NULL);
    c->record.restarts = c->tries;
    c->record.state = state;
    snprintf(c->record.reason, sizeof(c->record.reason), "%s", reason ? reason : "");
    loop_timer_set(c->timer, UINT64_MAX);
    loop_timer_set(c->sync, UINT64_MAX);
    if (!c->config.auto_remove) /* its record goes with it */
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
    ctr_pressure_end(&c->pressure);
    ctr_delete(c);
}

/* Asked to end before it began, or between two runs: then the last run's end stands. */
void ctr_end_unborn(struct ctr *c, const char *why)
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
    ctr_close(c);
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
        ctr_stop(c, c->stop_seconds);
}

/* A frozen container hears no signal. True: what was wanted is done once it is thawed. */
static bool ctr_thaw(struct ctr *c)
{
    const char *const words[] = {"resume", c->guest.name, NULL};
    struct err err;

    return c->record.state == VM_PAUSED && ctr_step(c, words, NULL, ctr_on_thawed, &err) == 0;
}

static void ctr_kill_now(struct ctr *c)
{
    ctr_proc_signal(c->proc, SIGKILL);
    c->killed = true;
    loop_timer_set(c->timer, KILL_AGAIN_NS);
}

static void ctr_on_loosened(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr *c = arg;

    if (c->phase == CTR_RUNNING)
        ctr_kill_now(c);
}

/* It does not die: frozen by somebody else, or by a pause that a killed monitor had begun. */
static void ctr_kill_again(struct ctr *c)
{
    const char *const words[] = {"resume", c->guest.name, NULL};
    struct err err;

    if (!c->killed || ctr_step(c, words, NULL, ctr_on_loosened, &err) < 0)
        ctr_kill_now(c);
}

static void ctr_on_unfrozen(void *arg, int code, const struct buf *out, const struct err *err)
{
}

void ctr_loosen(struct ctr *c)
{
    const char *const words[] = {"resume", c->guest.name, NULL};
    struct err err;

    (void)!ctr_step(c, words, NULL, ctr_on_unfrozen, &err);
}

void ctr_kill(struct ctr *c)
{
    c->kill_wanted = true;
    switch (c->phase) {
    case CTR_BUILT:
    case CTR_WAITING: ctr_end_unborn(c, "killed by request"); break;
    case CTR_RUNNING:
        if (!ctr_thaw(c))
            ctr_kill_now(c);
        break;
    default: break; /* it is starting, and killed then; or ending */
    }
}

void ctr_stop(struct ctr *c, unsigned seconds)
{
    int number = c->config.stop_signal ? signal_parse(c->config.stop_signal) : SIGTERM;

    c->stop_wanted = true;
    c->stop_seconds = seconds;
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

void ctr_on_timer(void *arg)
{
    struct ctr *c = arg;

    switch (c->phase) {
    case CTR_RUNNING: ctr_kill_again(c); break; /* a stop's patience is over, or a kill's */
    case CTR_WAITING: ctr_run_again(c); break;
    case CTR_OVER: ctr_settle(c); break;
    default: break;
    }
}
