/* SPDX-License-Identifier: Apache-2.0 */
/* resctrl groups in a directory that stands for the file system: which files get what. */
#include "container/rdt.h"

#include "base/unit_test.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static char root[] = "/tmp/posada-rdt-XXXXXX";

static struct rdt parse(const char *text, int wanted, struct err *err)
{
    char *copy = arena_text(&arena, "%s", text);
    struct rdt rdt = {0};
    struct json *at;

    assert_int_equal(json_parse(&arena, "t", copy, strlen(copy), &at, err), 0);
    assert_int_equal(rdt_parse(&arena, at, "inn", &rdt, err), wanted);
    return rdt;
}

/* A group as the kernel makes it: with its files. */
static void make_group(const char *name, const char *schemata)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0755), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s/%s", root, name, i ? "tasks" : "schemata");
        f = fopen(path, "we");
        assert_non_null(f);
        fputs(i ? "" : schemata, f);
        (void)fclose(f);
    }
}

static void is(const char *file, const char *wanted)
{
    char path[200], *text;

    snprintf(path, sizeof(path), "%s/%s", root, file);
    assert_int_equal(file_read(AT_FDCWD, path, 1000, &text, NULL, NULL), 0);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_values(void **state)
{
    struct err err;
    struct rdt rdt = parse("{\"closID\":\"gold\",\"l3CacheSchema\":\"L3:0=f\"}", 0, &err);

    assert_true(rdt.named && !strcmp(rdt.group, "gold") && !strcmp(rdt.l3, "L3:0=f") && !rdt.mb);
    rdt = parse("{\"schemata\":[\"MB:0=10\"]}", 0, &err);
    assert_true(!rdt.named && !strcmp(rdt.group, "inn") && rdt.schemata[0] && !rdt.schemata[1]);
    static const char *const bad[] = {"{\"closID\":\"../x\"}",
                                      "{\"closID\":\"a/b\"}",
                                      "{\"closID\":\"\"}",
                                      "{\"memBwSchema\":\"L3:0=f\"}",
                                      "{\"memBwSchema\":\"MB:0=1\\nL3:0=f\"}",
                                      "{\"schemata\":[\"a\\nb\"]}",
                                      "{\"closID\":7}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        (void)parse(bad[i], -EINVAL, &err);
}

static void test_groups(void **state)
{
    struct err err;
    struct rdt rdt = parse("{\"closID\":\"gold\"}", 0, &err);

    assert_non_null(mkdtemp(root));
    assert_int_equal(rdt_apply(root, &rdt, "inn", 77, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no class 'gold'"));
    make_group("gold", "    L3:0=f;1=f\n    MB:0=100\n");
    assert_int_equal(rdt_apply(root, &rdt, "inn", 77, &err), 0);
    is("gold/tasks", "77");
    is("gold/schemata", "    L3:0=f;1=f\n    MB:0=100\n");
    rdt = parse("{\"closID\":\"gold\",\"l3CacheSchema\":\"L3:0=f;1=f\"}", 0, &err);
    assert_int_equal(rdt_apply(root, &rdt, "inn", 78, &err), 0);
    rdt = parse("{\"closID\":\"gold\",\"l3CacheSchema\":\"L3:0=f\"}", 0, &err);
    assert_int_equal(rdt_apply(root, &rdt, "inn", 78, &err), -EEXIST);
    rdt_remove(root, &rdt, "inn");
    is("gold/tasks", "78"); /* another's: it stays */
    make_group("inn", "");
    rdt = parse("{\"memBwSchema\":\"MB:0=20\",\"schemata\":[\"L2:0=3f\"]}", 0, &err);
    assert_int_equal(rdt_apply(root, &rdt, "inn", 79, &err), 0);
    is("inn/tasks", "79");
    is("inn/schemata", "L2:0=3f\n"); /* a plain file: the last line is over the first */
    assert_int_equal(file_remove_tree(AT_FDCWD, root, NULL), 0);
    arena_done(&arena);
}

RUN_TESTS(cmocka_unit_test(test_values), cmocka_unit_test(test_groups))
