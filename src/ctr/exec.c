/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: one more process in a container, by a posada-oci that stays with it and ends with its code.
 * Copying (cp) is an exec too, of this program: it enters the container's root and does there what
 * the agent of a VM does.
 */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "ctr/bundle.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXEC_PATH = 4200 };

static void exec_path(const struct ctr_exec *e, const char *what, bool whole, char *path)
{
    (void)snprintf(path, EXEC_PATH, "%s%s%s-%u", whole ? e->ctr->run_path : "", whole ? "/" : "",
                   what, e->number);
}

static void exec_free(struct ctr_exec *e)
{
    static const char *const files[] = {"process", "log", "tty"};
    struct ctr_exec **link = &e->ctr->execs;
    char name[EXEC_PATH];

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        exec_path(e, files[i], false, name);
        (void)!unlinkat(e->ctr->run_fd, name, 0);
    }
    ctr_proc_free(e->proc);
    free(e);
}

/* Its container has ended: so has it. */
void ctr_exec_free_all(struct ctr *c)
{
    while (c->execs) {
        stream_end(ctr_proc_stream(c->execs->proc), EXIT_SIGNAL_BASE + SIGKILL, NULL);
        exec_free(c->execs);
    }
}

static void exec_on_ended(void *arg, int status)
{
    struct ctr_exec *e = arg;
    unsigned code = ctr_exit_code(status);
    char name[EXEC_PATH];
    struct err err;

    exec_path(e, "log", false, name);
    /* Without a word in its log the code is the program's own. */
    if (code && faccessat(e->ctr->run_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
        ctr_oci_error(e->ctr->run_fd, name, &err) < 0 &&
        strcmp(err.text, "posada-oci ended without a word") != 0)
        stream_end(ctr_proc_stream(e->proc), ctr_failure_code(&err), err.text);
    else
        stream_end(ctr_proc_stream(e->proc), code, NULL);
    exec_free(e);
}

/* Nobody listens to it any more: it is told, as by a terminal that hangs up. */
static void exec_on_abandoned(void *arg)
{
    struct ctr_exec *e = arg;

    ctr_proc_signal(e->proc, SIGHUP);
}

static struct ctr_exec *exec_new(struct ctr *c, const struct vm_config *wanted, bool detach)
{
    struct ctr_exec *e = calloc(1, sizeof(*e));
    char tty[32];
    struct ctr_proc_config config = {
        .loop = c->all->loop,
        .lives_on = detach,
        .tty_dir = c->run_fd,
        .open_stdin = wanted->open_stdin,
        .ended = exec_on_ended,
        .abandoned = exec_on_abandoned,
        .arg = e,
    };

    if (!e)
        return NULL;
    *e = (struct ctr_exec){.next = c->execs, .ctr = c, .number = c->numbers++, .detached = detach};
    (void)snprintf(tty, sizeof(tty), "tty-%u", e->number);
    config.tty_name = wanted->tty ? tty : NULL;
    e->proc = ctr_proc_new(&config);
    if (!e->proc) {
        free(e);
        return NULL;
    }
    c->execs = e;
    return e;
}

/* process-N: what posada-oci is to run. */
static int exec_describe(const struct ctr_exec *e, const struct vm_config *wanted, struct err *err)
{
    const struct ctr *c = e->ctr;
    char name[EXEC_PATH];
    struct ctr_user who;
    int r = ctr_find_user(c, wanted->user, &who, err);

    if (r < 0)
        return r;
    exec_path(e, "process", false, name);
    return ctr_write_json(c->run_fd, name, ctr_bundle_process(&c->config, wanted, &who), err);
}

static int exec_spawn(const struct ctr_exec *e, const char *const *argv, const int fds[3],
                      pid_t *ret_pid, struct err *err)
{
    const struct ctr_spawn spawn = {
        .argv = (char *const *)(uintptr_t)argv, .in = fds[0], .out = fds[1], .err_fd = fds[2]};

    return ctr_spawn_program(&spawn, ret_pid, err);
}

static int exec_run_oci(struct ctr_exec *e, const struct vm_config *wanted, const int fds[3],
                        pid_t *ret_pid, struct err *err)
{
    char process[EXEC_PATH], log[EXEC_PATH], tty[EXEC_PATH];
    const char *words[10], *argv[CTR_WORDS_MAX];
    struct ctr_oci oci = ctr_oci_of(e->ctr, log);
    unsigned n = 0;
    int r = exec_describe(e, wanted, err);

    exec_path(e, "process", true, process);
    exec_path(e, "log", true, log);
    exec_path(e, "tty", true, tty);
    words[n++] = "exec";
    words[n++] = "--process";
    words[n++] = process;
    if (wanted->tty) {
        words[n++] = "--console-socket";
        words[n++] = tty;
    }
    words[n++] = e->ctr->guest.name;
    words[n] = NULL;
    ctr_oci_words(&oci, words, argv);
    return r ? r : exec_spawn(e, argv, fds, ret_pid, err);
}

/* The agent's own commands, pack and unpack: this program in the container's root. */
static int exec_run_own(struct ctr_exec *e, const struct vm_config *wanted, const int fds[3],
                        pid_t *ret_pid, struct err *err)
{
    const char *argv[8] = {e->ctr->all->self, "container-copy"};
    char pid[16];
    unsigned n = 3;

    (void)snprintf(pid, sizeof(pid), "%d", e->ctr->pid);
    argv[2] = pid;
    for (char *const *word = wanted->command; *word && n < ARRAY_LEN(argv) - 1; word++)
        argv[n++] = *word;
    argv[n] = NULL;
    return exec_spawn(e, argv, fds, ret_pid, err);
}

static int exec_start(struct ctr_exec *e, const struct vm_config *wanted, bool own, struct err *err)
{
    int fds[3], r = ctr_proc_open(e->proc, fds, err);
    pid_t pid;

    if (r < 0)
        return r;
    r = own ? exec_run_own(e, wanted, fds, &pid, err) : exec_run_oci(e, wanted, fds, &pid, err);
    ctr_proc_close_ends(fds);
    return r ? r : ctr_proc_started(e->proc, pid, err);
}

static int exec_begin(struct ctr *c, const json_t *request, const struct vm_config *wanted,
                      struct ctr_exec **ret, struct err *err)
{
    bool detach = json_is_true(json_object_get(request, "detach"));
    struct ctr_exec *e;
    int r;

    if (!wanted->command || !wanted->command[0])
        return err_set(err, -EINVAL, "exec: no command given");
    if (c->phase != CTR_RUNNING || c->record.state == VM_PAUSED)
        return err_set(err, -EBUSY, "guest '%s' cannot run a command now (state: %s)",
                       c->guest.name, vm_state_name(c->record.state));
    e = exec_new(c, wanted, detach);
    if (!e)
        return err_set(err, -ENOMEM, "out of memory");
    r = exec_start(e, wanted, json_is_true(json_object_get(request, "own")), err);
    if (r < 0)
        exec_free(e);
    else
        *ret = e;
    return r;
}

void ctr_exec_request(struct ctr *c, struct conn *conn, const json_t *request)
{
    struct ctr_exec *e = NULL;
    struct vm_config wanted;
    struct err err;
    int r = vm_config_from_json(json_object_get(request, "exec"), &wanted, &err);

    if (r < 0) {
        conn_refuse(conn, &err);
        return;
    }
    r = exec_begin(c, request, &wanted, &e, &err);
    if (r < 0) {
        conn_refuse(conn, &err);
    } else if (e->detached) {
        conn_answer(conn, NULL);
    } else {
        conn_join(conn, ctr_proc_stream(e->proc), request);
        conn->patient = true;
        ctr_proc_announce(e->proc);
    }
    vm_config_done(&wanted);
}
