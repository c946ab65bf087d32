/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files. */
#include "share/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A worker is not held longer than this many bytes; the guest asks again for the rest. */
enum { COPY_MAX = 16 << 20 };
enum { FALLOCATE_ALLOWED = 0x01 | 0x02 | 0x10 /* keep size, punch hole, zero range */ };

int share_open_flags(uint32_t flags)
{
    int kept = (int)(flags & (O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC));

    return (kept & O_ACCMODE) == O_ACCMODE ? (kept & ~O_ACCMODE) | O_RDWR : kept;
}

/* A file that is as it was at the last open may stay in the guest's cache. */
static uint32_t open_keeps_cache(struct share_server *s, struct share_node *node, int fd)
{
    struct stat st;
    bool same;

    if (fstat(fd, &st) < 0)
        return 0;
    pthread_mutex_lock(&s->nodes.lock);
    same = node->opened_size == st.st_size && node->opened_mtime.tv_sec == st.st_mtim.tv_sec &&
           node->opened_mtime.tv_nsec == st.st_mtim.tv_nsec;
    node->opened_size = st.st_size;
    node->opened_mtime = st.st_mtim;
    pthread_mutex_unlock(&s->nodes.lock);
    return same ? FOPEN_KEEP_CACHE : 0;
}

/* Only file systems that write over a network have something to tell when a file is closed; with
 * others the guest need not ask. */
uint32_t share_open_noflush(int fd, int flags)
{
    static const uint32_t remote[] = {
        0x6969 /* nfs */,      0x517b /* smb */,      0xff534d42 /* cifs */, 0xfe534d42 /* smb2 */,
        0x65735546 /* fuse */, 0x00c36400 /* ceph */, 0x01021997 /* 9p */,   0x5346414f /* afs */};
    struct statfs st;

    if ((flags & O_ACCMODE) == O_RDONLY)
        return FOPEN_NOFLUSH;
    if (fstatfs(fd, &st) < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(remote); i++)
        if ((uint32_t)st.f_type == remote[i])
            return 0;
    return FOPEN_NOFLUSH;
}

int share_op_open(struct share_call *c)
{
    const struct fuse_open_in *in = share_take(c, sizeof(*in));
    struct fuse_open_out *out = share_give(c, sizeof(*out));
    struct share_node *node;
    int flags, fd;

    if (!in || !out)
        return -EINVAL;
    flags = share_open_flags(in->flags);
    if (c->s->config.read_only && (flags & O_ACCMODE || flags & O_TRUNC))
        return -EROFS;
    node = share_call_node(c);
    if (!node)
        return -ESTALE;
    /* Never a device, a pipe or a socket: opening one has effects, or never ends. */
    fd = node->type == S_IFREG ? share_reopen(c->s, node->fd, flags) : -ENXIO;
    if (fd >= 0) {
        out->open_flags = open_keeps_cache(c->s, node, fd) | share_open_noflush(fd, flags);
        fd = share_file_add(&c->s->files, fd, false, &out->fh);
    }
    share_node_put(&c->s->nodes, node);
    return fd;
}

int share_op_read(struct share_call *c)
{
    const struct fuse_read_in *in = share_take(c, sizeof(*in));
    struct share_file *f;
    size_t want;
    ssize_t n = 0;

    if (!in)
        return -EINVAL;
    f = share_file_get(&c->s->files, in->fh, false);
    if (!f)
        return -EBADF;
    want = in->size < c->out_room ? in->size : c->out_room;
    if (in->offset > INT64_MAX)
        n = -EINVAL;
    while (n >= 0 && c->out_len < want) {
        n = pread(f->fd, c->out + c->out_len, want - c->out_len, (off_t)(in->offset + c->out_len));
        if (n > 0)
            c->out_len += (size_t)n;
        else if (n < 0)
            n = c->out_len ? 0 : -errno; /* what was read counts */
        if (!n)
            break;
    }
    share_file_put(&c->s->files, f);
    return n < 0 ? (int)n : 0;
}

