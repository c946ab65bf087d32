/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-console and virtio-rng: ports, control messages, back-pressure both ways. */
#include "console.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "rng.h"
#include "test_driver.h"

#include <posada/agent.h>
#include <posada/chardev.h>

enum { F_SIZE = 1, F_MULTIPORT = 2, F_EMERG = 4 };
enum { IN0, OUT0, CONTROL_IN, CONTROL_OUT, IN1, OUT1 };
enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, RESIZE = 5, OPEN = 6, NAME = 7 };

struct sink { /* a chardev that takes `room` bytes */
    struct chardev dev;
    uint8_t byte[8192];
    size_t len, room;
    unsigned asked; /* can_receive() */
    bool reenters;  /* calls writable() from inside write() */
    int open;
};

static size_t sink_write(struct chardev *dev, const uint8_t *data, size_t len)
{
    struct sink *s = container_of(dev, struct sink, dev);
    size_t n = len < s->room ? len : s->room;

    assert_true(s->len + n <= sizeof(s->byte));
    memcpy(s->byte + s->len, data, n);
    s->len += n;
    s->room -= n;
    if (s->reenters)
        dev->front.writable(dev->front.arg);
    return n;
}

static void sink_can_receive(struct chardev *dev)
{
    container_of(dev, struct sink, dev)->asked++;
}

static void sink_open(struct chardev *dev, bool open)
{
    container_of(dev, struct sink, dev)->open = open;
}

static const struct chardev_ops sink_ops = {
    .write = sink_write, .can_receive = sink_can_receive, .guest_open = sink_open};

struct fixture {
    struct drv d;
    struct sink sink[2];
    uint64_t control_at; /* next control buffer */
};

static void up(struct fixture *f, uint64_t features)
{
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < 2; i++) {
        f->sink[i].dev.ops = &sink_ops;
        f->sink[i].room = sizeof(f->sink[i].byte);
    }
    const struct virtio_console_port_config ports[] = {
        {.chardev = &f->sink[0].dev}, {.chardev = &f->sink[1].dev, .name = AGENT_PORT}};

    drv_attach(&f->d, virtio_console_new("console", ports, 2));
    drv_start(&f->d, features);
}

static void down(struct fixture *f)
{
    drv_done(&f->d);
}

static void control_out(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
    const struct drv_buf buf = {DRV_DATA, 8, false};
    uint8_t raw[8];
    uint32_t len;
    uint16_t used;

    st_le32(raw, id);
    st_le16(raw + 4, event);
    st_le16(raw + 6, value);
    drv_put(&f->d, DRV_DATA, raw, sizeof(raw));
    drv_add(&f->d, CONTROL_OUT, &buf, 1);
    drv_kick(&f->d, CONTROL_OUT);
    assert_true(drv_used(&f->d, CONTROL_OUT, &used, &len));
}

static void offer_control(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct drv_buf buf = {DRV_DATA + 4096, 64, true};

        drv_add(&f->d, CONTROL_IN, &buf, 1);
    }
    drv_kick(&f->d, CONTROL_IN);
}

/* Offers one buffer and expects this message in it; its length. */
static uint32_t expect(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
    uint8_t raw[8];
    uint32_t len;
    uint16_t used;

    offer_control(f, 1);
    if (!drv_used(&f->d, CONTROL_IN, &used, &len))
        fail_msg("message %u of port %u did not come", event, id);
    drv_get(&f->d, DRV_DATA + 4096, raw, sizeof(raw));
    assert_int_equal(ld_le32(raw), id);
    assert_int_equal(ld_le16(raw + 4), event);
    assert_int_equal(ld_le16(raw + 6), value);
    return len;
}

static void handshake(struct fixture *f)
{
    control_out(f, 0, READY, 1);
    assert_int_equal(expect(f, 0, ADD, 1), 8);
    assert_int_equal(expect(f, 1, ADD, 1), 8);
    control_out(f, 0, PORT_READY, 1);
    (void)expect(f, 0, CONSOLE, 1);
    (void)expect(f, 0, OPEN, 1);
    control_out(f, 1, PORT_READY, 1);
    assert_int_equal(expect(f, 1, NAME, 1), 8 + strlen(AGENT_PORT));
    (void)expect(f, 1, OPEN, 1);
}

