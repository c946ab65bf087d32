/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXEC: decoding the request, and the child's side of starting it: user, directory, environment.
 * Accounts are read from /etc/passwd and /etc/group directly: a static program cannot use NSS.
 */
#include "agent.h"

#include "copy/copy.h"

#include "base/endian.h"
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXEC_HEAD = 16, GROUPS_MAX = 64 };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* The next string inside [*at, end), or NULL when it is not terminated there. */
static char *command_string(char **at, const char *end)
{
    char *s = *at, *nul = memchr(s, '\0', (size_t)(end - s));

    if (!nul)
        return NULL;
    *at = nul + 1;
    return s;
}

static int command_strings(struct command *cmd, uint32_t argc, uint32_t envc, const char *end)
{
    char *at = cmd->text;

    cmd->envp = cmd->argv + argc + 1;
    for (uint32_t i = 0; i < argc; i++)
        if (!(cmd->argv[i] = command_string(&at, end)))
            return -EINVAL;
    for (uint32_t i = 0; i < envc; i++)
        if (!(cmd->envp[i] = command_string(&at, end)) || !strchr(cmd->envp[i], '='))
            return -EINVAL;
    cmd->user = command_string(&at, end);
    cmd->workdir = cmd->user ? command_string(&at, end) : NULL;
    return cmd->workdir && at == end ? 0 : -EINVAL;
}

int command_parse(struct command *cmd, const uint8_t *payload, size_t len)
{
    uint32_t argc, envc;

    if (len < EXEC_HEAD)
        return -EINVAL;
    cmd->flags = ld_le32(payload);
    cmd->rows = ld_le16(payload + 4);
    cmd->columns = ld_le16(payload + 6);
    argc = ld_le32(payload + 8);
    envc = ld_le32(payload + 12);
    len -= EXEC_HEAD;
    if (argc == 0 || argc > len || envc > len - argc) /* each string takes a byte at least */
        return -EINVAL;
    cmd->text = malloc(len);
    cmd->argv = calloc((size_t)argc + envc + 2, sizeof(*cmd->argv));
    if (!cmd->text || !cmd->argv)
        return -ENOMEM;
    memcpy(cmd->text, payload + EXEC_HEAD, len);
    return command_strings(cmd, argc, envc, cmd->text + len);
}

void command_done(struct command *cmd)
{
    free(cmd->text);
    free(cmd->argv);
}

/* Child */

static void __attribute__((format(printf, 3, 4), noreturn))
spawn_fail(int status_fd, uint32_t code, const char *fmt, ...)
{
    struct spawn_failure f = {.code = code};
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(f.text, sizeof(f.text), fmt, ap);
    va_end(ap);
    (void)!write(status_fd, &f, sizeof(f));
    _exit((int)code);
}

struct account {
    uid_t uid;
    gid_t gid;
    char name[64], home[256], shell[256];
};

static bool parse_id(const char *s, unsigned *ret_id)
{
    char *end;
    unsigned long v;

    if (!isdigit((unsigned char)*s))
        return false;
    errno = 0;
    v = strtoul(s, &end, 10);
    if (errno || *end || v >= UINT32_MAX)
        return false;
    *ret_id = (unsigned)v;
    return true;
}

/* Fills acc from /etc/passwd; an unknown number is fine (no name, HOME=/). */
static bool account_find(const char *user, struct account *acc)
{
    unsigned id = 0;
    bool numeric = parse_id(user, &id), found = false;
    FILE *f = fopen("/etc/passwd", "re");
    const struct passwd *pw;

    *acc = (struct account){.uid = id, .gid = id, .home = "/"};
    while (f && !found && (pw = fgetpwent(f))) {
        found = numeric ? pw->pw_uid == id : strcmp(pw->pw_name, user) == 0;
        if (!found)
            continue;
        acc->uid = pw->pw_uid;
        acc->gid = pw->pw_gid;
        (void)snprintf(acc->name, sizeof(acc->name), "%s", pw->pw_name);
        (void)snprintf(acc->home, sizeof(acc->home), "%s", pw->pw_dir);
        (void)snprintf(acc->shell, sizeof(acc->shell), "%s", pw->pw_shell);
    }
    if (f)
        (void)fclose(f);
    return found || numeric;
}

static bool group_find(const char *group, gid_t *ret_gid)
{
    unsigned id;
    FILE *f;
    const struct group *gr;
    bool found = false;

    if (parse_id(group, &id)) {
        *ret_gid = id;
        return true;
    }
    f = fopen("/etc/group", "re");
    while (f && !found && (gr = fgetgrent(f))) {
        found = strcmp(gr->gr_name, group) == 0;
        if (found)
            *ret_gid = gr->gr_gid;
    }
    if (f)
        (void)fclose(f);
    return found;
}

