/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar streams to folders. Contract: copy/copy.h. The stream is hostile.
 *
 * Every name is split into components; "..", "." (but a leading "./"), "" and a leading '/' are
 * refused. The folder an entry goes to is opened by openat2(RESOLVE_BENEATH | NO_SYMLINKS |
 * NO_MAGICLINKS) below the target, so a link that the stream, or anybody, has put there stops it.
 * A file is written under a name of its own and renamed when it is whole. Modes and times of
 * folders are set at the end, when nothing more goes into them.
 */
#include "copy/copy.h"

#include "base/cleanup.h"
#include "copy/tar.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DIRS_MAX = 1 << 20, BUFFER = 128 << 10, TEMPORARY_NAME = 40 };

struct unpack_dir {
    char *name; /* below the target */
    mode_t mode;
    int64_t mtime;
};

struct unpack {
    const struct copy_unpack *config;
    struct copy_tar_reader reader;
    int target;    /* the folder all ends in */
    char as[256];  /* the copy's name in it; "": the stream's */
    char top[256]; /* the stream's, once known */
    char name[COPY_NAME_MAX + 256];
    /* The file being written: fd -1 for none. */
    int fd, dir_fd;
    char temporary[TEMPORARY_NAME];
    const char *base; /* in name */
    mode_t mode;
    int64_t mtime;
    struct unpack_dir *dirs;
    size_t dir_count, dir_room;
    uint64_t done, total;
    uint8_t buffer[BUFFER];
};

/* --- Names --- */
static int unpack_refuse(const char *name, const char *why, struct err *err)
{
    return err_set(err, -EINVAL, "%.200s: refused: %s", name, why);
}

/* One component, at most 255 bytes, no dots. */
static bool component_ok(const char *at, size_t len)
{
    return len && len < 256 && !(len == 1 && at[0] == '.') &&
           !(len == 2 && at[0] == '.' && at[1] == '.');
}

/* The stream's name as one below the target, into out (COPY_NAME_MAX + 256): all components are
 * fine, the first one is the copy's. "" for the target itself. */
static int unpack_name(struct unpack *u, const char *from, char *out, struct err *err)
{
    const char *whole = from;
    size_t used = 0;

    if (*from == '/')
        return unpack_refuse(whole, "an absolute name", err);
    while (!strncmp(from, "./", 2))
        from += strspn(from + 1, "/") + 1;
    if (!strcmp(from, "."))
        from = "";
    out[0] = '\0';
    while (*from) {
        size_t len = strcspn(from, "/"), more = len;
        const char *at = from;

        if (!component_ok(from, len))
            return unpack_refuse(whole, "a name that leads elsewhere", err);
        if (!used && u->as[0]) {
            if (!u->top[0])
                memcpy(u->top, from, len); /* zeroed, and 255 bytes at most */
            if (strlen(u->top) != len || memcmp(u->top, from, len))
                return unpack_refuse(whole, "not part of what was asked for", err);
            at = u->as;
            more = strlen(u->as);
        }
        memcpy(out + used, at, more);
        used += more;
        out[used++] = '/';
        from += len;
        from += strspn(from, "/");
    }
    if (used)
        out[used - 1] = '\0';
    else if (u->as[0])
        return unpack_refuse(whole, "a copy without a name", err);
    return 0;
}

/* One step down, or the way to a folder in one call: never through a link. */
static int unpack_open_dir(int dir_fd, const char *name, int flags)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, *name ? name : ".", &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

/* Archives need not mention every folder: makes what is missing, step by step. */
static int unpack_make_way(const struct unpack *u, const char *name)
{
    int fd = unpack_open_dir(u->target, "", O_PATH), next;
    char step[256];

    while (fd >= 0 && *name) {
        size_t len = strcspn(name, "/"); /* below 256: unpack_name() has seen to it */

        memcpy(step, name, len);
        step[len] = '\0';
        next = unpack_open_dir(fd, step, O_PATH);
        if (next == -ENOENT && mkdirat(fd, step, 0777 & u->config->mask) == 0)
            next = unpack_open_dir(fd, step, O_PATH);
        close(fd);
        fd = next;
        name += len + (name[len] == '/');
    }
    return fd;
}

/* The folder that a name lies in, and its last component. */
static int unpack_parent(const struct unpack *u, char *name, const char **ret_base, struct err *err)
{
    char *slash = strrchr(name, '/');
    int fd;

    *ret_base = slash ? slash + 1 : name;
    if (slash)
        *slash = '\0';
    fd = unpack_open_dir(u->target, slash ? name : "", O_PATH);
    if (fd == -ENOENT && slash)
        fd = unpack_make_way(u, name);
    if (fd == -ELOOP || fd == -EXDEV || fd == -ENOTDIR)
        (void)err_set(err, fd, "%.200s: refused: a link or file is in the way", name);
    else if (fd < 0)
        (void)err_set(err, fd, "%.200s: %s", slash ? name : u->config->path, strerror(-fd));
    if (slash)
        *slash = '/';
    return fd;
}

