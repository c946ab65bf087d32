/* SPDX-License-Identifier: Apache-2.0 */
/* Files, locks and directories by user. */
#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct trial {
    char dir[64];
    int fd;
};

static int trial_setup(void **state)
{
    struct trial *t = calloc(1, sizeof(*t));

    strcpy(t->dir, "/tmp/posada-test-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    t->fd = open(t->dir, O_RDONLY | O_DIRECTORY);
    *state = t;
    return 0;
}

static int trial_teardown(void **state)
{
    struct trial *t = *state;

    assert_int_equal(file_remove_tree(AT_FDCWD, t->dir, NULL), 0);
    assert_int_equal(access(t->dir, F_OK), -1);
    close(t->fd);
    free(t);
    return 0;
}

static void test_write_read(void **state)
{
    struct trial *t = *state;
    CLEANUP(free) char *data = NULL;
    struct stat st;
    size_t len;

    assert_int_equal(file_write(t->fd, "a", "first", 5, 0600, NULL), 0);
    assert_int_equal(file_write(t->fd, "a", "second\0x", 8, 0600, NULL), 0);
    assert_int_equal(file_read(t->fd, "a", 8, &data, &len, NULL), 0);
    assert_int_equal(len, 8);
    assert_memory_equal(data, "second\0x", 9);
    assert_int_equal(fstatat(t->fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(faccessat(t->fd, "a.new", F_OK, 0), -1);
}

static void test_read_refusals(void **state)
{
    struct trial *t = *state;
    char *data = NULL;

    assert_int_equal(file_write(t->fd, "a", "12345678", 8, 0600, NULL), 0);
    assert_int_equal(file_read(t->fd, "a", 7, &data, NULL, NULL), -EFBIG);
    assert_int_equal(file_read(t->fd, "b", 7, &data, NULL, NULL), -ENOENT);
    assert_int_equal(symlinkat("a", t->fd, "link"), 0);
    assert_int_equal(file_read(t->fd, "link", 8, &data, NULL, NULL), -ELOOP);
    assert_null(data);
}

static void test_remove_follows_no_link(void **state)
{
    struct trial *t = *state;
    char keep[] = "/tmp/posada-keep-XXXXXX";
    int fd;

    close(mkstemp(keep));
    assert_int_equal(mkdirat(t->fd, "sub", 0700), 0);
    fd = openat(t->fd, "sub", O_RDONLY | O_DIRECTORY);
    assert_int_equal(symlinkat(keep, fd, "link"), 0);
    assert_int_equal(symlinkat("/tmp", fd, "dirlink"), 0);
    close(fd);
    assert_int_equal(file_remove_tree(t->fd, "sub", NULL), 0);
    assert_int_equal(access(keep, F_OK), 0);
    assert_int_equal(file_remove_tree(t->fd, "absent", NULL), 0);
    unlink(keep);
}

static void test_lock_belongs_to_description(void **state)
{
    struct trial *t = *state;
    int a = openat(t->fd, "lock", O_RDWR | O_CREAT, 0600);
    int b = openat(t->fd, "lock", O_RDWR);
    int copy = dup(a);

    assert_false(file_is_locked(b));
    assert_int_equal(file_lock(a), 0);
    assert_true(file_is_locked(b));
    assert_int_equal(file_lock(b), -EAGAIN);
    close(a);
    assert_true(file_is_locked(b)); /* the copy still holds it */
    close(copy);
    assert_int_equal(file_lock(b), 0);
    file_unlock(b);
    assert_false(file_is_locked(b));
    close(b);
}

static void test_dirs(void **state)
{
    struct trial *t = *state;
    CLEANUP(free) char *wanted = NULL, *path = NULL, *sub = NULL;
    char *none = NULL;
    struct stat st;

    assert_true(asprintf(&wanted, "%s/x/data", t->dir) > 0);
    setenv("POSADA_DATA_DIR", wanted, 1);
    assert_int_equal(dirs_get(DIRS_DATA, &path, NULL), 0);
    assert_string_equal(path, wanted);
    assert_int_equal(dirs_get_sub(DIRS_DATA, "guests", &sub, NULL), 0);
    assert_int_equal(stat(sub, &st), 0);
    assert_int_equal(chmod(path, 0777), 0); /* others may write: refused */
    assert_int_equal(dirs_get(DIRS_DATA, &none, NULL), -EPERM);
    assert_null(none);
    unsetenv("POSADA_DATA_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_read, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_read_refusals, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_remove_follows_no_link, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_lock_belongs_to_description, trial_setup,
                                        trial_teardown),
        cmocka_unit_test_setup_teardown(test_dirs, trial_setup, trial_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
