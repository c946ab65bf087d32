/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: names of hostile archives, links, layers over each other, contents. */
#include "image/tree.h"

#include "base/unit_test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct tree t;
    int fd;
};

static int setup(void **state)
{
    static struct fixture f;

    f.fd = memfd_create("tree", MFD_CLOEXEC);
    assert_true(f.fd >= 0);
    assert_int_equal(tree_init(&f.t, f.fd, 1 << 20), 0);
    f.t.layer = 1;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tree_done(&f->t);
    return close(f->fd);
}

static int put(struct tree *t, const char *path, uint32_t mode, const char *target)
{
    const struct tree_entry e = {.path = path, .mode = mode, .target = target};
    struct tree_inode *inode;
    struct err err;

    return tree_put(t, &e, &inode, &err);
}

static int put_file(struct tree *t, const char *path, const char *text)
{
    struct err err;

    return tree_put_file(t, path, 0644, text, strlen(text), &err);
}

static int drop(struct tree *t, const char *path, bool inside)
{
    struct err err;

    return tree_remove(t, path, inside, &err);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    char deep[2 * (TREE_DEPTH_MAX + 2)] = "", longest[TREE_NAME_MAX + 2];
    static const char *const bad[] = {"../x", "a/../../x", "..", "a/..", "/..", ""};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(put(&f->t, bad[i], S_IFREG | 0644, NULL), -EINVAL);
    assert_int_equal(put(&f->t, "./", S_IFDIR | 0700, NULL), 0);
    assert_int_equal(f->t.root->mode, S_IFDIR | 0700);
    assert_int_equal(put(&f->t, "/", S_IFREG | 0644, NULL), -EINVAL);
    assert_int_equal(put(&f->t, "/a//./b/", S_IFDIR | 0755, NULL), 0);
    assert_non_null(tree_find(&f->t, "a/b", false));
    assert_int_equal(put(&f->t, "a/..b", S_IFREG | 0644, NULL), 0);
    assert_non_null(tree_find(&f->t, "a/..b", false));
    assert_int_equal(put(&f->t, "a/..b/c", S_IFREG | 0644, NULL), -EINVAL); /* below a file */
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(put(&f->t, longest, S_IFREG | 0644, NULL), -EINVAL);
    assert_int_equal(put(&f->t, longest + 1, S_IFREG | 0644, NULL), 0);
    for (int i = 0; i <= TREE_DEPTH_MAX; i++)
        strcat(deep, "d/");
    assert_int_equal(put(&f->t, deep, S_IFDIR | 0755, NULL), -E2BIG);
}

