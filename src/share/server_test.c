/* SPDX-License-Identifier: Apache-2.0 */
/* The FUSE server does what a guest's kernel expects of it. Hostile clients: escape_test.c. */
#include "share/test_client.h"

#include "base/unit_test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void test_init_negotiates(void **state)
{
    struct client *c = client_new(false);
    struct fuse_init_in in = {.major = 7, .minor = 31, .max_readahead = 65536};
    const struct fuse_init_out *out = client_answer(c);

    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 16), 0); /* without flags2, as 7.31 does */
    assert_int_equal(out->major, 7);
    assert_int_equal(out->max_readahead, 65536);
    assert_int_equal(out->flags, 0); /* nothing that was not offered */
    assert_int_equal(out->max_write, 1 << 20);
    in.minor = 30;
    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 16), -EPROTO);
    in.major = 8;
    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 16), 0);
    assert_int_equal(out->major, 7);
    assert_int_equal(c->reply_len, 8);
    in.major = 6;
    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 16), -EPROTO);
    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, 15), -EINVAL);
    client_free(c);
}

static void test_files(void **state)
{
    struct client *c = client_new(false);
    uint64_t node, fh, again;
    struct fuse_attr attr;

    assert_int_equal(client_lookup(c, 1, "new", &node), -ENOENT);
    assert_int_equal(client_create(c, 1, "new", 0640, O_RDWR, &node, &fh), 0);
    assert_int_equal(client_write(c, fh, 0, "hello", 5), 5);
    assert_int_equal(client_write(c, fh, 3, "p!", 2), 2);
    assert_true(host_is(c, "share/new", "help!"));
    assert_int_equal(client_read(c, fh, 1, 100), 4);
    assert_memory_equal(client_answer(c), "elp!", 4);
    assert_int_equal(client_read(c, fh, 5, 100), 0);
    assert_int_equal(client_release(c, fh), 0);
    assert_int_equal(client_release(c, fh), 0);
    assert_int_equal(client_read(c, fh, 0, 1), -EBADF);
    assert_int_equal(client_lookup(c, 1, "new", &again), 0);
    assert_true(again == node);
    assert_int_equal(client_getattr(c, node, &attr), 0);
    assert_int_equal(attr.mode, S_IFREG | 0640);
    assert_int_equal(attr.size, 5);
    assert_int_equal(client_open(c, node, O_RDONLY | O_TRUNC, &fh), 0);
    assert_true(host_is(c, "share/new", ""));
    assert_int_equal(client_unlink(c, 1, "new"), 0);
    assert_false(host_exists(c, "share/new"));
    assert_int_equal(client_getattr(c, node, &attr), 0); /* still known, and open */
    assert_int_equal(attr.nlink, 0);
    client_free(c);
}

static void test_unchanged_files_stay_cached(void **state)
{
    struct client *c = client_new(false);
    const struct fuse_open_out *out = client_answer(c);
    uint64_t node;

    host_write(c, "share/f", "one");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    assert_int_equal(client_open(c, node, O_RDONLY, NULL), 0);
    assert_false(out->open_flags & FOPEN_KEEP_CACHE);
    assert_int_equal(client_open(c, node, O_RDONLY, NULL), 0);
    assert_true(out->open_flags & FOPEN_KEEP_CACHE);
    host_write(c, "share/f", "other");
    assert_int_equal(client_open(c, node, O_RDONLY, NULL), 0);
    assert_false(out->open_flags & FOPEN_KEEP_CACHE);
    client_free(c);
}

