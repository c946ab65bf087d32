/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk over a disk in memory that completes when told to, in any order, or fails. */
#include "blk.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "test_driver.h"

#include <errno.h>
#include <posada/blockdev.h>
#include <stdlib.h>

enum { SECTORS = 64, QUEUE_SLOTS = 256 };
enum { F_RO = 5, F_FLUSH = 9, F_WCE = 11, F_MQ = 12, F_DISCARD = 13, F_ZEROES = 14 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xee };
enum {
    HEADER = DRV_DATA,
    STATUS = DRV_DATA + 0x800,
    RANGE = DRV_DATA + 0xc00,
    DATA = DRV_DATA + 4096
};

struct disk {
    struct blockdev dev; /* must be first */
    uint8_t byte[SECTORS * 512];
    struct blk_req *queued[QUEUE_SLOTS];
    unsigned count, drains;
    int fail; /* every request's result */
    struct blk_req last;
};

static void disk_submit(struct blockdev *dev, struct blk_req *req)
{
    struct disk *disk = container_of(dev, struct disk, dev);

    assert_true(disk->count < QUEUE_SLOTS);
    disk->queued[disk->count++] = req;
    disk->last = *req;
}

static void disk_carry_out(struct disk *disk, const struct blk_req *req)
{
    uint64_t at = req->offset;

    for (unsigned i = 0; i < req->iov_count; i++) {
        assert_true(at + req->iov[i].iov_len <= sizeof(disk->byte));
        if (req->op == BLK_READ)
            memcpy(req->iov[i].iov_base, disk->byte + at, req->iov[i].iov_len);
        else
            memcpy(disk->byte + at, req->iov[i].iov_base, req->iov[i].iov_len);
        at += req->iov[i].iov_len;
    }
    if (req->op == BLK_WRITE_ZEROES)
        memset(disk->byte + req->offset, 0, req->length);
}

/* Completes the i-th of those in flight. */
static void disk_complete(struct disk *disk, unsigned i)
{
    struct blk_req *req = disk->queued[i];

    disk->queued[i] = disk->queued[--disk->count];
    if (!disk->fail)
        disk_carry_out(disk, req);
    req->done(req, disk->fail);
}

static void disk_drain(struct blockdev *dev)
{
    struct disk *disk = container_of(dev, struct disk, dev);

    disk->drains++;
    while (disk->count)
        disk_complete(disk, 0);
}

static const struct blockdev_ops disk_ops = {
    .format = "test", .submit = disk_submit, .drain = disk_drain};

static void disk_start(struct blockdev *dev)
{
    struct disk *disk = container_of(dev, struct disk, dev);

    while (disk->count)
        disk_complete(disk, 0);
}

static const struct blockdev_ops disk_at_once_ops = {
    .format = "test", .submit = disk_submit, .start = disk_start, .drain = disk_drain};

struct fixture {
    struct drv d;
    struct disk disk;
    bool hold_kick; /* requests are only made available */
};

static void up_with(struct fixture *f, uint64_t features, bool read_only, unsigned queues)
{
    memset(&f->disk, 0, sizeof(f->disk));
    f->hold_kick = false;
    f->disk.dev = (struct blockdev){
        .ops = &disk_ops,
        .info = {.size = sizeof(f->disk.byte),
                 .block_size = 512,
                 .read_only = read_only,
                 .can_discard = !read_only,
                 .can_write_zeroes = !read_only},
    };
    for (unsigned i = 0; i < sizeof(f->disk.byte); i++)
        f->disk.byte[i] = (uint8_t)(i / 512);
    drv_attach(&f->d, virtio_blk_new("disk0", &f->disk.dev, "serial-17", queues));
    drv_start(&f->d, features);
}

static struct fixture *up(uint64_t features)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    up_with(f, features, false, 1);
    return f;
}

static void down(struct fixture *f)
{
    drv_done(&f->d);
    free(f);
}

