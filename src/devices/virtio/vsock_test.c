/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock over a host in memory: packets both ways, buffers of all sizes, the reset event, and
 * drivers that break the rules. Split and packed rings. */
#include "vsock.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/iov.h"
#include "base/unit_test.h"
#include "devices/core/device.h"
#include "devices/core/state.h"
#include "test_driver.h"

#include <posada/vsockdev.h>
#include <stdlib.h>

enum { RX, TX, EVENT, HEADER = 44, CID = 77, PACKED = VIRTIO_F_RING_PACKED };
#define RX_DATA (DRV_DATA + 0x40000)

struct end {
    struct vsockdev dev; /* must be first */
    struct vsock_packet last;
    unsigned packets, resets, waiting;
    uint8_t bytes[VSOCK_PACKET_MAX], next_len;
    size_t len, room;   /* of the last packet from the guest; of the last buffer for it */
    bool reenters, shy; /* says ready() from inside; has a packet and then has none */
};

static struct end *end_of(struct vsockdev *dev)
{
    return container_of(dev, struct end, dev);
}

static void end_packet(struct vsockdev *dev, const struct vsock_packet *p, const struct iovec *iov,
                       unsigned count)
{
    struct end *e = end_of(dev);

    e->last = *p;
    e->packets++;
    e->len = iov_length(iov, count);
    (void)iov_read(iov, count, 0, e->bytes, sizeof(e->bytes));
    if (e->reenters)
        dev->front.ready(dev->front.arg);
}

static bool end_pending(struct vsockdev *dev)
{
    return end_of(dev)->waiting;
}

static bool end_next(struct vsockdev *dev, struct vsock_packet *ret_p, const struct iovec *iov,
                     unsigned count)
{
    struct end *e = end_of(dev);

    e->room = iov_length(iov, count);
    if (e->shy)
        return false;
    *ret_p = (struct vsock_packet){.guest_port = 5,
                                   .host_port = 0x40000001,
                                   .len = e->next_len,
                                   .type = VSOCK_STREAM,
                                   .op = VSOCK_RW,
                                   .buf_alloc = 0x11223344,
                                   .fwd_cnt = 7};
    assert_int_equal(iov_fill(iov, count, 0, "abcdefgh", e->next_len), e->next_len);
    e->waiting--;
    if (e->reenters)
        dev->front.ready(dev->front.arg);
    return true;
}

static void end_reset(struct vsockdev *dev)
{
    end_of(dev)->resets++;
}

static const struct vsockdev_ops end_ops = {end_packet, end_pending, end_next, end_reset};

struct fixture {
    struct drv d;
    struct end e;
};

static void up(struct fixture *f, uint64_t features)
{
    memset(f, 0, sizeof(*f));
    f->e.dev.ops = &end_ops;
    drv_attach(&f->d, virtio_vsock_new("vsock", &f->e.dev, CID));
    drv_start(&f->d, features);
}

static void header(uint8_t h[HEADER], uint64_t from, uint64_t to, uint32_t len)
{
    memset(h, 0, HEADER);
    st_le64(h, from);
    st_le64(h + 8, to);
    st_le32(h + 16, 1234);
    st_le32(h + 20, 52);
    st_le32(h + 24, len);
    st_le16(h + 28, VSOCK_STREAM);
    st_le16(h + 30, VSOCK_RW);
    st_le32(h + 32, 3);
    st_le32(h + 36, 4096);
    st_le32(h + 40, 99);
}

/* A packet whose chain has `there` bytes behind the header, cut at `cut`. */
static void transmit(struct fixture *f, const uint8_t h[HEADER], uint32_t there, uint32_t cut)
{
    uint32_t all = HEADER + there;
    const struct drv_buf bufs[] = {{DRV_DATA, cut, false}, {DRV_DATA + cut, all - cut, false}};
    uint32_t len;
    uint16_t id;

    drv_put(&f->d, DRV_DATA, h, HEADER);
    drv_put(&f->d, DRV_DATA + HEADER, "payload", 7);
    (void)drv_add(&f->d, TX, bufs, cut < all ? 2 : 1);
    drv_kick(&f->d, TX);
    assert_true(drv_used(&f->d, TX, &id, &len));
    assert_int_equal(len, 0);
}

static void sends(uint64_t features)
{
    uint8_t h[HEADER];
    struct fixture f;

    up(&f, features);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG, 4), CID);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 4, 4), 0);
    header(h, CID, VSOCK_CID_HOST, 7);
    for (uint32_t cut = 1; cut <= HEADER + 7; cut++) {
        transmit(&f, h, 7, cut);
        assert_int_equal(f.e.packets, cut);
        assert_int_equal(f.e.len, 7);
        assert_memory_equal(f.e.bytes, "payload", 7);
    }
    assert_int_equal(f.e.last.guest_port, 1234);
    assert_int_equal(f.e.last.host_port, 52);
    assert_int_equal(f.e.last.op, VSOCK_RW);
    assert_int_equal(f.e.last.flags, 3);
    assert_int_equal(f.e.last.buf_alloc, 4096);
    assert_int_equal(f.e.last.fwd_cnt, 99);
    transmit(&f, h, 100, HEADER + 100); /* longer than it says */
    assert_int_equal(f.e.len, 7);
    drv_done(&f.d);
}