static void test_names(void **state)
{
    struct client *c = client_new(false);
    uint64_t dir, sub, node;

    assert_int_equal(client_mkdir(c, 1, "dir", &dir), 0);
    assert_int_equal(client_mkdir(c, 1, "dir", NULL), -EEXIST);
    assert_int_equal(client_mkdir(c, dir, "sub", &sub), 0);
    assert_int_equal(client_rmdir(c, 1, "dir"), -ENOTEMPTY);
    host_write(c, "share/dir/sub/f", "f");
    assert_int_equal(client_rename(c, sub, "f", dir, "g", 0), 0);
    assert_true(host_is(c, "share/dir/g", "f"));
    assert_int_equal(client_lookup(c, dir, "g", &node), 0);
    assert_int_equal(client_link(c, node, sub, "h"), 0);
    assert_true(host_is(c, "share/dir/sub/h", "f"));
    assert_int_equal(client_rename(c, sub, "h", dir, "g", 1 /* NOREPLACE */), -EEXIST);
    host_write(c, "share/x", "x");
    assert_int_equal(client_rename(c, 1, "x", dir, "g", 2 /* EXCHANGE */), 0);
    assert_true(host_is(c, "share/x", "f"));
    assert_int_equal(client_rename(c, 1, "x", dir, "g", 4 /* WHITEOUT */), -EINVAL);
    assert_int_equal(client_unlink(c, dir, "sub"), -EISDIR);
    assert_int_equal(client_rmdir(c, 1, "x"), -ENOTDIR);
    assert_int_equal(client_mknod(c, 1, "pipe", S_IFIFO | 0600, 0), 0);
    assert_int_equal(client_mknod(c, 1, "socket", S_IFSOCK | 0600, 0), 0);
    assert_int_equal(client_mknod(c, 1, "file", S_IFREG | 0600, 0), 0);
    assert_int_equal(client_symlink(c, 1, "link", "any/../text"), 0);
    assert_int_equal(client_lookup(c, 1, "link", &node), 0);
    assert_int_equal(client_call(c, FUSE_READLINK, node, NULL, 0), 0);
    assert_int_equal(c->reply_len, 11);
    assert_memory_equal(client_answer(c), "any/../text", 11);
    assert_int_equal(client_call(c, FUSE_READLINK, dir, NULL, 0), -EINVAL);
    client_free(c);
}

static void test_attributes(void **state)
{
    struct client *c = client_new(false);
    struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0600};
    struct fuse_attr attr;
    uint64_t node, fh;

    host_write(c, "share/f", "0123456789");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    assert_int_equal(client_setattr(c, node, &in), 0);
    in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 4};
    assert_int_equal(client_setattr(c, node, &in), 0);
    assert_true(host_is(c, "share/f", "0123"));
    assert_int_equal(client_open(c, node, O_WRONLY, &fh), 0);
    in = (struct fuse_setattr_in){.valid = FATTR_SIZE | FATTR_FH, .size = 2, .fh = fh};
    assert_int_equal(client_setattr(c, node, &in), 0);
    in = (struct fuse_setattr_in){
        .valid = FATTR_MTIME | FATTR_ATIME, .mtime = 1000000000, .mtimensec = 17, .atime = 5};
    assert_int_equal(client_setattr(c, node, &in), 0);
    assert_int_equal(client_getattr(c, node, &attr), 0);
    assert_int_equal(attr.mode, S_IFREG | 0600);
    assert_int_equal(attr.size, 2);
    assert_true(attr.mtime == 1000000000 && attr.mtimensec == 17 && attr.atime == 5);
    in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = UINT64_MAX};
    assert_int_equal(client_setattr(c, node, &in), -EFBIG);
    assert_int_equal(client_setattr(c, 1, &in), -EINVAL);
    client_free(c);
}

/* Reads a directory in steps of `size` bytes; how many entries, counting those named like e*. */
static unsigned read_all(struct client *c, uint32_t opcode, uint64_t dir, uint32_t size,
                         unsigned *ret_named)
{
    const size_t head = opcode == FUSE_READDIR ? 0 : sizeof(struct fuse_entry_out);
    struct fuse_read_in in = {.size = size};
    const struct fuse_open_in open = {0};
    unsigned count = 0;

    *ret_named = 0;
    assert_int_equal(client_call(c, FUSE_OPENDIR, dir, &open, sizeof(open)), 0);
    in.fh = ((const struct fuse_open_out *)client_answer(c))->fh;
    for (;;) {
        assert_int_equal(client_call(c, opcode, dir, &in, sizeof(in)), 0);
        assert_true(c->reply_len <= size);
        if (!c->reply_len)
            break;
        for (size_t at = 0; at < c->reply_len;) {
            const struct fuse_dirent *d =
                (const void *)((const uint8_t *)client_answer(c) + at + head);

            count++;
            *ret_named += d->name[0] == 'e';
            in.offset = d->off;
            at += FUSE_REC_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
        }
    }
    assert_int_equal(client_call(c, FUSE_RELEASEDIR, dir, &in, sizeof(struct fuse_release_in)), 0);
    return count;
}

