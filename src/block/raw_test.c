/* SPDX-License-Identifier: Apache-2.0 */
/* Raw disks on real files with the real loop, and the ways files fail. */
#include "block.h"
#include "raw_io.h"

#include "base/unit_test.h"
#include "host/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK = 1 << 20 };

struct fixture {
    pthread_mutex_t lock;
    struct loop *loop;
    char path[64];
    struct blockdev *disk;
    unsigned pending;
};

static void make_file(char *path, off_t size)
{
    static const char pattern[] = "/tmp/posada-raw-test-XXXXXX";

    memcpy(path, pattern, sizeof(pattern));
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static int open_disk(const char *format, const char *path, bool read_only, struct loop *loop,
                     struct blockdev **ret, struct err *err)
{
    struct blk_source source = {
        .format = format, .path = path, .name = "d", .read_only = read_only};

    return blockdev_open(&source, loop, ret, err);
}

static void up(struct fixture *f, bool read_only)
{
    struct err err = {0};

    *f = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER};
    make_file(f->path, DISK);
    assert_int_equal(loop_new(&f->lock, &f->loop, &err), 0);
    assert_int_equal(open_disk("raw", f->path, read_only, f->loop, &f->disk, &err), 0);
}

static void down(struct fixture *f)
{
    blockdev_close(f->disk);
    loop_free(f->loop);
    unlink(f->path);
}

/* --- One request, run by the loop --- */
struct job {
    struct blk_req req;
    struct fixture *f;
    struct iovec iov;
    int result;
    bool done;
};

static void job_done(struct blk_req *req, int result)
{
    struct job *job = container_of(req, struct job, req);

    assert_false(job->done);
    job->done = true;
    job->result = result;
    if (!--job->f->pending)
        loop_stop(job->f->loop);
}

static void job_submit(struct fixture *f, struct job *job, enum blk_op op, unsigned flags,
                       uint64_t offset, void *buf, uint64_t len)
{
    *job = (struct job){.f = f, .iov = {buf, len}, .result = 1};
    job->req = (struct blk_req){.op = op,
                                .flags = flags,
                                .offset = offset,
                                .length = len,
                                .iov = &job->iov,
                                .iov_count = buf ? 1 : 0,
                                .done = job_done};
    pthread_mutex_lock(&f->lock);
    f->pending++;
    f->disk->ops->submit(f->disk, &job->req);
    assert_false(job->done); /* never inside submit */
    blk_start(f->disk);
    pthread_mutex_unlock(&f->lock);
}

/* Runs the loop until nothing is in flight. */
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

static int run(struct fixture *f, enum blk_op op, unsigned flags, uint64_t offset, void *buf,
               uint64_t len)
{
    struct job job;

    job_submit(f, &job, op, flags, offset, buf, len);
    finish(f);
    assert_true(job.done);
    return job.result;
}

