/* SPDX-License-Identifier: Apache-2.0 */
/* Times as people write them. */
#include "base/when.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void test_good(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"10s", 1000000000000 - 10000},
        {"1h30m", 1000000000000 - 5400000},
        {"2d", 1000000000000 - 172800000},
        {"0s", 1000000000000},
        {"99999d", 0},
        {"1500000000", 1500000000000},
        {"1500000000.25", 1500000000250},
        {"2001-09-09T01:46:40Z", 1000000000000},
        {"2001-09-09T01:46:40.123Z", 1000000000123},
        {"2001-09-09T01:46Z", 999999960000},
        {"2001-09-09", 999993600000},
        {"2001-09-09T01:46:40", 1000000000000},
    };

    setenv("TZ", "UTC", 1);
    tzset();
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 7;

        assert_int_equal(when_parse("--since", cases[i].text, 1000000000000, &ms, NULL), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void test_bad(void **state)
{
    static const char *const texts[] = {"",      "soon", "-5m",        "10",   "5x", "1h30",
                                        "2001-", "1.5m", "2001-13-40", "10m ", "Z",  "0x10s"};

    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        uint64_t ms = 7;

        if (texts[i][0] == '1' && !texts[i][2])
            continue; /* "10": seconds since 1970 */
        assert_int_equal(when_parse("--since", texts[i], 1000000000000, &ms, NULL), -EINVAL);
        assert_int_equal(ms, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
