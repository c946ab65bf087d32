/* SPDX-License-Identifier: Apache-2.0 */
#include "share/test_client.h"

#include "base/unit_test.h"
#include "host/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Calls --- */
int client_call2(struct client *c, uint32_t opcode, uint64_t node, const void *head,
                 size_t head_len, const void *tail, size_t tail_len)
{
    struct fuse_in_header *h = (struct fuse_in_header *)(void *)c->request;
    const struct fuse_out_header *out = (const struct fuse_out_header *)(const void *)c->reply;
    size_t len = sizeof(*h) + head_len + tail_len, n;

    assert_true(len <= sizeof(c->request));
    *h = (struct fuse_in_header){.len = (uint32_t)len,
                                 .opcode = opcode,
                                 .unique = ++c->unique,
                                 .nodeid = node,
                                 .uid = geteuid(),
                                 .gid = getegid()};
    if (head_len)
        memcpy(c->request + sizeof(*h), head, head_len);
    if (tail_len)
        memcpy(c->request + sizeof(*h) + head_len, tail, tail_len);
    n = share_serve(c->worker, c->request, len, c->reply, sizeof(c->reply));
    c->reply_len = n < sizeof(*out) ? 0 : n - sizeof(*out);
    if (!n)
        return 0;
    assert_int_equal(out->len, n);
    assert_true(out->unique == c->unique);
    assert_true(out->error <= 0 && (!out->error || n == sizeof(*out)));
    return out->error;
}

int client_call(struct client *c, uint32_t opcode, uint64_t node, const void *args, size_t len)
{
    return client_call2(c, opcode, node, args, len, NULL, 0);
}

void *client_answer(struct client *c)
{
    return c->reply + sizeof(struct fuse_out_header);
}

static int call_name(struct client *c, uint32_t opcode, uint64_t node, const void *head,
                     size_t head_len, const char *name)
{
    return client_call2(c, opcode, node, head, head_len, name, strlen(name) + 1);
}

int client_lookup(struct client *c, uint64_t dir, const char *name, uint64_t *ret_node)
{
    int r = call_name(c, FUSE_LOOKUP, dir, NULL, 0, name);
    const struct fuse_entry_out *e = client_answer(c);

    if (!r && !e->nodeid)
        return -ENOENT;
    if (!r && ret_node)
        *ret_node = e->nodeid;
    return r;
}

int client_open(struct client *c, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
    const struct fuse_open_in in = {.flags = flags};
    int r = client_call(c, FUSE_OPEN, node, &in, sizeof(in));

    if (!r && ret_fh)
        *ret_fh = ((const struct fuse_open_out *)client_answer(c))->fh;
    return r;
}

int client_create(struct client *c, uint64_t dir, const char *name, uint32_t mode, uint32_t flags,
                  uint64_t *ret_node, uint64_t *ret_fh)
{
    const struct fuse_create_in in = {.flags = flags, .mode = mode};
    int r = call_name(c, FUSE_CREATE, dir, &in, sizeof(in), name);
    const struct fuse_entry_out *e = client_answer(c);

    if (!r && ret_node)
        *ret_node = e->nodeid;
    if (!r && ret_fh)
        *ret_fh = ((const struct fuse_open_out *)(const void *)(e + 1))->fh;
    return r;
}

int client_mkdir(struct client *c, uint64_t dir, const char *name, uint64_t *ret_node)
{
    const struct fuse_mkdir_in in = {.mode = 0755};
    int r = call_name(c, FUSE_MKDIR, dir, &in, sizeof(in), name);

    if (!r && ret_node)
        *ret_node = ((const struct fuse_entry_out *)client_answer(c))->nodeid;
    return r;
}

int client_mknod(struct client *c, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev)
{
    const struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};

    return call_name(c, FUSE_MKNOD, dir, &in, sizeof(in), name);
}

int client_symlink(struct client *c, uint64_t dir, const char *name, const char *text)
{
    return client_call2(c, FUSE_SYMLINK, dir, name, strlen(name) + 1, text, strlen(text) + 1);
}

int client_link(struct client *c, uint64_t old, uint64_t dir, const char *name)
{
    const struct fuse_link_in in = {.oldnodeid = old};

    return call_name(c, FUSE_LINK, dir, &in, sizeof(in), name);
}

int client_unlink(struct client *c, uint64_t dir, const char *name)
{
    return call_name(c, FUSE_UNLINK, dir, NULL, 0, name);
}

int client_rmdir(struct client *c, uint64_t dir, const char *name)
{
    return call_name(c, FUSE_RMDIR, dir, NULL, 0, name);
}

int client_rename(struct client *c, uint64_t from, const char *old, uint64_t to, const char *name,
                  uint32_t flags)
{
    const struct fuse_rename2_in in = {.newdir = to, .flags = flags};
    char names[1024];
    int n = snprintf(names, sizeof(names), "%s%c%s", old, 0, name);

    return client_call2(c, FUSE_RENAME2, from, &in, sizeof(in), names, (size_t)n + 1);
}

int client_read(struct client *c, uint64_t fh, uint64_t offset, uint32_t size)
{
    const struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};
    int r = client_call(c, FUSE_READ, FUSE_ROOT_ID, &in, sizeof(in));

    return r < 0 ? r : (int)c->reply_len;
}