/* Makes a request with data of `len` bytes at DATA available and kicks. */
static void request_on(struct fixture *f, unsigned queue, unsigned slot, uint32_t type,
                       uint64_t sector, uint32_t len)
{
    uint64_t header = HEADER + 16u * slot, status = STATUS + slot;
    const struct drv_buf bufs[] = {{header, 16, false},
                                   {DATA + 512u * slot, len, type == IN || type == GET_ID},
                                   {status, 1, true}};
    const struct drv_buf no_data[] = {bufs[0], bufs[2]};
    uint8_t raw[16], none = NONE;

    st_le32(raw, type);
    st_le32(raw + 4, 0);
    st_le64(raw + 8, sector);
    drv_put(&f->d, header, raw, sizeof(raw));
    drv_put(&f->d, status, &none, 1);
    drv_add(&f->d, queue, len ? bufs : no_data, len ? 3 : 2);
    if (!f->hold_kick)
        drv_kick(&f->d, queue);
}

static void request_at(struct fixture *f, unsigned slot, uint32_t type, uint64_t sector,
                       uint32_t len)
{
    request_on(f, 0, slot, type, sector, len);
}

static unsigned run(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len)
{
    uint32_t used;
    uint16_t id;

    request_at(f, 0, type, sector, len);
    if (f->disk.count) {
        assert_false(drv_used(&f->d, 0, &id, &used));
        disk_complete(&f->disk, 0);
    }
    assert_true(drv_used(&f->d, 0, &id, &used));
    assert_int_equal(used, type == IN || type == GET_ID ? len + 1 : 1);
    return drv_get8(&f->d, STATUS);
}

static unsigned run_range(struct fixture *f, uint32_t type, uint64_t sector, uint32_t count,
                          uint32_t flags)
{
    uint8_t raw[16];

    st_le64(raw, sector);
    st_le32(raw + 8, count);
    st_le32(raw + 12, flags);
    drv_put(&f->d, DATA, raw, sizeof(raw));
    return run(f, type, 0, sizeof(raw));
}

static void test_read_write(void **state)
{
    uint8_t buf[1024];

    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture *f = up(packed ? BIT(VIRTIO_F_RING_PACKED) : 0);

        assert_int_equal(run(f, IN, 5, 1024), OK);
        drv_get(&f->d, DATA, buf, sizeof(buf));
        assert_int_equal(buf[0], 5);
        assert_int_equal(buf[1023], 6);
        memset(buf, 0xab, sizeof(buf));
        drv_put(&f->d, DATA, buf, sizeof(buf));
        assert_int_equal(run(f, OUT, SECTORS - 2, 1024), OK);
        assert_memory_equal(f->disk.byte + sizeof(f->disk.byte) - 1024, buf, 1024);
        assert_true(f->d.interrupts > 0);
        down(f);
    }
}

/* Header, data and status cut into odd buffers: framing carries no meaning (2.7.4.2). */
static void test_odd_framing(void **state)
{
    struct fixture *f = up(0);
    const struct drv_buf read[] = {{HEADER, 3, false},
                                   {HEADER + 3, 13, false},
                                   {DATA, 100, true},
                                   {DATA + 200, 412, true},
                                   {DATA + 4096, 1, true}};
    const struct drv_buf one_piece[] = {{HEADER, 16 + 512, false}, {DATA, 1, true}};
    uint8_t raw[16] = {0};
    uint32_t used;
    uint16_t id;

    st_le64(raw + 8, 9);
    drv_put(&f->d, HEADER, raw, sizeof(raw));
    drv_add(&f->d, 0, read, 5);
    drv_kick(&f->d, 0);
    disk_complete(&f->disk, 0);
    assert_true(drv_used(&f->d, 0, &id, &used));
    assert_int_equal(used, 513);
    assert_int_equal(drv_get8(&f->d, DATA + 99), 9);
    assert_int_equal(drv_get8(&f->d, DATA + 611), 9);
    assert_int_equal(drv_get8(&f->d, DATA + 4096), OK);

    st_le32(raw, OUT);
    drv_put(&f->d, HEADER, raw, sizeof(raw));
    drv_add(&f->d, 0, one_piece, 2);
    drv_kick(&f->d, 0);
    assert_int_equal(f->disk.last.length, 512);
    disk_complete(&f->disk, 0);
    assert_int_equal(drv_get8(&f->d, DATA), OK);
    down(f);
}

