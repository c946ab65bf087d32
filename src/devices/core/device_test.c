/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unit_test.h"
#include "devices/core/device.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct probe {
    struct device dev;
    unsigned resets, settles, *order;
    unsigned settled_at;
};

static void probe_reset(struct device *dev)
{
    container_of(dev, struct probe, dev)->resets++;
}

static void probe_settle(struct device *dev)
{
    struct probe *p = container_of(dev, struct probe, dev);

    p->settles++;
    p->settled_at = p->order ? ++*p->order : 0;
}

static const struct device_ops probe_ops = {
    .type = "probe",
    .instance_size = sizeof(struct probe),
    .reset = probe_reset,
    .settle = probe_settle,
};

static void reset_then_settle_for_all(void **state)
{
    struct device_set set = {0};
    unsigned order = 0;
    struct err err;
    struct probe *p;

    for (unsigned i = 0; i < 3; i++) {
        char name[] = {(char)('a' + i), 0};

        assert_int_equal(device_set_add(&set, device_new(&probe_ops, name), &err), 0);
        container_of(set.device[i], struct probe, dev)->order = &order;
    }
    device_reset_all(&set);
    assert_int_equal(container_of(set.device[2], struct probe, dev)->settled_at, 1);
    assert_int_equal(container_of(set.device[0], struct probe, dev)->settled_at, 3);
    p = container_of(device_set_find(&set, "b"), struct probe, dev);
    assert_int_equal(p->resets, 1);
    assert_int_equal(p->settles, 1);
    assert_null(device_set_find(&set, "d"));
    device_set_free(&set);
}

static void names_are_unique_and_sets_bounded(void **state)
{
    struct device_set set = {0};
    struct device *twin = device_new(&probe_ops, "x1");
    struct err err;

    for (unsigned i = 0; i < DEVICE_MAX; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "x%u", i);
        assert_int_equal(device_set_add(&set, device_new(&probe_ops, name), &err), 0);
    }
    assert_int_equal(device_set_add(&set, twin, &err), -EEXIST);
    assert_non_null(strstr(err.text, "x1"));
    strcpy(twin->name, "y");
    assert_int_equal(device_set_add(&set, twin, &err), -ENOSPC);
    device_free(twin);
    device_free(NULL);
    device_set_free(&set);
}

struct wire {
    unsigned calls, pin;
    bool level;
};

static void wire_set(void *sink, unsigned pin, bool level)
{
    struct wire *w = sink;

    w->calls++;
    w->pin = pin;
    w->level = level;
}

static void lines_tell_changes_only(void **state)
{
    struct irq_line line = {0};
    struct wire wire = {0};

    irq_set(&line, true); /* unconnected: swallowed */
    irq_connect(&line, wire_set, &wire, 7);
    irq_set(&line, false);
    assert_int_equal(wire.calls, 0);
    irq_set(&line, true);
    irq_set(&line, true);
    assert_int_equal(wire.calls, 1);
    assert_int_equal(wire.pin, 7);
    assert_true(wire.level);
}

static void power_note(void *arg, enum power_action action, unsigned code)
{
    *(unsigned *)arg = (unsigned)action * 1000 + code;
}

static void guest_errors_count_and_power_passes(void **state)
{
    struct device *dev = device_new(&probe_ops, "p");
    unsigned seen = 0;
    struct power_sink sink = {.request = power_note, .arg = &seen};

    assert_int_equal(guest_error_read(dev, 4), 0);
    guest_error_write(dev, 4, 1);
    guest_error(dev, "odd %d", 3);
    assert_int_equal(dev->guest_errors, 3);
    power_request(dev, POWER_RESET, 1); /* nobody listens */
    dev->power = &sink;
    power_request(dev, POWER_RESET, 5);
    assert_int_equal(seen, POWER_RESET * 1000 + 5);
    device_free(dev);
}

RUN_TESTS(cmocka_unit_test(reset_then_settle_for_all),
          cmocka_unit_test(names_are_unique_and_sets_bounded),
          cmocka_unit_test(lines_tell_changes_only),
          cmocka_unit_test(guest_errors_count_and_power_passes))
