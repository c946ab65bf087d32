/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile drivers. Each ring case lays descriptors by hand, makes one chain available and says what
 * must come of it: the chain is SERVED, or the device is BROKEN (needs a reset, takes nothing), or
 * the kick is IGNORED. After every case the device must come back to life by a reset, and nothing
 * may have been touched outside its memory (sanitizers see that). Registers and order of use:
 * hostile_registers_test.c.
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
    {"packed: length 0 in the middle",
     PACKED,
     {{IN_RANGE, 8, A | N, 0}, {IN_RANGE, 0, A | N, 0}, {IN_RANGE, 8, A, 0}},
     .expect = BROKEN},
    {"packed: address 0", PACKED, {{0, 8, A, 0}}, .expect = BROKEN},
    {"packed: just below RAM", PACKED, {{DRV_RAM - 8, 8, A, 0}}, .expect = BROKEN},
    {"packed: into RAM from below", PACKED, {{DRV_RAM - 8, 16, A, 0}}, .expect = BROKEN},
    {"packed: last bytes of RAM", PACKED, {{RING_END - 8, 8, A | W, 0}}, .expect = SERVED},
    {"packed: over the end of RAM", PACKED, {{RING_END - 8, 9, A | W, 0}}, .expect = BROKEN},
    {"packed: behind RAM", PACKED, {{RING_END, 1, A | W, 0}}, .expect = BROKEN},
    {"packed: length of 4 GiB - 1", PACKED, {{IN_RANGE, UINT32_MAX, A, 0}}, .expect = BROKEN},
    {"packed: highest address", PACKED, {{UINT64_MAX, 1, A | W, 0}}, .expect = BROKEN},
    {"packed: all of RAM, rings included",
     PACKED,
     {{DRV_RAM, DRV_RAM_SIZE, A, 0}},
     .expect = SERVED},
    {"packed: unknown flags", PACKED, {{IN_RANGE, 8, 0x7f78 | A, 0}}, .expect = SERVED},
    {"packed: bad buffer behind good ones",
     PACKED,
     {{IN_RANGE, 8, A | N, 0}, {IN_RANGE, 8, A | N, 0}, {RING_END, 8, A, 0}},
     .expect = BROKEN},
    {"packed: two chains with one id",
     PACKED,
     {{IN_RANGE, 8, A | N, 5}, {IN_RANGE, 8, A, 5}},
     .expect = SERVED},
    {"packed: indirect table is itself",
     PACKED | INDIRECT,
     {{TABLE, 16, A | I, 0}},
     {{TABLE, 16, I, 0}},
     .expect = BROKEN},
    {"packed: indirect table is the ring",
     PACKED | INDIRECT,
     {{DRV_QUEUE, 16, A | I, 0}},
     .expect = BROKEN},
    {"packed: indirect of length 0", PACKED | INDIRECT, {{TABLE, 0, A | I, 0}}, .expect = BROKEN},
    {"packed: indirect of length 15",
     PACKED | INDIRECT,
     {{TABLE, 15, A | I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: indirect of length 17",
     PACKED | INDIRECT,
     {{TABLE, 17, A | I, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: indirect table over the end of RAM",
     PACKED | INDIRECT,
     {{RING_END - 8, 16, A | I, 0}},
     .expect = BROKEN},
    {"packed: indirect table address wraps",
     PACKED | INDIRECT,
     {{HUGE_ADDR, 32, A | I, 0}},
     .expect = BROKEN},
    {"packed: next in an indirect table counts for nothing",
     PACKED | INDIRECT,
     {{TABLE, 32, A | I, 0}},
     {{IN_RANGE, 8, N, 0xffff}, {IN_RANGE, 8, N, 0}},
     .expect = SERVED},
    {"packed: readable behind writable in an indirect table",
     PACKED | INDIRECT,
     {{TABLE, 32, A | I, 0}},
     {{IN_RANGE, 8, W, 0}, {IN_RANGE, 8, 0, 0}},
     .expect = BROKEN},
    {"packed: writing indirect descriptor of reading buffers",
     PACKED | INDIRECT,
     {{TABLE, 16, A | I | W, 0}},
     {{IN_RANGE, 8, 0, 0}},
     .expect = SERVED},
    {"packed: chain of more than 4 GiB",
     PACKED | INDIRECT,
     {{TABLE, 64, A | I, 0}},
     {{DRV_RAM, 0xc0000000, 0, 0}, {DRV_RAM, 0xc0000000, 0, 0}},
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
    /* Legal descriptors where only an unchecked index would find them. */
    drv_desc_at(d, drv_area_desc(0), DRV_QUEUE_SIZE, IN_RANGE, 8, 0, 0);
    drv_desc_at(d, drv_area_desc(0), 0xffff, IN_RANGE, 8, 0, 0);
    drv_put16(d, drv_area_driver(0) + 4, c->head);
    drv_put16(d, drv_area_driver(0) + 2, c->idx ? c->idx : 1);
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
    p->hold = false;
    assert_true(drv_revives(&d));
    drv_done(&d);
}

static void test_ring_cases(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(ring_cases); i++)
        ring_case_run(&ring_cases[i]);
}

/* --- What takes more than four descriptors or more than one kick --- */
static struct probe *begin(struct drv *d, uint64_t features)
{
    struct probe *p = probe_new();

    drv_attach(d, &p->v);
    drv_start(d, features);
    return p;
}

static void end(struct drv *d, struct probe *p)
{
    p->hold = false;
    assert_true(drv_revives(d));
    drv_done(d);
}

/* Every slot of the ring says that another one follows. */
static void test_packed_ring_without_end(void **state)
{
    struct drv d;
    struct probe *p = begin(&d, PACKED);

    for (unsigned i = 0; i < DRV_QUEUE_SIZE; i++)
        drv_desc_at(&d, drv_area_desc(0), i, IN_RANGE, 8, 0, A | N);
    drv_kick(&d, 0);
    assert_true(drv_broken(&d));
    assert_int_equal(p->taken, 0);
    end(&d, p);
}

/* As many as there may be, and one more. */
static void chain_of(uint64_t features, unsigned count, bool broken)
{
    struct drv d;
    struct probe *p = begin(&d, features | INDIRECT);
    bool split = !(features & PACKED);

    for (unsigned i = 0; i < count; i++)
        drv_desc_at(&d, TABLE, i, IN_RANGE, 1, split && i + 1 < count ? N : 0,
                    split ? (uint16_t)(i + 1) : 0);
    drv_desc_at(&d, drv_area_desc(0), 0, TABLE, 16 * count, split ? I : 0, split ? 0 : A | I);
    if (split)
        drv_put16(&d, drv_area_driver(0) + 2, 1);
    drv_kick(&d, 0);
    assert_int_equal(drv_broken(&d), broken);
    assert_int_equal(p->taken, !broken);
    end(&d, p);
}

static void test_longest_chain(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        chain_of(i ? PACKED : 0, VIRTQ_CHAIN_MAX, false);
        chain_of(i ? PACKED : 0, VIRTQ_CHAIN_MAX + 1, true);
        chain_of(i ? PACKED : 0, 4096, true);
    }
}

/* The device holds all entries; the driver makes them available again. */
static void test_packed_available_twice(void **state)
{
    struct drv d;
    struct probe *p = begin(&d, PACKED);

    p->hold = true;
    for (unsigned i = 0; i < DRV_QUEUE_SIZE; i++)
        drv_desc_at(&d, drv_area_desc(0), i, IN_RANGE, 8, (uint16_t)i, A);
    drv_kick(&d, 0);
    assert_int_equal(p->held_count, DRV_QUEUE_SIZE);
    drv_kick(&d, 0); /* nothing new */
    assert_false(drv_broken(&d));
    drv_desc_at(&d, drv_area_desc(0), 0, IN_RANGE, 8, 0, U); /* the next round's bits */
    drv_kick(&d, 0);
    assert_true(drv_broken(&d));
    assert_int_equal(p->held_count, DRV_QUEUE_SIZE);
    probe_return(p, 0, 8); /* what comes back late goes nowhere */
    end(&d, p);
}

/* A chain that is longer than what is left beside those in flight. */
static void test_packed_chain_over_others(void **state)
{
    struct drv d;
    struct probe *p = begin(&d, PACKED);

    p->hold = true;
    for (unsigned i = 0; i < 4; i++)
        drv_desc_at(&d, drv_area_desc(0), i, IN_RANGE, 8, (uint16_t)i, A);
    for (unsigned i = 4; i < DRV_QUEUE_SIZE; i++)
        drv_desc_at(&d, drv_area_desc(0), i, IN_RANGE, 8, 4, A | N);
    drv_kick(&d, 0); /* the last one runs on into slots 0 to 3, which are in flight */
    assert_true(drv_broken(&d));
    assert_int_equal(p->held_count, 4);
    end(&d, p);
}

/* Nonsense in the driver's event structure: at worst an interrupt too many or too few. */
static void test_wild_events(void **state)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};

    for (unsigned packed = 0; packed < 2; packed++) {
        struct drv d;
        struct probe *p = begin(&d, EVENT | (packed ? PACKED : 0));
        uint64_t area = drv_area_driver(0);

        for (unsigned i = 0; i < 400; i++) {
            uint16_t junk = (uint16_t)(i * 40503), id;
            uint32_t len;

            drv_put16(&d, packed ? area : area + 4 + UINT64_C(2) * DRV_QUEUE_SIZE, junk);
            if (packed)
                drv_put16(&d, area + 2, (uint16_t)(i % 7 ? 2 : junk));
            drv_put16(&d, drv_area_device(0) + (packed ? 0 : 4 + UINT64_C(8) * DRV_QUEUE_SIZE),
                      (uint16_t)~junk); /* and over what the device writes */
            drv_add(&d, 0, one, 1);
            drv_kick(&d, 0);
            assert_true(drv_used(&d, 0, &id, &len));
        }
        assert_int_equal(p->taken, 400);
        assert_false(drv_broken(&d));
        end(&d, p);
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
            st_le64(junk + 16 * (size_t)i,
                    DRV_RAM + ld_le64(junk + 16 * (size_t)i) % (DRV_RAM_SIZE + 4096));
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
    p->hold = false;
    assert_true(drv_revives(&d));
    drv_done(&d);
}

static void test_random_rings(void **state)
{
    for (uint32_t seed = 1; seed <= 8; seed++) {
        random_rings(seed & 1 ? INDIRECT | EVENT : INDIRECT, seed);
        random_rings(PACKED | INDIRECT | (seed & 1 ? EVENT : 0), seed);
    }
}

RUN_TESTS(cmocka_unit_test(test_ring_cases), cmocka_unit_test(test_packed_ring_without_end),
          cmocka_unit_test(test_longest_chain), cmocka_unit_test(test_packed_available_twice),
          cmocka_unit_test(test_packed_chain_over_others), cmocka_unit_test(test_wild_events),
          cmocka_unit_test(test_random_rings))
