/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net over a back end in memory: frames both ways, offloads, the control queue, and drivers
 * that break the rules. Split and packed rings. */
#include "net.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/net_frame.h"
#include "base/unit_test.h"
#include "test_driver.h"

#include <errno.h>

enum { F_MRG = 15, F_CTRL = 17, F_MQ = 22, F_CTRL_MAC = 23 };
enum { RX = 0, TX = 1, HEADER = 12, PACKED = VIRTIO_F_RING_PACKED };
#define DATA    (DRV_DATA)
#define RX_DATA (DRV_DATA + 0x40000)

static const uint8_t mac[NET_MAC_SIZE] = {2, 0, 0, 0, 0, 7};

struct wire {
    struct netdev dev; /* must be first */
    bool full, reenters;
    unsigned sent, asked;
    struct net_frame last;
    uint32_t takes;
    uint8_t bytes[NET_FRAME_MAX];
};

static int wire_send(struct netdev *dev, const struct net_frame *frame)
{
    struct wire *w = container_of(dev, struct wire, dev);
    size_t at = 0;

    if (w->full)
        return -EAGAIN;
    for (unsigned i = 0; i < frame->iov_count; i++) {
        assert_true(at + frame->iov[i].iov_len <= sizeof(w->bytes));
        memcpy(w->bytes + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
        at += frame->iov[i].iov_len;
    }
    assert_int_equal(at, frame->length);
    w->sent++;
    w->last = *frame;
    if (w->reenters)
        dev->front.writable(dev->front.arg);
    return 0;
}

static void wire_poll(struct netdev *dev)
{
    container_of(dev, struct wire, dev)->asked++;
}

static void wire_driver_takes(struct netdev *dev, uint32_t offloads)
{
    container_of(dev, struct wire, dev)->takes = offloads;
}

static const struct netdev_ops wire_ops = {
    .kind = "wire", .send = wire_send, .poll = wire_poll, .driver_takes = wire_driver_takes};

struct fixture {
    struct drv d;
    struct wire w;
};

static void up(struct fixture *f, uint64_t features, unsigned pairs)
{
    memset(f, 0, sizeof(*f));
    f->w.dev = (struct netdev){.ops = &wire_ops, .offloads = UINT32_MAX, .mtu = 9000};
    drv_attach(&f->d, virtio_net_new("net", &f->w.dev, mac, pairs));
    drv_start(&f->d, features);
}

static void down(struct fixture *f)
{
    drv_done(&f->d);
}

static void offer(struct fixture *f, unsigned queue, unsigned count, uint32_t len)
{
    for (unsigned i = 0; i < count; i++) {
        const struct drv_buf buf = {RX_DATA + i * 0x1000, len, true};

        drv_add(&f->d, queue, &buf, 1);
    }
    drv_kick(&f->d, queue);
}

static int receive(struct fixture *f, struct net_frame frame, const uint8_t *bytes, size_t len)
{
    const struct iovec iov[] = {{(void *)(uintptr_t)bytes, len / 3},
                                {(void *)(uintptr_t)(bytes + len / 3), len - len / 3}};

    frame.iov = iov;
    frame.iov_count = 2;
    frame.length = len;
    return f->w.dev.front.receive(f->w.dev.front.arg, &frame);
}

/* header + len bytes in two buffers; the header's bytes are given. */
static void transmit(struct fixture *f, const uint8_t header[HEADER], uint32_t len)
{
    const struct drv_buf bufs[] = {{DATA, HEADER, false}, {DATA + 0x1000, len, false}};

    drv_put(&f->d, DATA, header, HEADER);
    drv_add(&f->d, TX, bufs, len ? 2 : 1);
    drv_kick(&f->d, TX);
}

static bool used(struct fixture *f, unsigned queue, uint32_t *ret_len)
{
    uint16_t id;

    return drv_used(&f->d, queue, &id, ret_len);
}

/* --- To the world --- */
static void sends_once(uint64_t features)
{
    static const uint8_t plain[HEADER] = {0};
    struct fixture f;
    uint32_t len;

    up(&f, features, 1);
    for (unsigned i = 0; i < 100; i++) {
        uint8_t byte = (uint8_t)i;

        drv_put(&f.d, DATA + 0x1000 + 59, &byte, 1);
        transmit(&f, plain, 60);
        assert_int_equal(f.w.sent, i + 1);
        assert_int_equal(f.w.bytes[59], i);
        assert_true(used(&f, TX, &len));
        assert_int_equal(len, 0);
    }
    down(&f);
}

static void test_sends(void **state)
{
    sends_once(0);
    sends_once(BIT(PACKED));
    sends_once(BIT(PACKED) | BIT(VIRTIO_F_EVENT_IDX));
}

static void test_full_back_end_keeps_frames(void **state)
{
    static const uint8_t plain[HEADER] = {0};
    struct fixture f;
    uint32_t len;

    for (unsigned packed = 0; packed < 2; packed++) {
        up(&f, packed ? BIT(PACKED) : 0, 1);
        f.w.full = true;
        for (unsigned i = 0; i < 5; i++)
            transmit(&f, plain, 60);
        assert_false(used(&f, TX, &len));
        f.w.full = false;
        f.w.reenters = true;
        f.w.dev.front.writable(f.w.dev.front.arg);
        assert_int_equal(f.w.sent, 5);
        for (unsigned i = 0; i < 5; i++)
            assert_true(used(&f, TX, &len));
        down(&f);
    }
}

struct header_case {
    const char *name;
    uint8_t flags, gso;
    uint16_t gso_size, start, offset;
    uint32_t len;
    uint64_t features;
    bool sent;
};

#define CSUM BIT(NET_F_CSUM)
#define TSO4 BIT(NET_F_HOST_TSO4)
#define TSO6 BIT(NET_F_HOST_TSO6)

static const struct header_case header_cases[] = {
    {"plain", 0, 0, 0, 0, 0, 60, 0, true},
    {"shortest", 0, 0, 0, 0, 0, 14, 0, true},
    {"too short", 0, 0, 0, 0, 0, 13, 0, false},
    {"no frame at all", 0, 0, 0, 0, 0, 0, 0, false},
    {"longest", 0, 0, 0, 0, 0, NET_FRAME_MAX, 0, true},
    {"too long", 0, 0, 0, 0, 0, NET_FRAME_MAX + 1, 0, false},
    {"checksum not negotiated", 1, 0, 0, 34, 16, 60, 0, false},
    {"checksum", 1, 0, 0, 34, 16, 60, CSUM, true},
    {"checksum at the very end", 1, 0, 0, 42, 16, 60, CSUM, true},
    {"checksum behind the end", 1, 0, 0, 43, 16, 60, CSUM, false},
    {"checksum sum wraps", 1, 0, 0, 0xffff, 0xffff, 60, CSUM, false},
    {"segments not negotiated", 1, 1, 1460, 34, 16, 3000, CSUM, false},
    {"segments", 1, 1, 1460, 34, 16, 3000, CSUM | TSO4, true},
    {"segments of IPv6 by the bit of IPv4", 1, 4, 1460, 34, 16, 3000, CSUM | TSO4, false},
    {"segments of IPv6", 1, 4, 1440, 34, 16, 3000, CSUM | TSO6, true},
    {"segments of no size", 1, 1, 0, 34, 16, 3000, CSUM | TSO4, false},
    {"segments without checksum", 0, 1, 1460, 0, 0, 3000, CSUM | TSO4, false},
    {"segments with congestion bit", 1, 0x81, 1460, 34, 16, 3000, CSUM | TSO4, true},
    {"congestion bit alone", 1, 0x80, 1460, 34, 16, 3000, CSUM | TSO4, false},
    {"UDP fragments", 1, 3, 1460, 34, 6, 3000, CSUM | TSO4, false},
    {"unknown segments", 1, 0x7f, 1460, 34, 6, 3000, CSUM | TSO4 | TSO6, false},
    {"unknown flags", 0xf0, 0, 0, 0, 0, 60, CSUM, true},
};

static void test_headers(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(header_cases); i++) {
        const struct header_case *c = &header_cases[i];
        uint8_t header[HEADER] = {c->flags, c->gso};
        struct fixture f;
        uint32_t len;

        up(&f, c->features, 1);
        st_le16(header + 4, c->gso_size);
        st_le16(header + 6, c->start);
        st_le16(header + 8, c->offset);
        transmit(&f, header, c->len);
        if (f.w.sent != c->sent)
            fail_msg("%s: sent %u", c->name, f.w.sent);
        assert_true(used(&f, TX, &len)); /* a head is always returned */
        assert_false(drv_broken(&f.d));
        assert_true((f.d.v->dev.guest_errors > 0) != c->sent);
        down(&f);
    }
}

