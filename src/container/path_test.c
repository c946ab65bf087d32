/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in a hostile root: every way out leads back in. */
#include "container/path.h"

#include "base/unit_test.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char dir[64];
    int outside, root; /* root is dir/root */
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    strcpy(p->dir, "/tmp/path_test.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->outside = open(p->dir, O_PATH | O_DIRECTORY);
    assert_int_equal(mkdirat(p->outside, "root", 0755), 0);
    p->root = openat(p->outside, "root", O_PATH | O_DIRECTORY);
    assert_true(p->root >= 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    (void)!file_remove_tree(AT_FDCWD, p->dir, NULL);
    close(p->outside);
    close(p->root);
    free(p);
    return 0;
}

static bool inside(const struct place *p, const char *path)
{
    return faccessat(p->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void done(int fd)
{
    assert_true(fd >= 0);
    close(fd);
}

static void test_make(void **state)
{
    struct place *p = *state;

    done(path_make_dir(p->root, "/a/b/c", 0755));
    done(path_make_dir(p->root, "a//b/./c/", 0755));
    done(path_make_file(p->root, "/a/f/g", 0644));
    assert_true(inside(p, "a/b/c") && inside(p, "a/f/g"));
    assert_int_equal(path_make_dir(p->root, "/a/f/g", 0755), -ENOTDIR);
    assert_int_equal(path_make_dir(p->root, "/a/f/g/h", 0755), -ENOTDIR);
}

static void test_dots_stay_inside(void **state)
{
    struct place *p = *state;

    done(path_make_dir(p->root, "../../x/../../y", 0755));
    assert_true(inside(p, "x") && inside(p, "y"));
    assert_int_not_equal(faccessat(p->outside, "y", F_OK, 0), 0);
}

static void test_links_stay_inside(void **state)
{
    struct place *p = *state;

    assert_int_equal(symlinkat(p->dir, p->root, "abs"), 0);
    assert_int_equal(symlinkat("../../../..", p->root, "up"), 0);
    assert_int_equal(symlinkat("loop", p->root, "loop"), 0);
    done(path_make_dir(p->root, "/abs/new", 0755)); /* dangling inside: made inside */
    done(path_make_dir(p->root, "/up/made", 0755));
    assert_true(inside(p, "made") && inside(p, p->dir + 1));
    assert_int_not_equal(faccessat(p->outside, "new", F_OK, 0), 0);
    assert_int_equal(path_make_dir(p->root, "/loop", 0755), -ELOOP);
    assert_int_equal(path_make_file(p->root, "/loop/x", 0755), -ELOOP);
}

static void test_magic_links_are_no_way(void **state)
{
    struct place *p = *state;
    int fd;

    assert_int_equal(symlinkat("/proc/self/root", p->root, "root"), 0);
    fd = path_open(p->root, "root/etc", O_PATH);
    assert_int_equal(fd, -ENOENT); /* there is no /proc inside */
    fd = open("/", O_PATH | O_DIRECTORY);
    assert_int_equal(path_open(fd, "/proc/self/root", O_PATH), -ELOOP);
    close(fd);
}

static void test_parent(void **state)
{
    struct place *p = *state;
    char last[16];

    done(path_make_parent(p->root, "/d/e/name", last, sizeof(last)));
    assert_string_equal(last, "name");
    assert_true(inside(p, "d/e") && !inside(p, "d/e/name"));
    assert_int_equal(path_make_parent(p->root, "/d/..", last, sizeof(last)), -EINVAL);
    assert_int_equal(path_make_parent(p->root, "/", last, sizeof(last)), -EINVAL);
    assert_int_equal(path_make_parent(p->root, "/12345678901234567", last, sizeof(last)),
                     -ENAMETOOLONG);
}

static void test_words(void **state)
{
    assert_true(path_is_plain_name("a-B_1.+"));
    assert_false(path_is_plain_name(""));
    assert_false(path_is_plain_name(".."));
    assert_false(path_is_plain_name("a/b"));
    assert_false(path_is_plain_name("a b"));
    assert_true(path_climbs("/a/../b") && path_climbs("..") && path_climbs("a/.."));
    assert_false(path_climbs("/a..b/...") || path_climbs(""));
}

RUN_TESTS(cmocka_unit_test_setup_teardown(test_make, setup, teardown),
          cmocka_unit_test_setup_teardown(test_dots_stay_inside, setup, teardown),
          cmocka_unit_test_setup_teardown(test_links_stay_inside, setup, teardown),
          cmocka_unit_test_setup_teardown(test_magic_links_are_no_way, setup, teardown),
          cmocka_unit_test_setup_teardown(test_parent, setup, teardown),
          cmocka_unit_test(test_words))