static void test_directories(void **state)
{
    struct client *c = client_new(false);
    struct fuse_read_in in = {.size = 10};
    const struct fuse_open_in open = {0};
    unsigned named, before;
    char name[32];

    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "share/e%u", i);
        host_write(c, name, "");
    }
    before = share_server_nodes(c->server);
    assert_int_equal(read_all(c, FUSE_READDIR, 1, 200, &named), 202);
    assert_int_equal(named, 200);
    assert_int_equal(share_server_nodes(c->server), before);
    assert_int_equal(read_all(c, FUSE_READDIRPLUS, 1, 4096, &named), 202);
    assert_int_equal(named, 200);
    assert_int_equal(share_server_nodes(c->server), before + 200);
    assert_int_equal(share_server_files(c->server), 0);
    /* Not even one entry fits. */
    assert_int_equal(client_call(c, FUSE_OPENDIR, 1, &open, sizeof(open)), 0);
    in.fh = ((const struct fuse_open_out *)client_answer(c))->fh;
    assert_int_equal(client_call(c, FUSE_READDIR, 1, &in, sizeof(in)), -EINVAL);
    client_free(c);
}

static void test_nodes_are_forgotten(void **state)
{
    struct client *c = client_new(false);
    struct fuse_forget_in in = {.nlookup = 2};
    struct {
        struct fuse_batch_forget_in head;
        struct fuse_forget_one one[2];
    } batch = {.head = {.count = 2}};
    uint64_t a, b;

    host_write(c, "share/a", "");
    host_write(c, "share/b", "");
    assert_int_equal(client_lookup(c, 1, "a", &a), 0);
    assert_int_equal(client_lookup(c, 1, "a", &a), 0);
    assert_int_equal(client_lookup(c, 1, "b", &b), 0);
    assert_int_equal(share_server_nodes(c->server), 3);
    assert_int_equal(client_call(c, FUSE_FORGET, a, &in, sizeof(in)), 0);
    assert_int_equal(c->reply_len, 0);
    assert_int_equal(share_server_nodes(c->server), 2);
    assert_int_equal(client_getattr(c, a, NULL), -ESTALE);
    assert_int_equal(client_lookup(c, 1, "a", &a), 0);
    batch.one[0] = (struct fuse_forget_one){a, 100}; /* more than there are */
    batch.one[1] = (struct fuse_forget_one){b, 1};
    assert_int_equal(client_call(c, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch)), 0);
    assert_int_equal(share_server_nodes(c->server), 1);
    assert_int_equal(client_call(c, FUSE_FORGET, 1, &in, sizeof(in)), 0);
    assert_int_equal(client_getattr(c, 1, NULL), 0); /* the root stays */
    client_free(c);
}

