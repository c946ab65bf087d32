/* SPDX-License-Identifier: Apache-2.0 */
/* Guest files: what they come to, and that each mistake gets its sentence with a line. */
#include "cli/guestfile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err file_err;

static int file_parse(const char *text, struct guestfile *file)
{
    file_err.text[0] = '\0';
    return guestfile_parse("p.yaml", text, strlen(text), file, &file_err);
}

static void test_a_whole_file(void **state)
{
    struct guestfile file;
    const struct guestfile_guest *web, *db;
    char *spec;

    assert_int_equal(file_parse("version: 1\n"
                                "guests:\n"
                                "  web:\n"
                                "    image: tiny\n"
                                "    command: [sh, -c, 'echo hi']\n"
                                "    memory: 512M\n"
                                "    env: {A: 1, B: two words}\n"
                                "    port: ['80:80', '81:81']\n"
                                "    tty: true\n"
                                "    interactive: false\n"
                                "    depends_on: db\n"
                                "  db:\n"
                                "    kernel: vmlinux\n"
                                "    command: [init]\n",
                                &file),
                     0);
    assert_int_equal(file.count, 2);
    db = &file.guest[0]; /* whom others depend on comes first */
    web = &file.guest[1];
    assert_string_equal(db->name, "db");
    assert_int_equal(db->args.operand_count, 1);
    assert_string_equal(db->args.operands[0], "init");
    assert_int_equal(web->args.operand_count, 4);
    assert_string_equal(web->args.operands[3], "echo hi");
    assert_string_equal(cli_value(&web->args, "memory"), "512M");
    assert_string_equal(cli_nth(&web->args, "env", 1), "B=two words");
    assert_string_equal(cli_nth(&web->args, "port", 1), "81:81");
    assert_true(cli_has(&web->args, "tty") && !cli_has(&web->args, "interactive"));
    spec = guestfile_spec(web);
    assert_non_null(strstr(spec, "--memory=512M\n"));
    free(spec);
    guestfile_done(&file);
}

#define G "version: 1\nguests:\n"

static const struct {
    const char *text, *line, *says;
} file_mistakes[] = {
    {"", "line 1", "nothing is in it"},
    {"[]", "line 1", "version and guests"},
    {"guests:\n  a: {image: x}\n", "line 1", "version"},
    {"version: 1\n", "line 1", "missing"},
    {"version: 2\nguests:\n  a: {image: x}\n", "line 1", "version 1"},
    {"version: 1\nguest:\n  a: {}\n", "line 2", "did you mean 'guests'"},
    {G "  a: {memroy: 1G}\n", "line 3", "did you mean 'memory'"},
    {G "  a: {name: b}\n", "line 3", "unknown key 'name'"},
    {G "  a: {gdb: 1}\n", "line 3", "unknown key 'gdb'"},
    {G "  A!: {image: x}\n", "line 3", "lower-case"},
    {G "  a: 5\n", "line 3", "image: tiny"},
    {G "  a: {image: [x]}\n", "line 3", "image's name"},
    {G "  a: {image: x, memory: [1, 2]}\n", "line 3", "expected one text"},
    {G "  a: {image: x, port: {1: 2}}\n", "line 3", "list of texts"},
    {G "  a: {image: x, env: [[y]]}\n", "line 3", "list of texts"},
    {G "  a: {image: x, env: {y: [z]}}\n", "line 3", "KEY: value"},
    {G "  a: {image: x, tty: yes}\n", "line 3", "true or false"},
    {G "  a: {image: x, command: sleep}\n", "line 3", "list of words"},
    {G "  a: {image: x, command: []}\n", "line 3", "list of words"},
    {G "  a: {image: x, command: [[y]]}\n", "line 3", "list of words"},
    {G "  a: {image: x, depends_on: databse}\n  database: {image: x}\n", "line 3",
     "did you mean 'database'"},
    {G "  a: {image: x, depends_on: a}\n", "line 3", "depends on itself"},
    {G "  a: {depends_on: b}\n  b: {depends_on: [c]}\n  c: {depends_on: a}\n", "line 3",
     "depends on itself"},
    {G "  a: {depends_on: {b: c}}\n", "line 3", "guest's name"},
    {G "  a: {image: x}\n  a: {image: y}\n", "line 4", "already, in line 3"},
    {G "  a: &x {image: x}\n  b: *x\n", "line 3", "anchors"},
    {G "  b: *x\n", "line 3", "anchors"},
    {G "  a: {image: !!str x}\n", "line 3", "tags"},
    {G "  ? [a, b]\n  : c\n", "line 3", "must be a word"},
    {G "  a: {image: \"x\\u0007\"}\n", "line 3", "control characters"},
    {G "  a: {image: \"x\\0y\"}\n", "line 3", "control characters"},
    {G "  a: {image: x}\n---\nversion: 1\n", "line 4", "one document"},
    {G "\ta: b\n", "line 3", ""},
    {G "  a: {image: x\n", "line 4", ""},
    {G "  a: [[[[[[[[[[x]]]]]]]]]]\n", "line 3", "too deep"},
};

static void test_mistakes(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(file_mistakes); i++) {
        struct guestfile file;

        assert_int_equal(file_parse(file_mistakes[i].text, &file), -EINVAL);
        if (!strstr(file_err.text, file_mistakes[i].line) ||
            !strstr(file_err.text, file_mistakes[i].says))
            fail_msg("%s gives %s", file_mistakes[i].text, file_err.text);
    }
}

static void test_caps(void **state)
{
    char *big = calloc(1, 300000);
    struct guestfile file;

    memset(big, '#', 299999);
    assert_int_equal(file_parse(big, &file), -EFBIG);
    strcpy(big, G "  a: {image: x, env: [");
    for (unsigned i = 0; i < 20000; i++)
        strcat(big + 20 + i * 2, "a,");
    strcat(big + 30000, "b]}\n");
    assert_int_equal(file_parse(big, &file), -EINVAL);
    strcpy(big, G);
    for (unsigned i = 0; i < 65; i++)
        sprintf(big + strlen(big), "  g%u: {image: x}\n", i);
    assert_int_equal(file_parse(big, &file), -EINVAL);
    assert_non_null(strstr(file_err.text, "line 67: guests: too many"));
    free(big);
}

/* Whatever is changed in a good file, it is read or refused with a sentence. */
static void test_random_changes(void **state)
{
    static const char good[] = G "  a:\n    image: tiny\n    env: {A: b}\n    port: [\"1:2\", x]\n"
                                 "    depends_on: [b]\n  b: {command: [x, 'y'], tty: true}\n";
    static const char letters[] = ":{}[]&*!|>'\"%@`#,-? \n\tab1\\";
    uint32_t seed = 1;
    unsigned fine = 0;

    for (unsigned i = 0; i < 20000; i++) {
        char text[sizeof(good)];
        struct guestfile file;

        memcpy(text, good, sizeof(good));
        for (unsigned k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1664525 + 1013904223;
            text[(seed >> 8) % (sizeof(good) - 1)] = letters[(seed >> 3) % (sizeof(letters) - 1)];
        }
        if (file_parse(text, &file) < 0) {
            assert_true(file_err.text[0]);
            continue;
        }
        fine++;
        guestfile_done(&file);
    }
    assert_true(fine > 100 && fine < 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_file),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_random_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
