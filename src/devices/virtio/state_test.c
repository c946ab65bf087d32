/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a virtio device in the middle of its work: saved, loaded into a new one beside a copy of
 * memory, and driven on by a driver that noticed nothing.
 */
#include "base/bits.h"
#include "base/unit_test.h"
#include "console.h"
#include "devices/core/state.h"
#include "test_driver.h"
#include "test_probe.h"

#include <posada/chardev.h>
#include <stdlib.h>
#include <string.h>

/* to: a fresh device of the same kind, attached. It takes over state and memory of from. */
static void move(struct drv *from, struct drv *to)
{
    struct device_set out = {.device = {&from->v->dev}, .count = 1};
    struct device_set in = {.device = {&to->v->dev}, .count = 1};
    uint8_t *data, *page = malloc(DRV_USED);
    struct err err = {0};
    size_t len;

    assert_int_equal(device_set_save(&out, from->clock, &data, &len, &err), 0);
    assert_non_null(page);
    drv_get(from, DRV_RAM, page, DRV_USED);
    drv_put(to, DRV_RAM, page, DRV_USED);
    if (device_set_load(&in, to->clock, data, len, &err) < 0)
        fail_msg("%s", err.text);
    memcpy(to->q, from->q, sizeof(to->q));
    to->packed = from->packed;
    to->indirect = from->indirect;
    free(page);
    free(data);
}

static void one_more(struct drv *d)
{
    const struct drv_buf bufs[] = {{DRV_DATA, 16, false}, {DRV_DATA + 64, 100, true}};
    uint32_t len;
    uint16_t id, want = drv_add(d, 0, bufs, 2);

    drv_kick(d, 0);
    assert_true(drv_used(d, 0, &id, &len));
    assert_int_equal(id, want);
    assert_int_equal(len, 100);
}

static void moved_ring(uint64_t features, unsigned chains)
{
    struct probe *a = probe_new(), *b = probe_new();
    struct drv from, to;

    drv_attach(&from, &a->v);
    drv_attach(&to, &b->v);
    drv_start(&from, features);
    for (unsigned i = 0; i < chains; i++)
        one_more(&from);
    assert_true(from.line);
    move(&from, &to);
    assert_true(to.line); /* the interrupt that was pending still is */
    assert_int_equal(drv_read(&to, VIRTIO_REG_ISR, 1), VIRTIO_ISR_QUEUE);
    for (unsigned i = 0; i < 40; i++)
        one_more(&to);
    assert_int_equal(b->taken, 40);
    assert_false(drv_broken(&to));
    drv_done(&from);
    drv_done(&to);
}

static void test_moved_rings(void **state)
{
    for (unsigned chains = 1; chains < 20; chains++) {
        moved_ring(0, chains);
        moved_ring(BIT(VIRTIO_F_EVENT_IDX), chains);
        moved_ring(BIT(VIRTIO_F_RING_PACKED), chains);
        moved_ring(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_EVENT_IDX), chains);
    }
}

/* What was made available but not kicked, or not served, is served after the move. */
static void test_moved_with_work_left(void **state)
{
    const struct drv_buf buf = {DRV_DATA, 8, true};
    struct probe *a = probe_new(), *b = probe_new();
    struct drv from, to;

    drv_attach(&from, &a->v);
    drv_attach(&to, &b->v);
    drv_start(&from, 0);
    drv_add(&from, 1, &buf, 1);
    move(&from, &to);
    assert_int_equal(a->taken, 0);
    clock_advance(to.clock, 1000000);
    assert_int_equal(b->taken, 1);
    drv_done(&from);
    drv_done(&to);
}

/* --- A console whose back end is full --- */
struct port {
    struct chardev dev;
    size_t len, room;
    int open;
};

static size_t port_write(struct chardev *dev, const uint8_t *data, size_t len)
{
    struct port *p = container_of(dev, struct port, dev);
    size_t n = len < p->room ? len : p->room;

    p->len += n;
    p->room -= n;
    return n;
}

static void port_open(struct chardev *dev, bool open)
{
    container_of(dev, struct port, dev)->open = open;
}

static const struct chardev_ops port_ops = {.write = port_write, .guest_open = port_open};

static void test_moved_console(void **state)
{
    struct port a = {.dev.ops = &port_ops, .room = 30}, b = {.dev.ops = &port_ops, .room = 1000};
    const struct virtio_console_port_config port_a = {.chardev = &a.dev};
    const struct virtio_console_port_config port_b = {.chardev = &b.dev};
    const struct drv_buf buf = {DRV_DATA, 100, false};
    struct drv from, to;
    uint32_t len;
    uint16_t id;

    drv_attach(&from, virtio_console_new("console", &port_a, 1));
    drv_attach(&to, virtio_console_new("console", &port_b, 1));
    drv_start(&from, 0);
    drv_add(&from, 1, &buf, 1);
    drv_kick(&from, 1);
    assert_int_equal(a.len, 30);
    assert_false(drv_used(&from, 1, &id, &len));
    move(&from, &to);
    assert_int_equal(b.open, 1); /* the new back end learns what the guest has open */
    clock_advance(to.clock, 1000000);
    assert_int_equal(b.len, 70); /* and gets the rest, nothing twice */
    assert_true(drv_used(&to, 1, &id, &len));
    drv_done(&from);
    drv_done(&to);
}

RUN_TESTS(cmocka_unit_test(test_moved_rings), cmocka_unit_test(test_moved_with_work_left),
          cmocka_unit_test(test_moved_console))
