/* SPDX-License-Identifier: Apache-2.0 */
/* The last steps before the container's program. Contract: container/become.h. */
#include "container/become.h"

#include "base/cleanup.h"
#include "container/caps.h"
#include "container/label.h"
#include "container/path.h"
#include "container/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { BECOME_PASSWD = 1 << 20 };

static const char *become_env(const char *const *env, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;

    for (; *env; env++)
        if (!strncmp(*env, name, len) && (*env)[len] == '=')
            found = *env + len + 1;
    return found;
}

/* The home directory in a line of passwd(5), NULL when it is another user's. */
static const char *become_home_in(char *line, uint32_t uid)
{
    char *field[7] = {line}, *end;
    unsigned fields = 1;

    for (char *c = line; *c && fields < 7; c++)
        if (*c == ':') {
            *c = '\0';
            field[fields++] = c + 1;
        }
    if (fields < 6 || !*field[2] || strtoul(field[2], &end, 10) != uid || *end)
        return NULL;
    return *field[5] == '/' ? field[5] : "/";
}

/* From the container's /etc/passwd, which is hostile text; "/" when it does not say. */
static const char *become_home(struct become *b)
{
    CLEANUP(fd) int fd = path_open(b->root, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
    char *text, *save = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > BECOME_PASSWD)
        return "/";
    text = arena_get(b->arena, (size_t)st.st_size + 1, 1);
    n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n <= 0)
        return "/";
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        const char *home = become_home_in(l, b->process->uid);

        if (home)
            return home;
    }
    return "/";
}

static int become_make_env(struct become *b)
{
    unsigned n = 0, out = 0;

    while (b->process->env[n])
        n++;
    b->env = arena_get(b->arena, n + 5, sizeof(*b->env));
    if (!b->env)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++)
        b->env[out++] = b->process->env[i];
    if (b->listen_fds) {
        b->env[out++] = arena_text(b->arena, "LISTEN_FDS=%u", b->listen_fds);
        b->env[out++] = "LISTEN_PID=1";
    }
    if (b->notify_path)
        b->env[out++] = arena_text(b->arena, "NOTIFY_SOCKET=%s", b->notify_path);
    if (!become_env(b->process->env, "HOME"))
        b->env[out++] = arena_text(b->arena, "HOME=%s", become_home(b));
    return 0;
}

/* 0, or why it cannot be executed. */
static int become_check_file(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;
    return st.st_mode & 0111 ? 0 : -EACCES;
}

static int become_search(struct become *b, const char *name)
{
    const char *path = become_env(b->process->env, "PATH");
    int worst = -ENOENT;

    if (!path)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    while (*path) {
        size_t len = strcspn(path, ":");

        b->file = arena_text(b->arena, "%.*s/%s", (int)len, path, name);
        if (!b->file)
            return -ENOMEM;
        if (len) {
            int r = become_check_file(b->file);

            if (!r)
                return 0;
            if (r == -EACCES)
                worst = r;
        }
        path += len + (path[len] == ':');
    }
    return worst;
}

/* The current directory is the container's root: relative names are cwd's. */
int become_find(struct become *b)
{
    const char *name = b->process->args[0];
    int r = become_make_env(b);

    if (r < 0)
        return err_set(b->err, r, "no memory");
    if (!strchr(name, '/'))
        r = become_search(b, name);
    else if (*name == '/')
        r = become_check_file(b->file = name);
    else
        r = become_check_file(arena_text(b->arena, "%s/%s", b->process->cwd, b->file = name));
    if (r == -ENOENT)
        return err_set(b->err, r, "executable file '%s' not found%s: %s", name,
                       strchr(name, '/') ? "" : " in $PATH", strerror(-r));
    return r < 0 ? err_set(b->err, r, "executable file '%s': %s", name, strerror(-r)) : 0;
}

/* Standard descriptors belong to whom the program runs as, so that it can reopen them by
 * /proc/self/fd; what everybody shares stays as it is. */
static void become_own_stdio(const struct become *b)
{
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;

        if (fstat(fd, &st) == 0 && st.st_uid != b->process->uid &&
            !(S_ISCHR(st.st_mode) && major(st.st_rdev) == 1))
            (void)!fchown(fd, b->process->uid, b->process->gid);
    }
}

