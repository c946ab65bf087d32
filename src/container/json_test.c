/* SPDX-License-Identifier: Apache-2.0 */
/* The parser: what it takes, what it refuses and how it says where; and the writer read back. */
#include "container/json.h"
#include "container/out.h"

#include "base/unit_test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;
static char *text;

static int parse(const char *from, size_t len, struct json **ret, struct err *err)
{
    free(text);
    text = malloc(len + 1);
    memcpy(text, from, len);
    text[len] = '\0';
    return json_parse(&arena, "test", text, len, ret, err);
}

static struct json *good(const char *from)
{
    struct json *root = NULL;
    struct err err;

    if (parse(from, strlen(from), &root, &err) < 0)
        fail_msg("%s: %s", from, err.text);
    return root;
}

static void bad(const char *from, const char *says)
{
    struct json *root;
    struct err err;

    assert_int_equal(parse(from, strlen(from), &root, &err), -EINVAL);
    if (!strstr(err.text, says))
        fail_msg("%s: %s", from, err.text);
}

static void test_values(void **state)
{
    struct json *j = good(
        " { \"a\" : [1, -2.5e3, true, false, null, {}], \"b\":\"x\\n\\u00e9\\ud83d\\ude00\" } ");

    assert_int_equal(j->kind, JSON_OBJECT);
    assert_int_equal(json_get(j, "a")->count, 6);
    assert_string_equal(json_get(j, "a")->child->next->text, "-2.5e3");
    assert_string_equal(json_get(j, "b")->text, "x\n\xc3\xa9\xf0\x9f\x98\x80");
    assert_null(json_get(j, "c"));
    assert_int_equal(good("0")->kind, JSON_NUMBER);
    assert_int_equal(good("\"\"")->kind, JSON_TEXT);
}

static void test_refused(void **state)
{
    bad("", "line 1, column 1: expected a value");
    bad("{\n  x}", "line 2, column 3: expected a name");
    bad("[1,]", "expected a value");
    bad("[1 2]", "expected ','");
    bad("{\"a\":1,\"a\":2}", "same name twice");
    bad("{\"a\" 1}", "expected ':'");
    bad("01", "expected a value");
    bad("1.", "ends in its point");
    bad("1e", "without exponent");
    bad("\"a", "without end");
    bad("\"\x01\"", "control character");
    bad("\"\\x\"", "unknown escape");
    bad("\"\\u0000\"", "NUL");
    bad("\"\\ud800\"", "surrogate");
    bad("\"\\ud800\\u0041\"", "surrogate");
    bad("\"\xff\"", "UTF-8");
    bad("\"\xc0\x80\"", "UTF-8");
    bad("\"\xed\xa0\x80\"", "UTF-8");
    bad("{} x", "something follows");
    bad("tru", "expected a value");
}

static void test_a_nul_byte_ends_nothing(void **state)
{
    struct json *root;
    struct err err;

    assert_int_equal(parse("[\"a\0b\"]", 7, &root, &err), -EINVAL);
    assert_int_equal(parse("[]\0", 3, &root, &err), -EINVAL);
}

static void test_depth(void **state)
{
    char deep[300];

    memset(deep, '[', 150);
    memset(deep + 150, ']', 149);
    deep[299] = '\0';
    bad(deep, "nested too deeply");
}

static void test_reader(void **state)
{
    struct err err = {0};
    struct json_reader r = {.arena = &arena, .what = "test", .err = &err};
    struct json *j = good("{\"n\":7,\"big\":18446744073709551615,\"t\":[\"a\",\"b\"],\"x\":{\"y\":["
                          "0,{\"z\":\"no\"}]}}");
    const struct json *z = json_get(json_get(j, "x"), "y")->last;
    char path[64];

    assert_int_equal(json_take_int(&r, j, "n", 0, 9, 1), 7);
    assert_int_equal(json_take_int(&r, j, "none", 0, 9, 1), 1);
    assert_true(json_take_u64(&r, j, "big", 0) == UINT64_MAX);
    assert_string_equal(json_take_texts(&r, j, "t")[1], "b");
    assert_int_equal(r.code, 0);
    assert_string_equal(json_path(json_get(z, "z"), path, sizeof(path)), "x.y[1].z");
    (void)json_take_int(&r, z, "z", 0, 1, 0);
    assert_string_equal(err.text, "test: x.y[1].z: expected a number, found a text");
    (void)json_take_int(&r, j, "n", 0, 3, 0); /* the first failure stays */
    assert_non_null(strstr(err.text, "found a text"));
}

static void count(void *arg, const struct json *at)
{
    (*(unsigned *)arg)++;
}

static void test_unseen(void **state)
{
    struct json *j = good("{\"a\":{\"b\":1,\"c\":2},\"d\":[{\"e\":3}]}");
    unsigned n = 0;

    (void)json_get(json_get(j, "a"), "b");
    (void)json_get(j, "d");
    json_each_unseen(j, count, &n);
    assert_int_equal(n, 2); /* a.c and d[0].e */
}

static void test_written_and_read_again(void **state)
{
    struct out o = {.pretty = true};
    struct json *root;
    struct err err;

    out_begin(&o, NULL, '{');
    out_text(&o, "a\"b", "c\n\\\x01\xc3\xa9");
    out_begin(&o, "list", '[');
    out_int(&o, NULL, -5);
    out_bool(&o, NULL, true);
    out_text(&o, NULL, NULL);
    out_end(&o, ']');
    out_end(&o, '}');
    assert_false(o.failed);
    assert_int_equal(parse((char *)buf_data(&o.buf), o.buf.len, &root, &err), 0);
    assert_string_equal(json_get(root, "a\"b")->text, "c\n\\\x01\xc3\xa9");
    assert_string_equal(json_get(root, "list")->child->text, "-5");
    out_done(&o);
}

static int teardown(void **state)
{
    arena_done(&arena);
    free(text);
    text = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_nul_byte_ends_nothing),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_unseen),
        cmocka_unit_test(test_written_and_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
