/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci exec: a process description from a file, or the container's own with changes. */
#include "cli/oci.h"

#include "container/names.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct cli_option oci_exec_options[] = {
    {"apparmor", 0, "PROFILE", "AppArmor profile of the process"},
    {"cap", 'c', "CAPABILITY", "add a capability"},
    {"cgroup", 0, "PATH", "run in this group below the container's"},
    {"console-socket", 0, "PATH", "a socket that gets the terminal's master"},
    {"cwd", 0, "DIR", "working directory"},
    {"detach", 'd', NULL, "do not wait for its end"},
    {"env", 'e', "NAME=VALUE", "set an environment variable"},
    {"no-new-privs", 0, NULL, "forbid new privileges"},
    {"no-subreaper", 0, NULL, "accepted: none is made"},
    {"additional-gids", 'g', "GID", "add a group"},
    {"ignore-paused", 0, NULL, "accepted for other runtimes' sake"},
    {"pid-file", 0, "FILE", "write the process's pid there"},
    {"preserve-fds", 0, "N", "hand descriptors 3 to 2+N to it"},
    {"process", 'p', "FILE", "the description of the process"},
    {"process-label", 0, "LABEL", "SELinux label of the process"},
    {"tty", 't', NULL, "give it a terminal"},
    {"user", 'u', "UID[:GID]", "who runs it"},
    CLI_OPTIONS_END,
};

/* CVE-2026-30892: every character counts, nothing is guessed. */
static int oci_exec_user(const char *text, struct spec_process *p, struct err *err)
{
    unsigned long uid, gid = p->gid;
    char *end;

    errno = 0;
    uid = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || errno || uid >= UINT32_MAX || (*end && *end != ':'))
        return err_set(err, -EINVAL, "--user %s: expected UID or UID:GID, numbers", text);
    if (*end == ':') {
        const char *group = end + 1;

        gid = strtoul(group, &end, 10);
        if (*group < '0' || *group > '9' || errno || gid >= UINT32_MAX || *end)
            return err_set(err, -EINVAL, "--user %s: expected UID or UID:GID, numbers", text);
    }
    p->uid = (uint32_t)uid;
    p->gid = (uint32_t)gid;
    return 0;
}

/* The container's variables, those given again replaced. */
static int oci_exec_env(const struct cli_args *args, struct spec_process *p, struct err *err)
{
    unsigned old = 0, n = 0, more = 0;
    const char **env;

    while (p->env[old])
        old++;
    while (cli_nth(args, "env", more))
        more++;
    env = arena_get(oci_runtime()->arena, old + more + 1, sizeof(*env));
    if (!env)
        return err_set(err, -ENOMEM, "no memory");
    for (unsigned i = 0; i < old + more; i++) {
        const char *text = i < old ? p->env[i] : cli_nth(args, "env", i - old);
        size_t name = strcspn(text, "=");
        unsigned at = 0;

        if (i >= old && (!text[name] || !name))
            return err_set(err, -EINVAL, "--env %s: expected NAME=VALUE", text);
        while (at < n && (strncmp(env[at], text, name) || (env[at][name] != '=' && env[at][name])))
            at++;
        env[at] = text;
        n += at == n;
    }
    p->env = env;
    return 0;
}

static void oci_exec_caps(const struct cli_args *args, struct spec_process *p)
{
    struct spec_capabilities *c = &p->capabilities;
    const char *name;

    for (unsigned i = 0; (name = cli_nth(args, "cap", i)); i++) {
        int number = name_capability(name);
        uint64_t bit = UINT64_C(1) << (number & 63);

        c->given = true;
        if (number < 0) { /* as in config.json: told, no error */
            oci_runtime()->note(
                NULL, arena_text(oci_runtime()->arena, "--cap %s: unknown, ignored", name));
            continue;
        }
        c->bounding |= bit;
        c->effective |= bit;
        c->permitted |= bit;
        if (p->uid) /* root has its capabilities by exec, others by inheritance */
            c->inheritable |= bit;
        if (c->inheritable & bit)
            c->ambient |= bit;
    }
}