static void output(struct fixture *f, unsigned queue, uint64_t gpa, uint32_t len)
{
    const struct drv_buf buf = {gpa, len, false};

    drv_add(&f->d, queue, &buf, 1);
    drv_kick(&f->d, queue);
}

static bool done(struct fixture *f, unsigned queue, uint32_t *ret_len)
{
    uint16_t id;

    return drv_used(&f->d, queue, &id, ret_len);
}

static void test_handshake(void **state)
{
    char name[sizeof(AGENT_PORT)] = {0};
    struct fixture f;

    up(&f, F_MULTIPORT | F_SIZE);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 4, 4), 2);
    control_out(&f, 0, READY, 1);
    (void)expect(&f, 0, ADD, 1);
    (void)expect(&f, 1, ADD, 1);
    control_out(&f, 1, PORT_READY, 1);
    (void)expect(&f, 1, NAME, 1);
    drv_get(&f.d, DRV_DATA + 4096 + 8, name, strlen(AGENT_PORT));
    assert_string_equal(name, AGENT_PORT);
    down(&f);
}

static void test_open_and_close(void **state)
{
    struct fixture f;

    up(&f, F_MULTIPORT);
    handshake(&f);
    assert_int_equal(f.sink[1].open, 0);
    assert_int_equal(f.sink[1].dev.front.receive(f.sink[1].dev.front.arg, (const uint8_t *)"x", 1),
                     0);
    control_out(&f, 1, OPEN, 1);
    assert_int_equal(f.sink[1].open, 1);
    assert_true(f.sink[1].asked > 0);
    control_out(&f, 1, OPEN, 0);
    assert_int_equal(f.sink[1].open, 0);
    control_out(&f, 1, OPEN, 1);
    drv_write(&f.d, 20, 1, 0); /* a reset closes */
    assert_int_equal(f.sink[1].open, 0);
    down(&f);
}

static void test_peer_and_size(void **state)
{
    const struct chardev_front *front;
    uint8_t raw[4];
    struct fixture f;
    uint8_t generation;

    up(&f, F_MULTIPORT | F_SIZE);
    handshake(&f);
    front = &f.sink[1].dev.front;
    front->peer(front->arg, false);
    (void)expect(&f, 1, OPEN, 0);
    front->peer(front->arg, true);
    (void)expect(&f, 1, OPEN, 1);

    front = &f.sink[0].dev.front;
    generation = (uint8_t)drv_read(&f.d, 21, 1);
    front->resized(front->arg, 132, 43);
    assert_int_equal(expect(&f, 0, RESIZE, 1), 12);
    drv_get(&f.d, DRV_DATA + 4096 + 8, raw, sizeof(raw));
    assert_int_equal(ld_le16(raw), 132);
    assert_int_equal(ld_le16(raw + 2), 43);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG, 2), 132);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 2, 2), 43);
    assert_int_equal(drv_read(&f.d, 21, 1), (uint8_t)(generation + 1));
    assert_true(drv_read(&f.d, VIRTIO_REG_ISR, 1) & VIRTIO_ISR_CONFIG);
    front->resized(front->arg, 1u << 30, 1u << 20); /* clipped */
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG, 4), 0xffffffff);
    down(&f);
}

/* Resizes and attachments while the guest offers no control buffer fill nothing up. */
static void test_control_starved(void **state)
{
    const struct chardev_front *front;
    struct fixture f;
    uint32_t len;
    uint16_t id;

    up(&f, F_MULTIPORT);
    handshake(&f);
    front = &f.sink[0].dev.front;
    for (unsigned i = 0; i < 10000; i++) {
        front->resized(front->arg, i, i);
        front->peer(front->arg, i & 1);
    }
    offer_control(&f, 8);
    for (unsigned i = 0; i < 2; i++)
        assert_true(drv_used(&f.d, CONTROL_IN, &id, &len));
    assert_false(drv_used(&f.d, CONTROL_IN, &id, &len));
    down(&f);
}

