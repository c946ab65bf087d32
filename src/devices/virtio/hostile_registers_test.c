/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile drivers, second part: registers written wrongly or at the wrong time, rings in bad
 * places, and states no driver could have made. After every case the device must come back to life
 * by a reset.
 */
#include "base/bits.h"
#include "base/unit_test.h"
#include "test_driver.h"
#include "test_probe.h"

#include <string.h>

#define PACKED    BIT(VIRTIO_F_RING_PACKED)
#define INDIRECT  BIT(VIRTIO_F_INDIRECT_DESC)
#define EVENT     BIT(VIRTIO_F_EVENT_IDX)
#define RING_END  (DRV_RAM + DRV_RAM_SIZE)
#define HUGE_ADDR UINT64_C(0xfffffffffffffff0)

enum { N = DRV_NEXT, W = DRV_WRITE, I = DRV_INDIRECT, A = 1 << 7, U = 1 << 15 };

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

/* 255 buffers stay just below 4 GiB, one more passes it. */
static void chain_of_4_gib(struct drv *d, struct probe *p)
{
    for (unsigned count = 255; count <= 256; count++) {
        drv_write(d, 20, 1, 0);
        drv_start(d, INDIRECT);
        for (unsigned i = 0; i < count; i++)
            drv_desc_at(d, DRV_TABLES, i, DRV_RAM, 0x1010000, N, (uint16_t)(i + 1));
        drv_desc_at(d, DRV_TABLES, count - 1, DRV_RAM, 0x1010000, 0, 0);
        drv_desc_at(d, DRV_RAM, 0, DRV_TABLES, 16 * count, I, 0);
        drv_put16(d, drv_area_driver(0) + 2, 1);
        drv_kick(d, 0);
        assert_int_equal(drv_broken(d), count == 256);
    }
    assert_int_equal(p->taken, 1);
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
    {"chain of 4 GiB", chain_of_4_gib},
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
        p->hold = false;
        assert_true(drv_revives(&d));
        drv_done(&d);
    }
}

RUN_TESTS(cmocka_unit_test(test_register_cases))
