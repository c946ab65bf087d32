/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus messages, hostile ones too, and what systemd is told. A real systemd: tests/oci/systemd. */
#include "container/systemd.h"

#include "base/unit_test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A signal JobRemoved(7, "/job/7", "a.scope", "done"), as a manager sends it. */
static struct dbus_body signal_message(void)
{
    struct dbus_body body = {0}, m = {0};
    static const char *const fields[][3] = {{"\1", "o", "/m"},
                                            {"\2", "s", "i.Manager"},
                                            {"\3", "s", "JobRemoved"},
                                            {"\10", "g", "uoss"}};
    size_t at;

    dbus_put_u32(&body, 7);
    dbus_put_text(&body, "/job/7");
    dbus_put_text(&body, "a.scope");
    dbus_put_text(&body, "done");
    dbus_put_byte(&m, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B');
    dbus_put_byte(&m, DBUS_SIGNAL);
    dbus_put_byte(&m, 0);
    dbus_put_byte(&m, 1);
    dbus_put_u32(&m, (uint32_t)body.buf.len);
    dbus_put_u32(&m, 99);
    dbus_begin_array(&m, 8, &at);
    for (size_t i = 0; i < 4; i++) {
        dbus_put_struct(&m);
        dbus_put_byte(&m, (uint8_t)*fields[i][0]);
        dbus_put_signature(&m, fields[i][1]);
        if (*fields[i][1] == 'g')
            dbus_put_signature(&m, fields[i][2]);
        else
            dbus_put_text(&m, fields[i][2]);
    }
    dbus_end_array(&m, 8, at);
    dbus_put_struct(&m);
    assert_false(buf_append(&m.buf, buf_data(&body.buf), body.buf.len));
    dbus_body_done(&body);
    return m;
}

static void test_message(void **state)
{
    struct dbus_body b = signal_message();
    struct dbus_message m;

    assert_int_equal(dbus_measure(buf_data(&b.buf), b.buf.len), b.buf.len);
    assert_int_equal(dbus_parse(buf_data(&b.buf), b.buf.len, &m), 0);
    assert_int_equal(m.type, DBUS_SIGNAL);
    assert_int_equal(m.serial, 99);
    assert_string_equal(m.member, "JobRemoved");
    assert_string_equal(m.signature, "uoss");
    assert_int_equal(dbus_get_u32(&m), 7);
    assert_string_equal(dbus_get_text(&m), "/job/7");
    assert_string_equal(dbus_get_text(&m), "a.scope");
    assert_string_equal(dbus_get_text(&m), "done");
    assert_false(m.bad);
    assert_string_equal(dbus_get_text(&m), ""); /* behind the end */
    assert_true(m.bad);
    dbus_body_done(&b);
}

static void test_message_is_cut(void **state)
{
    struct dbus_body b = signal_message();

    for (size_t len = 0; len < b.buf.len; len++) {
        uint8_t *piece = malloc(len + 1); /* its own, so that a sanitizer sees its end */

        memcpy(piece, buf_data(&b.buf), len);
        assert_int_equal(dbus_measure(piece, len), 0);
        free(piece);
    }
    dbus_body_done(&b);
}

/* Every byte replaced by several others: refused, or read within bounds. */
static void test_message_is_bent(void **state)
{
    static const uint8_t others[] = {0, 1, 8, 0x7f, 0x80, 0xff};
    struct dbus_body b = signal_message();

    for (size_t i = 0; i < b.buf.len * sizeof(others); i++) {
        uint8_t *copy = malloc(b.buf.len);
        struct dbus_message m;

        memcpy(copy, buf_data(&b.buf), b.buf.len);
        copy[i / sizeof(others)] = others[i % sizeof(others)];
        if (dbus_measure(copy, b.buf.len) > 0 && dbus_parse(copy, b.buf.len, &m) == 0) {
            (void)dbus_get_u32(&m);
            for (int n = 0; n < 4; n++)
                assert_true(strlen(dbus_get_text(&m)) <= b.buf.len);
        }
        free(copy);
    }
    dbus_body_done(&b);
}

static void test_names(void **state)
{
    struct arena arena = {0};
    struct systemd_scope s;
    struct err err;

    assert_int_equal(systemd_names(&arena, "machine.slice:libpod:12", "x", false, &s, &err), 0);
    assert_string_equal(s.slice, "machine.slice");
    assert_string_equal(s.name, "libpod-12.scope");
    assert_int_equal(systemd_names(&arena, "::12", "x", false, &s, &err), 0);
    assert_string_equal(s.slice, "system.slice");
    assert_string_equal(s.name, "12.scope");
    assert_int_equal(systemd_names(&arena, NULL, "x", true, &s, &err), 0);
    assert_string_equal(s.slice, "user.slice");
    assert_string_equal(s.name, "posada-x.scope");
    static const char *const bad[] = {"/a/b",          "a:b",           "a:b:c",
                                      "a.slice:b:c:d", "a/b.slice:c:d", "a--b.slice:c:d",
                                      "-.slice:c:d",   "a.slice:b:c/d", "a.slice:b:"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(systemd_names(&arena, bad[i], "x", false, &s, &err), -EINVAL);
    assert_string_equal(systemd_slice_path(&arena, "a.slice"), "/a.slice");
    assert_string_equal(systemd_slice_path(&arena, "a-b-c.slice"),
                        "/a.slice/a-b.slice/a-b-c.slice");
    arena_done(&arena);
}

static void test_lists(void **state)
{
    uint8_t bits[4];

    assert_int_equal(systemd_list_bits("0-2,9", bits, sizeof(bits)), 2);
    assert_int_equal(bits[0], 7);
    assert_int_equal(bits[1], 2);
    assert_int_equal(systemd_list_bits("31", bits, sizeof(bits)), 4);
    assert_int_equal(systemd_list_bits("32", bits, sizeof(bits)), 0);
    assert_int_equal(systemd_list_bits("3-1", bits, sizeof(bits)), 0);
    assert_int_equal(systemd_list_bits("a", bits, sizeof(bits)), 0);
}

/* The value of a property of type t in a(sv). */
static bool has_u64(const struct dbus_body *b, const char *name, uint64_t wanted)
{
    const uint8_t *data = buf_data(&b->buf);
    size_t len = strlen(name);

    for (size_t i = 0; i + 4 + len < b->buf.len; i += 8) {
        uint32_t length;
        uint64_t value;
        size_t at = i + 4 + len + 1 + 3; /* the name, "t" with its length and NUL */

        memcpy(&length, data + i, sizeof(length));
        if (length != len || memcmp(data + i + 4, name, len))
            continue;
        at = (at + 7) / 8 * 8;
        memcpy(&value, data + at, sizeof(value));
        return value == wanted;
    }
    return false;
}

static void test_properties(void **state)
{
    struct dbus_body b = {0};
    struct spec_resources r;

    spec_resources_init(&r);
    systemd_put_resources(&b, &r, true);
    assert_int_equal(b.buf.len, 0);
    r.cpu.shares = 1024;
    r.cpu.quota = 12345;
    r.cpu.period = 50000;
    r.memory.limit = 1000;
    r.memory.swap = 1500;
    r.pids = -1;
    r.block.weight = 1000;
    systemd_put_resources(&b, &r, true);
    assert_true(has_u64(&b, "CPUWeight", 100));
    assert_true(has_u64(&b, "CPUQuotaPeriodUSec", 50000));
    assert_true(has_u64(&b, "CPUQuotaPerSecUSec", 250000)); /* up to the next 10 ms */
    assert_true(has_u64(&b, "MemoryMax", 1000));
    assert_true(has_u64(&b, "MemorySwapMax", 500));
    assert_true(has_u64(&b, "TasksMax", UINT64_MAX));
    assert_true(has_u64(&b, "IOWeight", 10000));
    dbus_body_done(&b);
    systemd_put_resources(&b, &r, false);
    assert_true(has_u64(&b, "CPUShares", 1024));
    assert_true(has_u64(&b, "MemoryLimit", 1000));
    assert_true(has_u64(&b, "BlockIOWeight", 1000));
    dbus_body_done(&b);
}

/* One annotation of a property, alone in a configuration's annotations. */
static int put_annotation(const char *value, struct dbus_body *b)
{
    struct json one = {.name = "org.systemd.property.P", .text = value};
    struct json all = {.child = &one, .count = 1};
    struct err err;

    return systemd_put_annotations(b, &all, &err);
}

static void test_annotations(void **state)
{
    static const struct {
        const char *value, *signature; /* NULL: refused */
    } cases[] = {{"true", "b"},
                 {"'text'", "s"},
                 {"12", "i"},
                 {"-2147483648", "i"},
                 {"2147483648", NULL},
                 {"int32 4294967297", NULL},
                 {"uint32 4294967295", "u"},
                 {"uint32 4294967296", NULL},
                 {"uint32 -1", NULL},
                 {"int64 -9223372036854775808", "x"},
                 {"int64 9223372036854775808", NULL},
                 {"uint64 18446744073709551615", "t"},
                 {"uint64 18446744073709551616", NULL},
                 {"uint64 -1", NULL},
                 {"uint64 ", NULL},
                 {"12x", NULL},
                 {"", NULL}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct dbus_body b = {0};
        int r = put_annotation(cases[i].value, &b);

        assert_int_equal(r, cases[i].signature ? 0 : -EINVAL);
        if (cases[i].signature) /* behind the name: its length, "P", NUL; a length and the type */
            assert_int_equal(((const char *)buf_data(&b.buf))[7], *cases[i].signature);
        dbus_body_done(&b);
    }
}

RUN_TESTS(cmocka_unit_test(test_message), cmocka_unit_test(test_message_is_cut),
          cmocka_unit_test(test_message_is_bent), cmocka_unit_test(test_names),
          cmocka_unit_test(test_lists), cmocka_unit_test(test_properties),
          cmocka_unit_test(test_annotations))
