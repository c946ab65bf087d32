/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile drivers. Each ring case lays descriptors by hand, makes one chain available and says what
 * must come of it: the chain is SERVED, or the device is BROKEN (needs a reset, takes nothing), or
 * the kick is IGNORED. Register cases do one wrong thing each. After every case the device must
 * come back to life by a reset, and nothing may have been touched outside its memory (sanitizers
 * see that).
 */
#include "base/bits.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "test_driver.h"
#include "test_probe.h"

#define PACKED    BIT(VIRTIO_F_RING_PACKED)
#define INDIRECT  BIT(VIRTIO_F_INDIRECT_DESC)
#define EVENT     BIT(VIRTIO_F_EVENT_IDX)
#define RING_END  (DRV_RAM + DRV_RAM_SIZE)
#define TABLE     DRV_TABLES
#define TABLE2    (DRV_TABLES + 4096)
#define IN_RANGE  DRV_DATA
#define HUGE_ADDR UINT64_C(0xfffffffffffffff0)

enum { N = DRV_NEXT, W = DRV_WRITE, I = DRV_INDIRECT, A = 1 << 7, U = 1 << 15 };
enum expect { SERVED, BROKEN, IGNORED };

struct raw_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next; /* split: next; packed: id */
};

struct ring_case {
    const char *name;
    uint64_t features;
    struct raw_desc ring[4];
    struct raw_desc table[4]; /* at TABLE */
    uint16_t head, idx;       /* split: avail.ring[0], avail.idx (0: 1) */
    enum expect expect;
};