static void test_bounds(void **state)
{
    struct fixture *f = up(0);

    assert_int_equal(run(f, IN, SECTORS, 512), IOERR);
    assert_int_equal(run(f, IN, SECTORS - 1, 1024), IOERR);
    assert_int_equal(run(f, IN, UINT64_MAX, 512), IOERR);
    assert_int_equal(run(f, IN, UINT64_MAX / 512 + 1, 512), IOERR); /* sector * 512 wraps to 0 */
    assert_int_equal(run(f, OUT, 0, 511), IOERR);
    assert_int_equal(run(f, IN, 0, 513), IOERR);
    assert_int_equal(run(f, OUT, 0, 0), IOERR);
    assert_int_equal(run(f, 77, 0, 512), UNSUPP);
    assert_int_equal(run(f, UINT32_MAX, 0, 0), UNSUPP);
    assert_int_equal(f->disk.last.length, 0); /* none came to the disk */
    assert_false(drv_broken(&f->d));
    down(f);
}

static void test_failures(void **state)
{
    struct fixture *f = up(BIT(F_FLUSH));

    f->disk.fail = -EIO;
    assert_int_equal(run(f, IN, 0, 512), IOERR);
    assert_int_equal(run(f, FLUSH, 0, 0), IOERR);
    f->disk.fail = -ENOSPC;
    assert_int_equal(run(f, OUT, 0, 512), IOERR);
    f->disk.fail = -EOPNOTSUPP;
    assert_int_equal(run(f, OUT, 0, 512), UNSUPP);
    f->disk.fail = 0;
    assert_int_equal(run(f, OUT, 0, 512), OK);
    down(f);
}

static void test_flush_and_cache_mode(void **state)
{
    struct fixture *f = up(BIT(F_FLUSH) | BIT(F_WCE));

    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG + 32, 1), 1);
    assert_int_equal(run(f, OUT, 0, 512), OK);
    assert_int_equal(f->disk.last.flags, 0);
    assert_int_equal(run(f, FLUSH, 0, 0), OK);
    assert_int_equal(f->disk.last.op, BLK_FLUSH);
    drv_write(&f->d, VIRTIO_REG_CONFIG + 32, 1, 0); /* write-through */
    assert_int_equal(run(f, OUT, 0, 512), OK);
    assert_int_equal(f->disk.last.flags, BLK_FUA);
    drv_write(&f->d, VIRTIO_REG_CONFIG + 32, 1, 2);
    drv_write(&f->d, VIRTIO_REG_CONFIG, 4, 1);
    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG + 32, 1), 0);
    down(f);
    f = up(0); /* without the flush feature every write is durable */
    assert_int_equal(run(f, OUT, 0, 512), OK);
    assert_int_equal(f->disk.last.flags, BLK_FUA);
    down(f);
}

static void test_get_id(void **state)
{
    struct fixture *f = up(0);
    uint8_t id[20], want[20] = "serial-17";

    assert_int_equal(run(f, GET_ID, 0, 20), OK);
    drv_get(&f->d, DATA, id, sizeof(id));
    assert_memory_equal(id, want, sizeof(id));
    assert_int_equal(run(f, GET_ID, 0, 19), IOERR);
    down(f);
}

static void test_discard_and_zeroes(void **state)
{
    struct fixture *f = up(BIT(F_DISCARD) | BIT(F_ZEROES) | BIT(F_FLUSH));

    assert_int_equal(run_range(f, DISCARD, 4, 8, 0), OK);
    assert_int_equal(f->disk.last.op, BLK_DISCARD);
    assert_int_equal(f->disk.last.offset, 2048);
    assert_int_equal(f->disk.last.length, 4096);
    assert_int_equal(run_range(f, ZEROES, 1, 1, 1), OK);
    assert_int_equal(f->disk.last.flags, BLK_MAY_UNMAP);
    assert_int_equal(f->disk.byte[512], 0);
    assert_int_equal(f->disk.byte[1024], 2);
    assert_int_equal(run_range(f, DISCARD, 0, 1, 1), UNSUPP); /* unmap belongs to zeroes */
    assert_int_equal(run_range(f, ZEROES, 0, 1, 0x80000000), UNSUPP);
    assert_int_equal(run_range(f, ZEROES, SECTORS, 1, 0), IOERR);
    assert_int_equal(run_range(f, ZEROES, 0, UINT32_MAX, 0), IOERR);
    assert_int_equal(run_range(f, DISCARD, UINT64_MAX, 1, 0), IOERR);
    assert_int_equal(run_range(f, DISCARD, 0, 0, 0), IOERR);
    assert_int_equal(run(f, DISCARD, 0, 0), UNSUPP);
    assert_int_equal(run(f, DISCARD, 0, 32), UNSUPP);
    down(f);
    f = up(0);
    assert_int_equal(run_range(f, DISCARD, 0, 1, 0), UNSUPP);
    assert_int_equal(run_range(f, ZEROES, 0, 1, 0), UNSUPP);
    down(f);
}

