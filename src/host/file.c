/* SPDX-License-Identifier: Apache-2.0 */
/* Small files and directories. Contract: host/file.h. */
#include "host/file.h"

#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_TREE_DEPTH = 64 };

int file_read_fd(int fd, size_t cap, char **ret_data, size_t *ret_len)
{
    size_t len = 0, room = 4096;
    CLEANUP(free) char *data = malloc(room);

    while (data) {
        ssize_t n = pread(fd, data + len, room - len - 1, (off_t)len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        len += (size_t)n;
        if (len > cap)
            return -EFBIG;
        if (n == 0) {
            data[len] = '\0';
            *ret_data = TAKE(data);
            if (ret_len)
                *ret_len = len;
            return 0;
        }
        if (len + 1 == room) {
            char *grown = realloc(data, room *= 2);

            if (!grown)
                return -ENOMEM;
            data = grown;
        }
    }
    return -ENOMEM;
}

int file_open_to_read(int dir_fd, const char *name)
{
    /* O_NONBLOCK: opening a FIFO must not wait for somebody to write to it. */
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    return fd;
}

int file_read(int dir_fd, const char *name, size_t cap, char **ret_data, size_t *ret_len,
              struct err *err)
{
    CLEANUP(fd) int fd = file_open_to_read(dir_fd, name);
    int r = fd < 0 ? fd : file_read_fd(fd, cap, ret_data, ret_len);

    if (r == -EINVAL)
        return err_set(err, r, "%s: cannot read: it is not a regular file", name);
    if (r < 0)
        return err_set(err, r, "%s: cannot read: %s", name, strerror(-r));
    return 0;
}

int file_write_all(int fd, const void *data, size_t len)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    const char *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && poll(&ready, 1, -1) >= 0)
            continue; /* somebody we share a terminal with made it so */
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The temporary file has a fixed name: it is written by the owner of the directory's lock only,
 * and a crash then leaves at most one, which the next write replaces. */
static int file_write_temp(int dir_fd, const char *temp, const void *data, size_t len, mode_t mode)
{
    CLEANUP(fd)
    int fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    int r;

    if (fd < 0)
        return -errno;
    r = file_write_all(fd, data, len);
    if (!r && fsync(fd) < 0)
        r = -errno;
    return r;
}

static int file_sync_dir(int dir_fd)
{
    CLEANUP(fd) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int file_write(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
               struct err *err)
{
    char temp[NAME_MAX + 1];
    int r;

    if (snprintf(temp, sizeof(temp), "%s.new", name) >= (int)sizeof(temp))
        return err_set(err, -ENAMETOOLONG, "%s: the name is too long", name);
    r = file_write_temp(dir_fd, temp, data, len, mode);
    if (!r && renameat(dir_fd, temp, dir_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(dir_fd, temp, 0);
        return err_set(err, r, "%s: cannot write: %s", name, strerror(-r));
    }
    r = file_sync_dir(dir_fd);
    return r < 0 ? err_set(err, r, "%s: cannot write: %s", name, strerror(-r)) : 0;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err)
{
    CLEANUP(free) char *copy = strdup(path);

    if (!copy)
        return err_set(err, -ENOMEM, "directory %s: out of memory", path);
    for (char *slash = copy + 1;; slash++) {
        slash = strchrnul(slash, '/');
        char kept = *slash;

        *slash = '\0';
        /* Directories above are ordinary ones; only the last is closed to others. */
        if (mkdir(copy, kept ? 0755 : mode) < 0 && errno != EEXIST)
            return err_set(err, -errno, "directory %s: cannot make it: %s", copy, strerror(errno));
        if (!kept)
            return 0;
        *slash = kept;
    }
}

static int file_remove_below(int dir_fd, const char *name, unsigned depth);

static int file_remove_entries(int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        r = -errno;
        close(fd);
        return r;
    }
    while ((entry = readdir(dir))) {
        int one = 0;

        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            one = file_remove_below(dirfd(dir), entry->d_name, depth + 1);
        r = r ? r : one; /* the others go nevertheless */
    }
    closedir(dir);
    return r;
}

/* Ours, but closed even to us: what a program in there may have left. Root never comes here. */
static int file_open_closed(int dir_fd, const char *name)
{
    CLEANUP(fd) int fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    char proc[40];

    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (fd < 0 || chmod(proc, 0700) < 0)
        return -1;
    return open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int file_remove_below(int dir_fd, const char *name, unsigned depth)
{
    int fd, r;

    if (!unlinkat(dir_fd, name, 0) || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (depth > FILE_TREE_DEPTH)
        return -ELOOP;
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == EACCES)
        fd = file_open_closed(dir_fd, name);
    if (fd < 0)
        return -errno;
    if (geteuid())
        (void)fchmod(fd, 0700); /* one that may not be written to keeps its entries */
    r = file_remove_entries(fd, depth);
    if (!r && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        r = -errno;
    return r;
}

int file_remove_tree(int dir_fd, const char *name, struct err *err)
{
    int r = file_remove_below(dir_fd, name, 0);

    return r < 0 ? err_set(err, r, "%s: cannot remove: %s", name, strerror(-r)) : 0;
}

int file_lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
        return errno == EACCES ? -EAGAIN : -errno;
    return 0;
}

void file_unlock(int fd)
{
    struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    (void)fcntl(fd, F_OFD_SETLK, &whole);
}

bool file_is_locked(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}