static const struct ring_case ring_cases[] = {
    /* --- split --- */
    {"split: plain chain", 0, {{IN_RANGE, 8, N, 1}, {IN_RANGE, 8, W, 0}}, .expect = SERVED},
    {"split: points to itself", 0, {{IN_RANGE, 8, N, 0}}, .expect = BROKEN},
    {"split: loop of two", 0, {{IN_RANGE, 8, N, 1}, {IN_RANGE, 8, N, 0}}, .expect = BROKEN},
    {"split: loop of three of which the last writes",
     0,
     {{IN_RANGE, 8, N, 1}, {IN_RANGE, 8, N, 2}, {IN_RANGE, 8, N | W, 2}},
     .expect = BROKEN},
    {"split: loop back after a write",
     0,
     {{IN_RANGE, 8, N | W, 1}, {IN_RANGE, 8, N | W, 0}},
     .expect = BROKEN},
    {"split: length 0", 0, {{IN_RANGE, 0, 0, 0}}, .expect = BROKEN},
    {"split: length 0 in the middle",
     0,
     {{IN_RANGE, 8, N, 1}, {IN_RANGE, 0, N, 2}, {IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: address 0", 0, {{0, 8, 0, 0}}, .expect = BROKEN},
    {"split: just below RAM", 0, {{DRV_RAM - 8, 8, 0, 0}}, .expect = BROKEN},
    {"split: into RAM from below", 0, {{DRV_RAM - 8, 16, 0, 0}}, .expect = BROKEN},
    {"split: last bytes of RAM", 0, {{RING_END - 8, 8, W, 0}}, .expect = SERVED},
    {"split: over the end of RAM", 0, {{RING_END - 8, 9, W, 0}}, .expect = BROKEN},
    {"split: behind RAM", 0, {{RING_END, 1, W, 0}}, .expect = BROKEN},
    {"split: length of 4 GiB - 1", 0, {{IN_RANGE, UINT32_MAX, 0, 0}}, .expect = BROKEN},
    {"split: address + length wraps", 0, {{HUGE_ADDR, 0x20, 0, 0}}, .expect = BROKEN},
    {"split: highest address", 0, {{UINT64_MAX, 1, W, 0}}, .expect = BROKEN},
    {"split: all of RAM, rings included", 0, {{DRV_RAM, DRV_RAM_SIZE, 0, 0}}, .expect = SERVED},
    {"split: readable behind writable",
     0,
     {{IN_RANGE, 8, W | N, 1}, {IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: next outside the table", 0, {{IN_RANGE, 8, N, DRV_QUEUE_SIZE}}, .expect = BROKEN},
    {"split: next 65535", 0, {{IN_RANGE, 8, N, 0xffff}}, .expect = BROKEN},
    {"split: head outside the table",
     0,
     {{IN_RANGE, 8, 0, 0}},
     .head = DRV_QUEUE_SIZE,
     .expect = BROKEN},
    {"split: head 65535", 0, {{IN_RANGE, 8, 0, 0}}, .head = 0xffff, .expect = BROKEN},
    {"split: next without the flag is not followed",
     0,
     {{IN_RANGE, 8, 0, 0xffff}},
     .expect = SERVED},
    {"split: unknown flags", 0, {{IN_RANGE, 8, 0xfff8, 0}}, .expect = SERVED},
    {"split: index one too far",
     0,
     {{IN_RANGE, 8, 0, 0}},
     .idx = DRV_QUEUE_SIZE + 1,
     .expect = BROKEN},
    {"split: index runs backwards", 0, {{IN_RANGE, 8, 0, 0}}, .idx = 0xffff, .expect = BROKEN},
    {"split: index jumps half way round",
     0,
     {{IN_RANGE, 8, 0, 0}},
     .idx = 0x8000,
     .expect = BROKEN},
    {"split: indirect not negotiated",
     0,
     {{TABLE, 16, I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: indirect", INDIRECT, {{TABLE, 16, I, 0}}, {{IN_RANGE, 8, 0, 0}}, .expect = SERVED},
    {"split: direct, then indirect",
     INDIRECT,
     {{IN_RANGE, 8, N, 1}, {TABLE, 16, I, 0}},
     {{IN_RANGE, 8, W, 0}},
     .expect = SERVED},
    {"split: indirect with next",
     INDIRECT,
     {{TABLE, 16, I | N, 1}, {IN_RANGE, 8, 0, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: indirect in indirect",
     INDIRECT,
     {{TABLE, 16, I, 0}},
     {{TABLE2, 16, I, 0}},
     .expect = BROKEN},
    {"split: indirect table is itself",
     INDIRECT,
     {{TABLE, 16, I, 0}},
     {{TABLE, 16, I, 0}},
     .expect = BROKEN},
    {"split: indirect of length 0",
     INDIRECT,
     {{TABLE, 0, I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: indirect of length 15",
     INDIRECT,
     {{TABLE, 15, I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: indirect of length 17",
     INDIRECT,
     {{TABLE, 17, I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: indirect table outside RAM", INDIRECT, {{RING_END, 16, I, 0}}, .expect = BROKEN},
    {"split: indirect table over the end of RAM",
     INDIRECT,
     {{RING_END - 8, 16, I, 0}},
     .expect = BROKEN},
    {"split: indirect table address wraps", INDIRECT, {{HUGE_ADDR, 32, I, 0}}, .expect = BROKEN},
    {"split: loop in the indirect table",
     INDIRECT,
     {{TABLE, 32, I, 0}},
     {{IN_RANGE, 8, N, 1}, {IN_RANGE, 8, N, 0}},
     .expect = BROKEN},
    {"split: next outside the indirect table",
     INDIRECT,
     {{TABLE, 16, I, 0}},
     {{IN_RANGE, 8, N, 1}, {IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"split: huge indirect table, endless chain",
     INDIRECT,
     {{TABLE, 0xfffffff0, I, 0}},
     {{IN_RANGE, 8, N, 0}},
     .expect = BROKEN},
    {"split: chain of more than 4 GiB",
     INDIRECT,
     {{TABLE, 64, I, 0}},
     {{DRV_RAM, 0xc0000000, N, 1}, {DRV_RAM, 0xc0000000, 0, 0}},
     .expect = BROKEN},

    /* --- packed; {addr, len, flags, id} --- */
    {"packed: plain", PACKED, {{IN_RANGE, 8, A, 3}}, .expect = SERVED},
    {"packed: not available", PACKED, {{IN_RANGE, 8, 0, 0}}, .expect = IGNORED},
    {"packed: available and used at once", PACKED, {{IN_RANGE, 8, A | U, 0}}, .expect = IGNORED},
    {"packed: wrap bits of the next round", PACKED, {{IN_RANGE, 8, U, 0}}, .expect = IGNORED},
    {"packed: length 0", PACKED, {{IN_RANGE, 0, A, 0}}, .expect = BROKEN},
    {"packed: outside RAM", PACKED, {{RING_END, 8, A, 0}}, .expect = BROKEN},
    {"packed: address + length wraps", PACKED, {{HUGE_ADDR, 0x20, A, 0}}, .expect = BROKEN},
    {"packed: readable behind writable",
     PACKED,
     {{IN_RANGE, 8, A | N | W, 0}, {IN_RANGE, 8, A, 0}},
     .expect = BROKEN},
    {"packed: wild buffer id is only echoed", PACKED, {{IN_RANGE, 8, A, 0xffff}}, .expect = SERVED},
    {"packed: rest of a chain not marked available",
     PACKED,
     {{IN_RANGE, 8, A | N, 0}, {IN_RANGE, 8, 0, 1}},
     .expect = SERVED},
    {"packed: chain runs into unused slots", PACKED, {{IN_RANGE, 8, A | N, 0}}, .expect = BROKEN},
    {"packed: indirect not negotiated",
     PACKED,
     {{TABLE, 16, A | I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: indirect",
     PACKED | INDIRECT,
     {{TABLE, 32, A | I, 0}},
     {{IN_RANGE, 8, 0, 0}, {IN_RANGE, 8, W, 0}},
     .expect = SERVED},
    {"packed: indirect with next",
     PACKED | INDIRECT,
     {{TABLE, 16, A | I | N, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: indirect behind a direct one",
     PACKED | INDIRECT,
     {{IN_RANGE, 8, A | N, 0}, {TABLE, 16, A | I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: indirect in indirect",
     PACKED | INDIRECT,
     {{TABLE, 16, A | I, 0}},
     {{TABLE2, 16, I, 0}},
     .expect = BROKEN},
    {"packed: indirect of length 8", PACKED | INDIRECT, {{TABLE, 8, A | I, 0}}, .expect = BROKEN},
    {"packed: indirect table outside RAM",
     PACKED | INDIRECT,
     {{RING_END, 16, A | I, 0}},
     .expect = BROKEN},
    {"packed: indirect table with an empty entry",
     PACKED | INDIRECT,
     {{TABLE, 48, A | I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: indirect table of 256 Mi entries",
     PACKED | INDIRECT,
     {{DRV_RAM, 0xfffffff0, A | I, 0}},
     .expect = BROKEN},
};

static void lay(struct drv *d, const struct ring_case *c)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct raw_desc *r = &c->ring[i], *t = &c->table[i];

        if (d->packed) {
            drv_desc_at(d, drv_area_desc(0), i, r->addr, r->len, r->next, r->flags);
            drv_desc_at(d, TABLE, i, t->addr, t->len, t->next, t->flags);
        } else {
            drv_desc_at(d, drv_area_desc(0), i, r->addr, r->len, r->flags, r->next);
            drv_desc_at(d, TABLE, i, t->addr, t->len, t->flags, t->next);
        }
    }
    if (d->packed)
        return;
    drv_put16(d, drv_area_driver(0) + 4, c->head);
    drv_put16(d, drv_area_driver(0) + 2, c->idx ? c->idx : 1);
}

/* Whatever happened: after a reset the device serves again. */
static void assert_revives(struct drv *d, struct probe *p)
{
    const struct drv_buf one = {DRV_DATA, 16, true};
    unsigned taken;
    uint32_t len;
    uint16_t id;

    drv_write(d, 20, 1, 0);
    assert_int_equal(drv_read(d, 20, 1), 0);
    p->hold = false;
    drv_start(d, 0);
    taken = p->taken;
    drv_add(d, 0, &one, 1);
    drv_kick(d, 0);
    assert_int_equal(p->taken, taken + 1);
    assert_true(drv_used(d, 0, &id, &len));
    assert_false(drv_broken(d));
}

static void ring_case_run(const struct ring_case *c)
{
    struct probe *p = probe_new();
    struct drv d;

    drv_attach(&d, &p->v);
    drv_start(&d, c->features);
    lay(&d, c);
    drv_kick(&d, 0);
    if (drv_broken(&d) != (c->expect == BROKEN) || p->taken != (c->expect == SERVED))
        fail_msg("%s: broken %d, taken %u", c->name, drv_broken(&d), p->taken);
    if (c->expect == BROKEN) { /* told by a configuration interrupt; dead until reset */
        assert_true(drv_read(&d, VIRTIO_REG_ISR, 1) & VIRTIO_ISR_CONFIG);
        drv_kick(&d, 0);
        drv_kick(&d, 1);
        assert_int_equal(p->taken, 0);
        assert_true(p->v.dev.guest_errors > 0);
    }
    assert_revives(&d, p);
    drv_done(&d);
}

static void test_ring_cases(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(ring_cases); i++)
        ring_case_run(&ring_cases[i]);
}

/* --- Registers and order of use --- */
struct register_case {
    const char *name;
    void (*run)(struct drv *d, struct probe *p);
};

static void add_one(struct drv *d, unsigned queue)
{
    const struct drv_buf one = {DRV_DATA, 16, true};

    drv_add(d, queue, &one, 1);
    drv_kick(d, queue);
}

static void kick_before_anything(struct drv *d, struct probe *p)
{
    for (unsigned i = 0; i < 1024; i++)
        drv_kick(d, i);
    assert_int_equal(p->taken, 0);
}

static void kick_before_driver_ok(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    drv_queue_up(d, 0, 8);
    add_one(d, 0);
    assert_int_equal(p->taken, 0);
    drv_write(d, 20, 1, 15);
    assert_int_equal(p->taken, 1); /* found when the driver became ready */
}

static void kick_disabled_queue(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    drv_queue_up(d, 0, 8);
    drv_write(d, 20, 1, 15);
    drv_kick(d, 1);
    drv_kick(d, 7);
    drv_write(d, VIRTIO_REG_NOTIFY + 0xffc, 4, 0xffffffff);
    assert_int_equal(p->taken, 0);
    assert_false(drv_broken(d));
}

static void driver_ok_without_features_ok(struct drv *d, struct probe *p)
{
    drv_write(d, 20, 1, 7);
    assert_int_equal(drv_read(d, 20, 1), 3);
}

static void features_without_version_1(struct drv *d, struct probe *p)
{
    assert_false(drv_negotiate(d, 0));
}

static void features_not_offered(struct drv *d, struct probe *p)
{
    assert_false(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1) | BIT(63)));
}

static void features_after_features_ok(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    drv_write(d, 8, 4, 1);
    drv_write(d, 12, 4, 0xffffffff);
    assert_true(p->v.driver_features == BIT(VIRTIO_F_VERSION_1));
}

static void feature_selects_out_of_range(struct drv *d, struct probe *p)
{
    drv_write(d, 0, 4, 0xffffffff);
    assert_int_equal(drv_read(d, 4, 4), 0);
    drv_write(d, 8, 4, 0xffffffff);
    drv_write(d, 12, 4, 0xffffffff);
    assert_int_equal(drv_read(d, 12, 4), 0);
    assert_true(p->v.driver_features == 0);
}

static void status_bits_cannot_be_cleared(struct drv *d, struct probe *p)
{
    drv_start(d, 0);
    drv_write(d, 20, 1, 1);
    assert_int_equal(drv_read(d, 20, 1), 15);
}

static void driver_cannot_set_needs_reset(struct drv *d, struct probe *p)
{
    drv_write(d, 20, 1, 0xff);
    assert_false(drv_broken(d));
}

static void queue_select_out_of_range(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    for (unsigned i = PROBE_QUEUES; i < 0x10000; i += 0x3fff) {
        drv_write(d, 22, 2, i);
        for (unsigned off = 24; off < 64; off += 2) {
            drv_write(d, off, 2, 1);
            assert_int_equal(drv_read(d, off, 2), 0);
        }
    }
}

static void enable_as(struct drv *d, uint16_t size, uint64_t desc, uint64_t driver, uint64_t device)
{
    d->q[0] = (struct drv_queue){.size = size, .wrap = true, .used_wrap = true};
    drv_write(d, 22, 2, 0);
    drv_write(d, 24, 2, size);
    for (unsigned i = 0; i < 2; i++) {
        drv_write(d, 32 + 4 * i, 4, (uint32_t)(desc >> (32 * i)));
        drv_write(d, 40 + 4 * i, 4, (uint32_t)(driver >> (32 * i)));
        drv_write(d, 48 + 4 * i, 4, (uint32_t)(device >> (32 * i)));
    }
    drv_write(d, 28, 2, 1);
}

static void bad_layouts(struct drv *d, bool packed)
{
    const uint64_t a = DRV_RAM, b = DRV_RAM + 0x4000, c = DRV_RAM + 0x8000;
    const uint64_t bad[][3] = {
        {0, 0, 0},
        {a + 8, b, c},
        {a, b + 1, c},
        {a, b, c + 2},
        {RING_END - 16, b, c},
        {a, RING_END - 2, c},
        {a, b, RING_END - 2},
        {RING_END, b, c},
        {a, UINT64_MAX - 1, c},
        {a, b, UINT64_MAX - 3},
        {UINT64_MAX - 15, b, c},
    };

    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1) | (packed ? PACKED : 0)));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        enable_as(d, 16, bad[i][0], bad[i][1], bad[i][2]);
        assert_int_equal(drv_read(d, 28, 2), 0);
    }
}

static void split_bad_layouts(struct drv *d, struct probe *p)
{
    bad_layouts(d, false);
}

static void packed_bad_layouts(struct drv *d, struct probe *p)
{
    bad_layouts(d, true);
}

static void zero_size_queue(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    enable_as(d, 0, DRV_RAM, DRV_RAM + 0x4000, DRV_RAM + 0x8000);
    assert_int_equal(drv_read(d, 24, 2), 256); /* refused: keeps its largest size */
    assert_int_equal(drv_read(d, 28, 2), 1);
}

static void odd_and_huge_queue_sizes(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    enable_as(d, 17, DRV_RAM, DRV_RAM + 0x4000, DRV_RAM + 0x8000);
    assert_int_equal(drv_read(d, 28, 2), 0); /* split sizes are powers of two */
    enable_as(d, 0x8000, DRV_RAM, DRV_RAM + 0x4000, DRV_RAM + 0x8000);
    assert_int_equal(drv_read(d, 24, 2), 17);
}

static void enable_before_features_ok(struct drv *d, struct probe *p)
{
    enable_as(d, 16, DRV_RAM, DRV_RAM + 0x4000, DRV_RAM + 0x8000);
    assert_int_equal(drv_read(d, 28, 2), 0);
}

static void change_an_enabled_queue(struct drv *d, struct probe *p)
{
    drv_start(d, 0);
    enable_as(d, 8, RING_END, 1, 2);
    assert_int_equal(drv_read(d, 24, 2), DRV_QUEUE_SIZE);
    assert_int_equal(drv_read(d, 32, 4), DRV_RAM);
    drv_write(d, 28, 2, 0); /* and it cannot be turned off but by a reset */
    assert_int_equal(drv_read(d, 28, 2), 1);
    add_one(d, 0);
    assert_int_equal(p->taken, 1);
}

static void queue_reset_not_negotiated(struct drv *d, struct probe *p)
{
    drv_start(d, 0);
    drv_write(d, 22, 2, 0);
    drv_write(d, 58, 2, 1);
    assert_int_equal(drv_read(d, 28, 2), 1);
}

static void rings_on_top_of_each_other(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1) | EVENT));
    enable_as(d, 16, DRV_RAM, DRV_RAM, DRV_RAM);
    drv_write(d, 20, 1, 15);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t junk[64];

        memset(junk, (int)i, sizeof(junk));
        drv_put(d, DRV_RAM, junk, sizeof(junk));
        drv_kick(d, 0);
    }
}

static void used_ring_over_descriptors(struct drv *d, struct probe *p)
{
    assert_true(drv_negotiate(d, BIT(VIRTIO_F_VERSION_1)));
    enable_as(d, 16, DRV_RAM, DRV_RAM + 0x4000, DRV_RAM);
    drv_write(d, 20, 1, 15);
    for (unsigned i = 0; i < 100; i++)
        add_one(d, 0);
}

static void buffers_over_rings(struct drv *d, struct probe *p)
{
    const struct drv_buf all = {DRV_RAM, 0x10000, true};

    drv_start(d, 0);
    drv_add(d, 0, &all, 1);
    drv_kick(d, 0);
    assert_int_equal(p->taken, 1);
}

static void indirect_table_over_the_ring(struct drv *d, struct probe *p)
{
    drv_start(d, INDIRECT);
    drv_desc_at(d, DRV_RAM, 0, DRV_RAM, 256, I, 0);
    drv_put16(d, drv_area_driver(0) + 2, 1);
    drv_kick(d, 0);
    assert_true(drv_broken(d));
}

static void same_head_many_times(struct drv *d, struct probe *p)
{
    drv_start(d, 0);
    p->hold = true;
    drv_desc_at(d, DRV_RAM, 0, DRV_DATA, 8, W, 0);
    for (unsigned i = 1; i <= 3 * DRV_QUEUE_SIZE && !drv_broken(d); i++) {
        drv_put16(d, drv_area_driver(0) + 2, (uint16_t)i);
        drv_kick(d, 0);
    }
    assert_int_equal(p->taken, DRV_QUEUE_SIZE); /* no more in flight than the ring holds */
    assert_true(drv_broken(d));
}

static void packed_slots_given_twice(struct drv *d, struct probe *p)
{
    drv_start(d, PACKED);
    p->hold = true;
    for (unsigned i = 0; i < DRV_QUEUE_SIZE; i++)
        drv_desc_at(d, DRV_RAM, i, DRV_DATA, 8, 0, A | W);
    drv_kick(d, 0);
    assert_int_equal(p->taken, DRV_QUEUE_SIZE);
    for (unsigned i = 0; i < DRV_QUEUE_SIZE; i++)
        drv_desc_at(d, DRV_RAM, i, DRV_DATA, 8, 0, U | W);
    drv_kick(d, 0);
    assert_true(drv_broken(d));
    assert_int_equal(p->taken, DRV_QUEUE_SIZE);
}

static void packed_chain_longer_than_ring(struct drv *d, struct probe *p)
{
    drv_start(d, PACKED);
    for (unsigned i = 0; i < DRV_QUEUE_SIZE; i++)
        drv_desc_at(d, DRV_RAM, i, DRV_DATA, 8, 0, A | N);
    drv_kick(d, 0);
    assert_true(drv_broken(d));
}

static void reset_with_chains_in_flight(struct drv *d, struct probe *p)
{
    const struct drv_buf one = {DRV_DATA, 16, true};

    drv_start(d, 0);
    p->hold = true;
    for (unsigned i = 0; i < 8; i++)
        drv_add(d, 0, &one, 1);
    drv_kick(d, 0);
    assert_int_equal(p->held_count, 8);
    drv_write(d, 20, 1, 0);
    assert_int_equal(p->held_count, 0);
    assert_int_equal(p->v.queue[0].inflight, 0);
}

static void completion_after_breaking(struct drv *d, struct probe *p)
{
    const struct drv_buf one = {DRV_DATA, 16, true};

    drv_start(d, 0);
    p->hold = true;
    drv_add(d, 0, &one, 1);
    drv_kick(d, 0);
    drv_put16(d, drv_area_driver(0) + 2, 0x7777);
    drv_kick(d, 0);
    assert_true(drv_broken(d));
    probe_return(p, 0, 16);
    assert_int_equal(drv_get16(d, drv_area_device(0) + 2), 0); /* a broken device stays silent */
}

/* Every offset of the register file, every width, wild values; with the queues up and down. */
static void scribble(struct drv *d, struct probe *p)
{
    for (unsigned round = 0; round < 2; round++) {
        if (round)
            drv_start(d, 0);
        for (unsigned size = 1; size <= 8; size *= 2) {
            for (uint32_t off = 0; off < VIRTIO_REG_SIZE; off++) {
                (void)drv_read(d, off, size);
                if (off != 20)
                    drv_write(d, off, size, off * UINT32_C(2654435761));
            }
        }
        drv_write(d, 20, 1, 0);
    }
}

static void wrong_widths(struct drv *d, struct probe *p)
{
    drv_write(d, 20, 1, 3);
    drv_write(d, 20, 2, 0); /* status is a byte */
    drv_write(d, 20, 4, 0);
    assert_int_equal(drv_read(d, 20, 1), 3);
    drv_write(d, 22, 1, 1); /* queue_select is 16 bits */
    assert_int_equal(drv_read(d, 22, 2), 0);
    drv_write(d, 32, 2, 1); /* addresses are halves of 32 bits */
    drv_write(d, 32, 1, 1);
    assert_int_equal(drv_read(d, 32, 4), 0);
    assert_int_equal(drv_read(d, 18, 1), PROBE_QUEUES); /* narrow reads are harmless */
}

static void config_beyond_its_end(struct drv *d, struct probe *p)
{
    assert_int_equal(drv_read(d, VIRTIO_REG_CONFIG + PROBE_CONFIG, 1), 0);
    assert_int_equal(drv_read(d, VIRTIO_REG_CONFIG + PROBE_CONFIG - 2, 4), 0);
    drv_write(d, VIRTIO_REG_CONFIG, 4, 0xffffffff); /* nobody takes it */
    assert_int_equal(drv_read(d, VIRTIO_REG_CONFIG, 4), 0);
    assert_true(p->v.dev.guest_errors >= 2);
}

static void vectors_out_of_range(struct drv *d, struct probe *p)
{
    drv_write(d, 16, 2, 0x1234);
    drv_write(d, 26, 2, 7);
    assert_int_equal(drv_read(d, 16, 2), VIRTIO_NO_VECTOR);
    assert_int_equal(drv_read(d, 26, 2), VIRTIO_NO_VECTOR);
}

/* A loaded state may hold anything its field table allows. */
static void loaded_nonsense(struct drv *d, struct probe *p)
{
    struct virtq *q = &p->v.queue[0];

    drv_start(d, 0);
    q->size = 0;
    drv_kick(d, 0);
    assert_true(drv_broken(d));
    drv_write(d, 20, 1, 0);
    drv_start(d, 0);
    q->size = 3;
    drv_kick(d, 0);
    assert_true(drv_broken(d));
    drv_write(d, 20, 1, 0);
    drv_start(d, PACKED);
    q->next = 0xffff;
    drv_kick(d, 0);
    assert_true(drv_broken(d));
    drv_write(d, 20, 1, 0);
    drv_start(d, 0);
    q->desc = HUGE_ADDR;
    q->driver = 3;
    q->device = UINT64_MAX;
    drv_kick(d, 0);
    assert_true(drv_broken(d));
}

static void used_area_gone_after_load(struct drv *d, struct probe *p)
{
    drv_start(d, 0);
    p->v.queue[0].device = RING_END;
    add_one(d, 0);
    assert_true(drv_broken(d));
}

static const struct register_case register_cases[] = {
    {"kick before anything", kick_before_anything},
    {"kick before DRIVER_OK", kick_before_driver_ok},
    {"kick of a disabled queue", kick_disabled_queue},
    {"DRIVER_OK without FEATURES_OK", driver_ok_without_features_ok},
    {"features without VERSION_1", features_without_version_1},
    {"features that were not offered", features_not_offered},
    {"features after FEATURES_OK", features_after_features_ok},
    {"feature selects out of range", feature_selects_out_of_range},
    {"status bits cleared", status_bits_cannot_be_cleared},
    {"driver sets NEEDS_RESET", driver_cannot_set_needs_reset},
    {"queue_select out of range", queue_select_out_of_range},
    {"split areas in bad places", split_bad_layouts},
    {"packed areas in bad places", packed_bad_layouts},
    {"queue of size 0", zero_size_queue},
    {"odd and huge queue sizes", odd_and_huge_queue_sizes},
    {"queue on before FEATURES_OK", enable_before_features_ok},
    {"change of an enabled queue", change_an_enabled_queue},
    {"queue reset not negotiated", queue_reset_not_negotiated},
    {"three rings in one place", rings_on_top_of_each_other},
    {"used ring over the descriptors", used_ring_over_descriptors},
    {"buffers over the rings", buffers_over_rings},
    {"indirect table over the ring", indirect_table_over_the_ring},
    {"same head many times", same_head_many_times},
    {"packed slots given twice", packed_slots_given_twice},
    {"packed chain longer than its ring", packed_chain_longer_than_ring},
    {"reset with chains in flight", reset_with_chains_in_flight},
    {"completion after breaking", completion_after_breaking},
    {"every register, every width", scribble},
    {"wrong widths", wrong_widths},
    {"configuration beyond its end", config_beyond_its_end},
    {"vectors out of range", vectors_out_of_range},
    {"loaded nonsense", loaded_nonsense},
    {"used area gone after a load", used_area_gone_after_load},
};

static void test_register_cases(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(register_cases); i++) {
        struct probe *p = probe_new();
        struct drv d;

        drv_attach(&d, &p->v);
        print_message("%s\n", register_cases[i].name);
        register_cases[i].run(&d, p);
        assert_revives(&d, p);
        drv_done(&d);
    }
}

/* A fixed stream of random bytes as ring memory, kicked again and again. */
static void random_rings(uint64_t features, uint32_t seed)
{
    struct probe *p = probe_new();
    struct drv d;

    drv_attach(&d, &p->v);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t junk[256];

        if (drv_broken(&d) || !round) {
            drv_write(&d, 20, 1, 0);
            drv_start(&d, features);
        }
        for (unsigned i = 0; i < sizeof(junk); i++) {
            seed = seed * 1664525 + 1013904223;
            junk[i] = (uint8_t)(seed >> 24);
        }
        for (unsigned i = 0; i < DRV_QUEUE_SIZE; i++) { /* often near something legal */
            st_le64(junk + 16 * i, DRV_RAM + ld_le64(junk + 16 * i) % (DRV_RAM_SIZE + 4096));
            junk[16 * i + 10] = junk[16 * i + 11] = 0;
            if (features & PACKED)
                junk[16 * i + 15] = (uint8_t)(junk[16 * i + 15] & 0x80);
            else
                junk[16 * i + 15] = 0;
        }
        drv_put(&d, drv_area_desc(0), junk, sizeof(junk));
        drv_put(&d, drv_area_driver(0) + 4, junk + 13, 32);
        drv_put16(&d, drv_area_driver(0) + 2, (uint16_t)(p->v.queue[0].next + junk[3] % 8));
        drv_kick(&d, 0);
    }
    assert_revives(&d, p);
    drv_done(&d);
}

static void test_random_rings(void **state)
{
    for (uint32_t seed = 1; seed <= 8; seed++) {
        random_rings(seed & 1 ? INDIRECT | EVENT : INDIRECT, seed);
        random_rings(PACKED | INDIRECT | (seed & 1 ? EVENT : 0), seed);
    }
}

RUN_TESTS(cmocka_unit_test(test_ring_cases), cmocka_unit_test(test_register_cases),
          cmocka_unit_test(test_random_rings))
