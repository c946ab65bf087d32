/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: file.h. */
#include "file.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int must_use file_size(int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISBLK(st.st_mode))
        return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ENODEV;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int must_use file_lock(const struct blk_source *source, int fd, struct err *err)
{
    bool write = !source->read_only;
    struct flock lock = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return err_set(err, -errno, "disk '%s': cannot lock it: %s", source->path, strerror(errno));
    return err_set(
        err, -EBUSY, "disk '%s': in use by another guest or program; stop that one, or %s",
        source->path, write ? "open it read-only in both" : "wait until it no longer writes");
}

static int file_descriptor(const struct blk_source *source, int dir_fd)
{
    /* O_NONBLOCK: a FIFO must not make us wait before we can refuse it. */
    int flags = (source->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
    struct open_how how = {
        .flags = (unsigned)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };

    if (dir_fd < 0)
        return open(source->path, flags);
    return (int)syscall(SYS_openat2, dir_fd, source->path, &how, sizeof(how));
}

/* --- Direct I/O --- */
/* Whether sectors can be read one by one. Those of a device or file system with larger blocks
 * cannot; a disk of 512-byte sectors does not work there. */
static int must_use direct_try(int fd)
{
    uint8_t *buf = aligned_alloc(4096, 4096);
    ssize_t n = -ENOMEM;

    if (buf) {
        n = pread(fd, buf + RAW_DIRECT_ALIGN, RAW_DIRECT_ALIGN, RAW_DIRECT_ALIGN);
        n = n < 0 ? -errno : n;
        free(buf);
    }
    return n < 0 ? (int)n : 0;
}

static int must_use data_refused(const struct blk_source *source, int code, struct err *err)
{
    bool alignment = source->direct && code == -EINVAL;

    return err_set(err, alignment ? -EOPNOTSUPP : code, "disk '%s': %s%s", source->path,
                   alignment ? "where it lies there is no direct I/O of single sectors (cache=none)"
                             : strerror(-code),
                   source->direct ? "; use cache=writeback or cache=writethrough" : "");
}

/* A description of its own, by way of the first (a name could have moved on). Also without direct
 * I/O: an io_uring keeps its files open for a while after its process has ended, and with them
 * would keep the lock. */
static int must_use data_open(const struct blk_source *source, struct image_file *file,
                              struct err *err)
{
    char path[64];
    int fd, r;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
    fd = open(path, (source->read_only ? O_RDONLY : O_RDWR) | (source->direct ? O_DIRECT : 0) |
                        O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && !source->direct)
        return 0; /* without /proc: the first one serves */
    r = fd < 0 ? -errno : source->direct ? direct_try(fd) : 0;
    if (!r)
        file->data = (struct raw_file){fd, source->direct ? RAW_DIRECT_ALIGN : 1};
    else if (fd >= 0)
        (void)close(fd);
    return r ? data_refused(source, r, err) : 0;
}

void image_file_close(const struct image_file *file)
{
    if (file->data.fd >= 0 && file->data.fd != file->fd)
        (void)close(file->data.fd);
    if (file->fd >= 0)
        (void)close(file->fd);
}

int image_file_open(const struct blk_source *source, int dir_fd, struct image_file *ret_file,
                    struct err *err)
{
    struct image_file file = {.fd = file_descriptor(source, dir_fd)};
    int r;

    file.data = (struct raw_file){file.fd, 1};

    if (file.fd < 0) {
        if (dir_fd >= 0 && (errno == EXDEV || errno == ELOOP))
            return err_set(err, -EACCES,
                           "disk '%s': backing file '%s' leads out of the folder that is allowed "
                           "for backing files, or in circles",
                           source->name, source->path);
        bool denied = !source->read_only && (errno == EACCES || errno == EROFS || errno == EPERM);

        return err_set(err, -errno, "disk '%s': %s%s", source->path, strerror(errno),
                       denied ? "; it may be readable with the read-only option" : "");
    }
    if (file_size(file.fd, &file.size) < 0)
        r = err_set(err, -ENOEXEC,
                    "disk '%s': no disk image: neither a regular file nor a block device",
                    source->path);
    else
        r = source->unlocked ? 0 : file_lock(source, file.fd, err);
    if (!r)
        r = data_open(source, &file, err);
    if (r < 0)
        image_file_close(&file);
    else
        *ret_file = file;
    return r;
}

bool blk_file_is_qcow2(const char *path)
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint8_t magic[8];

    return fd >= 0 && pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
           ld_be32(magic) == 0x514649fb && ld_be32(magic + 4) >= 2 && ld_be32(magic + 4) <= 3;
}

/* Bytes read until the file ended, or a negative errno. */
static ssize_t read_some(int fd, uint64_t offset, void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (!n)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int image_read(int fd, uint64_t offset, void *buf, size_t len)
{
    ssize_t n = read_some(fd, offset, buf, len);

    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -EIO;
}

int image_read_padded(int fd, uint64_t offset, void *buf, size_t len)
{
    ssize_t n = read_some(fd, offset, buf, len);

    if (n < 0 || (!n && len))
        return n < 0 ? (int)n : -EIO;
    memset((uint8_t *)buf + n, 0, len - (size_t)n);
    return 0;
}

int image_write(int fd, uint64_t offset, const void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const uint8_t *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}
