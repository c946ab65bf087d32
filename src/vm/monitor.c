/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: one guest's machine with everything around it. It builds the machine, locks itself
 * in, runs the event loop until the guest is over, and tells everybody how it ended.
 *
 * Life: building -> (owner speaks) -> starting -> running -> stopping -> last words -> exit. The
 * guest ends when it powers off, when its own command (run IMAGE COMMAND) ends, when it is asked
 * to, when its engine fails, or when the owner vanishes without saying "detach".
 */
#include "vm/monitor.h"

#include "base/cleanup.h"
#include "host/loop.h"
#include "host/memory_use.h"
#include "host/sandbox.h"
#include "host/sandbox_thread.h"
#include "vm/firmware.h"
#include "vm/monitor_state.h"
#include "vm/own.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <posada/trace.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum { MONITOR_IOCTLS_MAX = 64 };
enum { TRACE_RECORDS = 1 << 20 }; /* the last so many: 64 MiB */
#define TRACE_ALL "insn,mem,irq,mmio,mmu,block"

/* --- the record --- */

void monitor_sync(struct monitor *m)
{
    struct err err;

    if (guest_write_record(m->guest, &m->record, &err) < 0)
        log_warn("guest '%s': its state cannot be written down: %s", m->guest->name, err.text);
}

void monitor_state(struct monitor *m, enum vm_state state, const char *fmt, ...)
{
    va_list ap;

    m->record.state = state;
    va_start(ap, fmt);
    vsnprintf(m->record.reason, sizeof(m->record.reason), fmt, ap);
    va_end(ap);
    loop_timer_set(m->sync, 0);
}

/* Whether or not anybody reads: the guest does not wait for that. */
void monitor_event(struct monitor *m, enum event_action action)
{
    (void)monitor_tell_keeper(m, (uint8_t)action);
}

