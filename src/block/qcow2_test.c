/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2 images of our own making: contents, refusals, concurrency, and lies in their tables. */
#include "block.h"
#include "convert.h"
#include "qcow2.h"

#include "base/endian.h"
#include "base/unit_test.h"
#include "host/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DISK = 1 << 20, CLUSTER = 4096 };

static char folder[64];

static int up(void **state)
{
    strcpy(folder, "/tmp/posada-qcow2-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int down(void **state)
{
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static unsigned n;
    char *p = path[n++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static void create(const char *name, uint64_t size, const char *backing)
{
    struct qcow2_options o = {
        .size = size, .cluster_bits = 12, .backing = backing, .backing_format = "qcow2"};
    struct err err;

    assert_int_equal(qcow2_create(in_folder(name), &o, &err), 0);
}

static struct blk_store *open_it(const char *name, bool read_only)
{
    struct blk_source source = {.format = "qcow2",
                                .path = in_folder(name),
                                .name = "d",
                                .backing_dir = folder,
                                .read_only = read_only};
    struct blk_store *store = NULL;
    struct err err = {0};

    if (blk_store_open(&source, &store, &err))
        fail_msg("%s", err.text);
    return store;
}

static void refused(const struct blk_source *source, int code, const char *words)
{
    struct blk_store *store = NULL;
    struct err err = {0};

    assert_int_equal(blk_store_open(source, &store, &err), code);
    assert_null(store);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void refused_plain(const char *name, int code, const char *words)
{
    refused(&(struct blk_source){.format = "qcow2", .path = in_folder(name), .name = "d"}, code,
            words);
}

static void clean(struct blk_store *store)
{
    struct qcow2_report report = {0};
    struct err err;

    assert_int_equal(qcow2_check(store, false, &report, &err), 0);
    assert_int_equal(report.leaks, 0);
    assert_int_equal(report.corruptions, 0);
}

static void expect(struct blk_store *store, uint64_t offset, size_t len, uint8_t value)
{
    uint8_t buf[CLUSTER * 4];

    memset(buf, (int)~value, len);
    assert_int_equal(blk_store_read(store, offset, buf, len), 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(buf[i], value);
}

static void put(struct blk_store *store, uint64_t offset, size_t len, uint8_t value)
{
    uint8_t buf[CLUSTER * 4];

    memset(buf, value, len);
    assert_int_equal(blk_store_write(store, offset, buf, len), 0);
}

static void test_write_read_reopen(void **state)
{
    struct blk_store *d;

    create("a", DISK, NULL);
    d = open_it("a", false);
    expect(d, 0, CLUSTER * 2, 0);
    put(d, 512, 1024, 7);
    put(d, DISK - 512, 512, 9);
    clean(d);
    assert_int_equal(blk_store_close(d), 0);
    d = open_it("a", true);
    expect(d, 0, 512, 0);
    expect(d, 512, 1024, 7);
    expect(d, 1536, CLUSTER, 0);
    expect(d, DISK - 512, 512, 9);
    assert_int_equal(blk_store_write(d, 0, "x", 0), -EROFS);
    assert_int_equal(blk_store_close(d), 0);
}

static void test_overlay(void **state)
{
    struct blk_store *d;

    create("a", DISK, NULL);
    d = open_it("a", false);
    put(d, 0, CLUSTER * 2, 1);
    assert_int_equal(blk_store_close(d), 0);
    create("b", DISK * 2, "a");
    d = open_it("b", false);
    expect(d, 0, CLUSTER * 2, 1);
    put(d, 512, 512, 2); /* the rest of the cluster is copied up */
    expect(d, 0, 512, 1);
    expect(d, 512, 512, 2);
    expect(d, 1024, CLUSTER, 1);
    expect(d, DISK, CLUSTER, 0);
    assert_int_equal(
        blk_store_io(d, &(struct blk_req){.op = BLK_DISCARD, .offset = CLUSTER, .length = CLUSTER}),
        0);
    expect(d, CLUSTER, CLUSTER, 0); /* and not what lies behind */
    clean(d);
    assert_int_equal(blk_store_close(d), 0);
    d = open_it("a", true);
    expect(d, 0, CLUSTER * 2, 1);
    assert_int_equal(blk_store_close(d), 0);
}

/* Growing by tables alone must not replace what lies behind the last cluster by zeroes. */
static void test_grow_overlay(void **state)
{
    struct blk_source source = {
        .format = "qcow2", .path = in_folder("b"), .name = "d", .tables_only = true};
    uint64_t size = DISK - 512;
    struct blk_store *d;
    struct err err = {0};

    create("a", DISK, NULL);
    d = open_it("a", false);
    put(d, DISK - CLUSTER, CLUSTER, 1);
    assert_int_equal(blk_store_close(d), 0);
    create("b", size, "a");
    assert_int_equal(blk_store_open(&source, &d, &err), 0);
    assert_int_equal(blk_store_resize(d, DISK * 2, &err), -EACCES);
    assert_int_equal(blk_store_close(d), 0);
    d = open_it("b", false);
    assert_int_equal(blk_store_resize(d, DISK * 2, &err), 0);
    expect(d, DISK - CLUSTER, CLUSTER - 512, 1);
    expect(d, size, CLUSTER, 0);
    clean(d);
    assert_int_equal(blk_store_close(d), 0);
}

static void test_backing_is_contained(void **state)
{
    struct blk_source source = {.format = "qcow2", .path = in_folder("b"), .name = "d"};
    char inside[128];

    create("a", DISK, NULL);
    create("b", DISK, "a");
    refused(&source, -EACCES, "is not allowed");
    snprintf(inside, sizeof(inside), "%s/inside", folder);
    assert_int_equal(mkdir(inside, 0700), 0);
    source.backing_dir = inside;
    refused(&source, -EACCES, "outside the folder");
    /* `..` and links that leave the folder are the kernel's to refuse. */
    create("inside/c", DISK, "../a");
    source.path = in_folder("inside/c");
    refused(&source, -EACCES, "");
    create("inside/e", DISK, "link");
    assert_int_equal(symlink("../a", in_folder("inside/link")), 0);
    source.path = in_folder("inside/e");
    refused(&source, -EACCES, "");
    /* An image behind itself. */
    create("self", DISK, "self");
    source = (struct blk_source){
        .format = "qcow2", .path = in_folder("self"), .backing_dir = folder, .read_only = true};
    refused(&source, -ELOOP, "leads back");
}

static void test_snapshots(void **state)
{
    struct blk_store *d;
    struct err err = {0};

    create("a", DISK, NULL);
    d = open_it("a", false);
    put(d, 0, CLUSTER * 2, 1);
    assert_int_equal(qcow2_snapshot_create(d, "one", &err), 0);
    put(d, 512, 512, 2);
    assert_int_equal(qcow2_snapshot_create(d, "one", &err), -EEXIST);
    assert_int_equal(qcow2_snapshot_create(d, "", &err), -EINVAL);
    assert_int_equal(qcow2_snapshot_apply(d, "none", &err), -ENOENT);
    assert_int_equal(blk_store_resize(d, DISK / 2, &err), 0);
    clean(d);
    assert_int_equal(qcow2_snapshot_apply(d, "one", &err), 0);
    assert_int_equal(d->info.size, DISK); /* as it was then */
    expect(d, 0, CLUSTER * 2, 1);
    put(d, 0, CLUSTER, 3);
    assert_int_equal(qcow2_snapshot_delete(d, "one", &err), 0);
    expect(d, 0, CLUSTER, 3);
    clean(d);
    assert_int_equal(blk_store_close(d), 0);
}

/* --- Lies --- */
static void poke(const char *name, off_t offset, uint64_t value, unsigned bytes)
{
    int fd = open(in_folder(name), O_RDWR);
    uint8_t buf[8];

    st_be64(buf, value << (64 - bytes * 8) % 64);
    assert_int_equal(pwrite(fd, buf, bytes, offset), bytes);
    close(fd);
}

static uint64_t peek(const char *name, off_t offset)
{
    int fd = open(in_folder(name), O_RDONLY);
    uint8_t buf[8];

    assert_int_equal(pread(fd, buf, 8, offset), 8);
    close(fd);
    return ld_be64(buf);
}

static void test_header_refusals(void **state)
{
    static const struct {
        off_t at;
        unsigned bytes;
        uint64_t value;
        int code;
        const char *words;
    } lies[] = {
        {0, 4, 0x12345678, -ENOEXEC, "does not start"},
        {4, 4, 4, -ENOEXEC, "versions 2 and 3"},
        {20, 4, 8, -ENOEXEC, "cluster size"},
        {20, 4, 22, -ENOEXEC, "cluster size"},
        {20, 4, 0xffffffff, -ENOEXEC, "cluster size"},
        {24, 8, UINT64_MAX, -ENOEXEC, "sectors"},
        {24, 8, UINT64_C(1) << 40, -ENOEXEC, "too short"},
        {32, 4, 2, -ENOEXEC, "encrypted"},
        {36, 4, 0xffffffff, -ENOEXEC, "larger than any"},
        {40, 8, 512, -ENOEXEC, "start at a cluster"},
        {40, 8, UINT64_C(1) << 50, -ENOEXEC, "outside the file"},
        {40, 8, 0, -ENOEXEC, "outside the file"},
        {48, 8, 0, -ENOEXEC, "outside the file"},
        {56, 4, 0x10000000, -ENOEXEC, "larger than any"},
        {60, 4, 0xffffff, -ENOEXEC, "snapshot table"},
        {72, 8, 4, -EOPNOTSUPP, "external data file"},
        {72, 8, 16, -EOPNOTSUPP, "extended L2"},
        {72, 8, UINT64_C(1) << 63, -EOPNOTSUPP, "bit 63"},
        {72, 8, 2, -EIO, "marked corrupt"},
        {72, 8, 8, -ENOEXEC, "compression"},
        {96, 4, 7, -ENOEXEC, "header is broken"},
        {100, 4, 0xfffffff8, -ENOEXEC, "header is broken"},
        {104, 1, 9, -ENOEXEC, "compression"},
    };

    create("a", DISK, NULL);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        uint64_t old = peek("a", lies[i].at);

        poke("a", lies[i].at, lies[i].value, lies[i].bytes);
        refused_plain("a", lies[i].code, lies[i].words);
        poke("a", lies[i].at, old, 8);
    }
    assert_int_equal(blk_store_close(open_it("a", false)), 0);
    assert_int_equal(truncate(in_folder("a"), 60), 0);
    refused_plain("a", -ENOEXEC, "does not start");
}

/* A guest whose disk claims to lie where the tables are must not get to write them. */
static void test_data_in_metadata(void **state)
{
    uint64_t l1, l2, header;
    uint8_t buf[CLUSTER];
    struct blk_store *d;

    create("a", DISK, NULL);
    d = open_it("a", false);
    put(d, 0, CLUSTER, 1);
    assert_int_equal(blk_store_close(d), 0);
    l1 = peek("a", 40);
    l2 = peek("a", (off_t)l1) & UINT64_C(0x00fffffffffffe00);
    header = peek("a", 0);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t place[] = {l1, l2, peek("a", 48), UINT64_C(1) << 40, l2 + 512};

        poke("a", (off_t)l2, place[i] | UINT64_C(1) << 63, 8);
        d = open_it("a", false);
        assert_int_equal(blk_store_write(d, 0, buf, CLUSTER), -EIO);
        assert_int_equal(blk_store_read(d, 0, buf, CLUSTER), -EIO);
        (void)blk_store_close(d);
    }
    assert_int_equal(peek("a", 0), header);
    poke("a", (off_t)l1, l1 | UINT64_C(1) << 63, 8); /* an L2 table in the L1 table */
    refused_plain("a", -EIO, "corrupt");
}

static void test_dirty_is_repaired(void **state)
{
    struct blk_store *d;
    struct qcow2_info info;
    uint64_t block;

    create("a", DISK, NULL);
    d = open_it("a", false);
    put(d, 0, CLUSTER * 4, 1);
    assert_int_equal(blk_store_close(d), 0);
    block = peek("a", (off_t)peek("a", 48));
    poke("a", (off_t)block + 8, 0x0000000500000000, 8); /* counts that are wrong either way */
    poke("a", 72, 1, 8);
    d = open_it("a", false);
    qcow2_get_info(d, &info);
    assert_false(info.dirty);
    clean(d);
    expect(d, 0, CLUSTER * 4, 1);
    assert_int_equal(blk_store_close(d), 0);
}

static void test_convert(void **state)
{
    struct disk_target raw = {in_folder("raw"), "raw", 0};
    struct blk_store *d;
    struct err err = {0};
    struct stat st;

    create("a", DISK, NULL);
    d = open_it("a", false);
    put(d, 8192, 512, 5);
    assert_int_equal(disk_make(d, &raw, &err), 0);
    assert_int_equal(disk_make(d, &raw, &err), -EEXIST);
    assert_int_equal(blk_store_close(d), 0);
    assert_int_equal(stat(in_folder("raw"), &st), 0);
    assert_int_equal(st.st_size, DISK);
    assert_true(st.st_blocks * 512 < DISK / 2);
}

/* --- Many at once, through the loop --- */
enum { JOBS = 400, JOB_SIZE = 1536 };

struct job {
    struct blk_req req;
    struct iovec iov;
    uint8_t buf[JOB_SIZE];
    int result;
};

static void job_done(struct blk_req *req, int result)
{
    container_of(req, struct job, req)->result = result;
}

static void job_submit(struct blockdev *dev, struct job *job, enum blk_op op, uint64_t offset)
{
    job->result = 1;
    job->iov = (struct iovec){job->buf, JOB_SIZE};
    job->req = (struct blk_req){.op = op,
                                .offset = offset,
                                .length = JOB_SIZE,
                                .iov = &job->iov,
                                .iov_count = 1,
                                .done = job_done};
    dev->ops->submit(dev, &job->req);
}

static void test_many_at_once(void **state)
{
    static struct job job[JOBS], flush[8];
    struct blockdev *dev = NULL;
    struct blk_source source = {.format = "qcow2", .path = in_folder("a"), .name = "d"};
    struct loop *loop;
    struct err err = {0};
    struct blk_store *d;

    create("a", DISK, NULL);
    assert_int_equal(loop_new(NULL, &loop, &err), 0);
    assert_int_equal(blockdev_open(&source, loop, &dev, &err), 0);
    for (unsigned i = 0; i < JOBS; i++) { /* neighbours share clusters */
        memset(job[i].buf, (int)i, JOB_SIZE);
        job_submit(dev, &job[i], BLK_WRITE, (uint64_t)JOB_SIZE * i);
        if (i % 50 == 0) {
            flush[i / 50].req = (struct blk_req){.op = BLK_FLUSH, .done = job_done};
            dev->ops->submit(dev, &flush[i / 50].req);
        }
    }
    dev->ops->drain(dev);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(job[i].result, 0);
        job_submit(dev, &job[i], BLK_READ, (uint64_t)JOB_SIZE * i);
    }
    dev->ops->drain(dev);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(job[i].buf[JOB_SIZE - 1], i & 0xff);
    blockdev_close(dev);
    loop_free(loop);
    d = open_it("a", false);
    clean(d);
    for (unsigned i = 0; i < JOBS; i++)
        expect(d, (uint64_t)JOB_SIZE * i, JOB_SIZE, (uint8_t)i);
    assert_int_equal(blk_store_close(d), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

RUN_TESTS(TEST(test_write_read_reopen), TEST(test_overlay), TEST(test_grow_overlay),
          TEST(test_backing_is_contained), TEST(test_snapshots), TEST(test_header_refusals),
          TEST(test_data_in_metadata), TEST(test_dirty_is_repaired), TEST(test_convert),
          TEST(test_many_at_once))