static void test_xattrs(void **state)
{
    struct client *c = client_new(false);
    const struct fuse_setxattr_in set = {.size = 3};
    struct fuse_getxattr_in get = {.size = 100};
    uint64_t node;
    int r;

    host_write(c, "share/f", "");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    r = client_call2(c, FUSE_SETXATTR, node, &set, FUSE_COMPAT_SETXATTR_IN_SIZE, "user.a\0xyz", 10);
    if (r == -EOPNOTSUPP) { /* /tmp on an older tmpfs */
        client_free(c);
        skip();
    }
    assert_int_equal(r, 0);
    assert_int_equal(client_call2(c, FUSE_GETXATTR, node, &get, sizeof(get), "user.a", 7), 0);
    assert_int_equal(c->reply_len, 3);
    assert_memory_equal(client_answer(c), "xyz", 3);
    assert_int_equal(client_call(c, FUSE_LISTXATTR, node, &get, sizeof(get)), 0);
    assert_int_equal(c->reply_len, 7);
    get.size = 0;
    assert_int_equal(client_call(c, FUSE_LISTXATTR, node, &get, sizeof(get)), 0);
    assert_true(((const struct fuse_getxattr_out *)client_answer(c))->size >= 7);
    get.size = 2;
    assert_int_equal(client_call2(c, FUSE_GETXATTR, node, &get, sizeof(get), "user.a", 7), -ERANGE);
    assert_int_equal(client_call(c, FUSE_REMOVEXATTR, node, "user.a", 7), 0);
    assert_int_equal(client_call(c, FUSE_REMOVEXATTR, node, "user.a", 7), -ENODATA);
    client_free(c);
}

static void test_whole_file_operations(void **state)
{
    struct client *c = client_new(false);
    struct fuse_fallocate_in allocate = {.length = 65536};
    struct fuse_lseek_in seek = {.whence = SEEK_DATA};
    struct fuse_copy_file_range_in copy = {.len = 5};
    struct fuse_fsync_in sync = {.fsync_flags = FUSE_FSYNC_FDATASYNC};
    const struct fuse_flush_in flush = {0};
    uint64_t a, b;

    assert_int_equal(client_create(c, 1, "a", 0644, O_RDWR, NULL, &a), 0);
    assert_int_equal(client_create(c, 1, "b", 0644, O_RDWR, NULL, &b), 0);
    allocate.fh = seek.fh = copy.fh_in = sync.fh = a;
    copy.fh_out = b;
    assert_int_equal(client_write(c, a, 0, "hello", 5), 5);
    assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, 1, &copy, sizeof(copy)), 0);
    assert_true(host_is(c, "share/b", "hello"));
    assert_int_equal(client_call(c, FUSE_FALLOCATE, 1, &allocate, sizeof(allocate)), 0);
    assert_int_equal(client_call(c, FUSE_LSEEK, 1, &seek, sizeof(seek)), 0);
    seek.whence = SEEK_SET;
    assert_int_equal(client_call(c, FUSE_LSEEK, 1, &seek, sizeof(seek)), -EINVAL);
    allocate.mode = 0x20; /* collapse */
    assert_int_equal(client_call(c, FUSE_FALLOCATE, 1, &allocate, sizeof(allocate)), -EOPNOTSUPP);
    assert_int_equal(client_call(c, FUSE_FSYNC, 1, &sync, sizeof(sync)), 0);
    assert_int_equal(client_call(c, FUSE_FLUSH, 1, &flush, sizeof(flush)), -EBADF);
    assert_int_equal(client_call(c, FUSE_STATFS, 1, NULL, 0), 0);
    assert_int_equal(((const struct fuse_statfs_out *)client_answer(c))->st.namelen, 255);
    client_free(c);
}

static void test_read_only(void **state)
{
    struct client *c = client_new(true);
    struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0600};
    uint64_t node, fh;

    host_write(c, "share/f", "data");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    assert_int_equal(client_open(c, node, O_RDWR, NULL), -EROFS);
    assert_int_equal(client_open(c, node, O_WRONLY, NULL), -EROFS);
    assert_int_equal(client_open(c, node, O_RDONLY | O_TRUNC, NULL), -EROFS);
    assert_int_equal(client_open(c, node, O_RDONLY, &fh), 0);
    assert_int_equal(client_read(c, fh, 0, 10), 4);
    assert_int_equal(client_write(c, fh, 0, "x", 1), -EROFS);
    assert_int_equal(client_create(c, 1, "g", 0644, O_RDWR, NULL, NULL), -EROFS);
    assert_int_equal(client_mkdir(c, 1, "d", NULL), -EROFS);
    assert_int_equal(client_mknod(c, 1, "n", S_IFREG, 0), -EROFS);
    assert_int_equal(client_symlink(c, 1, "s", "t"), -EROFS);
    assert_int_equal(client_link(c, node, 1, "l"), -EROFS);
    assert_int_equal(client_unlink(c, 1, "f"), -EROFS);
    assert_int_equal(client_rename(c, 1, "f", 1, "g", 0), -EROFS);
    assert_int_equal(client_setattr(c, node, &in), -EROFS);
    assert_true(host_is(c, "share/f", "data"));
    client_free(c);
}