bool monitor_tell_keeper(const struct monitor *m, uint8_t byte)
{
    return m->event_fd >= 0 && send(m->event_fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

/* --- the end --- */

static void monitor_tell_end(void *arg, struct conn *conn)
{
    struct monitor *m = arg;

    if (conn->stream) /* of exec: its command ends with the guest */
        stream_end(conn->stream, EXIT_RUN_FAILED,
                   m->record.reason[0] ? m->record.reason
                                       : "the guest powered off before the command ended");
    if (conn->waiting)
        conn_answer(conn,
                    json_pack("{s:s, s:i, s:s}", "state", vm_state_name(m->record.state),
                              "exit_code", (int)m->record.exit_code, "reason", m->record.reason));
    if (conn->waiting || !conn->stream)
        conn_finish(conn);
}

/* Looked at now and then; LAST_WORDS_NS is the limit for clients that do not read. */
static void monitor_last_words(struct monitor *m)
{
    if (control_idle(m->control))
        loop_stop(m->loop);
    else
        loop_timer_set(m->sync, 5000000);
}

static void monitor_on_patience(void *arg)
{
    struct monitor *m = arg;

    if (m->ending)
        loop_stop(m->loop);
    else
        monitor_end(m, VM_STOPPED, EXIT_SIGNAL_BASE + SIGKILL,
                    "did not power down in time and was killed");
}

static void monitor_on_sync(void *arg)
{
    struct monitor *m = arg;

    if (m->ending)
        monitor_last_words(m);
    else
        monitor_sync(m);
}

void monitor_end(struct monitor *m, enum vm_state state, unsigned code, const char *reason)
{
    if (m->ending)
        return;
    m->record.exit_code = code;
    m->record.ended = (uint64_t)time(NULL);
    monitor_state(m, state, "%s", reason ? reason : "");
    m->ending = true;
    console_flush(m->console);
    if (m->command) { /* an end of the guest is no end of the command's own */
        struct command *command = TAKE(m->command);

        stream_end(command_stream(command), EXIT_RUN_FAILED,
                   reason ? reason : "the guest powered off before the command ended");
        command_free(command);
    }
    stream_end(console_stream(m->console), code, state == VM_FAILED ? reason : NULL);
    control_each(m->control, monitor_tell_end, m);
    loop_timer_set(m->timer, LAST_WORDS_NS);
    loop_timer_set(m->sync, 0);
}

void monitor_stop(struct monitor *m, unsigned seconds)
{
    if (m->ending || m->record.state == VM_STOPPING)
        return;
    if (m->record.state == VM_PAUSED)
        machine_resume(m->machine);
    monitor_event(m, EVENT_STOPPING);
    monitor_state(m, VM_STOPPING, "waiting for the guest to power down, %u s at most", seconds);
    loop_timer_set(m->timer, seconds * 1000000000ull);
    if (!m->begun || !agent_host_ready(m->agent) ||
        agent_host_shutdown(m->agent, AGENT_POWEROFF) < 0)
        monitor_end(m, VM_STOPPED, EXIT_SIGNAL_BASE + SIGKILL,
                    m->begun ? "killed: no agent that could power it down" : "not started");
}

/* --- the guest's own command --- */

static void monitor_on_command_ended(void *arg, unsigned code, const char *why)
{
    struct monitor *m = arg;
    bool writable = false;

    m->command = NULL;
    for (unsigned i = 0; i < m->config.disk_count; i++)
        writable = writable || !m->config.disk[i].read_only;
    m->record.exit_code = code;
    /* With nothing to save a power-down is only a delay. */
    if (writable && !m->ending)
        monitor_stop(m, STOP_SECONDS);
    else
        monitor_end(m, VM_STOPPED, code, why);
}

static void monitor_on_command_started(void *arg)
{
    struct monitor *m = arg;

    if (m->record.state == VM_STARTING)
        monitor_event(m, EVENT_RUNNING);
    monitor_state(m, VM_RUNNING, "%s", "");
}

static void monitor_start_command(struct monitor *m)
{
    struct agent_exec exec = {
        .argv = m->config.command,
        .env = m->config.env,
        .user = m->config.user,
        .workdir = m->config.workdir,
        .tty = m->config.tty,
        .open_stdin = m->config.open_stdin,
        .rows = 24,
        .columns = 80,
    };
    struct err err;

    if (command_start(m->command, m->agent, &exec, &err) < 0)
        monitor_end(m, VM_FAILED, EXIT_RUN_FAILED, err.text);
}

/* --- the agent --- */

static void monitor_on_agent(void *arg)
{
    struct monitor *m = arg;

    m->record.agent = true;
    if (m->ending)
        return;
    if (m->config.share_count && m->record.state == VM_STARTING)
        monitor_state(m, VM_STARTING, "waiting for its shares");
    shares_mount(&m->shares, m->agent);
}

static void monitor_on_agent_mounted(void *arg, uint32_t number, uint32_t code)
{
    shares_answer(&((struct monitor *)arg)->shares, number, code);
}

/* Nothing runs without what it was promised; a guest that has had it all once may go on without,
 * and says so. */
void monitor_on_shares(void *arg, const struct err *err)
{
    struct monitor *m = arg;

    if (m->ending)
        return;
    if (err && !m->mounted) {
        monitor_end(m, VM_FAILED, EXIT_RUN_FAILED, err->text);
        return;
    }
    if (err)
        log_warn("guest '%s': %s", m->guest->name, err->text);
    m->mounted = true;
    if (m->record.state == VM_STARTING) {
        monitor_event(m, EVENT_RUNNING);
        monitor_state(m, VM_RUNNING, "%s", err ? err->text : "");
    }
    if (m->command && !command_is_started(m->command))
        monitor_start_command(m);
}

static void monitor_on_agent_lost(void *arg, const char *why)
{
    struct monitor *m = arg;

    m->record.agent = false;
    monitor_event(m, EVENT_AGENT_LOST);
    shares_give_up(&m->shares);
    if (!m->ending && m->record.state == VM_RUNNING)
        monitor_state(m, VM_RUNNING, "%s", why);
}

/* --- the machine --- */

/* Whether one is to be waited for: a bare kernel brings none. */
static bool monitor_has_agent(const struct monitor *m)
{
    return m->config.image || m->config.command;
}

static void monitor_on_power(void *arg, enum power_action action, unsigned code)
{
    struct monitor *m = arg;
    /* After a power-down that its own command's end brought about, that command's code stands. */
    unsigned own = m->config.command && m->record.state == VM_STOPPING ? m->record.exit_code : code;

    switch (action) {
    case POWER_OFF: monitor_end(m, VM_STOPPED, own, NULL); break;
    case POWER_RESET:
        if (monitor_reset_is_panic(m))
            break;
        monitor_event(m, EVENT_REBOOTED);
        monitor_state(m, monitor_has_agent(m) ? VM_STARTING : VM_RUNNING, "%s",
                      monitor_has_agent(m) ? "restarting by its own request" : "");
        break;
    case POWER_PANIC:
        monitor_end(m, VM_FAILED, EXIT_RUN_FAILED, "the guest's kernel panicked");
        break;
    }
}

static void monitor_on_failed(void *arg, const struct err *err)
{
    struct monitor *m = arg;

    monitor_end(m, VM_FAILED, EXIT_RUN_FAILED, err->text);
}

static void monitor_carrier(const struct chardev *dev)
{
    if (dev->front.peer)
        dev->front.peer(dev->front.arg, true);
}

static int monitor_build(struct monitor *m, struct err *err)
{
    struct machine_io io = {
        .console = console_chardev(m->console),
        .virtio_console = console_hvc(m->console),
        .agent = agent_host_chardev(m->agent),
        .dir_fd = m->guest->dir_fd,
    };
    struct machine_events events = {monitor_on_power, monitor_on_failed, m};
    int r;

    io.vsock = m->vsock;
    for (unsigned i = 0; i < VM_NETS_MAX; i++)
        io.net[i] = m->net.net[i].dev;
    memcpy(io.share, m->shares.dev, sizeof(io.share));
    r = machine_new(&m->config, m->loop, &m->lock, &io, &events, &m->machine, err);

    if (r < 0)
        return r;
    snprintf(m->record.engine, sizeof(m->record.engine), "%s", machine_engine_name(m->machine));
    monitor_carrier(io.console);
    monitor_carrier(io.virtio_console);
    monitor_carrier(io.agent);
    return 0;
}

void monitor_begin(struct monitor *m)
{
    struct err err;

    if (m->begun || m->ending)
        return;
    m->begun = true;
    if (machine_start(m->machine, &err) < 0) {
        monitor_end(m, VM_FAILED, EXIT_RUN_FAILED, err.text);
        return;
    }
    if (monitor_has_agent(m))
        monitor_state(m, VM_STARTING, "waiting for agent");
    else {
        monitor_event(m, EVENT_RUNNING);
        monitor_state(m, VM_RUNNING, "%s", "");
    }
}

/* --- setting up --- */

static void monitor_on_signal(void *arg, int fd, unsigned events)
{
    struct monitor *m = arg;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return;
    m->record.by_request = true;
    monitor_stop(m, STOP_SECONDS);
}

static int monitor_watch_signals(struct monitor *m, struct err *err)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || loop_watch(m->loop, fd, EPOLLIN, monitor_on_signal, m) < 0)
        return err_set(err, -errno, "cannot watch signals: %s", strerror(errno));
    return 0;
}

