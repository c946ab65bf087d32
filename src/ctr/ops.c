/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may ask of a container (protocol: vm/control.h), as vm/monitor_ops.c has it for VMs.
 * What posada-oci has to do is a question to it, answered when it has ended; the client may be gone
 * by then.
 */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "ctr/bundle.h"
#include "host/file.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* --- questions --- */

static void question_free(struct ctr_question *q)
{
    struct ctr_question **link = &q->ctr->questions;

    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    ctr_job_done(&q->job);
    (void)!unlinkat(q->ctr->run_fd, strrchr(q->log, '/') + 1, 0);
    if (*q->file)
        (void)!unlinkat(q->ctr->run_fd, q->file, 0);
    free(q);
}

void ctr_questions_free(struct ctr *c)
{
    while (c->questions) {
        if (c->questions->conn)
            conn_refuse_text(c->questions->conn, -EBUSY, "the guest is just ending");
        question_free(c->questions);
    }
}

static void question_fail(struct ctr_question *q, const struct err *err)
{
    if (q->failed)
        q->failed(q);
    if (q->conn)
        conn_refuse(q->conn, err);
}

static void question_done(void *arg, int code, const struct buf *out, const struct err *err)
{
    struct ctr_question *q = arg;

    if (code)
        question_fail(q, err);
    else
        q->answer(q, out);
    question_free(q);
}

static void question_ask(struct ctr_question *q, const char *const *words, bool output)
{
    struct ctr *c = q->ctr;
    struct ctr_oci oci = ctr_oci_of(c, q->log);
    const struct ctr_job_config config = {.loop = c->all->loop,
                                          .oci = &oci,
                                          .words = words,
                                          .in = -1,
                                          .out = -1,
                                          .err_fd = -1,
                                          .output = output,
                                          .done = question_done,
                                          .arg = q};
    struct err err;

    if (ctr_job_start(&q->job, &config, &err) < 0) {
        question_fail(q, &err);
        question_free(q);
    }
}

static struct ctr_question *question_new(struct ctr *c, struct conn *conn,
                                         void (*answer)(struct ctr_question *q,
                                                        const struct buf *out))
{
    struct ctr_question *q = calloc(1, sizeof(*q));
    int n;

    if (!q)
        return NULL;
    *q = (struct ctr_question){.next = c->questions,
                               .ctr = c,
                               .conn = conn,
                               .job.child.pidfd = -1,
                               .job.out_fd = -1,
                               .answer = answer};
    n = snprintf(q->log, sizeof(q->log), "%s/ask-%u", c->run_path, c->numbers++);
    c->questions = q;
    if (n < 0 || n >= (int)sizeof(q->log)) {
        c->questions = q->next;
        free(q);
        return NULL;
    }
    return q;
}

void ctr_ask(struct ctr *c, struct conn *conn, const char *const *words, bool output,
             void (*answer)(struct ctr_question *q, const struct buf *out))
{
    struct ctr_question *q = question_new(c, conn, answer);

    if (q)
        question_ask(q, words, output);
    else if (conn)
        conn_refuse_text(conn, -ENOMEM, "out of memory");
}

/* --- operations --- */

static void op_status(struct ctr *c, struct conn *conn, const json_t *request)
{
    conn_answer(conn, json_pack("{s:s, s:s, s:b, s:b, s:s, s:{}}", "state",
                                vm_state_name(c->record.state), "reason", c->record.reason, "begun",
                                c->begun, "agent", c->phase == CTR_RUNNING, "engine",
                                c->record.engine, "stats"));
}

static void op_join(struct ctr *c, struct conn *conn, const json_t *request)
{
    if (!c->proc) {
        conn_refuse_text(conn, -EBUSY, "the guest is between two runs");
        return;
    }
    conn_join(conn, ctr_proc_stream(c->proc), request);
    if (conn->owner)
        ctr_begin(c);
}

static void op_detach(struct ctr *c, struct conn *conn, const json_t *request)
{
    conn->detached = true;
    if (conn->owner && !c->begun) { /* answered when its program runs, or cannot */
        c->starter = conn;
        ctr_begin(c);
        return;
    }
    if (conn == c->owner && c->phase == CTR_RUNNING)
        ctr_note_init(c);
    ctr_sync(c); /* who asks next must not read of an older state */
    conn_answer(conn, NULL);
}

