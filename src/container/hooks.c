/* SPDX-License-Identifier: Apache-2.0 */
/* Programs along a container's way. Contract: container/hooks.h. */
#include "container/hooks.h"

#include "base/cleanup.h"
#include "container/out.h"
#include "host/file.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static noreturn_fn void hooks_become(const struct spec *spec, const struct spec_hook *hook, int in)
{
    const char *const plain[] = {hook->path, NULL};
    const char *out = spec_annotation(spec, "run.oci.hooks.stdout");
    const char *errors = spec_annotation(spec, "run.oci.hooks.stderr");
    int fd;

    if (dup2(in, 0) < 0)
        _exit(126);
    fd = out ? open(out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0700) : -1;
    if (fd >= 0)
        (void)dup2(fd, 1);
    fd = errors ? open(errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0700) : -1;
    if (fd >= 0)
        (void)dup2(fd, 2);
    (void)signal(SIGPIPE, SIG_DFL);
    execve(hook->path, (char *const *)(uintptr_t)(hook->args && hook->args[0] ? hook->args : plain),
           hook->env ? (char *const *)(uintptr_t)hook->env : environ);
    _exit(errno == ENOENT ? 127 : 126);
}

static int hooks_wait(pid_t pid, int timeout_s)
{
    CLEANUP(fd) int fd = timeout_s ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    bool late = false;
    int status = 0, r;

    if (fd >= 0 && poll(&ended, 1, timeout_s > 2000000 ? -1 : timeout_s * 1000) == 0) {
        late = true;
        (void)kill(pid, SIGKILL);
    }
    r = process_wait(pid, &status);
    if (r < 0)
        return r;
    if (late)
        return -ETIMEDOUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int hooks_run_one(const struct spec *spec, enum spec_hook_kind kind,
                         const struct spec_hook *hook, const char *state, struct err *err)
{
    CLEANUP(fd) int in = -1;
    CLEANUP(fd) int to = -1;
    int pair[2], r;
    pid_t pid;

    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_set(err, -errno, "hook %s: %s", hook->path, strerror(errno));
    in = pair[0];
    to = pair[1];
    pid = fork();
    if (pid == 0)
        hooks_become(spec, hook, in);
    if (pid < 0)
        return err_set(err, -errno, "hook %s: %s", hook->path, strerror(errno));
    close(take_fd(&in));
    /* A pipe holds 64 KiB; a hook that does not read does not stop us, SIGPIPE is ignored. */
    (void)fcntl(to, F_SETFL, O_NONBLOCK);
    (void)!write(to, state, strlen(state));
    close(take_fd(&to));
    r = hooks_wait(pid, hook->timeout);
    if (r == 0)
        return 0;
    if (r == -ETIMEDOUT)
        return err_set(err, r, "%s hook %s: not finished after %d s", spec_hook_names[kind],
                       hook->path, hook->timeout);
    if (r == 127)
        return err_set(err, -ENOENT, "%s hook %s: no such file or directory, or exit code 127",
                       spec_hook_names[kind], hook->path);
    return err_set(err, r < 0 ? r : -ECHILD, "%s hook failed with exit code %d: %s",
                   spec_hook_names[kind], r, hook->path);
}

int hooks_run(const struct spec *spec, enum spec_hook_kind kind, const char *state, struct err *err)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    int r = 0;

    if (!spec->hook_count[kind])
        return 0;
    (void)sigaction(SIGPIPE, &ignore, &old);
    for (unsigned i = 0; i < spec->hook_count[kind] && !r; i++)
        r = hooks_run_one(spec, kind, &spec->hooks[kind][i], state, err);
    (void)sigaction(SIGPIPE, &old, NULL);
    return r;
}

static void hooks_write_annotations(struct out *o, const char *name, const struct json *annotations)
{
    out_begin(o, name, '{');
    for (const struct json *c = annotations ? annotations->child : NULL; c; c = c->next)
        out_text(o, c->name, c->text);
    out_end(o, '}');
}

static const char *hooks_text_of(struct arena *arena, struct out *o)
{
    const char *text = NULL;

    if (!o->failed)
        text = arena_copy(arena, (const char *)buf_data(&o->buf), o->buf.len);
    out_done(o);
    return text;
}

const char *hooks_state(struct arena *arena, const char *version, const char *id,
                        const char *status, pid_t pid, const char *bundle,
                        const struct json *annotations)
{
    struct out o = {0};

    out_begin(&o, NULL, '{');
    out_text(&o, "ociVersion", version);
    out_text(&o, "id", id);
    out_text(&o, "status", status);
    out_int(&o, "pid", pid);
    out_text(&o, "bundle", bundle);
    hooks_write_annotations(&o, "annotations", annotations);
    out_end(&o, '}');
    return hooks_text_of(arena, &o);
}

const char *hooks_annotations(struct arena *arena, const struct json *annotations)
{
    struct out o = {0};

    hooks_write_annotations(&o, NULL, annotations);
    return hooks_text_of(arena, &o);
}

const char *hooks_seccomp_state(struct arena *arena, pid_t pid, const char *metadata,
                                const char *state)
{
    struct out o = {0};

    out_begin(&o, NULL, '{');
    out_text(&o, "ociVersion",
             "0.2.0"); /* of this document, as the specification's example has it */
    out_begin(&o, "fds", '[');
    out_text(&o, NULL, "seccompFd");
    out_end(&o, ']');
    out_int(&o, "pid", pid);
    out_text(&o, "metadata", metadata ? metadata : "");
    out_raw(&o, ",\"state\":");
    out_raw(&o, state);
    out_end(&o, '}');
    return hooks_text_of(arena, &o);
}
