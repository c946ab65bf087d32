/* SPDX-License-Identifier: Apache-2.0 */
/* The registry is sorted, and every type in it is on some rig: so it is fuzzed and has a golden
 * state. */
#include "base/unit_test.h"
#include "rig/rig.h"
#include <stdio.h>
#include <string.h>

enum { TYPES_MAX = 256 };

static void registry_is_sorted(void **state)
{
    for (unsigned i = 1; device_registry[i]; i++)
        assert_true(strcmp(device_registry[i - 1]->type, device_registry[i]->type) < 0);
}

static void mark_types(const char *rig_name, bool seen[TYPES_MAX])
{
    struct rig *rig;
    struct err err;

    assert_int_equal(rig_new(rig_name, 1, &rig, &err), 0);
    for (unsigned n = 0; n < rig->set.count; n++) {
        for (unsigned i = 0; device_registry[i]; i++)
            seen[i] |= device_registry[i] == rig->set.device[n]->ops;
    }
    rig_free(rig);
}

static void every_type_is_on_a_rig(void **state)
{
    bool seen[TYPES_MAX] = {false};

    for (unsigned i = 0; rig_types[i]; i++)
        mark_types(rig_types[i], seen);
    for (unsigned i = 0; device_registry[i]; i++) {
        if (!seen[i])
            print_error("device type '%s' is on no rig: add it to tools/rig/rig_types.c\n",
                        device_registry[i]->type);
        assert_true(seen[i]);
    }
}

RUN_TESTS(cmocka_unit_test(registry_is_sorted), cmocka_unit_test(every_type_is_on_a_rig))