static void op_signal(struct ctr *c, struct conn *conn, const json_t *request)
{
    if (c->phase != CTR_RUNNING) {
        conn_refuse_text(conn, -EBUSY, "the guest's command has not started yet");
        return;
    }
    ctr_proc_signal(c->proc, control_number(request, "signal", 0, 64));
    conn_answer(conn, NULL);
}

static void op_stop(struct ctr *c, struct conn *conn, const json_t *request)
{
    conn->waiting = true;
    c->record.by_request = true;
    ctr_stop(c, control_number(request, "seconds", CTR_STOP_SECONDS, 86400));
}

static void op_kill(struct ctr *c, struct conn *conn, const json_t *request)
{
    conn->waiting = true;
    c->record.by_request = true;
    ctr_kill(c);
}

static void op_wait(struct ctr *c, struct conn *conn, const json_t *request)
{
    conn->waiting = true;
}

/* --- pause and resume --- */

static void op_paused(struct ctr_question *q, const struct buf *out)
{
    if (q->ctr->record.state == VM_STOPPING) {
        ctr_loosen(q->ctr);
        if (q->conn)
            conn_refuse_text(q->conn, -EBUSY, "the guest is just stopping");
        return;
    }
    event_add(EVENT_PAUSED, &q->ctr->guest, NULL);
    ctr_state(q->ctr, VM_PAUSED, "%s", "");
    ctr_sync(q->ctr);
    if (q->conn)
        conn_answer(q->conn, NULL);
}

static void op_pause(struct ctr *c, struct conn *conn, const json_t *request)
{
    const char *const words[] = {"pause", c->guest.name, NULL};

    if (c->record.state != VM_RUNNING)
        conn_refuse_text(conn, -EBUSY, "only a running guest can be paused");
    else
        ctr_ask(c, conn, words, false, op_paused);
}

static void op_resumed(struct ctr_question *q, const struct buf *out)
{
    event_add(EVENT_RESUMED, &q->ctr->guest, NULL);
    if (q->ctr->record.state == VM_PAUSED) /* else a stop was quicker */
        ctr_state(q->ctr, VM_RUNNING, "%s", "");
    ctr_sync(q->ctr);
    if (q->conn)
        conn_answer(q->conn, NULL);
}

static void op_resume(struct ctr *c, struct conn *conn, const json_t *request)
{
    const char *const words[] = {"resume", c->guest.name, NULL};

    if (c->record.state != VM_PAUSED)
        conn_refuse_text(conn, -EBUSY, "the guest is not paused");
    else
        ctr_ask(c, conn, words, false, op_resumed);
}

/* --- stats and limits --- */

static json_int_t stat_of(const json_t *data, const char *group, const char *part, const char *name)
{
    const json_t *at = json_object_get(data, group);

    return (json_int_t)json_real_value(
        json_object_get(part ? json_object_get(at, part) : at, name));
}

/* The names that VMs' numbers have too, so that one table shows both. */
static json_t *op_numbers(const struct ctr *c, const json_t *data)
{
    json_t *numbers =
        json_pack("{s:I, s:I, s:I}", "vcpu_cpu_ns", stat_of(data, "cpu", "usage", "total"),
                  "guest_ram_resident_bytes", stat_of(data, "memory", "usage", "usage"),
                  "processes", stat_of(data, "pids", NULL, "current"));

    json_object_set_new(numbers, "throttled_ns",
                        json_integer(stat_of(data, "cpu", "throttling", "throttledTime")));
    json_object_set_new(numbers, "memory_max_bytes",
                        json_integer(stat_of(data, "memory", "usage", "max")));
    if (c->config.memory)
        json_object_set_new(numbers, "guest_ram_bytes", json_integer((json_int_t)c->config.memory));
    ctr_memory_numbers(c, numbers);
    return numbers;
}

/* Which of all the names below are present values. */
static json_t *op_gauges(void)
{
    return json_pack("[s, s, s, s, s, s]", "guest_ram_bytes", "guest_ram_resident_bytes",
                     "memory_high_bytes", "memory_low_bytes", "memory_max_bytes", "processes");
}

