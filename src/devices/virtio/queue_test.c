/* SPDX-License-Identifier: Apache-2.0 */
/* Virtqueues with a well-behaved driver: both ring formats, every test run for each. */
#include "queue.h"

#include "base/bits.h"
#include "base/unit_test.h"
#include "test_driver.h"
#include "test_probe.h"

#include <stdatomic.h>

struct fixture {
    struct drv d;
    struct probe *p;
};

static void up(struct fixture *f, uint64_t features, bool indirect)
{
    f->p = probe_new();
    drv_attach(&f->d, &f->p->v);
    f->d.indirect = indirect;
    drv_start(&f->d, features);
}

static void down(struct fixture *f)
{
    drv_done(&f->d);
}

enum { FORMATS = 4 };

/* Split, packed, and both with indirect descriptors. */
static uint64_t format(unsigned i, bool *ret_indirect)
{
    *ret_indirect = i & 2;
    return (i & 1 ? BIT(VIRTIO_F_RING_PACKED) : 0) | (i & 2 ? BIT(VIRTIO_F_INDIRECT_DESC) : 0);
}

static void one_chain(unsigned i)
{
    const struct drv_buf bufs[] = {
        {DRV_DATA, 16, false}, {DRV_DATA + 64, 100, false}, {DRV_DATA + 256, 32, true}};
    struct fixture f;
    bool indirect;
    uint64_t features = format(i, &indirect);
    uint32_t len;
    uint16_t id, want;

    up(&f, features, indirect);
    f.p->hold = true;
    want = drv_add(&f.d, 1, bufs, 3);
    assert_int_equal(f.p->taken, 0);
    drv_kick(&f.d, 1);
    assert_int_equal(f.p->held_count, 1);
    assert_int_equal(f.p->held[0].out_count, 2);
    assert_int_equal(f.p->held[0].out_len, 116);
    assert_int_equal(f.p->held[0].in_count, 1);
    assert_false(drv_used(&f.d, 1, &id, &len));
    assert_int_equal(f.d.interrupts, 0);
    probe_return(f.p, 0, 7);
    assert_true(drv_used(&f.d, 1, &id, &len));
    assert_int_equal(id, want);
    assert_int_equal(len, 7);
    assert_int_equal(f.d.interrupts, 1);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_ISR, 1), 1);
    assert_false(f.d.line);
    assert_false(drv_broken(&f.d));
    down(&f);
}

static void test_one_chain(void **state)
{
    for (unsigned i = 0; i < FORMATS; i++)
        one_chain(i);
}

/* Chains of 1 to 5 buffers, thousands of them: every ring passes its end many times. The driver
 * tells the device only when that asks for it, and none is forgotten. */
static void many_chains(unsigned i, uint64_t event)
{
    struct fixture f;
    bool indirect;
    uint64_t features = format(i, &indirect);

    up(&f, features | event, indirect);
    for (unsigned n = 0; n < 70000; n++) {
        unsigned count = 1 + n % 5;
        struct drv_buf bufs[5];
        uint32_t len;
        uint16_t id, want;

        for (unsigned b = 0; b < count; b++)
            bufs[b] = (struct drv_buf){DRV_DATA + 64u * b, 8, true};
        want = drv_add(&f.d, 0, bufs, count);
        if (drv_wants_kick(&f.d, 0))
            drv_kick(&f.d, 0);
        assert_true(drv_used(&f.d, 0, &id, &len));
        assert_int_equal(id, want);
        assert_int_equal(len, 8 * count);
    }
    assert_int_equal(f.p->taken, 70000);
    assert_false(drv_broken(&f.d));
    down(&f);
}

static void test_many_chains(void **state)
{
    for (unsigned i = 0; i < FORMATS; i++) {
        many_chains(i, 0);
        many_chains(i, BIT(VIRTIO_F_EVENT_IDX));
    }
}

