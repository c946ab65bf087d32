/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules and busybox as bytes that may be anything; running programs. */
#include "image/package.h"

#include "base/endian.h"
#include "base/unit_test.h"
#include "image/child.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ELF_SIZE = 512 };

/* An ELF file of three sections: none, names at 256, .modinfo at 288. */
static void make_module(uint8_t *elf)
{
    static const char names[] = "\0.shstrtab\0.modinfo";
    static const char info[] = "license=GPL\0depends=a,b\0alias=x:1*\0alias=y";

    memset(elf, 0, ELF_SIZE);
    memcpy(elf, "\177ELF\2\1", 6);
    st_le64(elf + 40, 64); /* section headers */
    st_le16(elf + 58, 64);
    st_le16(elf + 60, 3);
    st_le16(elf + 62, 1);
    st_le32(elf + 128, 1);
    st_le64(elf + 128 + 24, 256);
    st_le64(elf + 128 + 32, sizeof(names));
    st_le32(elf + 192, 11);
    st_le64(elf + 192 + 24, 288);
    st_le64(elf + 192 + 32, sizeof(info));
    memcpy(elf + 256, names, sizeof(names));
    memcpy(elf + 288, info, sizeof(info));
}

static void collect(void *arg, const char *value)
{
    strcat(arg, value);
    strcat(arg, ";");
}

static void test_module_info(void **state)
{
    uint8_t elf[ELF_SIZE];
    char text[256] = "";

    make_module(elf);
    assert_true(module_info(elf, sizeof(elf), "depends", collect, text));
    assert_true(module_info(elf, sizeof(elf), "alias", collect, text));
    assert_true(module_info(elf, sizeof(elf), "lic", collect, text));
    assert_string_equal(text, "a,b;x:1*;y;");
}

static void ignore(void *arg, const char *value)
{
    *(size_t *)arg += strlen(value);
}

/* Under ASan this finds reads beyond the file. */
static void test_module_damaged(void **state)
{
    uint8_t good[ELF_SIZE];
    size_t sum = 0;

    make_module(good);
    for (size_t len = 0; len < ELF_SIZE; len++) {
        uint8_t *elf = malloc(len + 1);

        assert_non_null(elf);
        memcpy(elf, good, len);
        (void)module_info(elf, len, "alias", ignore, &sum);
        free(elf);
    }
    for (size_t at = 0; at < 256; at++)
        for (int value = 0; value < 256; value += 51) {
            uint8_t *elf = malloc(ELF_SIZE);

            assert_non_null(elf);
            memcpy(elf, good, ELF_SIZE);
            elf[at] = (uint8_t)value;
            (void)module_info(elf, ELF_SIZE, "alias", ignore, &sum);
            free(elf);
        }
    assert_true(sum > 0);
}

static bool join(void *arg, const char *name)
{
    strcat(arg, name);
    strcat(arg, " ");
    return true;
}

static void test_applets(void **state)
{
    static const char binary[] = "junk[\0[[x\0more [\0[[\0acpid\0cat\0zcat\0\0alpha\0";
    static const char cut[] = "[\0[[\0cat\0ls";
    char text[256] = "";

    assert_true(busybox_applets((const uint8_t *)binary, sizeof(binary), join, text));
    assert_string_equal(text, "[ [[ acpid cat zcat ");
    text[0] = '\0';
    assert_true(busybox_applets((const uint8_t *)cut, sizeof(cut) - 1, join, text));
    assert_string_equal(text, "[ [[ cat ");
    assert_false(busybox_applets((const uint8_t *)"nothing", 7, join, text));
}

static void test_unpack_plain_and_bad(void **state)
{
    static const uint8_t xz[] = {0xfd, '7', 'z', 'X', 'Z', 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t *data;
    size_t len;
    struct err err;

    assert_int_equal(package_unpack((const uint8_t *)"plain", 5, 100, &data, &len, &err), 0);
    assert_int_equal(len, 5);
    free(data);
    assert_int_equal(package_unpack((const uint8_t *)"plain", 5, 3, &data, &len, &err), -EFBIG);
    assert_true(package_unpack(xz, sizeof(xz), 100, &data, &len, &err) < 0);
}

static void test_walk_bad_file(void **state)
{
    struct err err;

    assert_int_equal(package_walk("/nonexistent.deb", NULL, NULL, NULL, &err), -EIO);
    assert_int_equal(package_walk("/dev/null", NULL, NULL, NULL, &err), -EIO);
}

/* child_run */

static void count_line(void *arg, const char *line)
{
    if (strcmp(line, "status 1") == 0 || strcmp(line, "status 2") == 0)
        ++*(int *)arg;
}

static void test_child(void **state)
{
    const char *const argv[] = {"sh", "-c",
                                "pwd; echo status 1 >&3; echo W: warn >&2; echo E: broken >&2; "
                                "echo status 2 >&3; exit 3",
                                NULL};
    struct buf out = {0};
    int lines = 0;
    struct child c = {.argv = argv,
                      .directory = "/",
                      .output = &out,
                      .output_cap = 100,
                      .status = count_line,
                      .arg = &lines};
    char line[64];
    struct err err;

    assert_int_equal(child_run(&c, &err), 3);
    assert_int_equal(lines, 2);
    assert_int_equal(out.len, 2);
    assert_memory_equal(buf_data(&out), "/\n", 2);
    assert_true(child_error_line(&c, "E: ", line, sizeof(line)));
    assert_string_equal(line, "broken");
    assert_false(child_error_line(&c, "X: ", line, sizeof(line)));
    buf_done(&out);
}

static void test_child_limits(void **state)
{
    const char *const flood[] = {"yes", NULL};
    const char *const noise[] = {"sh", "-c",
                                 "i=0; while [ $i -lt 999 ]; do echo noise $i >&2; "
                                 "i=$((i+1)); done; kill -9 $$",
                                 NULL};
    const char *const absent[] = {"no-such-program-here", NULL};
    struct buf out = {0};
    struct child c = {.argv = flood, .output = &out, .output_cap = 10000};
    struct err err;

    assert_int_equal(child_run(&c, &err), -EFBIG); /* and it is dead, or this would not return */
    buf_done(&out);
    c = (struct child){.argv = noise};
    assert_int_equal(child_run(&c, &err), 137);
    assert_non_null(strstr(c.errors, "noise 998\n"));
    assert_true(strlen(c.errors) < CHILD_ERRORS);
    c = (struct child){.argv = absent};
    assert_int_equal(child_run(&c, &err), -ENOENT);
}

RUN_TESTS(cmocka_unit_test(test_module_info), cmocka_unit_test(test_module_damaged),
          cmocka_unit_test(test_applets), cmocka_unit_test(test_unpack_plain_and_bad),
          cmocka_unit_test(test_walk_bad_file), cmocka_unit_test(test_child),
          cmocka_unit_test(test_child_limits))
