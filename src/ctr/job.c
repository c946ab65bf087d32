/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the monitor. Contract: ctr/job.h. */
#include "ctr/job.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "host/file.h"
#include "host/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum {
    JOB_HIGH = 200,
    JOB_KEEP_MAX = 4,
    JOB_OUT_MAX = 1 << 20,
    JOB_LOG_MAX = 64 << 10,
    CHILD_TRIES = 20
};

/* --- starting --- */

/* Descriptors go up out of the way first: one of them may be where another one has to go. */
static int spawn_actions(const struct ctr_spawn *s, int *high, posix_spawn_file_actions_t *actions)
{
    unsigned n = 3 + s->kept;
    int r = 0;

    for (unsigned i = 0; !r && i < n; i++) {
        int fd = i == 0 ? s->in : i == 1 ? s->out : i == 2 ? s->err_fd : s->keep[i - 3];

        if (fd < 0) {
            r = posix_spawn_file_actions_addopen(actions, (int)i, "/dev/null", O_RDWR, 0);
            continue;
        }
        high[i] = fcntl(fd, F_DUPFD_CLOEXEC, JOB_HIGH);
        r = high[i] < 0 ? errno : posix_spawn_file_actions_adddup2(actions, high[i], (int)i);
    }
    return r;
}

static int spawn_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    (void)posix_spawnattr_setsigmask(attr, &none);
    (void)posix_spawnattr_setsigdefault(attr, &all);
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSID);
}

/* The host's usual limit, which programs rely on: select(2) knows 1024 descriptors. */
static struct rlimit spawn_limit;

void ctr_spawn_raise_files(void)
{
    struct rlimit raised;

    if (getrlimit(RLIMIT_NOFILE, &spawn_limit) < 0)
        return;
    raised = (struct rlimit){spawn_limit.rlim_max, spawn_limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
        spawn_limit = (struct rlimit){0};
}

/* posix_spawn() cannot set a limit, so the child gets ours of that moment. */
static int spawn_limited(pid_t *ret_pid, const struct ctr_spawn *s,
                         const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr)
{
    struct rlimit ours;
    bool change = spawn_limit.rlim_max && getrlimit(RLIMIT_NOFILE, &ours) == 0 &&
                  setrlimit(RLIMIT_NOFILE, &spawn_limit) == 0;
    int r = posix_spawn(ret_pid, s->argv[0], actions, attr, s->argv, environ);

    if (change)
        (void)!setrlimit(RLIMIT_NOFILE, &ours);
    return r;
}

int ctr_spawn_program(const struct ctr_spawn *s, pid_t *ret_pid, struct err *err)
{
    int high[3 + JOB_KEEP_MAX] = {-1, -1, -1, -1, -1, -1, -1}, r;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    r = s->kept > JOB_KEEP_MAX ? EINVAL : spawn_actions(s, high, &actions);
    if (!r)
        r = spawn_attributes(&attr);
    if (!r)
        r = spawn_limited(ret_pid, s, &actions, &attr);
    for (size_t i = 0; i < ARRAY_LEN(high); i++)
        if (high[i] >= 0)
            close(high[i]);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return r ? err_set(err, -r, "%s: cannot start: %s", s->argv[0], strerror(r)) : 0;
}

/* --- waiting --- */

/* include/uapi/linux/pidfd.h, since Linux 6.15: what a process that somebody else reaped ended
 * with. */
struct child_info {
    uint64_t mask, group;
    uint32_t ids[11];
    int32_t exit_code;
};
#define CHILD_GET_INFO  _IOWR(0xFF, 11, struct child_info)
#define CHILD_INFO_EXIT (UINT64_C(1) << 3)

/* Of somebody else's child: once its parent has looked. */
static int child_others_status(int pidfd)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < CHILD_TRIES; i++) {
        struct child_info info = {.mask = CHILD_INFO_EXIT};

        if (ioctl(pidfd, CHILD_GET_INFO, &info) == 0 && info.mask & CHILD_INFO_EXIT)
            return info.exit_code;
        nanosleep(&pause, NULL);
    }
    return CTR_STATUS_UNKNOWN;
}

static struct ctr_child *child_all;

static void child_unlist(const struct ctr_child *c)
{
    struct ctr_child **link = &child_all;

    while (*link && *link != c)
        link = &(*link)->next;
    if (*link)
        *link = c->next;
}

void ctr_child_reap(void)
{
    CLEANUP(file) FILE *f = fopen("/proc/thread-self/children", "re");
    int pid;

    while (f && fscanf(f, "%d", &pid) == 1) {
        const struct ctr_child *c = child_all;

        while (c && c->pid != pid)
            c = c->next;
        if (!c)
            (void)waitpid(pid, NULL, WNOHANG);
    }
}

