/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chambers. Contract: container/chamber.h.
 * Three processes: the caller writes the maps (it has the right to), the keeper makes the
 * namespaces, the first process of the new PID namespace mounts, drops what it does not need and
 * becomes the program. Each dies with the one before it; with the last one everything in there.
 */
#include "container/chamber.h"

#include "base/cleanup.h"
#include "container/binfmt.h"
#include "container/caps.h"
#include "container/userns.h"
#include "host/file.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* As root: below the users that guests get (host/sandbox_namespaces.c), above everybody's. */
    CHAMBER_IDS_FIRST = 0x6fff0000,
    CHAMBER_IDS = 65536,
    CHAMBER_IDS_LEAST = 1000, /* fewer do not hold a distribution's own users */
    CHAMBER_NAMESPACES =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER,
};

/* What installing packages takes; none of it reaches beyond the user namespace's own files. */
static const uint64_t chamber_caps =
    1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH |
    1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_KILL | 1ull << CAP_SETGID |
    1ull << CAP_SETUID | 1ull << CAP_SETFCAP | 1ull << CAP_SYS_CHROOT | 1ull << CAP_AUDIT_WRITE;

/* --- who --- */

/* NAME:FIRST:COUNT lines of subuid(5): the longest range of a user. */
static unsigned chamber_subordinate(const char *file, const char *name, unsigned *ret_first)
{
    CLEANUP(file) FILE *f = fopen(file, "re");
    char line[256], number[16];
    unsigned best = 0;

    (void)snprintf(number, sizeof(number), "%u", (unsigned)getuid());
    while (f && fgets(line, sizeof(line), f)) {
        char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
        unsigned long long from, n;

        if (!count)
            continue;
        *first++ = *count++ = '\0';
        from = strtoull(first, NULL, 10);
        n = strtoull(count, NULL, 10);
        if ((strcmp(line, name) != 0 && strcmp(line, number) != 0) || from > UINT_MAX / 2 ||
            n > UINT_MAX / 2 || n <= best)
            continue;
        best = (unsigned)n;
        *ret_first = (unsigned)from;
    }
    return best;
}

int chamber_ids(struct chamber_ids *ret, struct err *err)
{
    struct chamber_ids ids = {.uid = geteuid(), .gid = getegid()};
    const struct passwd *user = getpwuid(ids.uid);
    unsigned uids, gids;

    if (ids.uid == 0) {
        *ret = (struct chamber_ids){CHAMBER_IDS_FIRST, CHAMBER_IDS_FIRST, CHAMBER_IDS,
                                    CHAMBER_IDS_FIRST + 1, CHAMBER_IDS_FIRST + 1};
        return 0;
    }
    uids = chamber_subordinate("/etc/subuid", user ? user->pw_name : "", &ids.other_uid);
    gids = chamber_subordinate("/etc/subgid", user ? user->pw_name : "", &ids.other_gid);
    ids.others = uids < gids ? uids : gids;
    if (ids.others < CHAMBER_IDS_LEAST)
        return err_set(
            err, -EOPNOTSUPP,
            "/etc/subuid and /etc/subgid give you no range of ids (usermod --add-subuids)");
    ids.others = ids.others < CHAMBER_IDS ? ids.others : CHAMBER_IDS;
    *ret = ids;
    return 0;
}

/* For the namespace of process pid; 0: for a new one, whose descriptor is returned. */
static int chamber_map(const struct chamber_ids *ids, pid_t pid, struct err *err)
{
    struct spec_map uid[] = {{0, ids->uid, 1}, {1, ids->other_uid, ids->others - 1}};
    struct spec_map gid[] = {{0, ids->gid, 1}, {1, ids->other_gid, ids->others - 1}};
    const struct spec_maps maps = {uid, gid, 2, 2};

    return pid ? userns_write_maps(pid, &maps, err) : userns_make(&maps, err);
}

int chamber_make_users(const struct chamber_ids *ids, struct err *err)
{
    return chamber_map(ids, 0, err);
}