static void out_of_order(unsigned i)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};
    const struct drv_buf two[] = {{DRV_DATA, 16, false}, {DRV_DATA + 64, 16, true}};
    struct fixture f;
    bool indirect;
    uint64_t features = format(i, &indirect);
    uint16_t id, ids[3];
    uint32_t len;

    up(&f, features, indirect);
    f.p->hold = true;
    for (unsigned round = 0; round < 50; round++) {
        f.p->held_count = 0;
        ids[0] = drv_add(&f.d, 0, two, 2);
        ids[1] = drv_add(&f.d, 0, one, 1);
        ids[2] = drv_add(&f.d, 0, two, 2);
        drv_kick(&f.d, 0);
        assert_int_equal(f.p->held_count, 3);
        for (unsigned n = 3; n-- > 0;) {
            probe_return(f.p, n, n);
            assert_true(drv_used(&f.d, 0, &id, &len));
            assert_int_equal(id, ids[n]);
            assert_int_equal(len, n);
        }
    }
    down(&f);
}

static void test_out_of_order(void **state)
{
    for (unsigned i = 0; i < FORMATS; i++)
        out_of_order(i);
}

static void test_unpop_restores(void **state)
{
    const struct drv_buf two[] = {{DRV_DATA, 16, false}, {DRV_DATA + 64, 16, true}};

    for (unsigned i = 0; i < FORMATS; i++) {
        struct fixture f;
        bool indirect;
        struct virtq_chain chain;
        uint64_t features = format(i, &indirect);

        up(&f, features, indirect);
        for (unsigned n = 0; n < 40; n++) { /* across the wrap */
            uint16_t id, want = drv_add(&f.d, 0, two, 2);
            uint32_t len;

            f.p->v.queue[0].budget = 10;
            assert_true(virtq_pop(&f.p->v.queue[0], &chain));
            virtq_unpop(&f.p->v.queue[0], &chain);
            assert_true(virtq_pop(&f.p->v.queue[0], &chain));
            assert_false(virtq_pop(&f.p->v.queue[0], &chain));
            virtq_push(&f.p->v.queue[0], &chain, 1);
            assert_true(drv_used(&f.d, 0, &id, &len));
            assert_int_equal(id, want);
            assert_int_equal(f.p->v.queue[0].inflight, 0);
        }
        down(&f);
    }
}

/* --- Interrupt suppression --- */
static unsigned interrupts_of(struct fixture *f, unsigned chains)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};
    unsigned before = f->d.interrupts;
    uint32_t len;
    uint16_t id;

    for (unsigned i = 0; i < chains; i++) {
        drv_add(&f->d, 0, one, 1);
        drv_kick(&f->d, 0);
        (void)drv_read(&f->d, VIRTIO_REG_ISR, 1);
        assert_true(drv_used(&f->d, 0, &id, &len));
    }
    return f->d.interrupts - before;
}

static void test_split_no_interrupt_flag(void **state)
{
    struct fixture f;

    up(&f, 0, false);
    assert_int_equal(interrupts_of(&f, 5), 5);
    drv_put16(&f.d, drv_area_driver(0), 1);
    assert_int_equal(interrupts_of(&f, 5), 0);
    drv_put16(&f.d, drv_area_driver(0), 0);
    assert_int_equal(interrupts_of(&f, 5), 5);
    down(&f);
}

static void test_split_event_index(void **state)
{
    uint64_t used_event = drv_area_driver(0) + 4 + UINT64_C(2) * DRV_QUEUE_SIZE;
    struct fixture f;

    up(&f, BIT(VIRTIO_F_EVENT_IDX), false);
    assert_int_equal(interrupts_of(&f, 1), 1); /* the first is always told */
    drv_put16(&f.d, used_event, 10);           /* tell me when entry 10 is used */
    assert_int_equal(interrupts_of(&f, 9), 0); /* entries 1..9 */
    assert_int_equal(interrupts_of(&f, 1), 1); /* entry 10 */
    assert_int_equal(interrupts_of(&f, 30), 0);
    down(&f);
}

static void test_split_avail_event(void **state)
{
    uint64_t avail_event = drv_area_device(0) + 4 + UINT64_C(8) * DRV_QUEUE_SIZE;
    struct fixture f;

    up(&f, BIT(VIRTIO_F_EVENT_IDX), false);
    (void)interrupts_of(&f, 7);
    assert_int_equal(drv_get16(&f.d, avail_event), 7); /* kick me at the next one */
    down(&f);
}

