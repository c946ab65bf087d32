/* SPDX-License-Identifier: Apache-2.0 */
/* Facts: each says something, and a directory that takes nothing is told. */
#include "host/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_all_say_something(void **state)
{
    struct fact facts[32];
    unsigned n = facts_kernel(facts, ARRAY_LEN(facts));

    assert_true(n >= 10 && n < ARRAY_LEN(facts));
    for (unsigned i = 0; i < n; i++) {
        assert_true(facts[i].name && facts[i].detail[0]);
        assert_true(facts[i].result <= FACT_NO);
    }
    assert_int_equal(facts_kernel(facts, 3), 3);
}

static void test_directories(void **state)
{
    struct fact f;

    facts_storage("good", "/tmp", 1, &f);
    assert_int_equal(f.result == FACT_NO, 0);
    assert_non_null(strstr(f.detail, "fsync"));
    facts_storage("small", "/tmp", UINT64_MAX, &f);
    assert_int_equal(f.result, FACT_DEGRADED);
    assert_true(f.fix[0]);
    facts_storage("none", "/proc/self", 1, &f);
    assert_int_equal(f.result, FACT_NO);
    facts_storage("absent", "/nowhere/at/all", 1, &f);
    assert_int_equal(f.result, FACT_NO);
    assert_true(f.fix[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_say_something),
                                       cmocka_unit_test(test_directories)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
