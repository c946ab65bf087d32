/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest tries to get out of its share, or to leave something on the host that does harm.
 * The client speaks to the server directly and the server runs without its box: this is the first
 * wall alone. Every attempt is counted; all that lies outside must be as it was.
 */
#include "share/test_client.h"

#include "base/unit_test.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { ATTEMPTS_LEAST = 200, RACES = 4000 };

static unsigned attempts;

/* What was tried must have failed. */
static void refused(struct client *c, const char *what, const char *subject, int r)
{
    attempts++;
    if (r >= 0)
        fail_msg("%s '%s' went through (%d)", what, subject, r);
}

/* What was tried may succeed or not, but has done nothing outside. */
static void harmless(struct client *c, const char *what, const char *subject, uint64_t before)
{
    attempts++;
    if (host_outside_digest(c) != before)
        fail_msg("%s '%s' changed something outside", what, subject);
}

/* --- Names --- */
static const char *const bad_names[] = {
    "..",  ".",    "",        "/",      "/etc/passwd", "../outside/secret",
    "a/b", "d/..", "d/../..", "..//..", "./secret",    "../outside"};

static void try_name(struct client *c, const char *name, uint64_t file)
{
    refused(c, "lookup", name, client_lookup(c, 1, name, NULL));
    refused(c, "create", name, client_create(c, 1, name, 0644, O_RDWR | O_TRUNC, NULL, NULL));
    refused(c, "mkdir", name, client_mkdir(c, 1, name, NULL));
    refused(c, "mknod", name, client_mknod(c, 1, name, S_IFREG | 0644, 0));
    refused(c, "symlink", name, client_symlink(c, 1, name, "x"));
    refused(c, "link", name, client_link(c, file, 1, name));
    refused(c, "unlink", name, client_unlink(c, 1, name));
    refused(c, "rmdir", name, client_rmdir(c, 1, name));
    refused(c, "rename from", name, client_rename(c, 1, name, 1, "x", 0));
    refused(c, "rename to", name, client_rename(c, 1, "f", 1, name, 0));
    refused(c, "exchange with", name, client_rename(c, 1, "f", 1, name, 2));
}

static void test_names(void **state)
{
    struct client *c = client_new(false);
    uint64_t before = host_outside_digest(c), file;
    char longest[300];

    host_write(c, "share/f", "mine");
    assert_int_equal(mkdir(host_path(c, "share/d"), 0755), 0);
    assert_int_equal(client_lookup(c, 1, "f", &file), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++)
        try_name(c, bad_names[i], file);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    try_name(c, longest, file);
    /* No NUL at the end; a NUL too early. */
    refused(c, "lookup", "unterminated", client_call(c, FUSE_LOOKUP, 1, "f", 1));
    refused(c, "unlink", "unterminated", client_call(c, FUSE_UNLINK, 1, "f", 1));
    refused(c, "rename", "one name", client_call(c, FUSE_RENAME, 1, "\1\0\0\0\0\0\0\0f", 10));
    refused(c, "lookup", "..\\0f", client_call(c, FUSE_LOOKUP, 1, "..\0f", 5));
    harmless(c, "names", "all", before);
    assert_true(host_is(c, "share/f", "mine"));
    client_free(c);
}

/* --- Links of the host's or the guest's making --- */
static const char *const link_texts[] = {"../outside/secret",
                                         "../outside/dir",
                                         "../outside",
                                         "..",
                                         "/",
                                         "/etc/passwd",
                                         "/proc/self/root",
                                         "/proc/self/fd",
                                         "../outside/new",
                                         "f/../../outside/secret"};