static void child_ready(void *arg, int fd, unsigned events)
{
    struct ctr_child *c = arg;
    int status = 0, r;

    while ((r = waitpid(c->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (r < 0)
        status = child_others_status(fd);
    loop_unwatch(c->loop, fd);
    close(fd);
    c->pidfd = -1;
    child_unlist(c);
    c->ended(c->arg, status);
}

int ctr_child_watch(struct ctr_child *c, struct loop *loop, pid_t pid,
                    void (*ended)(void *arg, int status), void *arg, struct err *err)
{
    *c = (struct ctr_child){.loop = loop, .pid = pid, .ended = ended, .arg = arg};
    c->pidfd = pidfd_open(pid, 0);
    if (c->pidfd < 0 || loop_watch(loop, c->pidfd, EPOLLIN, child_ready, c) < 0) {
        int r = err_set(err, -errno, "process %d cannot be watched: %s", pid, strerror(errno));

        if (c->pidfd >= 0)
            close(c->pidfd);
        c->pidfd = -1;
        return r;
    }
    c->next = child_all;
    child_all = c;
    return 0;
}

void ctr_child_signal(const struct ctr_child *c, int signal)
{
    if (c->pidfd >= 0)
        (void)pidfd_send_signal(c->pidfd, signal, NULL, 0);
}

void ctr_child_forget(struct ctr_child *c)
{
    if (c->pidfd < 0)
        return;
    ctr_child_signal(c, SIGKILL);
    loop_unwatch(c->loop, c->pidfd);
    close(c->pidfd);
    c->pidfd = -1;
    child_unlist(c);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

unsigned ctr_exit_code(int status)
{
    if (status == CTR_STATUS_UNKNOWN)
        return EXIT_RUN_FAILED;
    return WIFEXITED(status) ? (unsigned)WEXITSTATUS(status)
                             : EXIT_SIGNAL_BASE + (unsigned)WTERMSIG(status);
}

/* --- posada-oci --- */

void ctr_oci_words(const struct ctr_oci *oci, const char *const *words, const char **ret_argv)
{
    const char *const common[] = {oci->program,       "--root",       oci->root, "--log",
                                  oci->log,           "--log-format", "json",    "--log-only",
                                  "--cgroup-manager", oci->manager};
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        ret_argv[n++] = common[i];
    while (*words && n < CTR_WORDS_MAX - 1)
        ret_argv[n++] = *words++;
    ret_argv[n] = NULL;
}

int ctr_oci_error(int log_dir, const char *name, struct err *ret)
{
    CLEANUP(free) char *text = NULL;
    char *line, *rest;
    int r = file_read(log_dir, name, JOB_LOG_MAX, &text, NULL, NULL);

    err_set(ret, -EIO, "posada-oci ended without a word");
    (void)!unlinkat(log_dir, name, 0);
    for (rest = text; r == 0 && (line = strsep(&rest, "\n"));) {
        json_t *json = json_loads(line, 0, NULL);
        const char *level = json_string_value(json_object_get(json, "level"));
        const char *words = json_string_value(json_object_get(json, "msg"));

        if (level && words && !strcmp(level, "error"))
            err_set(ret, -EIO, "%s", words);
        json_decref(json);
    }
    text_make_printable(ret->text, sizeof(ret->text));
    return ret->code;
}

static void job_read(void *arg, int fd, unsigned events)
{
    struct ctr_job *job = arg;
    uint8_t data[8192];
    ssize_t n = read(fd, data, sizeof(data));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || job->out.len > JOB_OUT_MAX || buf_append(&job->out, data, (size_t)n) < 0) {
        loop_unwatch(job->child.loop, fd);
        close(fd);
        job->out_fd = -1;
    }
}

static void job_ended(void *arg, int status)
{
    struct ctr_job *job = arg;
    struct buf out;
    struct err err = {0};
    int code = (int)ctr_exit_code(status);

    while (job->out_fd >= 0) { /* what is in the pipe still */
        struct buf before = job->out;

        job_read(job, job->out_fd, 0);
        if (job->out_fd >= 0 && before.len == job->out.len) {
            loop_unwatch(job->child.loop, job->out_fd);
            close(take_fd(&job->out_fd));
        }
    }
    if (code)
        (void)ctr_oci_error(job->log_dir, job->log_name, &err);
    out = job->out;
    job->out = (struct buf){0};
    job->done(job->arg, code, &out, &err);
    buf_done(&out);
}

static int job_pipe(struct ctr_job *job, const struct ctr_job_config *config, int *ret_theirs)
{
    int fds[2];

    job->out_fd = -1;
    if (!config->output)
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *ret_theirs = fds[1];
    if (loop_watch(config->loop, fds[0], EPOLLIN, job_read, job) < 0) {
        close(fds[0]);
        return -ENOMEM;
    }
    job->out_fd = fds[0];
    return 0;
}

int ctr_job_start(struct ctr_job *job, const struct ctr_job_config *config, struct err *err)
{
    const char *argv[CTR_WORDS_MAX], *slash = strrchr(config->oci->log, '/');
    CLEANUP(fd) int theirs = -1;
    struct ctr_spawn s = {
        .argv = (char *const *)(uintptr_t)argv,
        .in = config->in,
        .out = config->out,
        .err_fd = config->err_fd,
    };
    pid_t pid;
    int r;

    if (ctr_job_runs(job))
        return err_set(err, -EBUSY, "another step is still being done; try again");
    *job =
        (struct ctr_job){.log_dir = config->oci->log_dir, .done = config->done, .arg = config->arg};
    job->child.pidfd = -1;
    snprintf(job->log_name, sizeof(job->log_name), "%s", slash ? slash + 1 : config->oci->log);
    ctr_oci_words(config->oci, config->words, argv);
    r = job_pipe(job, config, &theirs);
    if (r < 0)
        return err_set(err, r, "pipe: %s", strerror(-r));
    if (theirs >= 0)
        s.out = theirs;
    r = ctr_spawn_program(&s, &pid, err);
    if (!r)
        r = ctr_child_watch(&job->child, config->loop, pid, job_ended, job, err);
    if (r < 0)
        ctr_job_done(job);
    return r;
}

bool ctr_job_runs(const struct ctr_job *job)
{
    return job->child.loop && job->child.pidfd >= 0;
}

void ctr_job_done(struct ctr_job *job)
{
    if (job->child.loop)
        ctr_child_forget(&job->child);
    if (job->child.loop && job->out_fd >= 0) {
        loop_unwatch(job->child.loop, job->out_fd);
        close(take_fd(&job->out_fd));
    }
    buf_done(&job->out);
}
