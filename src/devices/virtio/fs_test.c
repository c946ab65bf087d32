/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs over a server that answers when told to, in any order, or never. */
#include "fs.h"

#include "base/endian.h"
#include "base/iov.h"
#include "base/unit_test.h"
#include "test_driver.h"

#include <errno.h>
#include <posada/fsdev.h>
#include <stdlib.h>

enum { REQUEST = DRV_DATA, REPLY = DRV_DATA + 0x10000, SLOTS = 64 };
enum { CONFIG = VIRTIO_REG_CONFIG, COMMON_STATUS = 20 };

struct server {
    struct fsdev dev; /* must be first */
    struct fs_req *held[SLOTS];
    unsigned count, most, forgets, drains;
};

static int server_submit(struct fsdev *dev, struct fs_req *req)
{
    struct server *s = container_of(dev, struct server, dev);

    if (s->count == s->most)
        return -EAGAIN;
    s->held[s->count++] = req;
    return 0;
}

static void server_answer(struct server *s, unsigned i, const char *text)
{
    struct fs_req *req = s->held[i];

    s->held[i] = s->held[--s->count];
    req->done(req, iov_fill(req->reply, req->reply_count, 0, text, strlen(text)));
}

static void server_forget(struct fsdev *dev)
{
    struct server *s = container_of(dev, struct server, dev);

    s->forgets++;
    s->count = 0;
}

static void server_drain(struct fsdev *dev)
{
    struct server *s = container_of(dev, struct server, dev);

    s->drains++;
    while (s->count)
        server_answer(s, 0, "drained");
}

static const struct fsdev_ops server_ops = {
    .submit = server_submit, .forget = server_forget, .drain = server_drain};

struct fixture {
    struct drv d;
    struct server s;
};

static struct fixture *up(void)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->s.dev = (struct fsdev){.ops = &server_ops, .tag = "share0"};
    f->s.most = SLOTS;
    drv_attach(&f->d, virtio_fs_new("share0", &f->s.dev, 2));
    drv_start(&f->d, 0);
    return f;
}

/* As a driver that starts anew. */
static void reset(struct fixture *f)
{
    drv_write(&f->d, COMMON_STATUS, 1, 0);
    assert_int_equal(drv_read(&f->d, COMMON_STATUS, 1), 0);
    drv_start(&f->d, 0);
}

static void down(struct fixture *f)
{
    drv_done(&f->d);
    free(f);
}

/* A request of `len` bytes with room for `room` bytes of reply, not kicked; its id. */
static uint16_t add(struct fixture *f, unsigned queue, unsigned slot, uint32_t len, uint32_t room)
{
    const struct drv_buf bufs[] = {{REQUEST + 64u * slot, len, false},
                                   {REPLY + 64u * slot, room, true}};

    return drv_add(&f->d, queue, bufs, room ? 2 : 1);
}

static bool reply_is(struct fixture *f, unsigned slot, const char *text)
{
    char got[64];

    drv_get(&f->d, REPLY + 64u * slot, got, sizeof(got));
    return !memcmp(got, text, strlen(text));
}

static void test_config(void **state)
{
    struct fixture *f = up();
    char tag[36];

    for (unsigned i = 0; i < sizeof(tag); i++)
        tag[i] = (char)drv_read(&f->d, CONFIG + i, 1);
    assert_string_equal(tag, "share0");
    assert_int_equal(tag[35], 0);
    assert_int_equal(drv_read(&f->d, CONFIG + 36, 4), 2);
    down(f);
}

static void test_requests_pass_in_any_order(void **state)
{
    struct fixture *f = up();
    uint16_t first = add(f, 1, 0, 40, 64), second = add(f, 1, 1, 48, 32), id;
    uint32_t len;

    drv_put(&f->d, REQUEST + 64, "forty-eight", 11);
    drv_kick(&f->d, 1);
    assert_int_equal(f->s.count, 2);
    assert_int_equal(f->s.held[0]->request_len, 40);
    assert_int_equal(f->s.held[0]->reply_len, 64);
    assert_int_equal(f->s.held[1]->request_len, 48);
    assert_memory_equal(f->s.held[1]->request[0].iov_base, "forty-eight", 11);
    server_answer(&f->s, 1, "second");
    assert_true(drv_used(&f->d, 1, &id, &len));
    assert_int_equal(id, second);
    assert_int_equal(len, 6);
    assert_true(reply_is(f, 1, "second"));
    assert_int_equal(f->d.interrupts, 1);
    server_answer(&f->s, 0, "first");
    assert_true(drv_used(&f->d, 1, &id, &len));
    assert_int_equal(id, first);
    assert_true(reply_is(f, 0, "first"));
    assert_false(drv_broken(&f->d));
    down(f);
}