static void test_sends(void **state)
{
    sends(0);
    sends(BIT(PACKED));
    sends(BIT(VIRTIO_F_EVENT_IDX));
}

static void test_bad_packets_are_dropped(void **state)
{
    static const struct {
        uint64_t from, to;
        uint32_t len, there;
    } bad[] = {{CID + 1, 2, 0, 0},
               {0, 2, 0, 0},
               {CID, 3, 0, 0},
               {CID, 1ull << 32 | 2, 0, 0},
               {1ull << 32 | CID, 2, 0, 0},
               {CID, 2, 8, 7},
               {CID, 2, UINT32_MAX, 7},
               {CID, 2, UINT32_MAX - HEADER + 1, 0}};
    uint8_t h[HEADER];
    struct fixture f;

    up(&f, 0);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        header(h, bad[i].from, bad[i].to, bad[i].len);
        transmit(&f, h, bad[i].there, HEADER + bad[i].there);
        assert_int_equal(f.e.packets, 0);
        assert_int_equal(f.d.v->dev.guest_errors, i + 1);
    }
    for (uint32_t cut = 1; cut < HEADER; cut++) {
        const struct drv_buf buf = {DRV_DATA, cut, false};
        uint32_t len;
        uint16_t id;

        (void)drv_add(&f.d, TX, &buf, 1);
        drv_kick(&f.d, TX);
        assert_true(drv_used(&f.d, TX, &id, &len));
    }
    assert_int_equal(f.e.packets, 0);
    assert_false(drv_broken(&f.d));
    drv_done(&f.d);
}

/* --- To the guest --- */
static void offer(struct fixture *f, unsigned count, uint32_t len)
{
    for (unsigned i = 0; i < count; i++) {
        const struct drv_buf bufs[] = {{RX_DATA + i * 0x20000, 50, true},
                                       {RX_DATA + i * 0x20000 + 50, len - 50, true}};

        (void)drv_add(&f->d, RX, bufs, 2);
    }
    drv_kick(&f->d, RX);
}

static void receives(uint64_t features)
{
    struct fixture f;
    uint8_t got[HEADER + 8];
    uint32_t len;
    uint16_t id;

    up(&f, features);
    offer(&f, 2, 4096);
    assert_false(drv_used(&f.d, RX, &id, &len));
    f.e.waiting = 3;
    f.e.next_len = 8;
    f.e.dev.front.ready(f.e.dev.front.arg);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(drv_used(&f.d, RX, &id, &len));
        assert_int_equal(len, HEADER + 8);
        drv_get(&f.d, RX_DATA + i * 0x20000, got, sizeof(got));
        assert_int_equal(ld_le64(got), VSOCK_CID_HOST);
        assert_int_equal(ld_le64(got + 8), CID);
        assert_int_equal(ld_le32(got + 16), 0x40000001);
        assert_int_equal(ld_le32(got + 20), 5);
        assert_int_equal(ld_le32(got + 24), 8);
        assert_int_equal(ld_le32(got + 36), 0x11223344);
        assert_memory_equal(got + HEADER, "abcdefgh", 8);
    }
    assert_int_equal(f.e.room, 4096 - HEADER);
    assert_int_equal(f.e.waiting, 1); /* until there is a buffer */
    offer(&f, 1, 4096);
    assert_int_equal(f.e.waiting, 0);
    drv_done(&f.d);
}

static void test_receives(void **state)
{
    receives(0);
    receives(BIT(PACKED));
    receives(BIT(PACKED) | BIT(VIRTIO_F_EVENT_IDX));
}

static void test_a_packet_that_is_none_keeps_the_buffer(void **state)
{
    struct fixture f;
    uint32_t len;
    uint16_t id;

    for (unsigned packed = 0; packed < 2; packed++) {
        up(&f, packed ? BIT(PACKED) : 0);
        f.e.waiting = 1;
        f.e.shy = true;
        offer(&f, 1, 4096);
        assert_false(drv_used(&f.d, RX, &id, &len));
        f.e.shy = false;
        f.e.dev.front.ready(f.e.dev.front.arg);
        assert_true(drv_used(&f.d, RX, &id, &len));
        drv_done(&f.d);
    }
}

static void test_large_buffers_are_not_filled_at_once(void **state)
{
    struct fixture f;

    up(&f, 0);
    f.e.waiting = 1;
    offer(&f, 1, 0x18000);
    assert_int_equal(f.e.room, VSOCK_PACKET_MAX);
    drv_done(&f.d);
}

