/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing an engine: by name, by technique, by the guest's ISA. */
#include "base/unit_test.h"
#include <errno.h>
#include <posada/engine.h>
#include <string.h>

static void never_called(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                         struct ir_block *block)
{
}

static const struct cpu_ops liftable = {.isa = "vax", .lift = never_called};
static const struct cpu_ops liftless = {.isa = "pdp11"}; /* no software CPU, no engine */

static int choose(const char *technique, const char *name, const struct cpu_ops *cpu_ops,
                  const struct engine_ops **ret_ops, struct err *err)
{
    const struct engine_wish wish = {.technique = technique, .name = name, .cpu_ops = cpu_ops};

    *err = (struct err){0};
    *ret_ops = NULL;
    return engine_choose(&wish, ret_ops, err);
}

static void by_name_and_technique(void **state)
{
    const struct engine_ops *ops;
    struct err err;

    assert_int_equal(choose(NULL, "interp", &liftable, &ops, &err), 0);
    assert_string_equal(ops->name, "interp");
    assert_int_equal(choose("emulate", "", &liftable, &ops, &err), 0);
    assert_string_equal(ops->technique, "emulate");
    assert_int_equal(choose(NULL, NULL, &liftable, &ops, &err), 0);
    assert_string_equal(ops->technique, "emulate"); /* nothing else runs such a CPU */
}

static void refusals_say_what_to_use(void **state)
{
    const struct engine_ops *ops;
    struct err err;

    assert_int_equal(choose(NULL, "warp", &liftable, &ops, &err), -EINVAL);
    assert_non_null(strstr(err.text, "warp"));
    assert_int_equal(choose("container", NULL, &liftable, &ops, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "--technique emulate"));
    assert_int_equal(choose(NULL, "jit", &liftless, &ops, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "pdp11"));
    assert_int_equal(choose(NULL, NULL, &liftless, &ops, &err), -EOPNOTSUPP);
    assert_null(ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name_and_technique),
        cmocka_unit_test(refusals_say_what_to_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