int share_op_write(struct share_call *c)
{
    const struct fuse_write_in *in = share_take(c, sizeof(*in));
    struct fuse_write_out *out = share_give(c, sizeof(*out));
    struct share_file *f;
    size_t done = 0;
    ssize_t n = 0;

    if (!in || !out || in->size > c->data_len || in->offset > INT64_MAX)
        return -EINVAL;
    f = share_file_get(&c->s->files, in->fh, false);
    if (!f)
        return -EBADF;
    while (done < in->size) {
        n = pwrite(f->fd, c->data + done, in->size - done, (off_t)(in->offset + done));
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    n = n < 0 && !done ? -errno : 0;
    share_file_put(&c->s->files, f);
    out->size = (uint32_t)done;
    return (int)n;
}

/* Closing a copy makes a network file system tell what it could not write. */
int share_op_flush(struct share_call *c)
{
    const struct fuse_flush_in *in = share_take(c, sizeof(*in));
    struct share_file *f = in ? share_file_get(&c->s->files, in->fh, false) : NULL;
    int copy, r;

    if (!f)
        return in ? -EBADF : -EINVAL;
    copy = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    r = copy < 0 || close(copy) < 0 ? -errno : 0;
    share_file_put(&c->s->files, f);
    return r;
}

int share_op_release(struct share_call *c)
{
    const struct fuse_release_in *in = share_take(c, sizeof(*in));

    if (!in)
        return -EINVAL;
    share_file_close(&c->s->files, in->fh, false);
    return 0;
}

static int io_sync(struct share_call *c, bool dir)
{
    const struct fuse_fsync_in *in = share_take(c, sizeof(*in));
    struct share_file *f = in ? share_file_get(&c->s->files, in->fh, dir) : NULL;
    int r;

    if (!f)
        return in ? -EBADF : -EINVAL;
    r = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(f->fd) : fsync(f->fd);
    r = r < 0 ? -errno : 0;
    share_file_put(&c->s->files, f);
    return r;
}

int share_op_fsync(struct share_call *c)
{
    return io_sync(c, false);
}

int share_op_fsyncdir(struct share_call *c)
{
    return io_sync(c, true);
}

int share_op_syncfs(struct share_call *c)
{
    struct share_node *node = share_call_node(c);
    int fd, r;

    if (!node)
        return -ESTALE;
    r = fd =
        node->type == S_IFDIR ? share_open_at(node->fd, ".", O_RDONLY | O_DIRECTORY, 0) : -ENOTDIR;
    if (fd >= 0) {
        r = syncfs(fd) < 0 ? -errno : 0;
        close(fd);
    }
    share_node_put(&c->s->nodes, node);
    return r;
}

int share_op_fallocate(struct share_call *c)
{
    const struct fuse_fallocate_in *in = share_take(c, sizeof(*in));
    struct share_file *f;
    int r;

    if (!in || in->offset > INT64_MAX || in->length > INT64_MAX)
        return -EINVAL;
    if (in->mode & ~(uint32_t)FALLOCATE_ALLOWED)
        return -EOPNOTSUPP;
    f = share_file_get(&c->s->files, in->fh, false);
    if (!f)
        return -EBADF;
    r = fallocate(f->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno : 0;
    share_file_put(&c->s->files, f);
    return r;
}

int share_op_lseek(struct share_call *c)
{
    const struct fuse_lseek_in *in = share_take(c, sizeof(*in));
    struct fuse_lseek_out *out = share_give(c, sizeof(*out));
    struct share_file *f;
    off_t at;

    if (!in || !out || in->offset > INT64_MAX ||
        (in->whence != SEEK_DATA && in->whence != SEEK_HOLE))
        return -EINVAL;
    f = share_file_get(&c->s->files, in->fh, false);
    if (!f)
        return -EBADF;
    at = lseek(f->fd, (off_t)in->offset, (int)in->whence);
    at = at < 0 ? -errno : at;
    share_file_put(&c->s->files, f);
    if (at < 0)
        return (int)at;
    out->offset = (uint64_t)at;
    return 0;
}

int share_op_copy(struct share_call *c)
{
    const struct fuse_copy_file_range_in *in = share_take(c, sizeof(*in));
    struct fuse_write_out *out = share_give(c, sizeof(*out));
    struct share_file *from, *to;
    loff_t at_in, at_out;
    ssize_t n = -EBADF;

    if (!in || !out || in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
        return -EINVAL;
    at_in = (loff_t)in->off_in;
    at_out = (loff_t)in->off_out;
    from = share_file_get(&c->s->files, in->fh_in, false);
    to = share_file_get(&c->s->files, in->fh_out, false);
    if (from && to) {
        n = copy_file_range(from->fd, &at_in, to->fd, &at_out,
                            in->len < COPY_MAX ? in->len : COPY_MAX, 0);
        n = n < 0 ? -errno : n;
    }
    if (from)
        share_file_put(&c->s->files, from);
    if (to)
        share_file_put(&c->s->files, to);
    out->size = n < 0 ? 0 : (uint32_t)n;
    return n < 0 ? (int)n : 0;
}
