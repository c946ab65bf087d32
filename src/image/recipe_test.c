/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: what is read, and that what is not understood is refused with its line. */
#include "image/recipe.h"

#include "base/unit_test.h"
#include <errno.h>
#include <string.h>

#define GOOD_HEAD                                                                                  \
    "name: tiny\nsummary: s\nsuite: trixie\nkernel: {riscv64: linux-image-riscv64}\n"              \
    "append: {riscv64: quiet}\nbusybox: busybox-static\n"

static int parse(const char *text, struct recipe *recipe, struct err *err)
{
    memset(err, 0, sizeof(*err));
    return recipe_parse("r.yaml", text, strlen(text), recipe, err);
}

static void test_reads_all(void **state)
{
    struct recipe r;
    struct err err;

    assert_int_equal(parse(GOOD_HEAD "modules: [a, b-c]\n"
                                     "files:\n- path: /etc/x\n  content: \"hi\\n\"\n  mode: 0600\n"
                                     "- {path: /y, content: ''}\n",
                           &r, &err),
                     0);
    assert_string_equal(r.name, "tiny");
    assert_string_equal(r.kernel[ARCH_RISCV64], "linux-image-riscv64");
    assert_null(r.kernel[ARCH_ARM64]);
    assert_string_equal(r.append[ARCH_RISCV64], "quiet");
    assert_int_equal(r.module_count, 2);
    assert_string_equal(r.modules[1], "b-c");
    assert_int_equal(r.file_count, 2);
    assert_int_equal(r.files[0].mode, 0600);
    assert_string_equal(r.files[0].content, "hi\n");
    assert_int_equal(r.files[1].mode, 0644);
    recipe_done(&r);
}

struct bad {
    const char *text, *says;
};

static void test_refuses(void **state)
{
    static const struct bad bad[] = {
        {"", "empty"},
        {"just words\n", "line 1: keys and values"},
        {GOOD_HEAD "modlues: []\n", "line 7: unknown key 'modlues'; did you mean 'modules'?"},
        {GOOD_HEAD "xyzzyplugh: 1\n", "line 7: unknown key 'xyzzyplugh'"},
        {GOOD_HEAD "name: again\n", "line 7: this key is given twice"},
        {"name: tiny\n", "line 1: key 'summary' is missing"},
        {GOOD_HEAD "modules: text\n", "line 7: a list"},
        {GOOD_HEAD "modules: [[a]]\n", "line 7: a text"},
        {GOOD_HEAD "modules:\n- {a: b}\n", "line 8: a text"},
        {GOOD_HEAD "files:\n- path: relative\n  content: x\n", "line 8: a file's path"},
        {GOOD_HEAD "files:\n- path: /a/../b\n  content: x\n", "line 8: a file's path"},
        {GOOD_HEAD "files:\n- path: /a\n  content: x\n  mode: 9\n", "line 10: an octal"},
        {GOOD_HEAD "files:\n- path: /a\n", "line 8: key 'content' is missing"},
        {GOOD_HEAD "modules: [\"a\\0b\"]\n", "line 7: a text"},
        {"name: [\n", "not YAML"},
        {"kernel: {mips: x}\n", "line 1: unknown key 'mips'"},
    };
    struct recipe r;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(parse(bad[i].text, &r, &err), -EINVAL);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s' does not say '%s'", err.text, bad[i].says);
    }
}

RUN_TESTS(cmocka_unit_test(test_reads_all), cmocka_unit_test(test_refuses))