static void test_hostile_shapes(void **state)
{
    const struct drv_buf writable = {DATA, 200, true}, stub = {DATA, 11, false};
    struct fixture f;
    uint32_t len;

    up(&f, 0, 1);
    drv_add(&f.d, TX, &writable, 1); /* nothing to read */
    drv_add(&f.d, TX, &stub, 1);     /* half a header */
    drv_kick(&f.d, TX);
    assert_int_equal(f.w.sent, 0);
    assert_true(used(&f, TX, &len));
    assert_true(used(&f, TX, &len));
    assert_false(drv_broken(&f.d));
    down(&f);
}

/* --- To the guest --- */
static void test_receives(void **state)
{
    uint8_t bytes[60], got[HEADER + 60];
    struct fixture f;
    uint32_t len;

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    for (unsigned packed = 0; packed < 2; packed++) {
        up(&f, packed ? BIT(PACKED) : 0, 1);
        assert_int_equal(receive(&f, (struct net_frame){0}, bytes, 60), -EAGAIN);
        offer(&f, RX, 1, 2000);
        assert_int_equal(f.w.asked > 0, true);
        assert_int_equal(receive(&f, (struct net_frame){0}, bytes, 60), 0);
        assert_true(used(&f, RX, &len));
        assert_int_equal(len, HEADER + 60);
        drv_get(&f.d, RX_DATA, got, sizeof(got));
        assert_memory_equal(got + HEADER, bytes, 60);
        assert_int_equal(ld_le16(got + 10), 1);
        assert_true(f.d.line);
        down(&f);
    }
}