static void try_link_node(struct client *c, uint64_t node, const char *text)
{
    const struct fuse_setxattr_in xattr = {.size = 1};
    const struct fuse_open_in open = {0};
    struct fuse_setattr_in in = {.valid = FATTR_SIZE};

    refused(c, "open", text, client_open(c, node, O_RDONLY, NULL));
    refused(c, "open for writing", text, client_open(c, node, O_RDWR | O_TRUNC, NULL));
    refused(c, "lookup in", text, client_lookup(c, node, "secret", NULL));
    refused(c, "lookup in", text, client_lookup(c, node, "outside", NULL));
    refused(c, "create in", text, client_create(c, node, "pwn", 0644, O_RDWR, NULL, NULL));
    refused(c, "mkdir in", text, client_mkdir(c, node, "pwn", NULL));
    refused(c, "mknod in", text, client_mknod(c, node, "pwn", S_IFREG, 0));
    refused(c, "symlink in", text, client_symlink(c, node, "pwn", "x"));
    refused(c, "unlink in", text, client_unlink(c, node, "secret"));
    refused(c, "rename into", text, client_rename(c, 1, "f", node, "pwn", 0));
    refused(c, "opendir", text, client_call(c, FUSE_OPENDIR, node, &open, sizeof(open)));
    refused(c, "truncate", text, client_setattr(c, node, &in));
    in = (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0777};
    (void)client_setattr(c, node, &in); /* of the link itself, at most */
    in = (struct fuse_setattr_in){.valid = FATTR_MTIME, .mtime = 1};
    (void)client_setattr(c, node, &in);
    in = (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID, .uid = 1, .gid = 1};
    (void)client_setattr(c, node, &in);
    refused(c, "setxattr", text, client_call2(c, FUSE_SETXATTR, node, &xattr, 8, "user.x\0y", 8));
}

static void try_link(struct client *c, const char *name, const char *text, uint64_t before)
{
    uint64_t node, fh;
    int r;

    assert_int_equal(client_lookup(c, 1, name, &node), 0);
    try_link_node(c, node, text);
    /* To create under the link's name opens what it leads to, if it is followed. */
    r = client_create(c, 1, name, 0644, O_RDWR | O_TRUNC, NULL, &fh);
    refused(c, "create over", text, r);
    refused(c, "mkdir over", text, client_mkdir(c, 1, name, NULL));
    refused(c, "mknod over", text, client_mknod(c, 1, name, S_IFREG | 0644, 0));
    refused(c, "rmdir", text, client_rmdir(c, 1, name));
    harmless(c, "link", text, before);
    (void)client_link(c, node, 1, "hard"); /* a second name of the link itself, or refused */
    harmless(c, "hard link to", text, before);
    (void)client_unlink(c, 1, "hard");
    assert_int_equal(client_rename(c, 1, name, 1, "moved", 0), 0);
    harmless(c, "rename", text, before);
    assert_int_equal(client_unlink(c, 1, "moved"), 0);
    harmless(c, "unlink", text, before);
}

static void test_links(void **state)
{
    struct client *c = client_new(false);
    uint64_t before = host_outside_digest(c);

    host_write(c, "share/f", "mine");
    for (size_t i = 0; i < ARRAY_LEN(link_texts); i++) {
        assert_int_equal(symlink(link_texts[i], host_path(c, "share/host")), 0);
        try_link(c, "host", link_texts[i], before);
        assert_int_equal(client_symlink(c, 1, "guest", link_texts[i]), 0);
        try_link(c, "guest", link_texts[i], before);
    }
    assert_false(host_exists(c, "outside/new"));
    assert_true(host_is(c, "share/f", "mine"));
    client_free(c);
}