/* --- mounts --- */

static int chamber_failed(const char *what, struct err *err)
{
    int code = -errno;
    bool absent = code == -EPERM || code == -EACCES || code == -ENODEV || code == -EINVAL ||
                  code == -ENOSPC || code == -EUSERS;

    return err_set(err, absent ? -EOPNOTSUPP : code, "%s: %s", what, strerror(-code));
}

static int chamber_mount_root(struct err *err)
{
    static const char layers[] = "userxattr,lowerdir=root,upperdir=work/upper,workdir=work/work";

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return chamber_failed("mounts cannot be made private", err);
    if (mount("tmpfs", "work", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
        return chamber_failed("a tmpfs cannot be mounted", err);
    if (mkdir("work/upper", 0755) < 0 || mkdir("work/work", 0755) < 0)
        return chamber_failed("work", err);
    if (mount("overlay", "merged", "overlay", MS_NOSUID | MS_NODEV, layers) < 0)
        return chamber_failed("overlayfs cannot be mounted by users (Linux 5.11)", err);
    return 0;
}

static int chamber_bind(const char *from, const char *to, struct err *err)
{
    CLEANUP(fd) int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
        return chamber_failed(from, err);
    return 0;
}

static int chamber_mount_dev(struct err *err)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const links[][2] = {{"/proc/self/fd", "merged/dev/fd"},
                                           {"fd/0", "merged/dev/stdin"},
                                           {"fd/1", "merged/dev/stdout"},
                                           {"fd/2", "merged/dev/stderr"}};
    char from[32], to[32];
    int r = 0;

    if (mount("tmpfs", "merged/dev", "tmpfs", MS_NOSUID, "mode=0755,size=1m") < 0)
        return chamber_failed("/dev", err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(nodes); i++) {
        (void)snprintf(from, sizeof(from), "/dev/%s", nodes[i]);
        (void)snprintf(to, sizeof(to), "merged/dev/%s", nodes[i]);
        r = chamber_bind(from, to, err);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(links); i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            r = chamber_failed(links[i][1], err);
    if (r == 0 && mkdir("merged/dev/shm", 01777) < 0)
        r = chamber_failed("/dev/shm", err);
    return r;
}

/* Below the working directory. What is mounted later is not seen in merged/mnt. */
static int chamber_mounts(struct err *err)
{
    static const char *const dirs[] = {"merged/mnt", "merged/dev", "merged/proc", "merged/run"};
    int r = chamber_mount_root(err);

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++)
        if (mkdir(dirs[i], 0755) < 0 && errno != EEXIST)
            r = chamber_failed(dirs[i], err);
    if (r == 0 && mount("merged", "merged/mnt", NULL, MS_BIND, NULL) < 0)
        r = chamber_failed("/mnt", err);
    if (r == 0)
        r = chamber_mount_dev(err);
    if (r == 0 && mount("tmpfs", "merged/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
        r = chamber_failed("/run", err);
    if (r < 0)
        return r;
    if (mkdir("merged/run/share", 0755) < 0 ||
        mount("share", "merged/run/share", NULL, MS_BIND, NULL) < 0)
        return chamber_failed("/run/share", err);
    /* While the host's is still to be seen: else the kernel gives nobody a new one. */
    if (mount("proc", "merged/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return chamber_failed("/proc", err);
    if (chdir("merged") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return chamber_failed("the root cannot be changed", err);
    return 0;
}

/* --- processes --- */

/* From the keeper; shorter than PIPE_BUF, so it comes whole. */
enum { CHAMBER_READY = 1 << 16 }; /* namespaces are made; anything else: how it ended */
struct chamber_word {
    int status;
    struct err err;
};

struct chamber {
    const struct binfmt *foreign; /* NULL: programs of the host's own architecture */
    const char *const *argv;      /* NULL: nothing, to see whether all before it works */
    const char *remove;           /* instead of running anything: a tree */
    int dir_fd;
    int up[2], down[2]; /* from the keeper: words; to the keeper: a byte when its maps are there */
};

static void cleanup_chamber(const struct chamber *c)
{
    for (int i = 0; i < 2; i++) {
        if (c->up[i] >= 0)
            (void)close(c->up[i]);
        if (c->down[i] >= 0)
            (void)close(c->down[i]);
    }
}

/* Dying with the parent. A change of user or rights forgets it, so it is asked for after each of
 * them; a parent that died meanwhile has left its end of the pipe. */
static void chamber_follow(int from_parent)
{
    struct pollfd end = {.fd = from_parent};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll(&end, 1, 0) < 0 || end.revents & (POLLHUP | POLLERR))
        _exit(1);
}

static int chamber_become_root(struct err *err)
{
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return chamber_failed("user namespace: cannot become its root", err);
    return 0;
}

/* User namespaces inside would give all the rights back that are dropped next, over namespaces of
 * their own. The limit is this one's and cannot be raised without rights over it. */
static int chamber_forbid_users(struct err *err)
{
    CLEANUP(fd) int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "0", 1) != 1)
        return chamber_failed("further user namespaces cannot be forbidden", err);
    return 0;
}

static int chamber_drop_rights(struct err *err)
{
    const struct spec_capabilities caps = {.given = true,
                                           .bounding = chamber_caps,
                                           .effective = chamber_caps,
                                           .permitted = chamber_caps};
    int r = caps_bound(chamber_caps);

    if (r == 0)
        r = caps_set(&caps);
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    return r < 0 ? err_set(err, r, "rights cannot be dropped: %s", strerror(-r)) : 0;
}

/* The first process of the new PID namespace. go: ends with the keeper. */
static noreturn_fn void chamber_program(const struct chamber *c, int go)
{
    struct chamber_word word = {0};
    char byte;

    chamber_follow(go);
    if (read(go, &byte, 1) != 1)
        _exit(1);
    (void)setsid(); /* no terminal of the caller's: what is typed there is obeyed */
    (void)!sethostname("posada", 6);
    (void)umask(0); /* the caller's is no matter of what is made in there */
    word.status = chamber_mounts(&word.err);
    (void)umask(022);
    if (word.status == 0)
        word.status = chamber_forbid_users(&word.err);
    if (word.status == 0)
        word.status = chamber_drop_rights(&word.err);
    chamber_follow(go);
    if (word.status < 0) {
        (void)!write(c->up[1], &word, sizeof(word)); /* before the keeper's */
        _exit(1);
    }
    if (!c->argv)
        _exit(0);
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* what the caller was started with */
    (void)execv(c->argv[0], (char *const *)(uintptr_t)c->argv);
    fprintf(stderr, "%s: %s\n", c->argv[0], strerror(errno));
    _exit(127);
}

static int chamber_start_program(const struct chamber *c, struct err *err)
{
    int go[2], status = 0, r;
    pid_t pid;

    if (pipe2(go, O_CLOEXEC) < 0)
        return chamber_failed("pipe", err);
    pid = fork();
    if (pid == 0) {
        (void)close(go[1]);
        chamber_program(c, go[0]);
    }
    (void)close(go[0]);
    (void)!write(go[1], "", 1);
    r = pid < 0 ? -errno : process_wait(pid, &status);
    (void)close(go[1]);
    if (r < 0)
        return err_set(err, r, "cannot start a process: %s", strerror(-r));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int chamber_keep(const struct chamber *c, struct err *err)
{
    const struct chamber_word ready = {.status = CHAMBER_READY};
    CLEANUP(fd) int entry = -1; /* what runs foreign programs, as long as this is open */
    char byte;
    int r;

    if (fchdir(c->dir_fd) < 0)
        return chamber_failed("the directory", err);
    if (unshare(CHAMBER_NAMESPACES) < 0)
        return chamber_failed("user namespaces are not to be had", err);
    chamber_follow(c->down[0]);
    (void)!write(c->up[1], &ready, sizeof(ready));
    if (read(c->down[0], &byte, 1) != 1)
        _exit(1);
    r = chamber_become_root(err);
    chamber_follow(c->down[0]);
    if (r == 0 && c->remove)
        return file_remove_tree(AT_FDCWD, c->remove, err);
    if (r == 0 && c->foreign)
        r = entry = binfmt_enter(c->foreign, err);
    return r < 0 ? r : chamber_start_program(c, err);
}

static noreturn_fn void chamber_keeper(struct chamber *c)
{
    struct chamber_word word = {0};

    (void)close(c->up[0]);
    (void)close(c->down[1]);
    chamber_follow(c->down[0]);
    word.status = chamber_keep(c, &word.err);
    (void)!write(c->up[1], &word, sizeof(word));
    _exit(0);
}

/* Its maps, once it has its namespaces; then how it went. */
static int chamber_attend(const struct chamber *c, const struct chamber_ids *ids, pid_t keeper,
                          struct err *err)
{
    struct chamber_word word;
    ssize_t n = read(c->up[0], &word, sizeof(word));
    int r;

    if (n == sizeof(word) && word.status == CHAMBER_READY) {
        r = chamber_map(ids, keeper, err);
        if (r < 0)
            return r;
        (void)!write(c->down[1], "", 1);
        n = read(c->up[0], &word, sizeof(word));
    }
    if (n != sizeof(word))
        return err_set(err, -EIO, "the process that keeps its namespaces died");
    if (word.status >= 0)
        return word.status;
    word.err.text[sizeof(word.err.text) - 1] = '\0';
    return err_set(err, word.status, "%s", word.err.text);
}

static int chamber_do(const struct chamber *wanted, const struct chamber_ids *ids, struct err *err)
{
    CLEANUP(chamber) struct chamber c = *wanted;
    int r, status;
    pid_t pid;

    if (pipe2(c.up, O_CLOEXEC) < 0 || pipe2(c.down, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        chamber_keeper(&c);
    if (pid < 0)
        return err_set(err, -errno, "cannot start a process: %s", strerror(errno));
    (void)close(c.up[1]);
    (void)close(c.down[0]);
    c.up[1] = c.down[0] = -1;
    r = chamber_attend(&c, ids, pid, err);
    if (r < 0)
        (void)kill(pid, SIGKILL);
    (void)!process_wait(pid, &status);
    return r;
}

int chamber_run(const struct chamber_ids *ids, const struct binfmt *foreign, int dir_fd,
                const char *const *argv, struct err *err)
{
    const struct chamber c = {foreign, argv, NULL, dir_fd, {-1, -1}, {-1, -1}};

    return chamber_do(&c, ids, err);
}

int chamber_remove(const struct chamber_ids *ids, int dir_fd, const char *name, struct err *err)
{
    const struct chamber c = {NULL, NULL, name, dir_fd, {-1, -1}, {-1, -1}};

    return chamber_do(&c, ids, err);
}

/* --- a try --- */

static int chamber_make_empty(const char *dir, const struct chamber_ids *ids)
{
    static const char *const names[] = {"root", "share", "work", "merged"};
    CLEANUP(fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (mkdirat(fd, names[i], 0755) < 0 ||
            fchownat(fd, names[i], ids->uid, ids->gid, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
    return fchown(fd, ids->uid, ids->gid) < 0 ? -errno : 0;
}

int chamber_check(const struct chamber_ids *ids, const struct binfmt *foreign, struct err *err)
{
    char dir[] = "/tmp/posada-try-XXXXXX";
    CLEANUP(fd) int fd = -1;
    struct err ignored;
    int r;

    if (!mkdtemp(dir))
        return err_set(err, -errno, "/tmp: %s", strerror(errno));
    r = chamber_make_empty(dir, ids);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        r = -errno;
    r = r < 0 ? err_set(err, r, "%s: %s", dir, strerror(-r))
              : chamber_run(ids, foreign, fd, NULL, err);
    (void)!file_remove_tree(AT_FDCWD, dir, &ignored);
    return r > 0 ? err_set(err, -EIO, "its first process died") : r;
}
