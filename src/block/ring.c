/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: ring.h. The number in flight never exceeds BLK_RING_ENTRIES, so completions always have
 * room. */
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RING_FILES_MAX = 32 };

struct blk_ring {
    struct io_uring uring;
    int fd[RING_FILES_MAX]; /* by their number in the ring */
    unsigned files;
    unsigned inflight;
};

/* By the system call: the library's functions for these two are not in every build of it. */
static int must_use ring_register(const struct io_uring *uring, unsigned opcode, void *arg,
                                  unsigned count)
{
    return syscall(SYS_io_uring_register, uring->ring_fd, opcode, arg, count) < 0 ? -errno : 0;
}

/* Only READV and WRITEV, only on registered files; nothing can be registered later. */
static int must_use ring_restrict(struct io_uring *uring)
{
    struct io_uring_restriction rules[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
    };
    int r = ring_register(uring, IORING_REGISTER_RESTRICTIONS, rules, ARRAY_LEN(rules));

    return r ? r : ring_register(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int blk_ring_new(const int *fds, unsigned count, struct blk_ring **ret_ring)
{
    struct blk_ring *ring = calloc(1, sizeof(*ring));
    int r;

    if (!ring || !count || count > RING_FILES_MAX) {
        free(ring);
        return ring ? -EINVAL : -ENOMEM;
    }
    r = io_uring_queue_init(BLK_RING_ENTRIES, &ring->uring, IORING_SETUP_R_DISABLED);
    if (r) {
        free(ring);
        return r;
    }
    for (ring->files = 0; ring->files < count; ring->files++)
        ring->fd[ring->files] = fds[ring->files];
    r = io_uring_register_files(&ring->uring, fds, count);
    if (!r)
        r = ring_restrict(&ring->uring);
    if (r)
        blk_ring_free(ring);
    else
        *ret_ring = ring;
    return r;
}

void blk_ring_free(struct blk_ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

int blk_ring_fd(const struct blk_ring *ring)
{
    return ring->uring.ring_fd;
}

static int ring_file(const struct blk_ring *ring, int fd)
{
    for (unsigned i = 0; i < ring->files; i++)
        if (ring->fd[i] == fd)
            return (int)i;
    return -1;
}

bool blk_ring_add(struct blk_ring *ring, int fd, uint64_t offset, const struct blk_req *req,
                  void *tag)
{
    int file = ring_file(ring, fd);
    struct io_uring_sqe *sqe;

    if (file < 0 || ring->inflight == BLK_RING_ENTRIES)
        return false;
    sqe = io_uring_get_sqe(&ring->uring);
    if (!sqe)
        return false;
    if (req->op == BLK_READ)
        io_uring_prep_readv(sqe, file, req->iov, req->iov_count, offset);
    else
        io_uring_prep_writev2(sqe, file, req->iov, req->iov_count, offset,
                              req->flags & BLK_FUA ? RWF_DSYNC : 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, tag);
    ring->inflight++;
    return true;
}

void blk_ring_submit(struct blk_ring *ring)
{
    /* What is refused for want of memory stays queued; nobody could take it back. */
    while (io_uring_sq_ready(&ring->uring) && io_uring_submit(&ring->uring) < 0)
        sched_yield();
}

bool blk_ring_next(struct blk_ring *ring, bool wait, void **ret_tag, int *ret_result)
{
    struct io_uring_cqe *cqe = NULL;
    int r;

    if (!ring->inflight)
        return false;
    do
        r = wait ? io_uring_wait_cqe(&ring->uring, &cqe) : io_uring_peek_cqe(&ring->uring, &cqe);
    while (r == -EINTR);
    if (r || !cqe)
        return false;
    *ret_tag = io_uring_cqe_get_data(cqe);
    *ret_result = cqe->res;
    io_uring_cqe_seen(&ring->uring, cqe);
    ring->inflight--;
    return true;
}