/* --- Things that would do harm on the host --- */
static void test_devices(void **state)
{
    static const uint32_t types[] = {S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, S_IFMT, 0x3000};
    struct client *c = client_new(false);
    uint64_t node;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        refused(c, "mknod", "device", client_mknod(c, 1, "dev", types[i] | 0666, 0x103));
        assert_false(host_exists(c, "share/dev"));
    }
    refused(c, "mknod", "whiteout", client_mknod(c, 1, "dev", S_IFCHR, 0));
    /* CREATE makes regular files whatever the mode says. */
    assert_int_equal(client_create(c, 1, "c", S_IFCHR | 0600, O_RDWR, &node, NULL), 0);
    attempts++;
    assert_int_equal(client_unlink(c, 1, "c"), 0);
    if (!mknod(host_path(c, "share/null"), S_IFCHR | 0666, makedev(1, 3))) {
        assert_int_equal(client_lookup(c, 1, "null", &node), 0);
        refused(c, "open", "a device", client_open(c, node, O_RDWR, NULL));
        refused(c, "create over", "a device",
                client_create(c, 1, "null", 0644, O_RDWR, NULL, NULL));
    }
    /* To open one would never end. */
    assert_int_equal(client_mknod(c, 1, "pipe", S_IFIFO | 0666, 0), 0);
    assert_int_equal(client_lookup(c, 1, "pipe", &node), 0);
    refused(c, "open", "a pipe", client_open(c, node, O_RDONLY, NULL));
    refused(c, "open", "a pipe", client_open(c, node, O_WRONLY, NULL));
    refused(c, "create over", "a pipe", client_create(c, 1, "pipe", 0644, O_WRONLY, NULL, NULL));
    assert_int_equal(client_mknod(c, 1, "socket", S_IFSOCK | 0666, 0), 0);
    assert_int_equal(client_lookup(c, 1, "socket", &node), 0);
    refused(c, "open", "a socket", client_open(c, node, O_RDWR, NULL));
    client_free(c);
}

static void test_set_user_id(void **state)
{
    static const uint32_t modes[] = {04755, 02755, 06755, 04000};
    struct client *c = client_new(false);
    struct fuse_setattr_in in = {.valid = FATTR_MODE};
    uint64_t node;
    struct fuse_attr attr;

    host_write(c, "share/f", "mine");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        in.mode = modes[i];
        refused(c, "chmod", "set-user-ID", client_setattr(c, node, &in));
        refused(c, "create", "set-user-ID",
                client_create(c, 1, "suid", modes[i], O_RDWR, NULL, NULL));
        refused(c, "mknod", "set-user-ID", client_mknod(c, 1, "suid", S_IFREG | modes[i], 0));
        assert_false(host_exists(c, "share/suid"));
    }
    assert_int_equal(client_getattr(c, node, &attr), 0);
    assert_int_equal(attr.mode, S_IFREG | 0644);
    client_free(c);
}

static void test_foreign_xattrs(void **state)
{
    static const char *const names[] = {"security.capability",
                                        "security.selinux",
                                        "trusted.overlay.opaque",
                                        "system.posix_acl_access",
                                        "user.",
                                        "user",
                                        ""};
    struct client *c = client_new(false);
    const struct fuse_setxattr_in set = {.size = 4};
    const struct fuse_getxattr_in get = {.size = 64};
    uint64_t node;
    char args[64];

    host_write(c, "share/f", "mine");
    assert_int_equal(client_lookup(c, 1, "f", &node), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t len = strlen(names[i]) + 1;

        (void)snprintf(args, sizeof(args), "%s%cabcd", names[i], 0);
        refused(c, "setxattr", names[i],
                client_call2(c, FUSE_SETXATTR, node, &set, 8, args, len + 4));
        refused(c, "getxattr", names[i],
                client_call2(c, FUSE_GETXATTR, node, &get, sizeof(get), names[i], len));
        refused(c, "removexattr", names[i], client_call(c, FUSE_REMOVEXATTR, node, names[i], len));
    }
    client_free(c);
}

