/* SPDX-License-Identifier: Apache-2.0 */
/* Restart policies: what is accepted, when they act, how patient they are. */
#include "vm/restart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct restart_policy policy_of(const char *text)
{
    struct restart_policy policy;
    struct err err;

    assert_int_equal(restart_parse(text, &policy, &err), 0);
    return policy;
}

static void test_words(void **state)
{
    static const char *const bad[] = {"yes",      "on-failure:",       "on-failure:0",
                                      "always:3", "on-failure:x",      "on-failure:-1",
                                      "No",       "on-failure:9999999"};
    struct restart_policy policy;
    struct err err;

    assert_int_equal(policy_of(NULL).when, RESTART_NO);
    assert_int_equal(policy_of("no").when, RESTART_NO);
    assert_int_equal(policy_of("on-failure").max, 0);
    assert_int_equal(policy_of("on-failure:7").max, 7);
    assert_int_equal(policy_of("unless-stopped").when, RESTART_UNLESS_STOPPED);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(restart_parse(bad[i], &policy, &err), -EINVAL);
    assert_non_null(strstr(err.text, "on-failure:N"));
}

static bool due(const char *text, struct guest_record record, unsigned tries)
{
    struct restart_policy policy = policy_of(text);

    return restart_is_due(&policy, &record, tries);
}

static void test_when(void **state)
{
    struct guest_record good = {.state = VM_STOPPED}, bad = {.state = VM_STOPPED, .exit_code = 3};
    struct guest_record broken = {.state = VM_FAILED};
    struct guest_record asked = {.state = VM_STOPPED, .exit_code = 137, .by_request = true};

    assert_false(due("no", broken, 0));
    assert_false(due("on-failure", good, 0));
    assert_true(due("on-failure", bad, 0) && due("on-failure", broken, 100));
    assert_true(due("on-failure:2", bad, 1));
    assert_false(due("on-failure:2", bad, 2));
    assert_true(due("always", good, 1000));
    assert_false(due("always", asked, 0) || due("unless-stopped", asked, 0));
}

static void test_boot(void **state)
{
    struct restart_policy always = policy_of("always"), unless = policy_of("unless-stopped");
    struct restart_policy no = policy_of("no");

    assert_true(restart_at_boot(&always, true) && restart_at_boot(&unless, false));
    assert_false(restart_at_boot(&unless, true) || restart_at_boot(&no, false));
}

static void test_delay(void **state)
{
    assert_int_equal(restart_delay_ms(0), 100);
    assert_int_equal(restart_delay_ms(3), 800);
    assert_int_equal(restart_delay_ms(9), 51200);
    assert_int_equal(restart_delay_ms(10), 60000);
    assert_int_equal(restart_delay_ms(4000000000u), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_when),
                                       cmocka_unit_test(test_boot), cmocka_unit_test(test_delay)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