/* FORGET has no reply, and goes by while all other records wait. */
static void test_priority(void **state)
{
    struct fixture *f = up();
    unsigned busy;
    uint16_t id;
    uint32_t len;

    for (unsigned q = 1; q <= 2; q++) {
        for (unsigned i = 0; i < DRV_QUEUE_SIZE / 2; i++)
            add(f, q, i, 40, 64);
        drv_kick(&f->d, q);
    }
    busy = f->s.count;
    assert_int_equal(busy, DRV_QUEUE_SIZE); /* rings of 16, two buffers each */
    add(f, 0, 20, 48, 0);
    drv_kick(&f->d, 0);
    assert_int_equal(f->s.count, busy + 1);
    assert_int_equal(f->s.held[busy]->reply_len, 0);
    server_answer(&f->s, busy, "");
    assert_true(drv_used(&f->d, 0, &id, &len));
    assert_int_equal(len, 0);
    down(f);
}

static void test_full_back_end(void **state)
{
    struct fixture *f = up();
    uint16_t id;
    uint32_t len;

    f->s.most = 1;
    add(f, 1, 0, 40, 64);
    add(f, 1, 1, 40, 64);
    add(f, 2, 2, 40, 64);
    drv_kick(&f->d, 1);
    drv_kick(&f->d, 2);
    assert_int_equal(f->s.count, 1);
    f->s.most = SLOTS;
    server_answer(&f->s, 0, "one");
    assert_int_equal(f->s.count, 0); /* not before the back end says so */
    f->s.dev.front.ready(f->s.dev.front.arg);
    assert_int_equal(f->s.count, 2);
    server_answer(&f->s, 0, "two");
    server_answer(&f->s, 0, "three");
    assert_true(drv_used(&f->d, 1, &id, &len) && drv_used(&f->d, 1, &id, &len));
    assert_true(drv_used(&f->d, 2, &id, &len));
    down(f);
}

static void test_bad_requests(void **state)
{
    static const uint32_t sizes[][2] = {{39, 64}, {1, 64}, {40, 15}, {4, 0}};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct fixture *f = up();

        add(f, 1, 0, sizes[i][0], sizes[i][1]);
        drv_kick(&f->d, 1);
        assert_true(drv_broken(&f->d));
        assert_int_equal(f->s.count, 0);
        reset(f); /* and it works again */
        add(f, 1, 0, 40, 64);
        drv_kick(&f->d, 1);
        assert_int_equal(f->s.count, 1);
        down(f);
    }
}

static void test_reset_with_requests_in_flight(void **state)
{
    struct fixture *f = up();
    uint16_t id;
    uint32_t len;

    for (unsigned round = 0; round < 3; round++) { /* records come back each time */
        for (unsigned i = 0; i < DRV_QUEUE_SIZE / 2; i++)
            add(f, 1, i, 40, 64);
        drv_kick(&f->d, 1);
        assert_int_equal(f->s.count, DRV_QUEUE_SIZE / 2);
        reset(f);
        assert_int_equal(f->s.count, 0);
    }
    assert_true(f->s.forgets >= 3);
    add(f, 1, 0, 40, 64);
    drv_kick(&f->d, 1);
    server_answer(&f->s, 0, "fine");
    assert_true(drv_used(&f->d, 1, &id, &len));
    down(f);
}

static void test_quiesce_drains(void **state)
{
    struct fixture *f = up();
    uint16_t id;
    uint32_t len;

    add(f, 1, 0, 40, 64);
    drv_kick(&f->d, 1);
    virtio_fs_ops.quiesce(&f->d.v->dev);
    assert_int_equal(f->s.count, 0);
    assert_true(drv_used(&f->d, 1, &id, &len));
    assert_true(reply_is(f, 0, "drained"));
    down(f);
}

RUN_TESTS(cmocka_unit_test(test_config), cmocka_unit_test(test_requests_pass_in_any_order),
          cmocka_unit_test(test_priority), cmocka_unit_test(test_full_back_end),
          cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_reset_with_requests_in_flight),
          cmocka_unit_test(test_quiesce_drains))
