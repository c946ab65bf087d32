/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's box: puts its layers on in order, and tells what a host offers. */
#include "host/sandbox.h"

#include "host/process.h"
#include "host/sandbox_layers.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct layer {
    const char *name;
    int (*enter)(const struct sandbox_config *config, struct err *err);
};

static int sandbox_no_new_privs(const struct sandbox_config *config, struct err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, -errno, "no_new_privs: %s", strerror(errno));
    return 0;
}

int sandbox_no_capabilities(const struct sandbox_config *config, struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capset, &header, none) < 0)
        return err_set(err, -errno, "capabilities: %s", strerror(errno));
    return 0;
}

static const struct layer sandbox_layers[] = {
    {"namespaces", sandbox_namespaces},     {"own user", sandbox_user},
    {"no_new_privs", sandbox_no_new_privs}, {"no capabilities", sandbox_no_capabilities},
    {"landlock", sandbox_landlock},         {"seccomp", sandbox_seccomp},
};

/* As the first process of its own, the monitor sees no other. Not permitted: then not. */
void sandbox_prepare_child(void)
{
    (void)!unshare(CLONE_NEWPID);
}

/* Later children would die with that one, and it would wait at its end for us to bury them. */
void sandbox_child_is_born(void)
{
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

    if (own >= 0) {
        (void)!setns(own, CLONE_NEWPID);
        close(own);
    }
}

static void sandbox_close_directories(int keep)
{
    struct rlimit limit = {.rlim_cur = 1024};
    struct stat st;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 3; (rlim_t)fd < limit.rlim_cur && fd < 65536; fd++)
        if (fd != keep && !fstat(fd, &st) && S_ISDIR(st.st_mode))
            close(fd);
}

int sandbox_level_parse(const char *text, enum sandbox_level *ret_level)
{
    if (!text)
        *ret_level = SANDBOX_AUTO;
    else if (!strcmp(text, "strict"))
        *ret_level = SANDBOX_STRICT;
    else if (!strcmp(text, "thin"))
        *ret_level = SANDBOX_THIN;
    else
        return -EINVAL;
    return 0;
}

/* there: layers by their bits. */
static bool sandbox_suffices(unsigned there)
{
    unsigned files = 0, seccomp = 0;

    for (unsigned i = 0; i < ARRAY_LEN(sandbox_layers); i++) {
        if (!strcmp(sandbox_layers[i].name, "namespaces") ||
            !strcmp(sandbox_layers[i].name, "landlock"))
            files |= 1u << i;
        if (!strcmp(sandbox_layers[i].name, "seccomp"))
            seccomp |= 1u << i;
    }
    return there & files && there & seccomp;
}

void sandbox_miss(struct sandbox_missing *missing, const char *why)
{
    size_t len = strlen(missing->text);

    (void)snprintf(missing->text + len, sizeof(missing->text) - len, "%s%s", len ? "; " : "", why);
}

static int sandbox_judge(const struct sandbox_config *config, unsigned there,
                         const struct sandbox_missing *missing, struct err *err)
{
    if (config->level == SANDBOX_STRICT && missing->text[0])
        return err_set(err, -EOPNOTSUPP,
                       "sandbox: --sandbox strict needs all of it, and this host lacks: %.160s",
                       missing->text);
    if (config->level == SANDBOX_AUTO && !sandbox_suffices(there))
        return err_set(err, -EOPNOTSUPP,
                       "sandbox: this host offers too little to contain a guest: %.120s; "
                       "--sandbox thin runs it all the same",
                       missing->text);
    return 0;
}

int sandbox_enter(const struct sandbox_config *config, struct sandbox_missing *ret_missing,
                  struct err *err)
{
    unsigned there = 0;

    *ret_missing = (struct sandbox_missing){{0}};
    sandbox_close_directories(config->dir_fd);
    for (unsigned i = 0; i < ARRAY_LEN(sandbox_layers); i++) {
        struct err why = {0};
        int r = sandbox_layers[i].enter(config, &why);

        if (r < 0 && r != -EOPNOTSUPP)
            return err_set(err, r, "sandbox: %s", why.text);
        if (!r)
            there |= 1u << i;
        else if (geteuid() == 0 || sandbox_layers[i].enter != sandbox_user)
            sandbox_miss(ret_missing, why.text);
    }
    return sandbox_judge(config, there, ret_missing, err);
}

bool sandbox_parts_suffice(const struct sandbox_part *parts, unsigned count)
{
    unsigned there = 0;

    for (unsigned i = 0; i < count; i++)
        there |= (unsigned)parts[i].available << i;
    return sandbox_suffices(there);
}

/* --- what there is --- */

/* In a child: one layer alone, in a directory of no value. */
static noreturn_fn void sandbox_try(const struct layer *layer, int pipe_fd)
{
    char dir[] = "/tmp/posada-sandbox-XXXXXX";
    struct sandbox_config config = {.name = "trial", .uuid = "00000000"};
    struct err err = {0};
    pid_t pid = -1;

    config.dir_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    /* The layer may take our view of the directory away: the parent of one more child removes it.
     */
    if (config.dir_fd >= 0)
        pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* some layers stand on it */
        (void)layer->enter(&config, &err);
        (void)!write(pipe_fd, &err, sizeof(err));
        _exit(0);
    }
    if (pid > 0)
        (void)!process_wait(pid, &(int){0});
    (void)rmdir(dir);
    _exit(0);
}

static void sandbox_probe(const struct layer *layer, struct sandbox_part *part)
{
    struct err err = {.code = -EIO};
    int fds[2] = {-1, -1};
    pid_t pid;

    *part = (struct sandbox_part){.name = layer->name};
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    pid = fork();
    if (pid == 0)
        sandbox_try(layer, fds[1]);
    close(fds[1]);
    if (read(fds[0], &err, sizeof(err)) != sizeof(err))
        snprintf(err.text, sizeof(err.text), "could not be tried");
    close(fds[0]);
    if (pid > 0)
        (void)!process_wait(pid, &(int){0});
    part->available = err.code == 0;
    snprintf(part->detail, sizeof(part->detail), "%.79s", part->available ? "" : err.text);
}

unsigned sandbox_parts(struct sandbox_part *parts, unsigned room)
{
    unsigned n = 0;

    for (; n < ARRAY_LEN(sandbox_layers) && n < room; n++)
        sandbox_probe(&sandbox_layers[n], &parts[n]);
    return n;
}
