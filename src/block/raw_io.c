/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One raw disk request as system calls. FUA is a write and fdatasync(). Discard is advice: a file
 * system that cannot punch holes makes it succeed without effect. Write-zeroes is not: it falls
 * back to writing zeroes.
 */
#include "raw_io.h"

#include "base/iov.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECES = 64, ZERO_PAGE = 4096, BOUNCE_MAX = 1 << 20 };

static _Alignas(ZERO_PAGE) const uint8_t zero_page[ZERO_PAGE];

/* The bytes of req from `done` on, as at most PIECES pieces: their number. */
static int next_pieces(const struct blk_req *req, uint64_t done, struct iovec *ret_iov)
{
    return (int)iov_window(req->iov, req->iov_count, done, req->length - done, ret_iov, PIECES);
}

/* The same for zeroes; pwritev() only reads through iov_base. */
static int next_zeroes(const struct blk_req *req, uint64_t done, struct iovec *ret_iov)
{
    uint64_t left = req->length - done;
    int n = 0;

    for (; left && n < PIECES; n++) {
        size_t part = left < ZERO_PAGE ? (size_t)left : ZERO_PAGE;

        ret_iov[n] = (struct iovec){.iov_base = (void *)(uintptr_t)zero_page, .iov_len = part};
        left -= part;
    }
    return n;
}

static int must_use transfer(const struct raw_file *file, const struct blk_req *req,
                             int (*next)(const struct blk_req *, uint64_t, struct iovec *))
{
    struct iovec iov[PIECES];
    uint64_t done = 0;

    while (done < req->length) {
        int count = next(req, done, iov);
        off_t at = (off_t)(req->offset + done);

        if (!count)
            return -EINVAL; /* buffers shorter than length */
        ssize_t n = req->op == BLK_READ ? preadv(file->fd, iov, count, at)
                                        : pwritev(file->fd, iov, count, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        if ((uint64_t)n % file->align)
            return -EIO; /* the end of the file, in the middle of a block */
        done += (uint64_t)n;
    }
    return 0;
}

/* --- Direct I/O --- */
bool raw_aligned(const struct blk_req *req, unsigned align)
{
    uint64_t bits = req->offset | req->length;

    for (unsigned i = 0; i < req->iov_count; i++)
        bits |= (uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len;
    return bits % align == 0;
}

/* Through a buffer that is aligned, a part at a time. */
static int must_use bounce(const struct raw_file *file, const struct blk_req *req)
{
    size_t room = req->length < BOUNCE_MAX ? (size_t)req->length : BOUNCE_MAX;
    uint8_t *buf = aligned_alloc(file->align, room);
    int r = buf ? 0 : -ENOMEM;

    for (uint64_t done = 0; !r && done < req->length; done += room) {
        struct iovec iov = {buf, req->length - done < room ? (size_t)(req->length - done) : room};
        const struct blk_req part = {.op = req->op,
                                     .offset = req->offset + done,
                                     .length = iov.iov_len,
                                     .iov = &iov,
                                     .iov_count = 1};

        if (req->op == BLK_WRITE &&
            iov_read(req->iov, req->iov_count, done, buf, iov.iov_len) != iov.iov_len)
            r = -EINVAL;
        if (!r)
            r = transfer(file, &part, next_pieces);
        if (!r && req->op == BLK_READ &&
            iov_fill(req->iov, req->iov_count, done, buf, iov.iov_len) != iov.iov_len)
            r = -EINVAL;
    }
    free(buf);
    return r;
}

static int must_use read_write(const struct raw_file *file, const struct blk_req *req)
{
    if (file->align == 1 || raw_aligned(req, file->align))
        return transfer(file, req, next_pieces);
    if ((req->offset | req->length) % file->align)
        return -EINVAL;
    return bounce(file, req);
}

/* --- Requests --- */

static int must_use sync_data(int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int must_use sync_if_asked(int fd, const struct blk_req *req)
{
    return req->flags & BLK_FUA ? sync_data(fd) : 0;
}

static int must_use allocate(int fd, int mode, const struct blk_req *req)
{
    int r;

    do
        r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)req->offset, (off_t)req->length);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* What file systems and devices without the operation answer. */
static bool unsupported(int result)
{
    return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV || result == -EINVAL;
}

static int must_use discard(int fd, const struct blk_req *req)
{
    int r = allocate(fd, FALLOC_FL_PUNCH_HOLE, req);

    return unsupported(r) ? 0 : r;
}

static int must_use write_zeroes(const struct raw_file *file, const struct blk_req *req)
{
    bool unmap = req->flags & BLK_MAY_UNMAP;
    int r = allocate(file->fd, unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, req);

    if (unsupported(r))
        r = transfer(file, req, next_zeroes);
    return r;
}

int raw_io(const struct raw_file *file, const struct blk_req *req)
{
    int r;

    switch (req->op) {
    case BLK_READ: return read_write(file, req);
    case BLK_WRITE: r = read_write(file, req); break;
    case BLK_FLUSH: return sync_data(file->fd);
    case BLK_DISCARD: return discard(file->fd, req);
    case BLK_WRITE_ZEROES: r = write_zeroes(file, req); break;
    default: return -EOPNOTSUPP;
    }
    return r < 0 ? r : sync_if_asked(file->fd, req);
}