/* While work is put off the device does not want to hear of more; afterwards it does. */
static void kicks_while_busy(unsigned i)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};
    unsigned kicks = 0;
    struct fixture f;
    bool indirect;
    uint64_t features = format(i, &indirect) | BIT(VIRTIO_F_EVENT_IDX);

    up(&f, features, indirect);
    for (unsigned n = 0; n < 3; n++) {
        drv_add(&f.d, 0, one, 1);
        kicks += drv_wants_kick(&f.d, 0);
    }
    assert_int_equal(kicks, 1); /* the first; nothing has been looked at since */
    f.p->v.queue[0].budget = 2;
    f.p->v.class->handle(&f.p->v, &f.p->v.queue[0]);
    assert_int_equal(f.p->taken, 2);
    for (unsigned n = 0; n < 8; n++) {
        drv_add(&f.d, 0, one, 1);
        assert_false(drv_wants_kick(&f.d, 0));
    }
    clock_advance(f.d.clock, 1000000);
    assert_int_equal(f.p->taken, 11);
    drv_add(&f.d, 0, one, 1);
    assert_true(drv_wants_kick(&f.d, 0));
    down(&f);
}

static void test_kicks_while_busy(void **state)
{
    for (unsigned i = 0; i < FORMATS; i++)
        kicks_while_busy(i);
}

/* Both bits of the place: slot and round. */
static void test_packed_avail_event(void **state)
{
    uint64_t event = drv_area_device(0);
    struct fixture f;

    up(&f, BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_RING_PACKED), false);
    (void)interrupts_of(&f, 7);
    assert_int_equal(drv_get16(&f.d, event), 7 | 1 << 15);
    assert_int_equal(drv_get16(&f.d, event + 2), 2);
    (void)interrupts_of(&f, DRV_QUEUE_SIZE);
    assert_int_equal(drv_get16(&f.d, event), 7);
    down(&f);
    up(&f, BIT(VIRTIO_F_RING_PACKED), false); /* not negotiated: always */
    (void)interrupts_of(&f, 7);
    assert_int_equal(drv_get16(&f.d, event + 2), 0);
    down(&f);
}

static void test_packed_event(void **state)
{
    uint64_t event = drv_area_driver(0);
    struct fixture f;

    up(&f, BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_RING_PACKED), false);
    assert_int_equal(interrupts_of(&f, 3), 3); /* flags 0: enabled */
    drv_put16(&f.d, event + 2, 1);
    assert_int_equal(interrupts_of(&f, 3), 0); /* slots 3, 4, 5 */
    drv_put16(&f.d, event, 2);                 /* slot 2 of the next round: wrap bit 0 */
    drv_put16(&f.d, event + 2, 2);
    assert_int_equal(interrupts_of(&f, DRV_QUEUE_SIZE - 6 + 2), 0);
    assert_int_equal(interrupts_of(&f, 1), 1);
    assert_int_equal(interrupts_of(&f, 5), 0); /* slots 3 to 7 */
    drv_put16(&f.d, event, 8 | 1 << 15);       /* slot 8, but of the round after */
    assert_int_equal(interrupts_of(&f, 8), 0);
    assert_int_equal(interrupts_of(&f, 8), 0);
    assert_int_equal(interrupts_of(&f, 1), 1);
    down(&f);
}

/* --- What a device writes is reported, page by page: a migration copies it again --- */
static bool take_dirty(struct fixture *f, uint64_t gpa)
{
    return atomic_fetch_and(mem_page_flags(f->d.mem, GPA(gpa)), (uint8_t)~PAGE_DIRTY) & PAGE_DIRTY;
}