/* A frame over several buffers comes whole or not at all. */
static void merged(uint64_t features)
{
    static uint8_t bytes[5000], got[5000];
    uint32_t len, total = 0;
    uint8_t header[HEADER];
    struct fixture f;

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    up(&f, features | BIT(F_MRG), 1);
    offer(&f, RX, 3, 1024);
    assert_int_equal(receive(&f, (struct net_frame){0}, bytes, sizeof(bytes)), -EAGAIN);
    assert_false(used(&f, RX, &len));
    for (unsigned i = 3; i < 6; i++) {
        const struct drv_buf buf = {RX_DATA + i * 0x1000, 1024, true};

        drv_add(&f.d, RX, &buf, 1);
    }
    assert_int_equal(receive(&f, (struct net_frame){0}, bytes, sizeof(bytes)), 0);
    drv_get(&f.d, RX_DATA, header, sizeof(header));
    assert_int_equal(ld_le16(header + 10), 5);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t skip = i ? 0 : HEADER;

        assert_true(used(&f, RX, &len));
        drv_get(&f.d, RX_DATA + i * 0x1000 + skip, got + total, len - skip);
        total += len - skip;
    }
    assert_false(used(&f, RX, &len));
    assert_int_equal(total, sizeof(bytes));
    assert_memory_equal(got, bytes, sizeof(bytes));
    assert_int_equal(f.d.v->queue[RX].inflight, 0);
    down(&f);
}

static void test_merges(void **state)
{
    merged(0);
    merged(BIT(PACKED));
    merged(BIT(PACKED) | BIT(VIRTIO_F_EVENT_IDX));
}