/* --- Numbers --- */
static void try_handle(struct client *c, uint64_t fh, uint64_t good)
{
    const struct fuse_read_in dir = {.fh = fh, .size = 4096};
    const struct fuse_lseek_in seek = {.fh = fh, .whence = SEEK_DATA};
    const struct fuse_fallocate_in allocate = {.fh = fh, .length = 1};
    const struct fuse_fsync_in sync = {.fh = fh};
    struct fuse_copy_file_range_in copy = {.fh_in = fh, .fh_out = good, .len = 10};
    const struct fuse_setattr_in size = {.valid = FATTR_SIZE | FATTR_FH, .fh = fh};
    const struct fuse_getattr_in get = {.getattr_flags = FUSE_GETATTR_FH, .fh = fh};

    refused(c, "read", "handle", client_read(c, fh, 0, 10));
    refused(c, "write", "handle", client_write(c, fh, 0, "x", 1));
    refused(c, "readdir", "handle", client_call(c, FUSE_READDIR, 1, &dir, sizeof(dir)));
    refused(c, "lseek", "handle", client_call(c, FUSE_LSEEK, 1, &seek, sizeof(seek)));
    refused(c, "fallocate", "handle",
            client_call(c, FUSE_FALLOCATE, 1, &allocate, sizeof(allocate)));
    refused(c, "fsync", "handle", client_call(c, FUSE_FSYNC, 1, &sync, sizeof(sync)));
    refused(c, "copy", "handle", client_call(c, FUSE_COPY_FILE_RANGE, 1, &copy, sizeof(copy)));
    refused(c, "truncate", "handle", client_setattr(c, 1, &size));
    refused(c, "getattr", "handle", client_call(c, FUSE_GETATTR, 1, &get, sizeof(get)));
}

static void test_numbers(void **state)
{
    static const uint64_t nodes[] = {0, 2, 7, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 63};
    static const uint64_t handles[] = {1, 3, 99, 100, UINT32_MAX, UINT64_MAX, UINT64_C(5) << 32};
    struct client *c = client_new(false);
    uint64_t node, fh, dead;

    assert_int_equal(client_create(c, 1, "f", 0644, O_RDWR, NULL, &dead), 0);
    assert_int_equal(client_release(c, dead), 0);
    assert_int_equal(client_create(c, 1, "g", 0644, O_RDWR, &node, &fh), 0);
    for (size_t i = 0; i < ARRAY_LEN(handles); i++)
        if (handles[i] != fh)
            try_handle(c, handles[i], fh);
    try_handle(c, dead, fh); /* the slot is another file's by now */
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        uint64_t n = nodes[i];

        if (n == node || !client_getattr(c, n, NULL))
            continue;
        refused(c, "lookup in", "node", client_lookup(c, n, "f", NULL));
        refused(c, "open", "node", client_open(c, n, O_RDONLY, NULL));
        refused(c, "create in", "node", client_create(c, n, "x", 0644, O_RDWR, NULL, NULL));
        refused(c, "link", "node", client_link(c, n, 1, "x"));
        refused(c, "rename into", "node", client_rename(c, 1, "f", n, "x", 0));
        refused(c, "rename out of", "node", client_rename(c, n, "f", 1, "x", 0));
        refused(c, "readlink", "node", client_call(c, FUSE_READLINK, n, NULL, 0));
    }
    client_free(c);
}

/* --- Races --- */
struct racer {
    struct client *c;
    atomic_bool stop;
};

/* The host's tree changes under the guest's hands: d and f are a directory and a file one moment
 * and links to outside the next. */
static void *race_swap(void *arg)
{
    struct racer *race = arg;
    char d[160], f[160], link_d[160], link_f[160];

    (void)snprintf(d, sizeof(d), "%s/d", race->c->share);
    (void)snprintf(f, sizeof(f), "%s/f", race->c->share);
    (void)snprintf(link_d, sizeof(link_d), "%s/link-d", race->c->share);
    (void)snprintf(link_f, sizeof(link_f), "%s/link-f", race->c->share);
    while (!atomic_load(&race->stop)) {
        (void)renameat2(AT_FDCWD, d, AT_FDCWD, link_d, 2);
        (void)renameat2(AT_FDCWD, f, AT_FDCWD, link_f, 2);
    }
    return NULL;
}