static void test_read_only(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    up_with(f, BIT(F_RO), true, 1);
    assert_int_equal(run(f, IN, 0, 512), OK);
    assert_int_equal(run(f, OUT, 0, 512), IOERR);
    assert_false(f->d.v->features & (BIT(F_DISCARD) | BIT(F_ZEROES)));
    down(f);
}

static void test_config(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    up_with(f, BIT(F_MQ), false, 4);
    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG, 4), SECTORS);
    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG + 20, 4), 512);
    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG + 34, 2), 4);
    assert_int_equal(drv_read(&f->d, 18, 2), 4);
    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG + 60, 4), 0);
    down(f);
}

/* Requests on all queues in flight together: each comes back where it came from. */
static void test_several_queues(void **state)
{
    enum { QUEUES = 8, EACH = DRV_QUEUE_SIZE / 3 };
    struct fixture *f = malloc(sizeof(*f));
    uint32_t used;
    uint16_t id;

    assert_non_null(f);
    up_with(f, BIT(F_MQ) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_EVENT_IDX), false, 99);
    assert_int_equal(drv_read(&f->d, VIRTIO_REG_CONFIG + 34, 2), QUEUES);
    for (unsigned i = 0; i < QUEUES * EACH; i++)
        request_on(f, i / EACH, i, IN, i, 512);
    assert_int_equal(f->disk.count, QUEUES * EACH);
    while (f->disk.count)
        disk_complete(&f->disk, f->disk.count / 2);
    for (unsigned i = 0; i < QUEUES * EACH; i++) {
        assert_true(drv_used(&f->d, i / EACH, &id, &used));
        assert_int_equal(drv_get8(&f->d, STATUS + i), OK);
        assert_int_equal(drv_get8(&f->d, DATA + 512u * i), i);
    }
    for (unsigned i = 0; i < QUEUES; i++)
        assert_false(drv_used(&f->d, i, &id, &used));
    down(f);
}

static bool count_message(void *arg, uint16_t vector)
{
    ++*(unsigned *)arg;
    return true;
}

/* A back end that completes inside start(): the driver is told once for what it kicked once. */
static void test_done_at_start(void **state)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture *f = up(packed ? BIT(VIRTIO_F_RING_PACKED) : 0);
        unsigned messages = 0;
        uint32_t used;
        uint16_t id;

        f->disk.dev.ops = &disk_at_once_ops;
        f->d.v->transport.message = count_message;
        f->d.v->transport.arg = &messages;
        f->hold_kick = true;
        for (unsigned i = 0; i < 4; i++)
            request_at(f, i, IN, i, 512);
        drv_kick(&f->d, 0);
        assert_int_equal(messages, 1);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(drv_used(&f->d, 0, &id, &used));
            assert_int_equal(drv_get8(&f->d, STATUS + i), OK);
            assert_int_equal(drv_get8(&f->d, DATA + 512 * i), i);
        }
        down(f);
    }
}