static void test_links(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(put(&f->t, "bin", S_IFLNK | 0777, "usr/bin"), 0);
    assert_int_equal(put(&f->t, "usr/bin", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(put(&f->t, "abs", S_IFLNK | 0777, "/usr"), 0);
    assert_int_equal(put(&f->t, "up", S_IFLNK | 0777, "../../../../usr"), 0);
    assert_int_equal(put(&f->t, "a", S_IFLNK | 0777, "b"), 0);
    assert_int_equal(put(&f->t, "b", S_IFLNK | 0777, "a"), 0);
    assert_int_equal(put(&f->t, "empty", S_IFLNK | 0777, ""), -EINVAL);
    assert_int_equal(put_file(&f->t, "bin/sh", "shell"), 0);
    assert_int_equal(put_file(&f->t, "abs/two", "2"), 0);
    assert_int_equal(put_file(&f->t, "up/three", "3"), 0); /* the root is the end of every way up */
    assert_int_equal(put_file(&f->t, "a/x", "x"), -EINVAL);
    assert_non_null(tree_find(&f->t, "usr/bin/sh", false));
    assert_non_null(tree_find(&f->t, "usr/two", false));
    assert_non_null(tree_find(&f->t, "usr/three", false));
    assert_int_equal(tree_link(&f->t, "hard", "bin/sh", &err), 0);
    assert_ptr_equal(tree_find(&f->t, "hard", false), tree_find(&f->t, "usr/bin/sh", false));
    assert_int_equal(tree_find(&f->t, "hard", false)->links, 2);
    assert_int_equal(tree_link(&f->t, "no", "nowhere", &err), -EINVAL);
    assert_int_equal(tree_link(&f->t, "no", "usr", &err), -EINVAL);
    assert_int_equal(tree_link(&f->t, "no", "../etc/shadow", &err), -EINVAL);
    assert_int_equal(tree_link(&f->t, "hard", "hard", &err), 0);
    assert_int_equal(put_file(&f->t, "usr/bin/sh", "other"), 0); /* the other name keeps the old */
    assert_int_equal(tree_find(&f->t, "hard", false)->links, 1);
    assert_memory_equal(tree_find(&f->t, "hard", false)->tail, "shell", 5);
}

static void test_layers(void **state)
{
    struct fixture *f = *state;
    struct tree *t = &f->t;

    assert_int_equal(put_file(t, "dir/old", "1"), 0);
    assert_int_equal(put_file(t, "dir/sub/older", "1"), 0);
    assert_int_equal(put_file(t, "gone", "1"), 0);
    t->layer++;
    assert_int_equal(put_file(t, "dir/sub/new", "2"), 0);
    assert_int_equal(drop(t, "dir", true), 0); /* opaque, told after what is new */
    assert_null(tree_find(t, "dir/old", false));
    assert_null(tree_find(t, "dir/sub/older", false));
    assert_non_null(tree_find(t, "dir/sub/new", false));
    assert_int_equal(drop(t, "gone", false), 0);
    assert_null(tree_find(t, "gone", false));
    assert_int_equal(drop(t, "never", false), 0);
    assert_int_equal(drop(t, "../x", false), -EINVAL);
    assert_int_equal(put_file(t, "mine", "2"), 0);
    assert_int_equal(drop(t, "mine", false), 0); /* whiteouts are for layers below */
    assert_non_null(tree_find(t, "mine", false));
    assert_int_equal(put(t, "dir", S_IFLNK | 0777, "mine"), 0); /* a directory is replaced whole */
    assert_null(tree_find(t, "dir/sub/new", false));
    assert_int_equal(t->nodes, 2);
}

static void test_contents(void **state)
{
    struct fixture *f = *state;
    struct tree_writer *w = malloc(sizeof(*w));
    const struct tree_entry e = {.path = "file", .mode = S_IFREG | 0600};
    struct tree_inode *i;
    struct err err;
    char data[TREE_BLOCK] = "end";

    assert_non_null(w);
    assert_int_equal(tree_put(&f->t, &e, &i, &err), 0);
    tree_write_begin(w, &f->t, i);
    assert_int_equal(tree_write(w, 3 * TREE_BLOCK, "middle", 6), 0);
    assert_int_equal(tree_write(w, 1, "back", 4), -EINVAL);
    assert_int_equal(tree_write(w, UINT64_MAX - 1, "over", 4), -EINVAL);
    assert_int_equal(tree_write(w, (uint64_t)TREE_BLOCK << 20, "end", 3), -ENOSPC);
    assert_int_equal(tree_write(w, 4 * TREE_BLOCK, data, 3), 0);
    assert_int_equal(tree_write_end(w), 0);
    assert_int_equal(i->size, 4 * TREE_BLOCK + 3);
    assert_int_equal(i->tail_len, 3);
    assert_int_equal(pread(f->fd, data, 6, (off_t)((i->block + 3) * TREE_BLOCK)), 6);
    assert_memory_equal(data, "middle", 6);
    free(w);
}

static void test_xattrs(void **state)
{
    struct fixture *f = *state;
    static char large[TREE_XATTRS_MAX];
    struct tree_inode *root = f->t.root;

    assert_int_equal(tree_add_xattr(&f->t, root, "user.a", "1", 1), 0);
    assert_int_equal(tree_add_xattr(&f->t, root, "user.b", large, sizeof(large)), -E2BIG);
}

RUN_TESTS(cmocka_unit_test_setup_teardown(test_names, setup, teardown),
          cmocka_unit_test_setup_teardown(test_links, setup, teardown),
          cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
          cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
          cmocka_unit_test_setup_teardown(test_xattrs, setup, teardown))
