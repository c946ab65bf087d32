/* SPDX-License-Identifier: Apache-2.0 */
/* What criu says, hostile answers too, and which mounts it must be told of. With a program that
 * plays criu, and the real one: tests/oci/checkpoint.test. */
#include "container/criu.h"

#include "base/unit_test.h"
#include "container/checkpoint.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static int parse(const void *bytes, size_t len, struct criu_answer *ret)
{
    uint8_t *copy = malloc(len + 1); /* of its own: a sanitizer sees a read behind it */
    int r;

    memcpy(copy, bytes, len);
    r = criu_parse(copy, len, ret);
    free(copy);
    return r;
}

static void test_answers(void **state)
{
    static const uint8_t restored[] = {8, 2, 0x10, 1, 0x22, 3, 8, 0xd2, 9};
    static const uint8_t notify[] = {8, 6, 0x10, 1, 0x2a, 6, 0x0a, 2, 'a', '\n', 0x10, 7};
    static const uint8_t unknown[] = {8, 3, 0x10, 1, 0xf8, 7,    1, 0xf9, 7, 1, 2, 3,
                                      4, 5, 6,    7, 8,    0xfd, 7, 1,    2, 3, 4};
    struct criu_answer a;

    assert_int_equal(parse(restored, sizeof(restored), &a), 0);
    assert_true(a.type == CRIU_RESTORE && a.success && a.pid == 1234);
    assert_int_equal(parse(notify, sizeof(notify), &a), 0);
    assert_true(a.type == CRIU_NOTIFY && a.pid == 7);
    assert_string_equal(a.script, "a ");
    assert_int_equal(parse(unknown, sizeof(unknown), &a), 0);
    assert_true(a.type == CRIU_CHECK && a.success);
}

/* Cut anywhere, and every byte replaced: refused or read within bounds. */
static void test_bad_answers(void **state)
{
    static const uint8_t good[] = {8, 10, 0x10, 1, 0x52, 4, 8, 4, 0x10, 1, 0x4a, 3, 'w', 'h', 'y'};
    static const uint8_t endless[] = {8,    0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff};
    struct criu_answer a;

    assert_int_equal(parse(good, sizeof(good), &a), 0);
    assert_int_equal(a.major, 4);
    for (size_t len = 0; len < sizeof(good); len++)
        (void)!parse(good, len, &a);
    for (size_t i = 0; i < sizeof(good) * 256; i++) {
        uint8_t copy[sizeof(good)];

        memcpy(copy, good, sizeof(good));
        copy[i / 256] = (uint8_t)i;
        if (parse(copy, sizeof(copy), &a) == 0)
            assert_true(strlen(a.message) < sizeof(a.message));
    }
    assert_int_equal(parse(endless, sizeof(endless), &a), -EBADMSG);
}

static void test_mounts(void **state)
{
    char inside[] = "1 0 254:0 /b/rootfs / ro - ext4 /dev/vda rw\n"
                    "2 1 0:72 / /proc rw - proc proc rw\n"
                    "3 2 0:72 /sys /proc/sys ro - proc proc rw\n"
                    "4 2 0:6 /null /proc/keys rw - devtmpfs dev rw\n"
                    "5 1 0:29 /a /sys/fs/cgroup ro - cgroup2 c rw\n"
                    "6 1 254:0 /with\\040space /mnt rw - ext4 /dev/vda rw\n"
                    "7 1 0:99 /null /dev/null rw - tmpfs hidden rw\nbroken\n8 9\n";
    char host[] = "20 1 254:0 / / rw - ext4 /dev/vda rw\n"
                  "21 1 0:6 / /dev rw - devtmpfs dev rw\n"
                  "22 1 0:29 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n";
    static const char *const wanted[][2] = {{"/proc/keys", "/dev/null"},
                                            {"/sys/fs/cgroup", "/sys/fs/cgroup/unified/a"},
                                            {"/mnt", "/with space"},
                                            {"/dev/null", "/dev/null"}};
    const struct spec spec = {0};
    struct arena arena = {0};
    struct checkpoint_record r = {0};
    struct err err;

    assert_int_equal(checkpoint_match_mounts(&arena, &spec, inside, host, &r, &err), 0);
    assert_int_equal(r.count, 4);
    for (unsigned i = 0; i < r.count; i++) {
        assert_string_equal(r.mounts[i].at, wanted[i][0]);
        assert_string_equal(r.mounts[i].source, wanted[i][1]);
    }
    arena_done(&arena);
}

/* What the container has mounted itself must not be looked for on the host by its name. */
static void test_hidden_mounts(void **state)
{
    static const struct {
        const char *at, *source; /* NULL: refused */
    } cases[] = {{"/etc", NULL},           {"/dev/sda", NULL},       {"/dev/null/x", NULL},
                 {"/dev/tty", "/dev/tty"}, {"/dev/kvm", "/dev/kvm"}, {"/bound", "/from"}};
    struct spec_device device = {.path = "/dev/kvm"};
    struct spec_mount mounts[] = {{.destination = "/bound", .source = "/from", .flags = MS_BIND},
                                  {.destination = "/etc", .source = "/from"}};
    const struct spec spec = {
        .devices = &device, .device_count = 1, .mounts = mounts, .mount_count = 2};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char inside[100], host[] = "20 1 254:0 / / rw - ext4 /dev/vda rw\n";
        struct arena arena = {0};
        struct checkpoint_record r = {0};
        struct err err;
        int code;

        snprintf(inside, sizeof(inside), "7 1 0:99 /x %s rw - tmpfs hidden rw\n", cases[i].at);
        code = checkpoint_match_mounts(&arena, &spec, inside, host, &r, &err);
        assert_int_equal(code, cases[i].source ? 0 : -EOPNOTSUPP);
        if (cases[i].source)
            assert_string_equal(r.mounts[0].source, cases[i].source);
        else
            assert_non_null(strstr(err.text, cases[i].at));
        arena_done(&arena);
    }
}

RUN_TESTS(cmocka_unit_test(test_answers), cmocka_unit_test(test_bad_answers),
          cmocka_unit_test(test_mounts), cmocka_unit_test(test_hidden_mounts))
