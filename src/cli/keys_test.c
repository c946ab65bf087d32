/* SPDX-License-Identifier: Apache-2.0 */
/* Detach keys: writing them, finding them, and letting everything else through. */
#include "base/unit_test.h"
#include "cli/keys.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct keys keys_of(const char *text)
{
    struct keys keys;

    assert_int_equal(keys_parse(&keys, text, NULL), 0);
    return keys;
}

/* Types `typed` one key at a time; what got through must be `through`. */
static bool type(struct keys *keys, const char *typed, const char *through)
{
    char all[64] = "";

    for (; *typed; typed++) {
        uint8_t kept[1 + KEYS_MAX];
        size_t len = 0;

        if (keys_filter(keys, (const uint8_t *)typed, 1, kept, &len))
            return true;
        strncat(all, (char *)kept, len);
    }
    assert_string_equal(all, through);
    return false;
}

static void keys_are_found(void **state)
{
    struct keys keys = keys_of(NULL);

    assert_string_equal(keys.text, "ctrl-p ctrl-q");
    assert_true(type(&keys, "ls\r\x10\x11", ""));
    keys = keys_of("a,b,a,c");
    assert_true(type(&keys, "ababac", ""));
}

static void other_keys_get_through(void **state)
{
    struct keys keys = keys_of(NULL);

    assert_false(type(&keys, "a\x10x\x10", "a\x10x")); /* the last one is still held */
    assert_false(type(&keys, "\x10", "\x10"));
    assert_false(type(&keys, "y", "\x10y"));
    keys = keys_of("a,b,a,c");
    assert_false(type(&keys, "ababx", "ababx"));
    keys = keys_of("a,a,b");
    assert_false(type(&keys, "aaac", "aaac"));
}

static void wrong_keys_are_refused(void **state)
{
    static const char *const wrong[] = {"",    "ctrl-", "ctrl-1",           "ctrl-p,",
                                        "esc", "a,,b",  "a,b,c,d,e,f,g,h,i"};
    struct keys keys;

    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(keys_parse(&keys, wrong[i], NULL), -EINVAL);
    setenv("POSADA_DETACH_KEYS", "ctrl-],q", 1);
    assert_int_equal(keys_parse(&keys, NULL, NULL), 0);
    assert_int_equal(keys.sequence[0], 0x1d);
    unsetenv("POSADA_DETACH_KEYS");
}

RUN_TESTS(cmocka_unit_test(keys_are_found), cmocka_unit_test(other_keys_get_through),
          cmocka_unit_test(wrong_keys_are_refused))