/* A new driver starts anew: INIT forgets all but the root. */
static void test_init_forgets(void **state)
{
    struct client *c = client_new(false);
    const struct fuse_init_in in = {.major = 7, .minor = 38};
    uint64_t node, fh;

    assert_int_equal(client_create(c, 1, "f", 0644, O_RDWR, &node, &fh), 0);
    assert_int_equal(share_server_files(c->server), 1);
    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, sizeof(in)), 0);
    assert_int_equal(share_server_files(c->server), 0);
    assert_int_equal(share_server_nodes(c->server), 1);
    assert_int_equal(client_getattr(c, node, NULL), -ESTALE);
    assert_int_equal(client_read(c, fh, 0, 1), -EBADF);
    assert_int_equal(client_getattr(c, 1, NULL), 0);
    client_free(c);
}

/* What an earlier server of the share gave means nothing to this one, all else is as before. */
static void test_sessions_share_no_numbers(void **state)
{
    struct client *c = client_new(false), *later;
    uint64_t node, fh, mine, other;

    assert_int_equal(client_create(c, 1, "f", 0644, O_RDWR, &node, &fh), 0);
    later = client_new_session(false, 0xfffffffe);
    assert_int_equal(client_create(later, 1, "f", 0644, O_RDWR, &mine, &other), 0);
    assert_true(node != mine && fh != other);
    assert_int_equal(client_getattr(later, node, NULL), -ESTALE);
    assert_int_equal(client_read(later, fh, 0, 1), -EBADF);
    assert_int_equal(client_getattr(later, mine, NULL), 0);
    assert_int_equal(client_getattr(later, 1, NULL), 0);
    for (unsigned i = 0; i < 5; i++) { /* handles of one slot, past the last generation */
        assert_int_equal(client_release(later, other), 0);
        assert_int_equal(client_open(later, mine, O_RDONLY, &fh), 0);
        assert_true(fh != other);
        other = fh;
    }
    client_free(later);
    client_free(c);
}

static void test_limits(void **state)
{
    struct client *c = client_new(false);
    uint64_t node;
    char name[32];
    int r = 0;

    host_write(c, "share/f", "");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    for (unsigned i = 0; !r && i <= 100; i++)
        r = client_open(c, node, O_RDONLY, NULL);
    assert_int_equal(r, -ENFILE);
    assert_int_equal(share_server_files(c->server), 100);
    for (unsigned i = 0; i < 1100; i++) {
        (void)snprintf(name, sizeof(name), "share/n%u", i);
        host_write(c, name, "");
    }
    for (unsigned i = 0, n = 1; i < 1100; i++) {
        (void)snprintf(name, sizeof(name), "n%u", i);
        r = client_lookup(c, 1, name, NULL);
        n += r == 0;
        assert_true(r == 0 || r == -ENFILE);
        assert_true(n <= 1000);
    }
    assert_int_equal(share_server_nodes(c->server), 1000);
    client_free(c);
}

RUN_TESTS(cmocka_unit_test(test_init_negotiates), cmocka_unit_test(test_files),
          cmocka_unit_test(test_unchanged_files_stay_cached), cmocka_unit_test(test_names),
          cmocka_unit_test(test_attributes), cmocka_unit_test(test_directories),
          cmocka_unit_test(test_nodes_are_forgotten), cmocka_unit_test(test_xattrs),
          cmocka_unit_test(test_whole_file_operations), cmocka_unit_test(test_read_only),
          cmocka_unit_test(test_init_forgets), cmocka_unit_test(test_sessions_share_no_numbers),
          cmocka_unit_test(test_limits))