static int oci_exec_groups(const struct cli_args *args, struct spec_process *p, struct err *err)
{
    unsigned more = 0;
    uint32_t *groups;

    while (cli_nth(args, "additional-gids", more))
        more++;
    if (!more)
        return 0;
    groups = arena_get(oci_runtime()->arena, p->group_count + more, sizeof(*groups));
    if (!groups)
        return err_set(err, -ENOMEM, "no memory");
    if (p->group_count)
        memcpy(groups, p->groups, p->group_count * sizeof(*groups));
    for (unsigned i = 0; i < more; i++) {
        uint64_t id;
        int r = cli_parse_number("--additional-gids", cli_nth(args, "additional-gids", i), 0,
                                 UINT32_MAX - 1, &id, err);

        if (r < 0)
            return r;
        groups[p->group_count++] = (uint32_t)id;
    }
    p->groups = groups;
    return 0;
}

static int oci_exec_words(const struct cli_args *args, struct spec *spec, struct spec_process *p,
                          struct err *err)
{
    const char *cwd = cli_value(args, "cwd"), *user = cli_value(args, "user");
    int r = container_exec_template(oci_runtime(), args->operands[0], spec, p, err);

    if (r < 0)
        return r;
    if (args->operand_count < 2)
        return err_set(err, -EINVAL,
                       "exec: which command? posada oci exec ID COMMAND, or --process FILE");
    p->args = (const char **)(uintptr_t)(args->operands + 1); /* NULL-terminated, see cli_parse */
    if (cwd && *cwd != '/')
        return err_set(err, -EINVAL, "--cwd %s: must be an absolute path", cwd);
    if (cwd)
        p->cwd = cwd;
    if (cli_has(args, "no-new-privs"))
        p->no_new_privs = true;
    if (cli_value(args, "apparmor"))
        p->apparmor = cli_value(args, "apparmor");
    if (cli_value(args, "process-label"))
        p->selinux = cli_value(args, "process-label");
    p->terminal = cli_has(args, "tty");
    r = user ? oci_exec_user(user, p, err) : 0;
    if (!r)
        r = oci_exec_env(args, p, err);
    oci_exec_caps(args, p);
    return r ? r : oci_exec_groups(args, p, err);
}

static int oci_exec_file(const char *path, struct spec_process *p, struct err *err)
{
    const struct container_runtime *rt = oci_runtime();
    char *text;
    size_t len;
    int r = oci_read(path, &text, &len, err);

    return r ? r : spec_parse_process(rt->arena, text, len, rt->note, rt->note_arg, p, err);
}

static int oci_exec_run(const struct cli_args *args)
{
    const char *file = cli_value(args, "process"), *preserve = cli_value(args, "preserve-fds");
    struct spec_process process;
    struct spec spec;
    uint64_t count = 0;
    struct err err;
    int code = 0,
        r = preserve ? cli_parse_number("--preserve-fds", preserve, 0, 65536, &count, &err) : 0;

    if (!r)
        r = file ? oci_exec_file(file, &process, &err)
                 : oci_exec_words(args, &spec, &process, &err);
    if (!r && file && cli_has(args, "tty"))
        process.terminal = true;
    if (!r) {
        const struct container_exec e = {
            .id = args->operands[0],
            .process = &process,
            .spec = file ? NULL : &spec,
            .console_socket = cli_value(args, "console-socket"),
            .pid_file = cli_value(args, "pid-file"),
            .cgroup = cli_value(args, "cgroup"),
            .preserve_fds = (unsigned)count,
            .detach = cli_has(args, "detach"),
        };

        r = container_exec(oci_runtime(), &e, &code, &err);
    }
    return r < 0 ? oci_fail(&err) : code;
}

const struct cli_verb oci_exec_verb = {
    .name = "exec",
    .operands = "ID [COMMAND...]",
    .summary = "Run one more process in a container",
    .options = oci_exec_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .command = true,
    .run = oci_exec_run,
};
