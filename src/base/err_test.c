/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences: cut where they are too long, harmless whatever they cite. */
#include "base/unit_test.h"
#include <errno.h>
#include <posada/err.h>
#include <string.h>

static void test_cites_harmlessly(void **state)
{
    struct err err;

    assert_int_equal(err_set(&err, -EINVAL, "name '%s' is bad", "\033[2J\ra\nb\tc\177\302\233x"),
                     -EINVAL);
    assert_string_equal(err.text, "name '?[2J?a b c???x' is bad");
    assert_int_equal(err_wrap(&err, -EIO, "%s", "\a"), -EIO);
    assert_string_equal(err.text, "?: name '?[2J?a b c???x' is bad");
    (void)err_set(&err, -EIO, "%s", "last words\n\n");
    assert_string_equal(err.text, "last words");
    (void)err_set(&err, -EIO, "%s", "h\303\244tte \342\202\254"); /* other UTF-8 stays */
    assert_string_equal(err.text, "h\303\244tte \342\202\254");
}

static void test_cuts(void **state)
{
    char longer[sizeof(((struct err *)0)->text) * 2];
    struct err err;

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    (void)err_set(&err, -EIO, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_string_equal(err.text + sizeof(err.text) - 5, "x...");
}

RUN_TESTS(cmocka_unit_test(test_cites_harmlessly), cmocka_unit_test(test_cuts))