static void test_small_buffers(void **state)
{
    static const uint8_t bytes[5000];
    struct fixture f;
    uint32_t len;

    up(&f, 0, 1); /* no merging: lost, and the buffers stay */
    offer(&f, RX, 8, 1024);
    assert_int_equal(receive(&f, (struct net_frame){0}, bytes, sizeof(bytes)), 0);
    assert_false(used(&f, RX, &len));
    assert_int_equal(receive(&f, (struct net_frame){0}, bytes, 500), 0);
    assert_true(used(&f, RX, &len));
    assert_false(drv_broken(&f.d));
    down(&f);

    up(&f, BIT(F_MRG), 1); /* no room for a header */
    offer(&f, RX, 8, 12);
    assert_int_equal(receive(&f, (struct net_frame){0}, bytes, 500), 0);
    assert_true(drv_broken(&f.d));
    assert_int_equal(f.d.v->queue[RX].inflight, 0);
    down(&f);
}

/* What the driver has not negotiated is done for it, or the frame is dropped. */
static void test_receive_offloads(void **state)
{
    static const struct net_frame open_sum = {
        .needs_checksum = true, .checksum_start = 14, .checksum_offset = 2};
    static const struct net_frame segment = {.needs_checksum = true,
                                             .checksum_start = 14,
                                             .checksum_offset = 2,
                                             .gso_type = NET_GSO_TCP4,
                                             .gso_size = 100};
    uint8_t bytes[20] = {[14] = 0x12, 0x34}, got[HEADER + 20];
    struct fixture f;
    uint32_t len;

    up(&f, 0, 1);
    offer(&f, RX, 2, 2000);
    assert_int_equal(receive(&f, open_sum, bytes, sizeof(bytes)), 0);
    drv_get(&f.d, RX_DATA, got, sizeof(got));
    assert_int_equal(got[0], 0);
    assert_int_equal(ld_be16(got + HEADER + 16), 0xedcb);
    assert_true(used(&f, RX, &len));
    assert_int_equal(receive(&f, segment, bytes, sizeof(bytes)), 0);
    assert_false(used(&f, RX, &len));
    down(&f);

    up(&f, BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4), 1);
    offer(&f, RX, 2, 2000);
    assert_int_equal(receive(&f, segment, bytes, sizeof(bytes)), 0);
    drv_get(&f.d, RX_DATA, got, sizeof(got));
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], NET_GSO_TCP4);
    assert_int_equal(ld_be16(got + HEADER + 16), 0);
    down(&f);
}

static void test_reset_in_traffic(void **state)
{
    static const uint8_t plain[HEADER] = {0}, bytes[5000];
    struct fixture f;

    for (unsigned packed = 0; packed < 2; packed++) {
        up(&f, BIT(F_MRG) | (packed ? BIT(PACKED) : 0), 1);
        f.w.full = true;
        transmit(&f, plain, 60);
        offer(&f, RX, 2, 1024);
        assert_int_equal(receive(&f, (struct net_frame){0}, bytes, sizeof(bytes)), -EAGAIN);
        drv_write(&f.d, 20, 1, 0);
        assert_int_equal(receive(&f, (struct net_frame){0}, bytes, sizeof(bytes)), 0); /* lost */
        f.w.full = false;
        f.w.dev.front.writable(f.w.dev.front.arg);
        assert_int_equal(f.w.sent, 0);
        drv_start(&f.d, 0);
        transmit(&f, plain, 60);
        assert_int_equal(f.w.sent, 1);
        down(&f);
    }
}

static void test_cable(void **state)
{
    struct fixture f;

    up(&f, 0, 1);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 6, 2), 1);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 10, 2), 9000);
    f.w.dev.front.link(f.w.dev.front.arg, false);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 6, 2), 0);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_ISR, 1), VIRTIO_ISR_CONFIG);
    down(&f);
}

/* --- Control --- */
struct control_case {
    const char *name;
    uint8_t message[32];
    uint32_t len;
    uint8_t answer;
};

