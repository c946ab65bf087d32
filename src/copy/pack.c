/* SPDX-License-Identifier: Apache-2.0 */
/* Folders to tar streams. Contract: copy/copy.h. Each step down opens one component, no link. */
#include "copy/copy.h"

#include "copy/tar.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 200, BUFFER = 128 << 10, UNSIZED_MAX = 64 << 20 };

struct copy_pack {
    int out;
    const char *path;
    const struct copy_watch *watch;
    struct copy_entry entry; /* its name grows and shrinks with the walk */
    size_t name_len;
    uint64_t done, total;
    bool counting; /* the first walk only adds up */
    uint8_t headers[COPY_TAR_HEADERS_MAX];
    uint8_t buffer[BUFFER];
};

int copy_base_name(const char *path, char *ret, size_t size)
{
    size_t end = strlen(path), start;

    while (end && path[end - 1] == '/')
        end--;
    for (start = end; start && path[start - 1] != '/'; start--)
        ;
    if (end == start)
        return snprintf(ret, size, "root") < (int)size ? 0 : -ENAMETOOLONG;
    if (end - start >= size)
        return -ENAMETOOLONG;
    memcpy(ret, path + start, end - start);
    ret[end - start] = '\0';
    return 0;
}

static int pack_write(struct copy_pack *p, const void *data, size_t len, struct err *err)
{
    const uint8_t *at = data;

    while (len) {
        ssize_t n;

        if (p->watch->stop && p->watch->stop(p->watch->arg))
            return err_set(err, -ECANCELED, "cancelled");
        n = write(p->out, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, -errno, "the other side of the copy is gone: %s", strerror(errno));
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int pack_failed(const struct copy_pack *p, struct err *err)
{
    return err_set(err, -errno, "%.300s: %s", p->entry.name, strerror(errno));
}

static void pack_warn(const struct copy_pack *p, const char *why)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "%.400s: %s", p->entry.name, why);
    if (p->watch->warn && !p->counting)
        p->watch->warn(p->watch->arg, text);
}

static int pack_header(struct copy_pack *p, char type, const struct stat *st, struct err *err)
{
    p->entry.type = type;
    p->entry.mode = st->st_mode & 07777;
    p->entry.mtime = st->st_mtim.tv_sec;
    p->entry.size = type == COPY_FILE ? (uint64_t)st->st_size : 0;
    return pack_write(p, p->headers, copy_tar_encode(&p->entry, p->headers), err);
}

static int pack_padding(struct copy_pack *p, uint64_t size, struct err *err)
{
    memset(p->buffer, 0, COPY_TAR_BLOCK);
    return pack_write(p, p->buffer, (size_t)(-size & (COPY_TAR_BLOCK - 1)), err);
}

/* Exactly as many bytes as the header said, whatever happens to the file meanwhile. */
static int pack_data(struct copy_pack *p, int fd, uint64_t size, struct err *err)
{
    uint64_t left = size;
    int r = 0;

    while (!r && left) {
        size_t want = left < BUFFER ? (size_t)left : BUFFER;
        ssize_t n = read(fd, p->buffer, want);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pack_failed(p, err);
        if (!n) {
            pack_warn(p, "became shorter while it was copied");
            memset(p->buffer, 0, want);
            n = (ssize_t)want;
        }
        r = pack_write(p, p->buffer, (size_t)n, err);
        left -= (uint64_t)n;
        p->done += (uint64_t)n;
        if (p->watch->bytes)
            p->watch->bytes(p->watch->arg, p->done, p->total);
    }
    return r ? r : pack_padding(p, size, err);
}

/* All of a file, however long it says it is: 0 in /proc, a page in /sys. *ret_data: from malloc().
 */
static int pack_read_all(struct copy_pack *p, int fd, uint8_t **ret_data, size_t *ret_len,
                         struct err *err)
{
    size_t room = BUFFER, len = 0;
    uint8_t *data = malloc(room);
    ssize_t n = 1;

    while (data && n && len <= UNSIZED_MAX) {
        if (len == room) {
            uint8_t *more = realloc(data, room *= 2);

            if (!more)
                break;
            data = more;
        }
        n = read(fd, data + len, room - len);
        if (n < 0 && errno != EINTR) {
            free(data);
            return pack_failed(p, err);
        }
        len += n > 0 ? (size_t)n : 0;
        n = n < 0 ? 1 : n;
    }
    if (!data || (n && len <= UNSIZED_MAX)) {
        free(data);
        return err_set(err, -ENOMEM, "out of memory");
    }
    *ret_data = data;
    *ret_len = len;
    return 0;
}

static int pack_small(struct copy_pack *p, int fd, const struct stat *st, struct err *err)
{
    struct stat real = *st;
    uint8_t *data = NULL;
    size_t len = 0;
    int r = pack_read_all(p, fd, &data, &len, err);

    if (r < 0)
        return r;
    if (len > UNSIZED_MAX) {
        pack_warn(p, "left out: more than 64 MiB of a file that does not say how long it is");
    } else {
        real.st_size = (off_t)len;
        r = pack_header(p, COPY_FILE, &real, err);
        if (!r)
            r = pack_write(p, data, len, err);
        if (!r)
            r = pack_padding(p, len, err);
        p->done += len;
        if (p->watch->bytes)
            p->watch->bytes(p->watch->arg, p->done, p->total);
    }
    free(data);
    return r;
}