/* --- Folders --- */
static int dirs_note(struct unpack *u, const struct copy_entry *e, struct err *err)
{
    struct unpack_dir *d;

    if (u->dir_count == DIRS_MAX)
        return err_set(err, -E2BIG, "more than %d folders", DIRS_MAX);
    if (u->dir_count == u->dir_room) {
        size_t room = u->dir_room ? 2 * u->dir_room : 64;

        d = reallocarray(u->dirs, room, sizeof(*d));
        if (!d)
            return err_set(err, -ENOMEM, "out of memory");
        u->dirs = d;
        u->dir_room = room;
    }
    d = &u->dirs[u->dir_count];
    *d = (struct unpack_dir){strdup(u->name), e->mode, e->mtime};
    if (!d->name)
        return err_set(err, -ENOMEM, "out of memory");
    u->dir_count++;
    return 0;
}

static void dirs_finish(struct unpack *u, bool fine)
{
    while (u->dir_count) {
        struct unpack_dir *d = &u->dirs[--u->dir_count];
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = d->mtime}};
        int fd = fine ? unpack_open_dir(u->target, d->name, O_RDONLY) : -1;

        if (fd >= 0) {
            (void)!fchmod(fd, d->mode & u->config->mask);
            (void)!futimens(fd, times);
            close(fd);
        }
        free(d->name);
    }
    free(u->dirs);
}

static int unpack_dir(struct unpack *u, const struct copy_entry *e, int dir_fd, const char *base,
                      struct err *err)
{
    struct stat st;