static void op_counted(struct ctr_question *q, const struct buf *out)
{
    /* "No limit" is a number that jansson takes as a real one only. */
    json_t *event = json_loadb((const char *)buf_data(out), out->len,
                               JSON_DISABLE_EOF_CHECK | JSON_DECODE_INT_AS_REAL, NULL);

    if (q->conn)
        conn_answer(q->conn, json_pack("{s:s, s:o, s:o}", "engine", q->ctr->record.engine, "stats",
                                       op_numbers(q->ctr, json_object_get(event, "data")), "gauges",
                                       op_gauges()));
    json_decref(event);
}

/* What one process has used: clock ticks, pages. */
static void op_add_process(pid_t pid, uint64_t *ticks, uint64_t *pages)
{
    CLEANUP(free) char *stat = NULL;
    unsigned long long user = 0, kernel = 0;
    long resident = 0;
    const char *at;
    char path[40];

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (file_read(AT_FDCWD, path, 8192, &stat, NULL, NULL) < 0 || !(at = strrchr(stat, ')')))
        return;
    /* proc(5): fields 14, 15 and 24; the name before may hold anything. */
    if (sscanf(at + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d "
               "%*d %*u %*u %ld",
               &user, &kernel, &resident) != 3)
        return;
    *ticks += user + kernel;
    *pages += (uint64_t)resident;
}

/* Without control groups: the sum over what runs now. */
static void op_summed(struct ctr_question *q, const struct buf *out)
{
    json_t *pids = json_loadb((const char *)buf_data(out), out->len, JSON_DISABLE_EOF_CHECK, NULL);
    uint64_t ticks = 0, pages = 0;
    const json_t *pid;
    size_t i;

    json_array_foreach(pids, i, pid) op_add_process((pid_t)json_integer_value(pid), &ticks, &pages);
    if (q->conn)
        conn_answer(
            q->conn,
            json_pack("{s:s, s:{s:I, s:I, s:I}, s:o}", "engine", q->ctr->record.engine, "stats",
                      "vcpu_cpu_ns",
                      (json_int_t)(ticks * UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK)),
                      "guest_ram_resident_bytes",
                      (json_int_t)(pages * (uint64_t)sysconf(_SC_PAGESIZE)), "processes",
                      (json_int_t)json_array_size(pids), "gauges", op_gauges()));
    json_decref(pids);
}

static void op_stats(struct ctr *c, struct conn *conn, const json_t *request)
{
    const char *const words[] = {"events", "--stats", c->guest.name, NULL};
    const char *const list[] = {"ps", "--format", "json", c->guest.name, NULL};

    if (c->phase != CTR_RUNNING)
        conn_refuse_text(conn, -EBUSY, "the guest does not run yet");
    else if (!(c->all->group.means & CTR_GROUP_MEMORY))
        ctr_ask(c, conn, list, true, op_summed);
    else
        ctr_ask(c, conn, words, true, op_counted);
}

/* The limits that its configuration has now: its next run has them in any case. */
static int update_read(struct ctr *c, struct err *err)
{
    struct vm_config config;
    int r = guest_read_config(&c->guest, &config, err);

    if (r < 0)
        return r;
    c->config.memory = config.memory;
    c->config.memory_low = config.memory_low;
    c->config.memory_high = config.memory_high;
    c->config.memory_auto = config.memory_auto;
    c->config.millicpus = config.millicpus;
    c->config.pids = config.pids;
    vm_config_done(&config);
    return 0;
}

/* Another update may have failed meanwhile: what is written down counts. */
static void op_updated(struct ctr_question *q, const struct buf *out)
{
    (void)!update_read(q->ctr, NULL);
    ctr_memory_watch(q->ctr);
    if (q->conn)
        conn_answer(q->conn, NULL);
}

/* The mark goes on moving, whatever its configuration says now: one that stays would throttle what
 * grows. */
static void op_not_updated(struct ctr_question *q)
{
    if (q->ctr->phase != CTR_RUNNING)
        return;
    q->ctr->config.memory_auto = true;
    ctr_memory_watch(q->ctr);
}

