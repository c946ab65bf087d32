/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of binfmt_misc: the line that makes one; those of a host, as Linux shows them. */
#include "container/binfmt.h"

#include "base/unit_test.h"
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct binfmt arm = {"aarch64", EM_AARCH64, "/usr/bin/qemu-aarch64-static"};

#define MAGIC "7f454c460201010000000000000000000200b700"
#define MASK  "ffffffffffffff00fffffffffffffffffeffffff"

static const char entry[] =
    "enabled\ninterpreter /usr/bin/q\nflags: POCF\noffset 0\nmagic " MAGIC "\nmask " MASK "\n";

static void test_line(void **state)
{
    char line[BINFMT_LINE];

    binfmt_line(&arm, line);
    assert_string_equal(line,
                        ":posada:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00"
                        "\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff"
                        "\\xff\\xff\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xfe\\xff"
                        "\\xff\\xff:/usr/bin/qemu-aarch64-static:PF");
}

static void changed(const char *from, const char *to, bool fits)
{
    char text[512];
    const char *at = strstr(entry, from);

    assert_non_null(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - entry), entry, to, at + strlen(from));
    assert_int_equal(binfmt_entry_fits(&arm, text), fits);
}

static void test_entries(void **state)
{
    struct binfmt other = arm;

    assert_true(binfmt_entry_fits(&arm, entry));
    other.elf_machine = EM_RISCV;
    assert_false(binfmt_entry_fits(&other, entry));
    changed("enabled", "disabled", false);
    changed("POCF", "POC", false);
    changed("flags: POCF\n", "", false);
    changed("offset 0", "offset 2", false);
    changed(MAGIC, "7f454c46", false);
    changed(MAGIC, "7f454c460201010000000000000000000200b70", false);
    changed(MAGIC, "", false);
    changed("\nmask " MASK, "", true); /* all bits count */
    changed(MASK, "ff", false);
    changed(MAGIC, "zz454c460201010000000000000000000200b700", false);
    assert_false(binfmt_entry_fits(&arm, ""));
    assert_false(binfmt_entry_fits(&arm, "enabled\nextension .py\nflags: F\noffset 0\nmagic"));
}

static void test_find(void **state)
{
    struct binfmt b;
    struct err err;

    assert_int_equal(binfmt_find("pdp11", &b, &err), -EOPNOTSUPP);
    if (binfmt_find("aarch64", &b, &err) < 0)
        assert_non_null(strstr(err.text, "install Debian's package qemu-user-static"));
    else
        assert_memory_equal(b.emulator, "/usr/bin/qemu-aarch64", 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_find),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