static void test_write_read(void **state)
{
    uint8_t out[4096], in[4096];
    struct fixture f;

    up(&f, false);
    assert_int_equal(f.disk->info.size, DISK);
    memset(out, 0x5a, sizeof(out));
    assert_int_equal(run(&f, BLK_WRITE, 0, 8192, out, sizeof(out)), 0);
    assert_int_equal(run(&f, BLK_WRITE, BLK_FUA, DISK - 4096, out, sizeof(out)), 0);
    assert_int_equal(run(&f, BLK_FLUSH, 0, 0, NULL, 0), 0);
    assert_int_equal(run(&f, BLK_READ, 0, 8192, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(run(&f, BLK_READ, 0, DISK - 4096, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    down(&f);
}

static void test_zeroes_and_discard(void **state)
{
    uint8_t ones[65536], in[65536], zero[65536] = {0};
    struct fixture f;

    up(&f, false);
    memset(ones, 0xff, sizeof(ones));
    for (unsigned flags = 0; flags < 4; flags++) {
        assert_int_equal(run(&f, BLK_WRITE, 0, 0, ones, sizeof(ones)), 0);
        assert_int_equal(run(&f, BLK_WRITE_ZEROES, flags, 512, NULL, sizeof(ones) - 1024), 0);
        assert_int_equal(run(&f, BLK_READ, 0, 0, in, sizeof(in)), 0);
        assert_memory_equal(in, ones, 512);
        assert_memory_equal(in + 512, zero, sizeof(in) - 1024);
        assert_memory_equal(in + sizeof(in) - 512, ones, 512);
    }
    assert_int_equal(run(&f, BLK_DISCARD, 0, 0, NULL, DISK), 0);
    assert_int_equal(f.disk->info.size, DISK);
    down(&f);
}

static void test_refused_requests(void **state)
{
    uint8_t buf[1024];
    struct fixture f;

    up(&f, false);
    assert_int_equal(run(&f, BLK_READ, 0, DISK - 512, buf, 1024), -EINVAL);
    assert_int_equal(run(&f, BLK_READ, 0, DISK, buf, 512), -EINVAL);
    assert_int_equal(run(&f, BLK_READ, 0, UINT64_MAX - 511, buf, 1024), -EINVAL);
    assert_int_equal(run(&f, BLK_READ, 0, 100, buf, 512), -EINVAL);
    assert_int_equal(run(&f, BLK_WRITE, 0, 0, buf, 100), -EINVAL);
    assert_int_equal(run(&f, BLK_DISCARD, 0, DISK, NULL, 512), -EINVAL);
    assert_int_equal(run(&f, (enum blk_op)99, 0, 0, buf, 512), -EOPNOTSUPP);
    down(&f);
}

static void test_read_only(void **state)
{
    uint8_t buf[512];
    struct fixture f;

    up(&f, true);
    assert_true(f.disk->info.read_only);
    assert_false(f.disk->info.can_discard);
    assert_int_equal(run(&f, BLK_READ, 0, 0, buf, 512), 0);
    assert_int_equal(run(&f, BLK_WRITE, 0, 0, buf, 512), -EROFS);
    assert_int_equal(run(&f, BLK_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
    assert_int_equal(run(&f, BLK_DISCARD, 0, 0, NULL, 512), -EROFS);
    assert_int_equal(run(&f, BLK_FLUSH, 0, 0, NULL, 0), 0);
    down(&f);
}

/* The file shrinks under the guest: an error, no made-up bytes. */
static void test_file_cut(void **state)
{
    uint8_t buf[8192];
    struct fixture f;

    up(&f, false);
    assert_int_equal(truncate(f.path, 4096), 0);
    assert_int_equal(run(&f, BLK_READ, 0, 0, buf, sizeof(buf)), -EIO);
    assert_int_equal(run(&f, BLK_READ, 0, 65536, buf, 512), -EIO);
    assert_int_equal(run(&f, BLK_READ, 0, 0, buf, 4096), 0);
    down(&f);
}

/* A full disk in small: no file may grow beyond 64 KiB. */
static void test_no_space(void **state)
{
    struct rlimit old, small;
    uint8_t buf[4096] = {1};
    struct fixture f;

    up(&f, false);
    assert_int_equal(truncate(f.path, 4096), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 65536;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(run(&f, BLK_WRITE, 0, 131072, buf, sizeof(buf)), -EFBIG);
    assert_int_equal(run(&f, BLK_WRITE, 0, 0, buf, sizeof(buf)), 0); /* and the disk lives on */
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    down(&f);
}

static void test_many_in_flight(void **state)
{
    enum { JOBS = 200 };
    static uint8_t buf[JOBS][512], in[JOBS][512];
    static struct job job[JOBS];
    struct fixture f;

    up(&f, false);
    for (unsigned i = 0; i < JOBS; i++) {
        memset(buf[i], (int)i, 512);
        job_submit(&f, &job[i], BLK_WRITE, 0, UINT64_C(512) * i, buf[i], 512);
    }
    pthread_mutex_lock(&f.lock);
    f.disk->ops->drain(f.disk); /* runs what is done, here */
    pthread_mutex_unlock(&f.lock);
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(job[i].done && !job[i].result);
    assert_int_equal(f.pending, 0);
    for (unsigned i = 0; i < JOBS; i++)
        job_submit(&f, &job[i], BLK_READ, 0, UINT64_C(512) * i, in[i], 512);
    finish(&f);
    assert_memory_equal(in, buf, sizeof(in));
    down(&f);
}

static void test_close_with_work(void **state)
{
    static uint8_t buf[65536];
    static struct job job[16];
    struct fixture f;

    up(&f, false);
    for (unsigned i = 0; i < 16; i++)
        job_submit(&f, &job[i], BLK_WRITE, BLK_FUA, UINT64_C(65536) * i, buf, sizeof(buf));
    down(&f);
    for (unsigned i = 0; i < 16; i++)
        assert_true(job[i].done && !job[i].result);
}

/* --- Opening --- */
static void refused(const char *format, const char *path, bool read_only, int code,
                    const char *words)
{
    struct blockdev *disk = NULL;
    struct loop *loop;
    struct err err = {0};

    assert_int_equal(loop_new(NULL, &loop, &err), 0);
    assert_int_equal(open_disk(format, path, read_only, loop, &disk, &err), code);
    assert_null(disk);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    loop_free(loop);
}

static void test_open_refuses(void **state)
{
    char path[64];

    refused("vmdk", "/dev/null", false, -EINVAL, "format 'vmdk' is not known");
    refused(NULL, "/dev/null", false, -EINVAL, "never guessed");
    refused("raw", "/nonexistent/disk", false, -ENOENT, "No such file");
    refused("raw", "/tmp", true, -ENOEXEC, "neither a regular file");
    refused("raw", "/dev/null", false, -ENOEXEC, "neither a regular file");
    make_file(path, 1000);
    refused("raw", path, false, -ENOEXEC, "1000 bytes");
    assert_int_equal(truncate(path, 0), 0);
    refused("raw", path, false, -ENOEXEC, "0 bytes");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused("raw", path, true, -ENOEXEC, "neither a regular file"); /* and does not wait */
    unlink(path);
}

static void test_lock(void **state)
{
    struct blockdev *second = NULL;
    struct err err = {0};
    struct fixture f;

    up(&f, false);
    refused("raw", f.path, false, -EBUSY, "in use");
    refused("raw", f.path, true, -EBUSY, "in use");
    down(&f);
    up(&f, true); /* readers share */
    assert_int_equal(open_disk("raw", f.path, true, f.loop, &second, &err), 0);
    refused("raw", f.path, false, -EBUSY, "in use");
    blockdev_close(second);
    down(&f);
    blockdev_close(NULL);
}

/* --- raw_io() on descriptors that misbehave --- */
static int io(int fd, enum blk_op op, void *buf, size_t len)
{
    struct iovec iov = {buf, len};
    struct blk_req req = {.op = op, .length = len, .iov = &iov, .iov_count = buf ? 1 : 0};

    return raw_io(&(const struct raw_file){fd, 1}, &req);
}

static void test_bad_descriptors(void **state)
{
    uint8_t buf[512];
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING), fds[2];

    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(io(fd, BLK_WRITE, buf, 512), -EPERM);
    assert_int_equal(io(fd, BLK_WRITE_ZEROES, NULL, 512), -EPERM);
    assert_int_equal(io(fd, BLK_DISCARD, NULL, 512), -EPERM);
    assert_int_equal(io(fd, BLK_READ, buf, 512), 0);
    close(fd);
    assert_int_equal(io(fd, BLK_READ, buf, 512), -EBADF);
    assert_int_equal(io(fd, BLK_FLUSH, NULL, 0), -EBADF);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(io(fds[0], BLK_READ, buf, 512), -ESPIPE);
    close(fds[0]);
    close(fds[1]);
}

/* Scattered buffers, more than one system call takes, and buffers shorter than the request. */
static void test_scattered(void **state)
{
    static uint8_t out[300][37], in[300 * 37];
    struct iovec iov[300];
    int fd = memfd_create("scattered", 0);
    struct blk_req req = {.op = BLK_WRITE, .length = sizeof(out), .iov = iov, .iov_count = 300};

    for (unsigned i = 0; i < 300; i++) {
        memset(out[i], (int)i, sizeof(out[i]));
        iov[i] = (struct iovec){out[i], sizeof(out[i])};
    }
    assert_int_equal(raw_io(&(const struct raw_file){fd, 1}, &req), 0);
    assert_int_equal(pread(fd, in, sizeof(in), 0), sizeof(in));
    assert_memory_equal(in, out, sizeof(in));
    req.length++;
    assert_int_equal(raw_io(&(const struct raw_file){fd, 1}, &req), -EINVAL);
    close(fd);
}

RUN_TESTS(cmocka_unit_test(test_write_read), cmocka_unit_test(test_zeroes_and_discard),
          cmocka_unit_test(test_refused_requests), cmocka_unit_test(test_read_only),
          cmocka_unit_test(test_file_cut), cmocka_unit_test(test_no_space),
          cmocka_unit_test(test_many_in_flight), cmocka_unit_test(test_close_with_work),
          cmocka_unit_test(test_open_refuses), cmocka_unit_test(test_lock),
          cmocka_unit_test(test_bad_descriptors), cmocka_unit_test(test_scattered))