static int update_ask(struct ctr *c, struct conn *conn, struct err *err)
{
    struct ctr_question *q = question_new(c, conn, op_updated);
    CLEANUP(free) char *path = NULL;
    int r;

    if (!q)
        return err_set(err, -ENOMEM, "out of memory");
    (void)snprintf(q->file, sizeof(q->file), "limits-%u", c->numbers++);
    r = ctr_write_json(c->run_fd, q->file,
                       ctr_bundle_resources(&c->config, c->all->group.means, true), err);
    if (!r && asprintf(&path, "%s/%s", c->run_path, q->file) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r < 0) {
        question_free(q);
        return r;
    }
    if (c->pressure.loop && !c->config.memory_auto) { /* or it might write its mark over the new */
        ctr_pressure_end(&c->pressure);
        q->failed = op_not_updated;
    }
    question_ask(q, (const char *const[]){"update", "--resources", path, c->guest.name, NULL},
                 false);
    return 0;
}

static int update_check(const struct ctr *c, const struct vm_config *config, struct err *err)
{
    int r = ctr_group_check(&c->all->group, config, err);

    return !r && c->phase != CTR_RUNNING && c->phase != CTR_WAITING
               ? err_set(err, -EBUSY, "the guest does not run yet")
               : r;
}

/* "wanted": the limits its configuration would have; only whether it could be so. */
static void update_answer_wanted(const struct ctr *c, struct conn *conn, const json_t *wanted)
{
    struct vm_config config;
    struct err err;
    int r = vm_config_from_json(wanted, &config, &err);

    if (!r) {
        r = update_check(c, &config, &err);
        vm_config_done(&config);
    }
    if (r < 0)
        conn_refuse(conn, &err);
    else
        conn_answer(conn, NULL);
}

/* Its configuration has been changed: the new limits count now, or from its next run on. */
static void op_update(struct ctr *c, struct conn *conn, const json_t *request)
{
    const json_t *wanted = json_object_get(request, "wanted");
    struct err err;
    int r;

    if (wanted) {
        update_answer_wanted(c, conn, wanted);
        return;
    }
    r = update_read(c, &err);
    if (!r)
        r = update_check(c, &c->config, &err);
    if (!r && c->phase == CTR_RUNNING)
        r = update_ask(c, conn, &err);
    else if (!r)
        conn_answer(conn, NULL);
    if (r < 0)
        conn_refuse(conn, &err);
}

/* For its next run its configuration, changed already, says the same. */
static void op_rate(struct ctr *c, struct conn *conn, const json_t *request)
{
    const char *rate = json_string_value(json_object_get(request, "rate"));
    CLEANUP(free) char *mine = rate ? strdup(rate) : NULL;
    struct err err;

    if (rate && !mine) {
        conn_refuse_text(conn, -ENOMEM, "out of memory");
        return;
    }
    if (c->config.net_count && ctr_net_set_rate(c->run_fd, rate, &err) < 0) {
        conn_refuse(conn, &err);
        return;
    }
    free(c->config.net_rate);
    c->config.net_rate = TAKE(mine);
    conn_answer(conn, NULL);
}

/* --- the table --- */

static const struct op {
    const char *name;
    void (*run)(struct ctr *c, struct conn *conn, const json_t *request);
} ops[] = {
    {"attach", op_join},   {"console", op_join}, {"detach", op_detach}, {"exec", ctr_exec_request},
    {"kill", op_kill},     {"pause", op_pause},  {"rate", op_rate},     {"resume", op_resume},
    {"signal", op_signal}, {"stats", op_stats},  {"status", op_status}, {"stop", op_stop},
    {"update", op_update}, {"wait", op_wait},
};

void ctr_request(void *arg, struct conn *conn, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "op"));
    struct ctr *c = arg;

    if (c->phase == CTR_CLEANING || c->phase == CTR_OVER) {
        conn_refuse_text(conn, -EBUSY, "the guest is just ending");
        return;
    }
    for (unsigned i = 0; name && i < ARRAY_LEN(ops); i++)
        if (!strcmp(ops[i].name, name)) {
            ops[i].run(c, conn, request);
            return;
        }
    conn_refuse_text(conn, -EINVAL, "unknown operation");
}

void ctr_gone(void *arg, struct conn *conn, bool detached)
{
    struct ctr *c = arg;

    for (struct ctr_question *q = c->questions; q; q = q->next)
        if (q->conn == conn)
            q->conn = NULL;
    if (conn == c->starter)
        c->starter = NULL;
    if (conn != c->owner)
        return;
    c->owner = NULL;
    if (detached && c->phase == CTR_RUNNING)
        ctr_note_init(c);
    if (detached || c->phase >= CTR_CLEANING)
        return;
    c->record.by_request = true;
    ctr_kill(c);
}