static size_t account_groups(const struct account *acc, gid_t *groups, size_t room)
{
    FILE *f = fopen("/etc/group", "re");
    const struct group *gr;
    size_t n = 0;

    groups[n++] = acc->gid;
    while (f && n < room && (gr = fgetgrent(f)))
        for (char **m = gr->gr_mem; *m && acc->name[0]; m++)
            if (strcmp(*m, acc->name) == 0 && gr->gr_gid != acc->gid && n < room)
                groups[n++] = gr->gr_gid;
    if (f)
        (void)fclose(f);
    return n;
}

static void spawn_account(const char *spec, struct account *acc, int status_fd)
{
    char self[16], user[128];
    char *group;

    (void)snprintf(self, sizeof(self), "%u", geteuid()); /* root, in a guest */
    (void)snprintf(user, sizeof(user), "%s", *spec ? spec : self);
    group = strchr(user, ':');
    if (group)
        *group++ = '\0';
    if (!account_find(*user ? user : self, acc))
        spawn_fail(status_fd, 126, "user '%s' is not known in the guest", user);
    if (group && !group_find(group, &acc->gid))
        spawn_fail(status_fd, 126, "group '%s' is not known in the guest", group);
}

/* Only when there is something to change, so that tests run as any user. */
static void spawn_become(const struct account *acc, bool tty, int status_fd)
{
    gid_t groups[GROUPS_MAX];
    size_t count = account_groups(acc, groups, GROUPS_MAX);

    if (acc->uid == geteuid() && acc->gid == getegid() && geteuid() != 0)
        return;
    if (tty)
        (void)!fchown(0, acc->uid, (gid_t)-1);
    if (setgroups(count, groups) < 0 || setgid(acc->gid) < 0 || setuid(acc->uid) < 0)
        spawn_fail(status_fd, 126, "cannot become user %u: %s", acc->uid, strerror(errno));
}

static void spawn_default(const char *key, const char *value)
{
    if (*value)
        (void)setenv(key, value, 0);
}

static void spawn_environment(const struct command *cmd, const struct account *acc)
{
    (void)clearenv();
    for (char **e = cmd->envp; *e; e++)
        (void)putenv(*e);
    spawn_default("PATH", default_path);
    spawn_default("HOME", acc->home);
    spawn_default("USER", acc->name);
    spawn_default("LOGNAME", acc->name);
    spawn_default("SHELL", acc->shell);
    if (cmd->flags & AGENT_EXEC_TTY)
        spawn_default("TERM", "xterm");
}

static void spawn_directory(const struct command *cmd, int status_fd)
{
    const char *dir = *cmd->workdir ? cmd->workdir : getenv("HOME");

    if (dir && chdir(dir) == 0)
        return;
    if (*cmd->workdir)
        spawn_fail(status_fd, 126, "working directory '%s': %s", dir, strerror(errno));
    (void)!chdir("/");
}

static void spawn_stdio(const struct command *cmd, const int stdio[3])
{
    (void)setsid();
    for (int i = 0; i < 3; i++)
        (void)dup2(stdio[i], i);
    if (cmd->flags & AGENT_EXEC_TTY)
        (void)ioctl(0, TIOCSCTTY, 0);
}

static void spawn_signals(void)
{
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void spawn_exec(const struct command *cmd, const int stdio[3], int status_fd)
{
    const char *name = cmd->argv[0];
    struct account acc;

    spawn_signals();
    spawn_stdio(cmd, stdio);
    spawn_account(cmd->user, &acc, status_fd);
    spawn_become(&acc, cmd->flags & AGENT_EXEC_TTY, status_fd);
    spawn_environment(cmd, &acc);
    spawn_directory(cmd, status_fd);
    (void)umask(022);
    if (cmd->flags & AGENT_EXEC_OWN) {
        for (int fd = 3; fd < 1024;
             fd++) /* the agent's: no exec closes them, pipes would not end */
            (void)close(fd);
        _exit(copy_command(cmd->argv));
    }
    (void)execvp(name, cmd->argv);
    if (errno == ENOENT)
        spawn_fail(status_fd, 127, "command '%s' was not found in the guest", name);
    spawn_fail(status_fd, 126, "command '%s' cannot be run in the guest: %s", name,
               strerror(errno));
}