static void test_output(void **state)
{
    struct fixture f;
    uint32_t len;

    up(&f, F_MULTIPORT);
    handshake(&f);
    drv_put(&f.d, DRV_DATA, "hello", 5);
    output(&f, OUT0, DRV_DATA, 5);
    assert_true(done(&f, OUT0, &len));
    assert_int_equal(f.sink[0].len, 5);
    assert_memory_equal(f.sink[0].byte, "hello", 5);
    output(&f, OUT1, DRV_DATA, 4);
    assert_int_equal(f.sink[1].len, 4);
    down(&f);
}

static void test_output_back_pressure(void **state)
{
    const struct chardev_front *front;
    uint8_t pattern[6000];
    struct fixture f;
    uint32_t len;

    up(&f, F_MULTIPORT);
    front = &f.sink[0].dev.front;
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7);
    drv_put(&f.d, DRV_DATA, pattern, sizeof(pattern));
    f.sink[0].room = 100;
    output(&f, OUT0, DRV_DATA, 5000);
    output(&f, OUT0, DRV_DATA + 5000, 1000);
    assert_int_equal(f.sink[0].len, 100);
    assert_false(done(&f, OUT0, &len));
    drv_kick(&f.d, OUT0); /* kicking does not make room */
    assert_int_equal(f.sink[0].len, 100);
    f.sink[0].room = 4899;
    front->writable(front->arg);
    assert_int_equal(f.sink[0].len, 4999);
    assert_false(done(&f, OUT0, &len));
    f.sink[0].room = 2;
    front->writable(front->arg);
    assert_true(done(&f, OUT0, &len));
    assert_false(done(&f, OUT0, &len));
    f.sink[0].room = 5000;
    front->writable(front->arg);
    assert_true(done(&f, OUT0, &len));
    assert_int_equal(f.sink[0].len, 6000);
    assert_memory_equal(f.sink[0].byte, pattern, 6000);
    down(&f);
}

