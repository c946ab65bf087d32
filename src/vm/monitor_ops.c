/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may ask of a guest's process (protocol: vm/control.h). One function an operation,
 * one line in the table. Clients act for the guest's user; requests are checked all the same.
 */
#include "host/memory_use.h"
#include "host/sandbox_refusal.h"
#include "mem/mem.h"
#include "net/forward.h"
#include "vm/config.h"
#include "vm/monitor_state.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct op {
    const char *name;
    void (*run)(struct monitor *m, struct conn *conn, const json_t *request);
};

/* gauges: gets the names of those that are present values and do not count; NULL: not wanted. */
static void op_number(const struct engine_stat *stat, json_t *numbers, json_t *gauges)
{
    json_object_set_new(numbers, stat->name, json_integer((json_int_t)stat->value));
    if (gauges && stat->gauge)
        json_array_append_new(gauges, json_string(stat->name));
}

static json_t *op_numbers(const struct monitor *m, json_t *gauges)
{
    struct engine_stat stats[64];
    unsigned count = machine_stats(m->machine, stats, ARRAY_LEN(stats));
    json_t *numbers = json_object();

    for (unsigned i = 0; i < count; i++)
        op_number(&stats[i], numbers, gauges);
    return numbers;
}

static void op_status(struct monitor *m, struct conn *conn, const json_t *request)
{
    conn_answer(conn, json_pack("{s:s, s:s, s:b, s:b, s:s, s:o}", "state",
                                vm_state_name(m->record.state), "reason", m->record.reason, "begun",
                                m->begun, "agent", agent_host_ready(m->agent), "engine",
                                m->record.engine, "stats", op_numbers(m, NULL)));
}

/* What the process has resident, as further numbers. */
static void op_add_memory(const struct monitor *m, json_t *numbers, json_t *gauges)
{
    struct memory_use use;

    if (m->memory_fd < 0 || memory_use_read(m->memory_fd, MEM_RAM_NAME, &use) < 0)
        return;
    const struct engine_stat stats[] = {{"guest_ram_bytes", m->config.memory, true},
                                        {"guest_ram_resident_bytes", use.named, true},
                                        {"monitor_resident_bytes", use.rest, true}};

    for (size_t i = 0; i < ARRAY_LEN(stats); i++)
        op_number(&stats[i], numbers, gauges);
}

static void op_stats(struct monitor *m, struct conn *conn, const json_t *request)
{
    json_t *gauges = json_array(), *numbers = op_numbers(m, gauges);

    op_add_memory(m, numbers, gauges);
    conn_answer(conn, json_pack("{s:s, s:o, s:o}", "engine", m->record.engine, "stats", numbers,
                                "gauges", gauges));
}

/* The owner's coming also starts the guest. */
static void op_join(struct monitor *m, struct conn *conn, struct stream *s, const json_t *request)
{
    conn_join(conn, s, request);
    if (conn->owner)
        monitor_begin(m);
}

static void op_console(struct monitor *m, struct conn *conn, const json_t *request)
{
    op_join(m, conn, console_stream(m->console), request);
}

/* The guest's own command, or its console when it has none. */
static void op_attach(struct monitor *m, struct conn *conn, const json_t *request)
{
    op_join(m, conn, m->command ? command_stream(m->command) : console_stream(m->console), request);
}

static void op_detach(struct monitor *m, struct conn *conn, const json_t *request)
{
    conn->detached = true;
    if (conn->owner)
        monitor_begin(m);
    monitor_sync(m); /* who asks next must not read of an older state */
    conn_answer(conn, NULL);
}

static void op_exec(struct monitor *m, struct conn *conn, const json_t *request)
{
    bool detach = json_is_true(json_object_get(request, "detach"));
    struct command_config config = {.lives_on = detach};
    struct vm_config wanted;
    struct agent_exec exec;
    struct command *command;
    struct err err;

    /* The same keys as in a guest's configuration: command, env, user, workdir, tty... */
    if (vm_config_from_json(json_object_get(request, "exec"), &wanted, &err) < 0) {
        conn_refuse(conn, &err);
        return;
    }
    exec = (struct agent_exec){
        .argv = wanted.command,
        .env = wanted.env,
        .user = wanted.user,
        .workdir = wanted.workdir,
        .tty = wanted.tty,
        .open_stdin = wanted.open_stdin,
        .own = json_is_true(json_object_get(request, "own")),
        .rows = control_number(request, "rows", 24, UINT16_MAX),
        .columns = control_number(request, "columns", 80, UINT16_MAX),
    };
    command = command_new(&config);
    if (!command || !wanted.command || !wanted.command[0]) {
        conn_refuse_text(conn, -EINVAL, "exec: no command given");
        command_free(command);
    } else if (command_start(command, m->agent, &exec, &err) < 0) {
        if (!agent_host_ready(m->agent))
            err_set(&err, -EBUSY, "guest '%s': its agent does not answer (state: %s%s%s)",
                    m->guest->name, vm_state_name(m->record.state), m->record.reason[0] ? ", " : "",
                    m->record.reason);
        conn_refuse(conn, &err);
        command_free(command);
    } else {
        conn_answer(conn, NULL);
        conn->patient = !detach;
        if (!detach)
            conn_stream(conn, command_stream(command), false);
    }
    vm_config_done(&wanted);
}

