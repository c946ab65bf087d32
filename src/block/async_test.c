/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests' back ends in every cache mode, by io_uring and by threads, on raw and qcow2 images:
 * random requests in flight together, odd buffers, against a model of the disk. And what the ring
 * lets itself be used for. Includes ring.c to speak to the kernel behind its back.
 */
#include "block.h"
#include "qcow2.h"
#include "ring.c"

#include "base/unit_test.h"
#include "host/loop.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { DISK = 1 << 20, SECTOR = 512, JOBS = 64, JOB_MAX = 32 * SECTOR, ROUNDS = 12 };

struct fixture {
    pthread_mutex_t lock;
    struct loop *loop;
    char path[64];
    struct blockdev *disk;
    unsigned pending;
    uint32_t seed;
};

static uint32_t draw(struct fixture *f, uint32_t below)
{
    f->seed = f->seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)f->seed * below) >> 32);
}

static void make_image(struct fixture *f, bool qcow2)
{
    const struct qcow2_options options = {.size = DISK, .cluster_bits = 12};
    struct err err = {0};
    int fd;

    strcpy(f->path, "/tmp/posada-async-test-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, DISK), 0);
    close(fd);
    if (qcow2) {
        unlink(f->path);
        assert_int_equal(qcow2_create(f->path, &options, &err), 0);
    }
}

/* False: this host cannot do it that way. */
static bool up(struct fixture *f, bool qcow2, const char *cache, const char *aio)
{
    struct blk_source source = {.format = qcow2 ? "qcow2" : "raw", .path = f->path, .name = "d"};
    struct err err = {0};
    int r;

    *f = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER, .seed = 7};
    make_image(f, qcow2);
    assert_int_equal(loop_new(&f->lock, &f->loop, &err), 0);
    assert_int_equal(blk_source_set_cache(&source, cache, &err), 0);
    if (aio)
        assert_int_equal(blk_source_set_aio(&source, aio, &err), 0);
    r = blockdev_open(&source, f->loop, &f->disk, &err);
    if (!r)
        return true;
    if (r != -EOPNOTSUPP && r != -ENOSYS && r != -EPERM)
        fail_msg("%s %s: %s", cache, aio ? aio : "-", err.text);
    loop_free(f->loop);
    unlink(f->path);
    return false;
}

static void down(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    blockdev_close(f->disk);
    pthread_mutex_unlock(&f->lock);
    loop_free(f->loop);
    unlink(f->path);
}

/* --- Requests --- */
struct job {
    struct blk_req req;
    struct fixture *f;
    struct iovec iov[3];
    uint8_t *buf; /* JOB_MAX + 64 bytes */
    int result;
};

static void job_done(struct blk_req *req, int result)
{
    struct job *job = container_of(req, struct job, req);

    assert_int_equal(job->result, 1);
    job->result = result;
    if (!--job->f->pending)
        loop_stop(job->f->loop);
}

/* The buffer as one to three pieces, on a sector's boundary in memory or not. */
static uint8_t *scatter(struct fixture *f, struct job *job, size_t len)
{
    uint8_t *base = job->buf + (draw(f, 2) ? 0 : draw(f, 64));
    size_t first = len > SECTOR && draw(f, 2) ? draw(f, 2) ? SECTOR : 1 + draw(f, 500) : len;

    job->req.iov_count = 1;
    job->iov[0] = (struct iovec){base, first};
    if (first < len)
        job->iov[job->req.iov_count++] = (struct iovec){base + first, len - first};
    return base;
}

static void submit(struct fixture *f, struct job *job, enum blk_op op, uint64_t at, size_t len)
{
    job->f = f;
    job->result = 1;
    job->req.op = op;
    job->req.flags = draw(f, 8) ? 0 : BLK_FUA;
    job->req.offset = at;
    job->req.length = len;
    job->req.iov = job->iov;
    job->req.done = job_done;
    f->pending++;
    f->disk->ops->submit(f->disk, &job->req);
    assert_int_equal(job->result, 1); /* never inside submit */
}

static void finish(struct fixture *f)
{
    struct err err = {0};
    bool left;

    do {
        pthread_mutex_lock(&f->lock);
        left = f->pending;
        pthread_mutex_unlock(&f->lock);
        if (left)
            assert_int_equal(loop_run(f->loop, &err), 0);
    } while (left);
}

/* Requests of one round never overlap: each has a stripe of the disk for itself. */
static void random_round(struct fixture *f, struct job *job, uint8_t *model)
{
    enum { STRIPE = DISK / JOBS };
    uint8_t *base[JOBS];

    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < JOBS; i++) {
        size_t len = SECTOR * (size_t)(1 + draw(f, draw(f, 2) ? 31 : 3));
        uint64_t at = (uint64_t)i * STRIPE +
                      (uint64_t)draw(f, (STRIPE - (uint32_t)len) / SECTOR + 1) * SECTOR;
        enum blk_op op = draw(f, 5) < 2 ? BLK_READ : draw(f, 12) ? BLK_WRITE : BLK_WRITE_ZEROES;

        base[i] = scatter(f, &job[i], len);
        for (size_t n = 0; n < len; n++)
            base[i][n] = (uint8_t)(f->seed >> 9) ^ (uint8_t)(n / SECTOR);
        if (op == BLK_WRITE)
            memcpy(model + at, base[i], len);
        if (op == BLK_WRITE_ZEROES)
            memset(model + at, 0, len);
        submit(f, &job[i], op, at, len);
    }
    if (draw(f, 4))
        blk_start(f->disk);
    else
        f->disk->ops->drain(f->disk);
    pthread_mutex_unlock(&f->lock);
    finish(f);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(job[i].result, 0);
        if (job[i].req.op == BLK_READ)
            assert_memory_equal(base[i], model + job[i].req.offset, job[i].req.length);
    }
}