int client_write(struct client *c, uint64_t fh, uint64_t offset, const void *data, uint32_t size)
{
    const struct fuse_write_in in = {.fh = fh, .offset = offset, .size = size};
    int r = client_call2(c, FUSE_WRITE, FUSE_ROOT_ID, &in, sizeof(in), data, size);

    return r < 0 ? r : (int)((const struct fuse_write_out *)client_answer(c))->size;
}

int client_release(struct client *c, uint64_t fh)
{
    const struct fuse_release_in in = {.fh = fh};

    return client_call(c, FUSE_RELEASE, FUSE_ROOT_ID, &in, sizeof(in));
}

int client_setattr(struct client *c, uint64_t node, const struct fuse_setattr_in *in)
{
    return client_call(c, FUSE_SETATTR, node, in, sizeof(*in));
}

int client_getattr(struct client *c, uint64_t node, struct fuse_attr *ret_attr)
{
    const struct fuse_getattr_in in = {0};
    int r = client_call(c, FUSE_GETATTR, node, &in, sizeof(in));

    if (!r && ret_attr)
        *ret_attr = ((const struct fuse_attr_out *)client_answer(c))->attr;
    return r;
}

/* --- The host's side --- */
const char *host_path(struct client *c, const char *path)
{
    static char ring[8][512];
    static unsigned next;
    char *text = ring[next++ % 8];

    (void)snprintf(text, sizeof(ring[0]), "%s/%s", c->base, path);
    return text;
}

void host_write(struct client *c, const char *path, const char *text)
{
    int fd = open(host_path(c, path), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

bool host_is(struct client *c, const char *path, const char *text)
{
    char got[512];
    int fd = open(host_path(c, path), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n);
}

bool host_exists(struct client *c, const char *path)
{
    struct stat st;

    return lstat(host_path(c, path), &st) == 0;
}

static uint64_t digest_bytes(uint64_t digest, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        digest = (digest ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
    return digest;
}

static uint64_t digest_dir(int dir_fd, uint64_t digest);

/* Sums over a directory's entries, so that their order does not matter. */
static uint64_t digest_entry(int dir_fd, const char *name)
{
    uint64_t digest = digest_bytes(UINT64_C(0xcbf29ce484222325), name, strlen(name));
    struct stat st;
    char data[256];
    int fd;

    assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    digest = digest_bytes(digest, &st.st_mode, sizeof(st.st_mode));
    digest = digest_bytes(digest, &st.st_nlink, sizeof(st.st_nlink));
    digest = digest_bytes(digest, &st.st_uid, sizeof(st.st_uid));
    digest = digest_bytes(digest, &st.st_mtim, sizeof(st.st_mtim));
    if (S_ISLNK(st.st_mode))
        return digest;
    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    if (S_ISDIR(st.st_mode))
        return digest_dir(fd, digest);
    for (ssize_t n; (n = read(fd, data, sizeof(data))) > 0;)
        digest = digest_bytes(digest, data, (size_t)n);
    close(fd);
    return digest;
}

static uint64_t digest_dir(int dir_fd, uint64_t digest)
{
    DIR *dir = fdopendir(dir_fd);
    const struct dirent *e;

    assert_non_null(dir);
    while ((e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            digest += digest_entry(dir_fd, e->d_name);
    closedir(dir);
    return digest;
}

uint64_t host_outside_digest(struct client *c)
{
    return digest_entry(AT_FDCWD, c->outside);
}

/* --- Life --- */
static void client_make_dirs(struct client *c)
{
    (void)snprintf(c->base, sizeof(c->base), "/tmp/posada-share-XXXXXX");
    assert_non_null(mkdtemp(c->base));
    (void)snprintf(c->share, sizeof(c->share), "%s/share", c->base);
    (void)snprintf(c->outside, sizeof(c->outside), "%s/outside", c->base);
    assert_int_equal(mkdir(c->share, 0755), 0);
    assert_int_equal(mkdir(c->outside, 0755), 0);
    assert_int_equal(mkdir(host_path(c, "outside/dir"), 0755), 0);
    host_write(c, "outside/secret", "secret");
    host_write(c, "outside/dir/deep", "deep");
}

static void client_init(struct client *c)
{
    const struct fuse_init_in in = {
        .major = FUSE_KERNEL_VERSION, .minor = 38, .max_readahead = 131072, .flags = UINT32_MAX};

    assert_int_equal(client_call(c, FUSE_INIT, 0, &in, sizeof(in)), 0);
}

struct client *client_new(bool read_only)
{
    return client_new_session(read_only, 0);
}

struct client *client_new_session(bool read_only, uint32_t session)
{
    struct client *c = calloc(1, sizeof(*c));
    struct share_server_config config = {
        .read_only = read_only, .nodes_max = 1000, .files_max = 100, .session = session};
    struct err err = {0};

    assert_non_null(c);
    (void)umask(0);
    client_make_dirs(c);
    config.root_fd = open(c->share, O_PATH | O_DIRECTORY | O_CLOEXEC);
    config.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (share_server_new(&config, &c->server, &err))
        fail_msg("%s", err.text);
    c->worker = share_worker_new(c->server);
    assert_non_null(c->worker);
    client_init(c);
    return c;
}

void client_free(struct client *c)
{
    share_worker_free(c->worker);
    share_server_free(c->server);
    assert_int_equal(file_remove_tree(AT_FDCWD, c->base, NULL), 0);
    free(c);
}