static void test_small_buffers_break_the_device(void **state)
{
    for (uint32_t size = 1; size <= HEADER; size += HEADER - 1) {
        const struct drv_buf buf = {RX_DATA, size, true};
        struct fixture f;

        up(&f, 0);
        f.e.waiting = 1;
        (void)drv_add(&f.d, RX, &buf, 1);
        drv_kick(&f.d, RX);
        assert_true(drv_broken(&f.d));
        assert_int_equal(f.e.waiting, 1);
        drv_done(&f.d);
    }
}

static void test_ready_from_inside(void **state)
{
    uint8_t h[HEADER];
    struct fixture f;
    uint32_t len;
    uint16_t id;

    up(&f, 0);
    f.e.reenters = true;
    f.e.waiting = 2;
    offer(&f, 4, 4096);
    f.e.waiting = 2;
    header(h, CID, VSOCK_CID_HOST, 0);
    transmit(&f, h, 0, HEADER);
    for (unsigned i = 0; i < 4; i++)
        assert_true(drv_used(&f.d, RX, &id, &len));
    drv_done(&f.d);
}

/* A transmit queue full of writable buffers, a receive queue full of readable ones. */
static void test_wrong_directions(void **state)
{
    struct fixture f;
    uint32_t len;
    uint16_t id;

    for (unsigned i = 0; i < 3; i++) {
        const struct drv_buf buf = {DRV_DATA, 100, i == TX};

        up(&f, 0);
        f.e.waiting = 1;
        (void)drv_add(&f.d, i, &buf, 1);
        drv_kick(&f.d, i);
        if (i == TX)
            assert_true(drv_used(&f.d, i, &id, &len));
        else if (i == RX)
            assert_true(drv_broken(&f.d));
        assert_int_equal(f.e.packets, 0);
        drv_done(&f.d);
    }
}

/* --- Resets and moves --- */
static void test_a_reset_reaches_the_host(void **state)
{
    struct fixture f;
    unsigned before;

    up(&f, 0);
    before = f.e.resets;
    drv_write(&f.d, VIRTIO_REG_COMMON + 0x14, 1, 0); /* status */
    drv_start(&f.d, 0);
    assert_int_equal(f.e.resets, before + 1);
    f.e.waiting = 1;
    offer(&f, 1, 4096);
    assert_int_equal(f.e.waiting, 0);
    drv_done(&f.d);
}

static void test_a_moved_driver_hears_of_it(void **state)
{
    const struct drv_buf buf = {RX_DATA, 16, true};
    struct fixture a, b;
    struct device_set from = {.count = 1}, to = {.count = 1};
    uint8_t *data, *page = malloc(DRV_USED), event[4];
    uint32_t len;
    uint16_t id;
    size_t size;

    assert_non_null(page);
    up(&a, 0);
    (void)drv_add(&a.d, EVENT, &buf, 1);
    drv_kick(&a.d, EVENT);
    assert_false(drv_used(&a.d, EVENT, &id, &len)); /* it began here */
    from.device[0] = &a.d.v->dev;
    assert_int_equal(device_set_save(&from, a.d.clock, &data, &size, NULL), 0);

    memset(&b, 0, sizeof(b));
    b.e.dev.ops = &end_ops;
    drv_attach(&b.d, virtio_vsock_new("vsock", &b.e.dev, CID));
    to.device[0] = &b.d.v->dev;
    drv_get(&a.d, DRV_RAM, page, DRV_USED);
    drv_put(&b.d, DRV_RAM, page, DRV_USED);
    memcpy(b.d.q, a.d.q, sizeof(b.d.q));
    assert_int_equal(device_set_load(&to, b.d.clock, data, size, NULL), 0);
    clock_advance(b.d.clock, 1000000);
    assert_true(drv_used(&b.d, EVENT, &id, &len));
    assert_int_equal(len, 4);
    drv_get(&b.d, RX_DATA, event, sizeof(event));
    assert_int_equal(ld_le32(event), 0);
    device_settle_all(&to);
    (void)drv_add(&b.d, EVENT, &buf, 1);
    drv_kick(&b.d, EVENT);
    assert_false(drv_used(&b.d, EVENT, &id, &len)); /* once */
    free(page);
    free(data);
    drv_done(&a.d);
    drv_done(&b.d);
}

RUN_TESTS(cmocka_unit_test(test_sends), cmocka_unit_test(test_bad_packets_are_dropped),
          cmocka_unit_test(test_receives),
          cmocka_unit_test(test_a_packet_that_is_none_keeps_the_buffer),
          cmocka_unit_test(test_large_buffers_are_not_filled_at_once),
          cmocka_unit_test(test_small_buffers_break_the_device),
          cmocka_unit_test(test_ready_from_inside), cmocka_unit_test(test_wrong_directions),
          cmocka_unit_test(test_a_reset_reaches_the_host),
          cmocka_unit_test(test_a_moved_driver_hears_of_it))