static const struct control_case control_cases[] = {
    {"promiscuous", {0, 0, 1}, 3, 0},
    {"no broadcasts", {0, 5, 1}, 3, 0},
    {"unknown filter", {0, 6, 1}, 3, 1},
    {"filter without a value", {0, 0}, 2, 1},
    {"half a header", {0}, 1, 1},
    {"empty tables", {1, 0}, 10, 0},
    {"tables", {1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1}, 16, 0},
    {"table longer than the message", {1, 0, 2}, 16, 1},
    {"table of 4 Gi addresses", {1, 0, 0xff, 0xff, 0xff, 0xff}, 16, 1},
    {"table without its pair", {1, 0}, 6, 1},
    {"address", {1, 1, 2, 9, 8, 7, 6, 5}, 8, 0},
    {"short address", {1, 1, 2, 9, 8, 7, 6}, 7, 1},
    {"two pairs", {4, 0, 2, 0}, 4, 0},
    {"no pair", {4, 0, 0, 0}, 4, 1},
    {"too many pairs", {4, 0, 4, 0}, 4, 1},
    {"RSS", {4, 1, 2, 0}, 4, 1},
    {"VLAN", {2, 0, 1, 0}, 4, 1},
    {"unknown class", {0xff, 0xff, 1, 0}, 4, 1},
};

static void test_control(void **state)
{
    const uint64_t features = BIT(F_CTRL) | BIT(F_CTRL_MAC) | BIT(F_MQ);

    for (unsigned i = 0; i < ARRAY_LEN(control_cases); i++) {
        const struct control_case *c = &control_cases[i];
        const struct drv_buf bufs[] = {{DATA, c->len, false}, {DATA + 0x1000, 1, true}};
        struct fixture f;
        uint32_t len;

        up(&f, features, 3);
        drv_put(&f.d, DATA, c->message, sizeof(c->message));
        drv_add(&f.d, 6, bufs, 2);
        drv_kick(&f.d, 6);
        assert_true(used(&f, 6, &len));
        if (drv_get8(&f.d, DATA + 0x1000) != c->answer)
            fail_msg("%s: answer %u", c->name, drv_get8(&f.d, DATA + 0x1000));
        down(&f);
    }
}

static void test_control_without_an_answer(void **state)
{
    const struct drv_buf buf = {DATA, 3, false};
    struct fixture f;

    up(&f, BIT(F_CTRL), 1);
    drv_add(&f.d, 2, &buf, 1);
    drv_kick(&f.d, 2);
    assert_true(drv_broken(&f.d));
    down(&f);
}

/* Without MQ the control queue is queue 2 even if the device has more pairs. */
static void test_control_queue_moves(void **state)
{
    static const uint8_t address[] = {1, 1, 2, 9, 8, 7, 6, 5};
    const struct drv_buf bufs[] = {{DATA, sizeof(address), false}, {DATA + 0x1000, 1, true}};
    struct fixture f;
    uint32_t len;

    up(&f, BIT(F_CTRL) | BIT(F_CTRL_MAC), 3);
    drv_put(&f.d, DATA, address, sizeof(address));
    drv_add(&f.d, 2, bufs, 2);
    drv_kick(&f.d, 2);
    assert_true(used(&f, 2, &len));
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 1, 1), 9);
    drv_write(&f.d, 20, 1, 0);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 5, 1), 7); /* its own again */
    down(&f);
}

static void test_flows_spread_over_pairs(void **state)
{
    const uint8_t two[] = {4, 0, 2, 0};
    const struct drv_buf bufs[] = {{DATA, 4, false}, {DATA + 0x1000, 1, true}};
    unsigned got[2] = {0};
    uint8_t bytes[60] = {0};
    struct fixture f;
    uint32_t len;

    up(&f, BIT(F_CTRL) | BIT(F_MQ), 3);
    drv_put(&f.d, DATA, two, sizeof(two));
    drv_add(&f.d, 6, bufs, 2);
    drv_kick(&f.d, 6);
    for (unsigned i = 0; i < 100; i++) {
        offer(&f, 0, 1, 200);
        offer(&f, 2, 1, 200);
        bytes[35] = (uint8_t)i;
        assert_int_equal(receive(&f, (struct net_frame){0}, bytes, sizeof(bytes)), 0);
        if (used(&f, 0, &len))
            got[0]++;
        if (used(&f, 2, &len))
            got[1]++;
        drv_write(&f.d, 20, 1, 0);
        drv_start(&f.d, BIT(F_CTRL) | BIT(F_MQ));
        drv_put(&f.d, DATA, two, sizeof(two));
        drv_add(&f.d, 6, bufs, 2);
        drv_kick(&f.d, 6);
    }
    assert_int_equal(got[0] + got[1], 100);
    assert_true(got[0] > 20 && got[1] > 20);
    down(&f);
}

