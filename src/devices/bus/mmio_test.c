/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unit_test.h"
#include "devices/bus/mmio.h"
#include "devices/core/device.h"
#include <errno.h>

struct echo {
    struct device dev;
    uint32_t off;
    unsigned size;
    uint64_t val;
    unsigned calls;
};

static uint64_t echo_read(struct device *dev, uint32_t off, unsigned size)
{
    struct echo *e = container_of(dev, struct echo, dev);

    e->calls++;
    e->off = off;
    e->size = size;
    return UINT64_MAX;
}

static void echo_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    (void)echo_read(dev, off, size);
    container_of(dev, struct echo, dev)->val = val;
}

static const struct device_ops echo_ops = {
    .type = "echo",
    .instance_size = sizeof(struct echo),
    .mmio = {.size = 0x100, .access_min = 2, .access_max = 4},
    .read = echo_read,
    .write = echo_write,
};

static void finds_the_right_device(void **state)
{
    struct mmio_bus *bus = mmio_bus_new(NULL);
    struct device *dev[20];
    struct err err;
    uint64_t val;

    for (unsigned i = 0; i < ARRAY_LEN(dev); i++) {
        dev[i] = device_new(&echo_ops, "e");
        /* out of order, with a hole of one window behind each */
        assert_int_equal(mmio_bus_add(bus, GPA(0x1000 + ((i * 7) % 20) * 0x200), dev[i], &err), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(dev); i++) {
        uint64_t base = 0x1000 + ((i * 7) % 20) * 0x200;
        struct echo *e = container_of(dev[i], struct echo, dev);

        assert_true(mmio_bus_read(bus, GPA(base + 0xfc), 4, &val));
        assert_int_equal(val, UINT32_MAX);
        assert_int_equal(e->off, 0xfc);
        assert_false(mmio_bus_read(bus, GPA(base + 0x100), 4, &val));
        assert_false(mmio_bus_read(bus, GPA(base - 4), 4, &val));
        assert_true(mmio_bus_write(bus, GPA(base), 2, 0x12345678));
        assert_int_equal(e->val, 0x5678);
        assert_int_equal(e->calls, 2);
    }
    assert_false(mmio_bus_read(bus, GPA(0), 4, &val));
    assert_false(mmio_bus_read(bus, GPA(UINT64_MAX - 3), 4, &val));
    for (unsigned i = 0; i < ARRAY_LEN(dev); i++)
        device_free(dev[i]);
    mmio_bus_free(bus);
}

static void illegal_accesses_never_arrive(void **state)
{
    struct mmio_bus *bus = mmio_bus_new(NULL);
    struct device *dev = device_new(&echo_ops, "e");
    struct echo *e = container_of(dev, struct echo, dev);
    struct err err;
    uint64_t val = 77;

    assert_int_equal(mmio_bus_add(bus, GPA(0x1000), dev, &err), 0);
    assert_false(mmio_bus_read(bus, GPA(0x1000), 1, &val));
    assert_false(mmio_bus_read(bus, GPA(0x1000), 8, &val));
    assert_false(mmio_bus_write(bus, GPA(0x1002), 4, 0));
    assert_false(mmio_bus_write(bus, GPA(0x10fe), 4, 0));
    assert_false(mmio_bus_read(bus, GPA(0x1000), 3, &val));
    assert_int_equal(e->calls, 0);
    assert_int_equal(dev->guest_errors, 5);
    assert_int_equal(val, 77);
    device_free(dev);
    mmio_bus_free(bus);
}

static void overlaps_are_refused(void **state)
{
    struct mmio_bus *bus = mmio_bus_new(NULL);
    struct device *dev = device_new(&echo_ops, "e");
    struct err err;

    assert_int_equal(mmio_bus_add(bus, GPA(0x1000), dev, &err), 0);
    assert_int_equal(mmio_bus_add(bus, GPA(0x1000), dev, &err), -EEXIST);
    assert_int_equal(mmio_bus_add(bus, GPA(0x10ff), dev, &err), -EEXIST);
    assert_int_equal(mmio_bus_add(bus, GPA(0xf01), dev, &err), -EEXIST);
    assert_int_equal(mmio_bus_add(bus, GPA(UINT64_MAX - 5), dev, &err), -EINVAL);
    assert_int_equal(mmio_bus_add(bus, GPA(0xf00), dev, &err), 0);
    assert_int_equal(mmio_bus_add(bus, GPA(0x1100), dev, &err), 0);
    device_free(dev);
    mmio_bus_free(bus);
}

static void lock_is_taken_around_the_device(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct mmio_bus *bus = mmio_bus_new(&lock);
    struct mem_io io = mmio_bus_io(bus);
    uint64_t val;

    assert_false(io.read(io.arg, GPA(0), 4, &val));
    assert_false(io.write(io.arg, GPA(0), 4, 0));
    assert_int_equal(pthread_mutex_trylock(&lock), 0);
    mmio_bus_free(bus);
}

RUN_TESTS(cmocka_unit_test(finds_the_right_device), cmocka_unit_test(illegal_accesses_never_arrive),
          cmocka_unit_test(overlaps_are_refused), cmocka_unit_test(lock_is_taken_around_the_device))