    if (mkdirat(dir_fd, base, 0700) == 0)
        return dirs_note(u, e, err);
    if (errno != EEXIST)
        return err_set(err, -errno, "%.200s: %s", u->name, strerror(errno));
    if (fstatat(dir_fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, -EEXIST, "%.200s: there is one already, and it is no folder", u->name);
    return 0; /* one that was there keeps its mode */
}

/* --- Links --- */
/* Another kind of thing than a folder makes room. */
static int unpack_make_room(int dir_fd, const char *base)
{
    return unlinkat(dir_fd, base, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int unpack_symlink(struct unpack *u, const struct copy_entry *e, int dir_fd,
                          const char *base, struct err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = e->mtime}};
    int r = unpack_make_room(dir_fd, base);

    if (!r && symlinkat(e->link, dir_fd, base) < 0)
        r = -errno;
    if (!r)
        (void)utimensat(dir_fd, base, times, AT_SYMLINK_NOFOLLOW);
    return r ? err_set(err, r, "%.200s: %s", u->name, strerror(-r)) : 0;
}

/* To a file that the copy has, by its name in the stream. */
static int unpack_hard_link(struct unpack *u, const struct copy_entry *e, int dir_fd,
                            const char *base, struct err *err)
{
    CLEANUP(free) char *name = malloc(COPY_NAME_MAX + 256);
    const char *to_base;
    struct stat st;
    int r = name ? unpack_name(u, e->link, name, err) : err_set(err, -ENOMEM, "out of memory"), fd;

    if (r < 0)
        return r;
    fd = unpack_parent(u, name, &to_base, err);
    if (fd < 0)
        return fd;
    if (fstatat(fd, to_base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = -EINVAL;
    if (!r)
        r = unpack_make_room(dir_fd, base);
    if (!r && linkat(fd, to_base, dir_fd, base, 0) < 0)
        r = -errno;
    close(fd);
    return r ? err_set(err, r, "%.200s: hard link to %.200s: %s", u->name, name, strerror(-r)) : 0;
}

/* --- Files --- */
static int unpack_file(struct unpack *u, const struct copy_entry *e, int dir_fd, const char *base,
                       struct err *err)
{
    uint64_t random = 0;

    (void)!getrandom(&random, sizeof(random), 0);
    (void)snprintf(u->temporary, sizeof(u->temporary), ".posada-cp-%016llx",
                   (unsigned long long)random);
    u->fd =
        openat(dir_fd, u->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (u->fd < 0)
        return err_set(err, -errno, "%.200s: %s", u->name, strerror(errno));
    u->dir_fd = dir_fd;
    u->base = base;
    u->mode = e->mode;
    u->mtime = e->mtime;
    return 0;
}

static void unpack_drop_file(struct unpack *u)
{
    if (u->fd < 0)
        return;
    (void)unlinkat(u->dir_fd, u->temporary, 0);
    close(u->fd);
    close(u->dir_fd);
    u->fd = u->dir_fd = -1;
}

static int on_data(void *arg, const uint8_t *data, size_t len, struct err *err)
{
    struct unpack *u = arg;

    u->done += len;
    while (len && u->fd >= 0) {
        ssize_t n = write(u->fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, -errno, "%.200s: %s", u->name, strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    if (u->config->watch.bytes)
        u->config->watch.bytes(u->config->watch.arg, u->done, u->total);
    return 0;
}

/* Whole: it gets its name. */
static int on_end(void *arg, struct err *err)
{
    struct unpack *u = arg;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = u->mtime}};
    int r = 0;

    if (u->fd < 0)
        return 0;
    (void)!futimens(u->fd, times);
    if (fchmod(u->fd, u->mode & u->config->mask) < 0 ||
        renameat(u->dir_fd, u->temporary, u->dir_fd, u->base) < 0)
        r = err_set(err, -errno, "%.200s: %s", u->name, strerror(errno));
    if (r < 0) {
        unpack_drop_file(u);
        return r;
    }
    if (close(u->fd) < 0)
        r = err_set(err, -errno, "%.200s: %s", u->name, strerror(errno));
    close(u->dir_fd);
    u->fd = u->dir_fd = -1;
    return r;
}

/* --- Entries --- */
static int unpack_entry(struct unpack *u, const struct copy_entry *e, int dir_fd, const char *base,
                        struct err *err)
{
    switch (e->type) {
    case COPY_FILE: return unpack_file(u, e, dir_fd, base, err);
    case COPY_DIR: return unpack_dir(u, e, dir_fd, base, err);
    case COPY_SYMLINK: return unpack_symlink(u, e, dir_fd, base, err);
    case COPY_HARD_LINK: return unpack_hard_link(u, e, dir_fd, base, err);
    default: return unpack_refuse(u->name, "neither file, folder nor link", err);
    }
}

static int on_entry(void *arg, const struct copy_entry *e, struct err *err)
{
    struct unpack *u = arg;
    const char *base;
    int r = unpack_name(u, e->name, u->name, err), dir_fd;

    if (r < 0 || !u->name[0])
        return r < 0 || e->type == COPY_DIR ? r : unpack_refuse(e->name, "no name", err);
    dir_fd = unpack_parent(u, u->name, &base, err);
    if (dir_fd < 0)
        return dir_fd;
    r = unpack_entry(u, e, dir_fd, base, err);
    if (u->fd < 0)
        close(dir_fd);
    return r;
}

static void on_total(void *arg, uint64_t total)
{
    ((struct unpack *)arg)->total = total;
}

/* --- The whole --- */
/* An existing folder gets the copy by its name; else the last component is the copy's name. */
static int unpack_open_target(struct unpack *u, struct err *err)
{
    const struct copy_unpack *config = u->config;
    char parent[COPY_NAME_MAX];
    char *slash;

    u->target = open(config->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (u->target >= 0)
        return config->name ? copy_base_name(config->name, u->as, sizeof(u->as)) : 0;
    if (!config->name || (errno != ENOENT && errno != ENOTDIR) ||
        config->path[strlen(config->path) - 1] == '/')
        return err_set(err, -errno, "%.300s: %s", config->path,
                       errno == ENOENT ? "there is no such folder" : strerror(errno));
    if (copy_base_name(config->path, u->as, sizeof(u->as)) < 0 ||
        snprintf(parent, sizeof(parent), "%s", config->path) >= (int)sizeof(parent))
        return err_set(err, -ENAMETOOLONG, "%.300s: too long a name", config->path);
    slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    u->target = open(slash ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return u->target < 0 ? err_set(err, -errno, "%.300s: the folder it is to be in: %s",
                                   config->path, strerror(errno))
                         : 0;
}

static int unpack_read(struct unpack *u, int fd, struct err *err)
{
    const struct copy_watch *watch = &u->config->watch;
    ssize_t n;
    int r = 0;

    while (!r) {
        if (watch->stop && watch->stop(watch->arg))
            return err_set(err, -ECANCELED, "cancelled");
        n = read(fd, u->buffer, BUFFER);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, -errno, "the copy's stream: %s", strerror(errno));
        if (!n) /* read to its very end, so that the sender is not cut off */
            return u->reader.ended ? 0 : err_set(err, -EPIPE, "the copy's stream ended too early");
        r = copy_tar_feed(&u->reader, u->buffer, (size_t)n, err);
    }
    return r;
}

int copy_unpack(const struct copy_unpack *config, int fd, struct err *err)
{
    struct unpack *u = calloc(1, sizeof(*u));
    const struct copy_tar_events events = {on_entry, on_data, on_end, on_total, u};
    int r;

    if (!u)
        return err_set(err, -ENOMEM, "out of memory");
    u->config = config;
    u->fd = u->dir_fd = u->target = -1;
    r = unpack_open_target(u, err);
    copy_tar_begin(&u->reader, &events);
    if (!r)
        r = unpack_read(u, fd, err);
    unpack_drop_file(u);
    dirs_finish(u, r == 0);
    if (u->target >= 0)
        close(u->target);
    free(u);
    return r;
}