static void test_written_pages(void **state)
{
    const uint64_t a = DRV_DATA + 0x10000, b = DRV_DATA + 0x20000;
    const struct drv_buf bufs[] = {{a, 0x3000, true}, {b, 0x2000, true}};
    uint8_t bytes[32] = {1};
    struct virtq_chain *chain;
    struct fixture f;

    up(&f, 0, false);
    f.p->hold = true;
    drv_add(&f.d, 0, bufs, 2);
    drv_kick(&f.d, 0);
    chain = &f.p->held[0];
    assert_int_equal(chain_write(&f.p->v.queue[0], chain, 0x2000, bytes, 16), 16);
    assert_true(take_dirty(&f, a + 0x2000));
    assert_false(take_dirty(&f, a) || take_dirty(&f, a + 0x1000) || take_dirty(&f, b));
    assert_int_equal(chain_write(&f.p->v.queue[0], chain, 0x2ff0, bytes, 32), 32); /* both */
    assert_true(take_dirty(&f, a + 0x2000) && take_dirty(&f, b));
    assert_int_equal(chain_write(&f.p->v.queue[0], chain, 0x4ff0, bytes, 32), 16); /* the end */
    assert_true(take_dirty(&f, b + 0x1000));
    assert_int_equal(chain_write(&f.p->v.queue[0], chain, 0x5000, bytes, 32), 0);
    chain_written(&f.p->v.queue[0], chain, 0x3001);
    assert_true(take_dirty(&f, a) && take_dirty(&f, a + 0x1000) && take_dirty(&f, b));
    assert_false(take_dirty(&f, b + 0x1000));
    down(&f);
}

/* --- Bounded work, memory access, reset --- */
static void test_budget_puts_work_off(void **state)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};
    struct fixture f;

    up(&f, 0, false);
    for (unsigned i = 0; i < 10; i++)
        drv_add(&f.d, 0, one, 1);
    f.p->v.queue[0].budget = 4;
    f.p->v.class->handle(&f.p->v, &f.p->v.queue[0]);
    assert_int_equal(f.p->taken, 4);
    clock_advance(f.d.clock, 1000000);
    assert_int_equal(f.p->taken, 10);
    down(&f);
}

static void test_no_memory_access(void **state)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};
    struct fixture f;

    up(&f, 0, false);
    virtio_set_dma(&f.p->v, false);
    drv_add(&f.d, 0, one, 1);
    drv_kick(&f.d, 0);
    assert_int_equal(f.p->taken, 0);
    assert_int_equal(drv_get16(&f.d, drv_area_device(0) + 2), 0);
    virtio_set_dma(&f.p->v, true); /* what was kicked meanwhile is served */
    assert_int_equal(f.p->taken, 1);
    down(&f);
}

static void test_queue_reset(void **state)
{
    const struct drv_buf one[] = {{DRV_DATA, 16, true}};
    struct fixture f;
    uint32_t len;
    uint16_t id;

    up(&f, BIT(VIRTIO_F_RING_RESET), false);
    (void)interrupts_of(&f, 3);
    drv_write(&f.d, 22, 2, 0);
    drv_write(&f.d, 58, 2, 1);
    assert_int_equal(drv_read(&f.d, 58, 2), 0);
    assert_int_equal(drv_read(&f.d, 28, 2), 0);
    drv_kick(&f.d, 0);
    drv_queue_up(&f.d, 0, 8);
    assert_int_equal(drv_read(&f.d, 28, 2), 1);
    id = drv_add(&f.d, 0, one, 1);
    drv_kick(&f.d, 0);
    assert_true(drv_used(&f.d, 0, &id, &len));
    down(&f);
}

static void test_status_reset(void **state)
{
    struct fixture f;

    up(&f, 0, false);
    (void)interrupts_of(&f, 1);
    drv_write(&f.d, 20, 1, 0);
    assert_int_equal(drv_read(&f.d, 20, 1), 0);
    assert_int_equal(f.p->v.queue[0].enabled, 0);
    assert_false(f.d.line);
    drv_start(&f.d, BIT(VIRTIO_F_RING_PACKED)); /* and again in the other format */
    assert_int_equal(interrupts_of(&f, 40), 40);
    down(&f);
}

RUN_TESTS(cmocka_unit_test(test_one_chain), cmocka_unit_test(test_many_chains),
          cmocka_unit_test(test_out_of_order), cmocka_unit_test(test_unpop_restores),
          cmocka_unit_test(test_split_no_interrupt_flag), cmocka_unit_test(test_split_event_index),
          cmocka_unit_test(test_split_avail_event), cmocka_unit_test(test_packed_event),
          cmocka_unit_test(test_packed_avail_event), cmocka_unit_test(test_kicks_while_busy),
          cmocka_unit_test(test_written_pages), cmocka_unit_test(test_budget_puts_work_off),
          cmocka_unit_test(test_no_memory_access), cmocka_unit_test(test_queue_reset),
          cmocka_unit_test(test_status_reset))