static int pack_file(struct copy_pack *p, int fd, const struct stat *st, struct err *err)
{
    int r;

    if (p->counting) {
        p->total += (uint64_t)st->st_size;
        return 0;
    }
    if (st->st_size <= BUFFER)
        return pack_small(p, fd, st, err);
    r = pack_header(p, COPY_FILE, st, err);
    return r ? r : pack_data(p, fd, (uint64_t)st->st_size, err);
}

static int pack_symlink(struct copy_pack *p, int dir_fd, const char *name, const struct stat *st,
                        struct err *err)
{
    ssize_t n = readlinkat(dir_fd, name, p->entry.link, COPY_NAME_MAX - 1);
    int r;

    if (n < 0)
        return pack_failed(p, err);
    p->entry.link[n] = '\0';
    r = p->counting ? 0 : pack_header(p, COPY_SYMLINK, st, err);
    p->entry.link[0] = '\0';
    return r;
}

static int pack_dir(struct copy_pack *p, int fd, const struct stat *st, unsigned depth,
                    struct err *err);

/* One entry of a directory, or the top. */
static int pack_one(struct copy_pack *p, int dir_fd, const char *name, int flags, unsigned depth,
                    struct err *err)
{
    struct stat st;
    int fd, r;

    if (fstatat(dir_fd, name, &st, flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) < 0)
        return depth && errno == ENOENT /* gone meanwhile */
                   ? 0
                   : err_set(err, -errno, "%.300s: %s", depth ? p->entry.name : name,
                             strerror(errno));
    if (S_ISLNK(st.st_mode))
        return pack_symlink(p, dir_fd, name, &st, err);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        if (!depth)
            return err_set(err, -EINVAL, "%.300s: neither file, folder nor link", name);
        pack_warn(p, "left out: neither file, folder nor link");
        return 0;
    }
    fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
    if (fd < 0)
        return depth && errno == ENOENT ? 0 : pack_failed(p, err);
    if (fstat(fd, &st) < 0)
        r = pack_failed(p, err);
    else if (S_ISDIR(st.st_mode))
        return pack_dir(p, fd, &st, depth, err);
    else
        r = S_ISREG(st.st_mode) ? pack_file(p, fd, &st, err) : 0;
    close(fd);
    return r;
}

static int pack_child(struct copy_pack *p, int fd, const char *name, unsigned depth,
                      struct err *err)
{
    size_t len = p->name_len, more = strlen(name) + 1;
    int r;

    if (len + more >= COPY_NAME_MAX)
        return err_set(err, -ENAMETOOLONG, "%.300s...: too long a name to be copied",
                       p->entry.name);
    p->entry.name[len] = '/';
    memcpy(p->entry.name + len + 1, name, more);
    p->name_len = len + more;
    r = pack_one(p, fd, name, O_NOFOLLOW, depth + 1, err);
    p->entry.name[p->name_len = len] = '\0';
    return r;
}

/* Takes fd over. */
static int pack_dir(struct copy_pack *p, int fd, const struct stat *st, unsigned depth,
                    struct err *err)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *e;
    int r = 0;

    if (!dir) {
        close(fd);
        return err_set(err, -ENOMEM, "out of memory");
    }
    if (depth == DEPTH_MAX)
        r = err_set(err, -ELOOP, "%.300s: more than %d folders deep", p->entry.name, DEPTH_MAX);
    if (!r && !p->counting)
        r = pack_header(p, COPY_DIR, st, err);
    while (!r && (e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = pack_child(p, dirfd(dir), e->d_name, depth, err);
    closedir(dir);
    return r;
}

int copy_pack_look(const char *path, const struct copy_watch *watch, struct copy_pack **ret,
                   struct err *err)
{
    struct copy_pack *p = calloc(1, sizeof(*p));
    int r = p ? copy_base_name(path, p->entry.name, 256) : -ENOMEM;

    if (r < 0) {
        free(p);
        return err_set(err, r, "%.300s: %s", path, strerror(-r));
    }
    p->path = path;
    p->watch = watch;
    p->name_len = strlen(p->entry.name);
    p->counting = true;
    r = pack_one(p, AT_FDCWD, path, 0, 0, err);
    p->counting = false;
    if (r < 0)
        free(p);
    else
        *ret = p;
    return r;
}

void copy_pack_free(struct copy_pack *p)
{
    free(p);
}

int copy_pack_write(struct copy_pack *p, int fd, bool tell_total, struct err *err)
{
    int r = 0;

    p->out = fd;
    if (tell_total)
        r = pack_write(p, p->headers, copy_tar_encode_total(p->total, p->headers), err);
    if (!r)
        r = pack_one(p, AT_FDCWD, p->path, 0, 0, err);
    memset(p->headers, 0, (size_t)2 * COPY_TAR_BLOCK);
    return r ? r : pack_write(p, p->headers, (size_t)2 * COPY_TAR_BLOCK, err);
}

int copy_pack(const char *path, int fd, bool tell_total, const struct copy_watch *watch,
              struct err *err)
{
    struct copy_pack *p = NULL;
    int r = copy_pack_look(path, watch, &p, err);

    if (!r)
        r = copy_pack_write(p, fd, tell_total, err);
    copy_pack_free(p);
    return r;
}