static void race_step(struct client *c)
{
    const struct fuse_open_in open = {0};
    uint64_t node, fh;

    if (!client_lookup(c, 1, "d", &node)) {
        refused(c, "race: lookup", "secret", client_lookup(c, node, "secret", NULL));
        (void)client_create(c, node, "pwn", 0644, O_RDWR | O_TRUNC, NULL, NULL);
        (void)client_mkdir(c, node, "pwned", NULL);
        (void)client_unlink(c, node, "deep");
        (void)client_call(c, FUSE_OPENDIR, node, &open, sizeof(open));
    }
    if (!client_lookup(c, 1, "f", &node) && !client_open(c, node, O_RDWR, &fh)) {
        assert_int_equal(client_read(c, fh, 0, 6), 4);
        assert_memory_equal(client_answer(c), "mine", 4);
        assert_int_equal(client_write(c, fh, 0, "mine", 4), 4);
    }
    if (!client_create(c, 1, "f", 0644, O_RDWR, &node, &fh)) {
        assert_int_equal(client_read(c, fh, 0, 6), 4);
        assert_memory_equal(client_answer(c), "mine", 4);
    }
    (void)client_rename(c, 1, "d", 1, "e", 0);
    (void)client_rename(c, 1, "e", 1, "d", 0);
}

static void test_races(void **state)
{
    const struct fuse_init_in init = {.major = 7, .minor = 38};
    struct client *c = client_new(false);
    struct racer race = {.c = c};
    uint64_t before = host_outside_digest(c);
    unsigned counted = attempts;
    pthread_t thread;

    host_write(c, "share/f", "mine");
    assert_int_equal(mkdir(host_path(c, "share/d"), 0755), 0);
    assert_int_equal(symlink("../outside", host_path(c, "share/link-d")), 0);
    assert_int_equal(symlink("../outside/secret", host_path(c, "share/link-f")), 0);
    assert_int_equal(pthread_create(&thread, NULL, race_swap, &race), 0);
    for (unsigned i = 0; i < RACES; i++) {
        race_step(c);
        if (i % 16 == 0)
            assert_int_equal(client_call(c, FUSE_INIT, 0, &init, sizeof(init)), 0);
    }
    atomic_store(&race.stop, true);
    pthread_join(thread, NULL);
    attempts = counted + 1; /* one attempt, however often */
    harmless(c, "races", "all", before);
    client_free(c);
}

/* Several guests' threads at once: the tables hold. */
static void *race_client(void *arg)
{
    struct client *c = arg;
    struct client *own = calloc(1, sizeof(*own));
    uint64_t node, fh;

    own->server = c->server;
    own->worker = share_worker_new(c->server);
    for (unsigned i = 0; i < RACES / 4; i++) {
        if (!client_create(own, 1, "same", 0644, O_RDWR, &node, &fh)) {
            struct fuse_forget_in forget = {.nlookup = 1};

            (void)client_write(own, fh, 0, "x", 1);
            (void)client_release(own, fh);
            (void)client_unlink(own, 1, "same");
            (void)client_call(own, FUSE_FORGET, node, &forget, sizeof(forget));
        }
    }
    share_worker_free(own->worker);
    free(own);
    return NULL;
}

static void test_threads(void **state)
{
    struct client *c = client_new(false);
    pthread_t thread[4];

    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, race_client, c), 0);
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(share_server_files(c->server), 0);
    assert_int_equal(share_server_nodes(c->server), 1);
    client_free(c);
}

static void test_enough_was_tried(void **state)
{
    printf("%u attempts\n", attempts);
    assert_true(attempts >= ATTEMPTS_LEAST);
}

RUN_TESTS(cmocka_unit_test(test_names), cmocka_unit_test(test_links),
          cmocka_unit_test(test_devices), cmocka_unit_test(test_set_user_id),
          cmocka_unit_test(test_foreign_xattrs), cmocka_unit_test(test_numbers),
          cmocka_unit_test(test_races), cmocka_unit_test(test_threads),
          cmocka_unit_test(test_enough_was_tried))