/* A full queue in flight, completed back to front. */
static void test_many_in_flight(void **state)
{
    struct fixture *f = up(0);
    uint32_t used;
    uint16_t id;

    for (unsigned round = 0; round < 20; round++) {
        unsigned count = DRV_QUEUE_SIZE / 3;

        for (unsigned i = 0; i < count; i++)
            request_at(f, i, IN, i, 512);
        assert_int_equal(f->disk.count, count);
        while (f->disk.count)
            disk_complete(&f->disk, f->disk.count - 1);
        for (unsigned i = 0; i < count; i++) {
            assert_true(drv_used(&f->d, 0, &id, &used));
            assert_int_equal(used, 513);
            assert_int_equal(drv_get8(&f->d, STATUS + i), OK);
            assert_int_equal(drv_get8(&f->d, DATA + 512 * i), i);
        }
    }
    down(f);
}

static void test_reset_in_flight(void **state)
{
    struct fixture *f = up(0);

    request_at(f, 0, IN, 1, 512);
    request_at(f, 1, OUT, 2, 512);
    assert_int_equal(f->disk.count, 2);
    drv_write(&f->d, 20, 1, 0);
    assert_int_equal(f->disk.count, 0); /* drained: nothing touches memory any more */
    drv_start(&f->d, 0);
    assert_int_equal(run(f, IN, 3, 512), OK);
    request_at(f, 0, IN, 1, 512);
    drv_write(&f->d, 22, 2, 0);
    down(f); /* and a device freed with work in flight drains too */
}

static void test_quiesce(void **state)
{
    struct fixture *f = up(0);
    uint32_t used;
    uint16_t id;

    request_at(f, 0, IN, 1, 512);
    f->d.v->dev.ops->quiesce(&f->d.v->dev);
    assert_int_equal(f->disk.count, 0);
    assert_int_equal(f->d.v->queue[0].inflight, 0);
    assert_true(drv_used(&f->d, 0, &id, &used));
    down(f);
}

/* --- Hostile requests --- */
static void broken_by(const struct drv_buf *bufs, unsigned count)
{
    struct fixture *f = up(0);

    drv_add(&f->d, 0, bufs, count);
    drv_kick(&f->d, 0);
    assert_true(drv_broken(&f->d));
    assert_int_equal(f->disk.count, 0);
    drv_write(&f->d, 20, 1, 0);
    drv_start(&f->d, 0);
    assert_int_equal(run(f, IN, 0, 512), OK);
    down(f);
}

static void test_malformed(void **state)
{
    const struct drv_buf short_header[] = {{HEADER, 15, false}, {STATUS, 1, true}};
    const struct drv_buf no_status[] = {{HEADER, 16, false}};
    const struct drv_buf no_header[] = {{STATUS, 513, true}};

    broken_by(short_header, 2);
    broken_by(no_status, 1);
    broken_by(no_header, 1);
}

/* One broken request while others are in flight: they finish, silently. */
static void test_broken_in_flight(void **state)
{
    const struct drv_buf no_status[] = {{HEADER, 16, false}};
    struct fixture *f = up(0);
    uint32_t used;
    uint16_t id;

    request_at(f, 0, IN, 1, 512);
    drv_add(&f->d, 0, no_status, 1);
    drv_kick(&f->d, 0);
    assert_true(drv_broken(&f->d));
    disk_complete(&f->disk, 0);
    assert_false(drv_used(&f->d, 0, &id, &used));
    drv_write(&f->d, 20, 1, 0);
    drv_start(&f->d, 0);
    for (unsigned i = 0; i < 500; i++) /* no record was lost */
        assert_int_equal(run(f, IN, 0, 512), OK);
    down(f);
}

RUN_TESTS(cmocka_unit_test(test_read_write), cmocka_unit_test(test_odd_framing),
          cmocka_unit_test(test_bounds), cmocka_unit_test(test_failures),
          cmocka_unit_test(test_flush_and_cache_mode), cmocka_unit_test(test_get_id),
          cmocka_unit_test(test_discard_and_zeroes), cmocka_unit_test(test_read_only),
          cmocka_unit_test(test_config), cmocka_unit_test(test_several_queues),
          cmocka_unit_test(test_done_at_start), cmocka_unit_test(test_many_in_flight),
          cmocka_unit_test(test_reset_in_flight), cmocka_unit_test(test_quiesce),
          cmocka_unit_test(test_malformed), cmocka_unit_test(test_broken_in_flight))