static void op_signal(struct monitor *m, struct conn *conn, const json_t *request)
{
    struct stream *s = m->command ? command_stream(m->command) : NULL;

    if (!s || !command_is_started(m->command)) {
        conn_refuse_text(conn, -EBUSY,
                         m->command
                             ? "the guest's command has not started yet"
                             : "the guest has no command of its own that could take a signal; "
                               "without --signal, kill ends the guest");
        return;
    }
    s->ops->signal(s->arg, control_number(request, "signal", 0, 64));
    conn_answer(conn, NULL);
}

static void op_stop(struct monitor *m, struct conn *conn, const json_t *request)
{
    conn->waiting = true;
    m->record.by_request = true;
    monitor_stop(m, control_number(request, "seconds", STOP_SECONDS, 86400));
}

static void op_kill(struct monitor *m, struct conn *conn, const json_t *request)
{
    conn->waiting = true;
    m->record.by_request = true;
    monitor_end(m, VM_STOPPED, EXIT_SIGNAL_BASE + SIGKILL, "killed by request");
}

static void op_wait(struct monitor *m, struct conn *conn, const json_t *request)
{
    conn->waiting = true;
}

static void op_pause(struct monitor *m, struct conn *conn, const json_t *request)
{
    if (m->record.state != VM_RUNNING && m->record.state != VM_STARTING) {
        conn_refuse_text(conn, -EBUSY, "only a running guest can be paused");
        return;
    }
    machine_pause(m->machine);
    monitor_event(m, EVENT_PAUSED);
    monitor_state(m, VM_PAUSED, "%s", "");
    monitor_sync(m);
    conn_answer(conn, NULL);
}

static void op_resume(struct monitor *m, struct conn *conn, const json_t *request)
{
    if (m->record.state != VM_PAUSED) {
        conn_refuse_text(conn, -EBUSY, "the guest is not paused");
        return;
    }
    machine_resume(m->machine);
    monitor_event(m, EVENT_RESUMED);
    monitor_state(m, VM_RUNNING, "%s", "");
    monitor_sync(m);
    conn_answer(conn, NULL);
}

/* The guest has another name: for what is still said of it. */
static void op_renamed(struct monitor *m, struct conn *conn, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "name"));

    if (!name || vm_name_check(name, NULL) < 0) {
        conn_refuse_text(conn, -EINVAL, "renamed: no such name");
        return;
    }
    strcpy(m->guest->name, name);
    strcpy(m->config.name, name);
    sandbox_refusal_name(name);
    conn_answer(conn, NULL);
}

/* Its networks have other limits. */
static void op_rate(struct monitor *m, struct conn *conn, const json_t *request)
{
    struct err err;

    if (networks_set_rate(&m->net, json_string_value(json_object_get(request, "rate")), &err) < 0)
        conn_refuse(conn, &err);
    else
        conn_answer(conn, NULL);
}

static void op_forwarded(void *arg, const struct err *err)
{
    struct monitor *m = arg;
    struct conn *conn = m->order;

    m->order = NULL;
    if (err->code)
        conn_refuse(conn, err);
    else
        conn_answer(conn, NULL);
}

/* A port of the host leads into the guest, or no longer. Keeping that is the client's affair. */
static void op_forward(struct monitor *m, struct conn *conn, const json_t *request)
{
    const char *add = json_string_value(json_object_get(request, "add"));
    const char *text = add ? add : json_string_value(json_object_get(request, "remove"));
    char full[NET_FORWARD_TEXT];
    struct net_forward forward;
    struct err err = {0};
    int r = text ? net_forward_parse("port", text, &forward, &err)
                 : err_set(&err, -EINVAL, "forward: no port given");

    if (!r && forward.count != 1)
        r = err_set(&err, -EINVAL, "forward: one port at a time");
    if (!r) {
        net_forward_print(&forward, full);
        r = networks_order(&m->net, add ? NET_ORDER_ADD : NET_ORDER_REMOVE, full, op_forwarded, m,
                           &err);
    }
    if (r < 0)
        conn_refuse(conn, &err);
    else
        m->order = conn;
}

static const struct op ops[] = {
    {"attach", op_attach},   {"console", op_console}, {"detach", op_detach}, {"exec", op_exec},
    {"forward", op_forward}, {"kill", op_kill},       {"pause", op_pause},   {"rate", op_rate},
    {"renamed", op_renamed}, {"resume", op_resume},   {"signal", op_signal}, {"stats", op_stats},
    {"status", op_status},   {"stop", op_stop},       {"wait", op_wait},
};

void monitor_request(void *arg, struct conn *conn, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "op"));

    if (((struct monitor *)arg)->ending) {
        conn_refuse_text(conn, -EBUSY, "the guest is just ending");
        return;
    }
    for (unsigned i = 0; name && i < ARRAY_LEN(ops); i++)
        if (!strcmp(ops[i].name, name)) {
            ops[i].run(arg, conn, request);
            return;
        }
    conn_refuse_text(conn, -EINVAL, "unknown operation");
}

void monitor_gone(void *arg, struct conn *conn, bool detached)
{
    struct monitor *m = arg;

    if (conn == m->order) {
        m->order = NULL;
        networks_forget_order(&m->net);
    }
    if (conn != m->owner)
        return;
    m->owner = NULL;
    if (detached)
        return;
    m->record.by_request = true;
    monitor_end(m, VM_STOPPED, EXIT_SIGNAL_BASE + SIGKILL,
                "killed: the command line that ran it in the foreground is gone");
}