/* A back end that says writable() too early must not get bytes out of order. */
static void test_output_reentered(void **state)
{
    struct fixture f;
    uint32_t len;

    up(&f, 0);
    drv_put(&f.d, DRV_DATA, "onetwothree", 11);
    f.sink[0].room = 2;
    output(&f, OUT0, DRV_DATA, 3);
    output(&f, OUT0, DRV_DATA + 3, 3);
    output(&f, OUT0, DRV_DATA + 6, 5);
    f.sink[0].reenters = true;
    f.sink[0].room = 100;
    drv_kick(&f.d, OUT0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(done(&f, OUT0, &len));
    assert_int_equal(f.sink[0].len, 11);
    assert_memory_equal(f.sink[0].byte, "onetwothree", 11);
    down(&f);
}

/* The driver swaps the chain that is half written for a shorter one. */
static void test_output_chain_shrinks(void **state)
{
    const struct chardev_front *front;
    struct fixture f;
    uint32_t len;

    up(&f, 0);
    front = &f.sink[0].dev.front;
    f.sink[0].room = 100;
    output(&f, OUT0, DRV_DATA, 500);
    drv_desc_at(&f.d, drv_area_desc(OUT0), 0, DRV_DATA, 10, 0, 0);
    f.sink[0].room = 1000;
    front->writable(front->arg);
    assert_true(done(&f, OUT0, &len));
    assert_int_equal(f.sink[0].len, 100);
    output(&f, OUT0, DRV_DATA, 20); /* and the next one is whole */
    assert_int_equal(f.sink[0].len, 120);
    down(&f);
}

static void test_input_back_pressure(void **state)
{
    const struct drv_buf buf = {DRV_DATA, 10, true}, small = {DRV_DATA + 100, 1, true};
    const uint8_t text[] = "abcdefghijklmnop";
    const struct chardev_front *front;
    struct fixture f;
    uint8_t got[10];
    uint32_t len;
    unsigned asked;

    up(&f, F_MULTIPORT);
    handshake(&f);
    control_out(&f, 0, OPEN, 1);
    front = &f.sink[0].dev.front;
    assert_int_equal(front->receive(front->arg, text, 16), 0); /* no buffers */
    asked = f.sink[0].asked;
    drv_add(&f.d, IN0, &buf, 1);
    drv_add(&f.d, IN0, &small, 1);
    drv_kick(&f.d, IN0);
    assert_int_equal(f.sink[0].asked, asked + 1);
    assert_int_equal(front->receive(front->arg, text, 16), 11);
    assert_true(done(&f, IN0, &len));
    assert_int_equal(len, 10);
    drv_get(&f.d, DRV_DATA, got, sizeof(got));
    assert_memory_equal(got, text, 10);
    assert_true(done(&f, IN0, &len));
    assert_int_equal(len, 1);
    assert_int_equal(drv_get8(&f.d, DRV_DATA + 100), 'k');
    assert_int_equal(front->receive(front->arg, text, 16), 0);
    assert_int_equal(front->receive(front->arg, text, 0), 0);
    down(&f);
}

/* Buffers for input are nothing to be told of until some input found none. */
static void test_input_without_kicks(void **state)
{
    static const uint64_t formats[] = {0, BIT(VIRTIO_F_RING_PACKED)};
    const struct drv_buf buf = {DRV_DATA, 10, true};
    const struct chardev_front *front;
    struct fixture f;
    uint32_t len;

    for (unsigned i = 0; i < 2; i++) {
        up(&f, F_MULTIPORT | BIT(VIRTIO_F_EVENT_IDX) | formats[i]);
        drv_add(&f.d, IN0, &buf, 1);
        assert_false(drv_wants_kick(&f.d, IN0));
        drv_add(&f.d, CONTROL_IN, &buf, 1);
        assert_false(drv_wants_kick(&f.d, CONTROL_IN));
        control_out(&f, 0, OPEN, 1);
        front = &f.sink[0].dev.front;
        assert_int_equal(front->receive(front->arg, (const uint8_t *)"abc", 3), 3);
        assert_true(done(&f, IN0, &len));
        assert_int_equal(front->receive(front->arg, (const uint8_t *)"abc", 3), 0);
        drv_add(&f.d, IN0, &buf, 1);
        assert_true(drv_wants_kick(&f.d, IN0));
        down(&f);
    }
}

static void test_without_multiport(void **state)
{
    const struct chardev_front *front;
    struct fixture f;
    uint32_t len;

    up(&f, F_SIZE | F_EMERG);
    assert_int_equal(f.sink[0].open, 1);
    assert_int_equal(f.sink[1].open, 0);
    output(&f, OUT0, DRV_DATA, 7);
    assert_true(done(&f, OUT0, &len));
    assert_int_equal(f.sink[0].len, 7);
    front = &f.sink[0].dev.front;
    front->peer(front->arg, false);
    front->resized(front->arg, 80, 24);
    offer_control(&f, 1);
    assert_false(done(&f, CONTROL_IN, &len)); /* there is no control queue to speak on */
    down(&f);
}

static void test_emergency_write(void **state)
{
    struct fixture f;

    up(&f, F_EMERG);
    drv_write(&f.d, 20, 1, 0);
    drv_write(&f.d, VIRTIO_REG_CONFIG + 8, 4, 'P'); /* even before a driver */
    assert_int_equal(f.sink[0].len, 1);
    assert_int_equal(f.sink[0].byte[0], 'P');
    f.sink[0].room = 0;
    drv_write(&f.d, VIRTIO_REG_CONFIG + 8, 4, 'Q'); /* full: lost, not fatal */
    drv_write(&f.d, VIRTIO_REG_CONFIG + 4, 4, 99);
    assert_int_equal(drv_read(&f.d, VIRTIO_REG_CONFIG + 4, 4), 2);
    down(&f);
}

static void test_hostile_control(void **state)
{
    const struct drv_buf short_one = {DRV_DATA, 7, false};
    const struct drv_buf tiny = {DRV_DATA + 4096, 1, true};
    struct fixture f;
    uint32_t len;

    up(&f, F_MULTIPORT);
    for (unsigned event = 0; event < 70000; event += 7)
        control_out(&f, event * UINT32_C(2654435761), (uint16_t)event, (uint16_t)~event);
    for (unsigned i = 0; i < 100; i++)
        control_out(&f, 0, READY, 1);
    control_out(&f, 2, OPEN, 1);
    control_out(&f, UINT32_MAX, PORT_READY, 1);
    drv_add(&f.d, CONTROL_OUT, &short_one, 1);
    drv_kick(&f.d, CONTROL_OUT);
    assert_true(done(&f, CONTROL_OUT, &len));
    drv_add(&f.d, CONTROL_IN, &tiny, 1); /* a message that does not fit is cut */
    drv_kick(&f.d, CONTROL_IN);
    assert_true(done(&f, CONTROL_IN, &len));
    assert_int_equal(len, 1);
    assert_false(drv_broken(&f.d));
    down(&f);
}

static void test_no_back_end(void **state)
{
    const struct virtio_console_port_config ports[] = {{0}, {.name = "other"}};
    struct fixture f;
    uint32_t len;

    memset(&f, 0, sizeof(f));
    drv_attach(&f.d, virtio_console_new("console", ports, 2));
    drv_start(&f.d, F_MULTIPORT);
    control_out(&f, 0, OPEN, 1);
    output(&f, OUT0, DRV_DATA, 100);
    output(&f, OUT1, DRV_DATA, 100);
    assert_true(done(&f, OUT0, &len) && done(&f, OUT1, &len)); /* dropped */
    drv_write(&f.d, VIRTIO_REG_CONFIG + 8, 4, 'P');
    down(&f);
}

/* --- rng --- */
static void test_rng(void **state)
{
    const struct drv_buf small = {DRV_DATA, 13, true}, huge = {DRV_DATA, 65536, true};
    const struct drv_buf wrong = {DRV_DATA, 16, false};
    struct fixture f;
    uint8_t got[16];
    uint32_t len;

    memset(&f, 0, sizeof(f));
    drv_attach(&f.d, virtio_rng_new("rng"));
    drv_start(&f.d, 0);
    drv_add(&f.d, 0, &small, 1);
    drv_kick(&f.d, 0);
    assert_true(done(&f, 0, &len));
    assert_int_equal(len, 13);
    drv_get(&f.d, DRV_DATA, got, sizeof(got));
    assert_int_equal(got[0], 0xef);
    assert_int_equal(got[12], 0x67);
    assert_int_equal(got[13], 0); /* no byte too many */
    drv_add(&f.d, 0, &huge, 1);
    drv_kick(&f.d, 0);
    assert_true(done(&f, 0, &len));
    assert_int_equal(len, 4096); /* bounded work a request */
    drv_add(&f.d, 0, &wrong, 1);
    drv_kick(&f.d, 0);
    assert_true(done(&f, 0, &len));
    assert_int_equal(len, 0);
    down(&f);
}

RUN_TESTS(cmocka_unit_test(test_handshake), cmocka_unit_test(test_open_and_close),
          cmocka_unit_test(test_peer_and_size), cmocka_unit_test(test_control_starved),
          cmocka_unit_test(test_output), cmocka_unit_test(test_output_back_pressure),
          cmocka_unit_test(test_output_chain_shrinks), cmocka_unit_test(test_output_reentered),
          cmocka_unit_test(test_input_back_pressure), cmocka_unit_test(test_input_without_kicks),
          cmocka_unit_test(test_without_multiport), cmocka_unit_test(test_emergency_write),
          cmocka_unit_test(test_hostile_control), cmocka_unit_test(test_no_back_end),
          cmocka_unit_test(test_rng))