static int monitor_open_streams(struct monitor *m, struct err *err)
{
    struct agent_events agent = {monitor_on_agent, monitor_on_agent_lost, monitor_on_agent_mounted,
                                 m};
    struct command_config command = {.lives_on = true,
                                     .ended = monitor_on_command_ended,
                                     .started = monitor_on_command_started,
                                     .arg = m};
    int r = guest_log_open(m->guest->dir_fd, "console.log", &m->console_log, err);

    if (!r && m->config.command)
        r = guest_log_open(m->guest->dir_fd, "output.log", &m->output_log, err);
    if (!r && (guest_log_turn_on(m->console_log, m->loop) ||
               (m->output_log && guest_log_turn_on(m->output_log, m->loop))))
        r = err_set(err, -ENOMEM, "out of memory");
    if (!r)
        r = console_new(m->loop, m->console_log, &m->console, err);
    if (r < 0)
        return r;
    console_on_line(m->console, monitor_on_line, m);
    command.log = m->output_log;
    m->agent = agent_host_new(&agent);
    m->command = m->config.command ? command_new(&command) : NULL;
    m->timer = loop_timer_new(m->loop, monitor_on_patience, m);
    m->sync = loop_timer_new(m->loop, monitor_on_sync, m);
    if (!m->agent || (m->config.command && !m->command) || !m->timer || !m->sync ||
        monitor_panic_init(m) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int monitor_open_control(struct monitor *m, int owner_fd, struct err *err)
{
    struct control_events events = {monitor_request, monitor_gone, m};
    CLEANUP(fd) int dir_fd = -1;
    int listen_fd = -1;
    int r = guest_run_dir(m->guest, &dir_fd, err);

    if (!r)
        r = control_listen(dir_fd, &listen_fd, err);
    if (!r)
        r = control_new(m->loop, listen_fd, &events, &m->control, err);
    if (r < 0)
        return r;
    m->owner = owner_fd < 0 ? NULL : control_adopt(m->control, owner_fd);
    if (owner_fd >= 0 && !m->owner)
        return err_set(err, -ENOMEM, "out of memory");
    if (m->owner)
        m->owner->owner = true;
    return 0;
}

/* A guest with a root of its own is named as it is called here. */
static int monitor_tell_name(struct monitor *m, struct err *err)
{
    char *append = NULL;

    if (!m->config.append || !strstr(m->config.append, "posada.root="))
        return 0;
    if (asprintf(&append, "%s posada.hostname=%s", m->config.append, m->guest->name) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    free(m->config.append);
    m->config.append = append;
    return 0;
}

static int monitor_init(struct monitor *m, struct err *err)
{
    int r = guest_read_config(m->guest, &m->config, err);

    if (!r)
        r = own_resolve(m->guest->dir_fd, &m->config, err);
    if (!r)
        r = monitor_tell_name(m, err);
    if (!r)
        r = guest_read_own_record(m->guest, &m->record, err);
    m->record = (struct guest_record){.created = m->record.created, .restarts = m->record.restarts};
    if (!r)
        r = loop_new(&m->lock, &m->loop, err);
    if (!r)
        r = monitor_open_streams(m, err);
    return r;
}

/* FILE[:CLASSES] */
static int monitor_open_trace(const struct monitor *m, struct err *err)
{
    CLEANUP(free) char *path = m->config.trace ? strdup(m->config.trace) : NULL;
    char *colon = path ? strrchr(path, ':') : NULL;

    if (!path)
        return 0;
    if (colon)
        *colon = '\0';
    return trace_open(path, colon ? colon + 1 : TRACE_ALL, TRACE_RECORDS, err);
}

/* What engine and networks ask of their descriptors, 0-terminated. */
static void monitor_ioctls(const struct monitor *m, uint32_t ret[MONITOR_IOCTLS_MAX])
{
    const struct engine *engine = machine_engine(m->machine); /* NULL: a machine of the tests */
    const uint32_t *own = engine ? engine->ops->ioctls : NULL;
    size_t n = networks_ioctls(&m->config, ret, MONITOR_IOCTLS_MAX - 1);

    while (own && *own && n < MONITOR_IOCTLS_MAX - 1)
        ret[n++] = *own++;
    ret[n] = 0;
}

static int monitor_lock_in(struct monitor *m, struct err *err)
{
    static const char *const own_files[] = {"state.json",
                                            "console.log",
                                            "console.log.1",
                                            "console.log.times",
                                            "console.log.1.times",
                                            "output.log",
                                            "output.log.1",
                                            "output.log.times",
                                            "output.log.1.times",
                                            FIRMWARE_VARS_FILE,
                                            NULL};
    uint32_t ioctls[MONITOR_IOCTLS_MAX];
    struct sandbox_missing missing;
    struct sandbox_config sandbox = {
        .own_files = own_files,
        .dir_fd = m->guest->dir_fd,
        .uuid = m->config.uuid,
        .name = m->guest->name,
        .ioctls = ioctls,
    };
    int r = sandbox_level_parse(m->config.sandbox, &sandbox.level);

    if (r < 0)
        return err_set(err, r, "sandbox '%.20s': expected strict or thin", m->config.sandbox);
    monitor_ioctls(m, ioctls);
    tzset(); /* libc reads its file at the first use: now, while every thread may */
    r = sandbox_prepare_threads(sandbox.ioctls, err);
    if (r < 0)
        return r;
    r = sandbox_enter(&sandbox, &missing, err);
    if (!r && missing.text[0])
        log_warn("guest '%s': its sandbox is thinner than it should be, this host lacks: %s",
                 m->guest->name, missing.text);
    return r;
}

static void monitor_free(struct monitor *m)
{
    machine_free(m->machine);
    monitor_close_links(m);
    command_free(m->command);
    agent_host_free(m->agent);
    control_free(m->control);
    console_free(m->console);
    guest_log_close(m->console_log);
    guest_log_close(m->output_log);
    if (m->memory_fd >= 0)
        close(m->memory_fd);
    loop_free(m->loop);
    vm_config_done(&m->config);
}

static int monitor_set_up(struct monitor *m, int owner_fd, struct err *err)
{
    int r = monitor_init(m, err);

    if (r < 0)
        return r;
    m->record.started = (uint64_t)time(NULL);
    monitor_state(m, VM_STARTING, "building the machine");
    monitor_sync(m);
    m->memory_fd = memory_use_open();
    r = monitor_watch_signals(m, err); /* blocked before the first thread is born */
    if (!r)
        r = monitor_open_trace(m, err);
    if (!r)
        r = monitor_open_links(m, err);
    if (!r)
        r = monitor_build(m, err);
    if (!r)
        r = monitor_open_control(m, owner_fd, err);
    if (!r)
        r = monitor_lock_in(m, err);
    return r;
}

int monitor_main(struct guest *guest, int owner_fd, int event_fd, const struct networks *net)
{
    struct monitor m = {.guest = guest,
                        .net = *net,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .event_fd = event_fd,
                        .memory_fd = -1};
    struct err err = {0};
    int r;

    pthread_mutex_lock(&m.lock);
    r = monitor_set_up(&m, owner_fd, &err);
    if (!r) {
        (void)monitor_tell_keeper(&m, MONITOR_BUILT);
        monitor_state(&m, VM_STARTING, "waiting for its owner");
        if (m.owner)
            conn_answer(m.owner, NULL);
        else
            monitor_begin(&m);
        pthread_mutex_unlock(&m.lock);
        r = loop_run(m.loop, &err);
        pthread_mutex_lock(&m.lock);
        if (m.machine)
            machine_stop(m.machine);
    }
    if (r < 0) {
        m.record.state = VM_FAILED;
        m.record.exit_code = EXIT_RUN_FAILED;
        m.record.ended = (uint64_t)time(NULL);
        snprintf(m.record.reason, sizeof(m.record.reason), "%.299s", err.text);
        if (owner_fd < 0)
            log_warn("guest '%s' cannot start: %s", guest->name, err.text);
        else
            control_refuse_fd(owner_fd, &err);
    }
    monitor_sync(&m);
    monitor_free(&m);
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}