/* As many pairs as there can be: all of them send and receive, and one more is refused. */
static void test_eight_pairs(void **state)
{
    enum { PAIRS = 8, CONTROL = 2 * PAIRS };
    const uint8_t header[HEADER] = {0}, message[] = {4, 0, PAIRS, 0, 4, 0, PAIRS + 1, 0};
    const struct drv_buf ok[] = {{DATA, 4, false}, {DATA + 0x1000, 1, true}};
    const struct drv_buf bad[] = {{DATA + 4, 4, false}, {DATA + 0x1001, 1, true}};
    unsigned got = 0;
    uint8_t bytes[60] = {0};
    struct fixture f;
    uint32_t len;

    up(&f, BIT(F_CTRL) | BIT(F_MQ), PAIRS);
    drv_put(&f.d, DATA, message, sizeof(message));
    drv_add(&f.d, CONTROL, ok, 2);
    drv_add(&f.d, CONTROL, bad, 2);
    drv_kick(&f.d, CONTROL);
    assert_int_equal(drv_get8(&f.d, DATA + 0x1000), 0);
    assert_int_equal(drv_get8(&f.d, DATA + 0x1001), 1);
    drv_put(&f.d, DATA, header, HEADER);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct drv_buf bufs[] = {{DATA, HEADER, false}, {DATA + 0x1000, 60, false}};

        drv_add(&f.d, 2 * i + 1, bufs, 2);
        drv_kick(&f.d, 2 * i + 1);
        assert_true(used(&f, 2 * i + 1, &len));
        offer(&f, 2 * i, 8, 200);
    }
    for (unsigned i = 0; i < 8 * PAIRS; i++) { /* what one pair's buffers cannot hold is refused */
        bytes[35] = (uint8_t)i;
        (void)receive(&f, (struct net_frame){0}, bytes, sizeof(bytes));
    }
    for (unsigned i = 0; i < PAIRS; i++)
        got += used(&f, 2 * i, &len);
    assert_int_equal(got, PAIRS);
    down(&f);
}

/* The back end hears of each driver what it takes, and of nothing that was not negotiated. */
static void test_back_end_knows_the_driver(void **state)
{
    const uint32_t all = (uint32_t)(BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) |
                                    BIT(NET_F_GUEST_TSO6) | BIT(NET_F_GUEST_ECN));
    struct fixture f;

    up(&f, all | BIT(NET_F_HOST_TSO4) | BIT(F_MRG), 1);
    assert_int_equal(f.w.takes, all);
    drv_write(&f.d, 20, 1, 0); /* another driver, without large segments */
    drv_start(&f.d, BIT(NET_F_GUEST_CSUM));
    assert_int_equal(f.w.takes, BIT(NET_F_GUEST_CSUM));
    drv_write(&f.d, 20, 1, 0);
    drv_start(&f.d, 0);
    assert_int_equal(f.w.takes, 0);
    down(&f);
}

RUN_TESTS(cmocka_unit_test(test_sends), cmocka_unit_test(test_full_back_end_keeps_frames),
          cmocka_unit_test(test_headers), cmocka_unit_test(test_hostile_shapes),
          cmocka_unit_test(test_receives), cmocka_unit_test(test_merges),
          cmocka_unit_test(test_small_buffers), cmocka_unit_test(test_receive_offloads),
          cmocka_unit_test(test_reset_in_traffic), cmocka_unit_test(test_cable),
          cmocka_unit_test(test_control), cmocka_unit_test(test_control_without_an_answer),
          cmocka_unit_test(test_control_queue_moves),
          cmocka_unit_test(test_flows_spread_over_pairs), cmocka_unit_test(test_eight_pairs),
          cmocka_unit_test(test_back_end_knows_the_driver))