static bool become_is_null(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* The host's /dev/null among the standard descriptors becomes the container's: nothing of the
 * host's file systems stays open, and a checkpoint finds the file in the container's mounts. What
 * stands there may be a FIFO or a terminal by now: looking at it neither waits nor takes it. */
static void become_own_null(const struct become *b)
{
    for (int fd = 0; fd <= 2; fd++) {
        CLEANUP(fd) int own = -1;
        int flags = become_is_null(fd) ? fcntl(fd, F_GETFL) : -1;

        if (flags < 0)
            continue;
        own = openat(b->root, "dev/null",
                     (flags & O_ACCMODE) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own >= 0 && become_is_null(own) && fcntl(own, F_SETFL, flags) == 0)
            (void)dup2(own, fd);
    }
}

static int become_filter(struct become *b)
{
    CLEANUP(fd) int listener = -1;
    int r = seccomp_install(b->filter, &listener);

    if (r < 0)
        return err_set(b->err, r, "seccomp: %s", strerror(-r));
    if (listener >= 0) {
        r = wire_pass_fd(b->seccomp_socket, listener, b->seccomp_state, strlen(b->seccomp_state));
        if (r < 0)
            return err_set(b->err, r, "seccomp: listener: %s", strerror(-r));
    }
    return 0;
}

static int become_groups(struct become *b)
{
    const struct spec_process *p = b->process;

    if (b->keep_groups)
        return 0;
    if (setgroups(p->group_count, p->groups) < 0 &&
        !(errno == EPERM && b->setgroups_denied && !p->group_count))
        return err_set(b->err, -errno, "additionalGids: %s", strerror(errno));
    return 0;
}

static int become_user(struct become *b)
{
    const struct spec_process *p = b->process;
    int r;

    if (p->capabilities.given) {
        r = caps_bound(p->capabilities.bounding);
        if (r < 0)
            return err_set(b->err, r, "capabilities: bounding set: %s", strerror(-r));
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return err_set(b->err, -errno, "keep-caps: %s", strerror(errno));
    r = become_groups(b);
    if (r < 0)
        return r;
    if (setresgid(p->gid, p->gid, p->gid) < 0)
        return err_set(b->err, -errno, "gid %u: %s", p->gid, strerror(errno));
    if (setresuid(p->uid, p->uid, p->uid) < 0)
        return err_set(b->err, -errno, "uid %u: %s", p->uid, strerror(errno));
    return 0;
}

/* CVE-2024-21626: a directory outside of the container has no path that starts with "/". */
static int become_cwd(struct become *b)
{
    char cwd[4096];

    if (chdir(b->process->cwd) < 0)
        return err_set(b->err, -errno, "cwd %s: %s", b->process->cwd, strerror(errno));
    if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0 || *cwd != '/')
        return err_set(b->err, -EPERM, "cwd %s is outside of the container", b->process->cwd);
    return 0;
}

static int become_capabilities(struct become *b)
{
    int r;

    if (b->process->capabilities.given) {
        r = caps_set(&b->process->capabilities);
    } else {
        const struct spec_capabilities none = {0};

        r = caps_bound(0);
        r = r < 0 ? r : caps_set(&none);
    }
    return r < 0 ? err_set(b->err, r, "capabilities: %s", strerror(-r)) : 0;
}

/* Signals as at login, whatever our starter ignored or blocked. */
static void become_signals(void)
{
    sigset_t none;

    for (int n = 1; n < 32; n++)
        if (n != SIGKILL && n != SIGSTOP)
            (void)signal(n, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become_last(struct become *b)
{
    int r;

    (void)umask(b->process->has_umask ? b->process->umask : 0022);
    r = become_cwd(b);
    if (r < 0 && r != -EACCES)
        return r;
    if (r == -EACCES) { /* only the capabilities may open it: they are still permitted */
        r = caps_raise();
        r = r < 0 ? r : become_cwd(b);
        if (r < 0)
            return r;
    }
    (void)!caps_raise();
    r = label_set(b->process, b->label_fd, b->err);
    if (r < 0)
        return r;
    become_signals();
    /* No descriptor of ours may survive: everything is close-on-exec, and this makes sure. */
    if (syscall(SYS_close_range, 3 + b->keep_fds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return err_set(b->err, -errno, "close_range: %s", strerror(errno));
    /* It takes CAP_SYS_ADMIN, so before that is gone; but after all that a profile may forbid, for
     * it is written for the program: many do not know close_range(2). */
    if (!b->process->no_new_privs)
        r = become_filter(b);
    return r < 0 ? r : become_capabilities(b);
}

int become_exec(struct become *b)
{
    char name[300];
    int r;

    if (b->keyring) {
        snprintf(name, sizeof(name), "_ses.%s", b->id);
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS &&
            errno != EPERM && errno != EDQUOT)
            return err_set(b->err, -errno, "session keyring: %s", strerror(errno));
    }
    become_own_null(b);
    become_own_stdio(b);
    r = become_user(b);
    if (r < 0)
        return r;
    r = become_last(b);
    if (r < 0)
        return r;
    if (b->process->no_new_privs) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            return err_set(b->err, -errno, "no_new_privs: %s", strerror(errno));
        r = become_filter(b);
        if (r < 0)
            return r;
    }
    execve(b->file, (char *const *)(uintptr_t)b->process->args, (char *const *)(uintptr_t)b->env);
    r = -errno;
    return err_set(b->err, r, "executable file '%s'%s: %s", b->process->args[0],
                   r == -ENOENT ? " not found" : "", strerror(-r));
}