/* What another open sees: the disk's contents as they were left. */
static void expect_image(const struct fixture *f, bool qcow2, const uint8_t *model)
{
    struct blk_source source = {
        .format = qcow2 ? "qcow2" : "raw", .path = f->path, .read_only = true};
    struct blk_store *store;
    struct err err = {0};
    uint8_t *got = malloc(DISK);

    assert_int_equal(blk_store_open(&source, &store, &err), 0);
    assert_int_equal(blk_store_read(store, 0, got, DISK), 0);
    assert_memory_equal(got, model, DISK);
    assert_int_equal(blk_store_close(store), 0);
    free(got);
}

static bool random_disk(bool qcow2, const char *cache, const char *aio)
{
    static struct job job[JOBS];
    uint8_t *model = calloc(1, DISK);
    struct fixture f;

    if (!up(&f, qcow2, cache, aio)) {
        free(model);
        return false;
    }
    for (unsigned i = 0; i < JOBS; i++)
        job[i].buf = aligned_alloc(4096, JOB_MAX + 4096);
    for (unsigned round = 0; round < (f.disk->info.write_through ? 2 : ROUNDS); round++)
        random_round(&f, job, model);
    pthread_mutex_lock(&f.lock);
    submit(&f, &job[0], BLK_FLUSH, 0, 0);
    blockdev_close(f.disk); /* with work in flight */
    f.disk = NULL;
    pthread_mutex_unlock(&f.lock);
    assert_int_equal(job[0].result, 0);
    expect_image(&f, qcow2, model);
    for (unsigned i = 0; i < JOBS; i++)
        free(job[i].buf);
    down(&f);
    free(model);
    return true;
}

static void test_random(void **state)
{
    static const char *const cache[] = {"writeback", "none", "writethrough", "directsync",
                                        "unsafe"};
    unsigned done = 0;

    for (unsigned i = 0; i < ARRAY_LEN(cache); i++)
        for (unsigned n = 0; n < 4; n++)
            done += random_disk(n & 1, cache[i], n & 2 ? "io_uring" : "threads");
    assert_true(done >= 6); /* what needs neither O_DIRECT nor io_uring */
}

static void test_words(void **state)
{
    struct blk_source source = {0};
    struct err err = {0};

    assert_int_equal(blk_source_set_cache(&source, "directsync", &err), 0);
    assert_true(source.direct && source.write_through && !source.ignore_flush);
    assert_int_equal(blk_source_set_cache(&source, "writeback", &err), 0);
    assert_false(source.direct || source.write_through);
    assert_int_equal(blk_source_set_cache(&source, "write-back", &err), -EINVAL);
    assert_non_null(strstr(err.text, "writeback, none"));
    assert_int_equal(blk_source_set_aio(&source, "native", &err), -EINVAL);
}

/* --- A host that does not allow io_uring --- */
static int refused_uring(void)
{
    struct blk_source source = {.format = "raw", .name = "d"};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    struct fixture f = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct err err = {0};

    if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(io_uring_setup), 0) ||
        seccomp_load(ctx))
        return 77;
    make_image(&f, false);
    source.path = f.path;
    source.aio = BLK_AIO_URING;
    if (loop_new(&f.lock, &f.loop, &err) ||
        blockdev_open(&source, f.loop, &f.disk, &err) != -EPERM ||
        !strstr(err.text, "does not allow it"))
        return 1;
    unlink(f.path);
    return random_disk(false, "writeback", NULL) && random_disk(true, "none", NULL) ? 0 : 2;
}

static void test_without_io_uring(void **state)
{
    int status = 0;
    pid_t pid = fork();

    if (!pid)
        _exit(refused_uring());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- The ring --- */
static int ring_result(struct blk_ring *ring)
{
    void *tag;
    int result = 1;

    ring->inflight++;
    assert_int_equal(io_uring_submit(&ring->uring), 1);
    assert_true(blk_ring_next(ring, true, &tag, &result));
    return result;
}

/* A process that was taken over has the ring and io_uring_enter(): it gets nothing by them. */
static void test_ring_is_bound(void **state)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
        other = open("/dev/zero", O_RDONLY);
    struct blk_req req = {.op = BLK_READ};
    struct blk_ring *ring;
    struct io_uring_sqe *sqe;
    char buf[16];

    assert_true(fd >= 0 && other >= 0);
    if (blk_ring_new(&fd, 1, &ring))
        skip(); /* no io_uring here */
    assert_false(blk_ring_add(ring, other, 0, &req, NULL));
    sqe = io_uring_get_sqe(&ring->uring);
    io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    assert_int_equal(ring_result(ring), -EACCES);
    sqe = io_uring_get_sqe(&ring->uring);
    io_uring_prep_read(sqe, other, buf, sizeof(buf), 0); /* a descriptor that is not the ring's */
    assert_int_equal(ring_result(ring), -EACCES);
    sqe = io_uring_get_sqe(&ring->uring);
    io_uring_prep_readv(sqe, other, &(struct iovec){buf, sizeof(buf)}, 1, 0);
    assert_int_equal(ring_result(ring), -EACCES);
    assert_true(ring_register(&ring->uring, IORING_REGISTER_FILES, &other, 1) < 0);
    assert_true(ring_register(&ring->uring, IORING_UNREGISTER_FILES, NULL, 0) < 0);
    blk_ring_free(ring);
    close(fd);
    close(other);
}

RUN_TESTS(cmocka_unit_test(test_random), cmocka_unit_test(test_words),
          cmocka_unit_test(test_without_io_uring), cmocka_unit_test(test_ring_is_bound))
