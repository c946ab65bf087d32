/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile guests at a share: any requests, in part well-formed so that they get far, at the FUSE
 * server without its box. Whatever they are, the server lives, answers in form, and the file beside
 * the share stays as it was. As a program of its own: fuzz_fuse_random [SEED [INPUTS]].
 */
#include "share/server.h"

#include "host/file.h"
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REQUEST_MAX = 600, ROOM = 9000, NODES = 40, FILES = 8, CLEAN_EVERY = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
    const uint8_t *p;
    size_t left;
};

static char base[] = "/tmp/posada-fuzz-XXXXXX";

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;

    for (; bytes && in->left; bytes--, in->left--)
        v = v << 8 | *in->p++;
    return v;
}

static void die(const char *what)
{
    fprintf(stderr, "fuzz_fuse: %s\n", what);
    abort();
}

static const char *path(const char *name)
{
    static char text[128];

    snprintf(text, sizeof(text), "%s/%s", base, name);
    return text;
}

static void remove_all(void)
{
    (void)!file_remove_tree(AT_FDCWD, base, NULL);
}

static void make_share(void)
{
    (void)!file_remove_tree(AT_FDCWD, path("share"), NULL);
    if (mkdir(path("share"), 0755) < 0 || mkdir(path("share/d"), 0755) < 0 ||
        symlink("../secret", path("share/s")) < 0 || symlink("..", path("share/u")) < 0)
        die("no share");
}

/* Files stay small, whatever is asked for. */
static void begin(void)
{
    const struct rlimit small = {1 << 20, 1 << 20};
    int fd = -1;

    signal(SIGXFSZ, SIG_IGN);
    (void)setrlimit(RLIMIT_FSIZE, &small);
    if (!mkdtemp(base) || (fd = open(path("secret"), O_WRONLY | O_CREAT, 0644)) < 0 ||
        write(fd, "secret", 6) != 6)
        die("no place");
    close(fd);
    atexit(remove_all);
}

static void check_outside(void)
{
    char got[16];
    struct stat st;
    int fd = open(path("secret"), O_RDONLY);

    if (fd < 0 || read(fd, got, sizeof(got)) != 6 || memcmp(got, "secret", 6) ||
        fstat(fd, &st) < 0 || st.st_nlink != 1 || (st.st_mode & 07777) != 0644)
        die("the file outside has changed");
    close(fd);
}

/* A name that leads somewhere, mostly. */
static size_t put_name(struct input *in, uint8_t *to)
{
    static const char *const names[] = {"a", "b",   "d",         "s", "u", "..",
                                        ".", "d/a", "../secret", "",  "c", "e"};
    const char *name = names[take(in, 1) % ARRAY_LEN(names)];

    memcpy(to, name, strlen(name) + 1);
    return strlen(name) + 1;
}

static size_t put_number(struct input *in, uint8_t *to)
{
    unsigned how = (unsigned)take(in, 1);
    uint64_t v = how & 1 ? take(in, 1) % 16 : how & 2 ? take(in, 8) : UINT64_C(1) << 32 | how >> 4;

    memcpy(to, &v, sizeof(v));
    return sizeof(v);
}

/* Numbers and names in the fuzzer's order: structures and what follows them. */
static size_t put_arguments(struct input *in, uint8_t *to)
{
    unsigned numbers = (unsigned)take(in, 1) % 12, names = (unsigned)take(in, 1) % 3;
    size_t len = 0;

    while (numbers--)
        len += put_number(in, to + len);
    if (take(in, 1) & 1)
        len = len > 4 ? len - 4 : len; /* structures of odd words */
    while (names--)
        len += put_name(in, to + len);
    return len;
}

static void request(struct share_worker *w, struct input *in)
{
    static _Alignas(8) uint8_t reply[ROOM];
    _Alignas(8) uint8_t bytes[REQUEST_MAX] = {0};
    struct fuse_in_header *h = (struct fuse_in_header *)(void *)bytes;
    const struct fuse_out_header *out = (const struct fuse_out_header *)(const void *)reply;
    size_t len = sizeof(*h), room, n;

    h->opcode = (uint32_t)take(in, 1) % 56;
    h->nodeid = take(in, 1) % 12;
    h->unique = take(in, 1);
    len += put_arguments(in, bytes + len);
    h->len = (uint32_t)len;
    if (take(in, 1) % 8 == 0)
        len = take(in, 1) % (len + 1);
    room = take(in, 1) % 4 ? ROOM : take(in, 2) % ROOM;
    n = share_serve(w, bytes, len, reply, room);
    if (n > room || (n && (n < sizeof(*out) || out->len != n || out->unique != h->unique)))
        die("an answer out of form");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static unsigned runs;
    struct input in = {data, len};
    struct share_server_config config = {.nodes_max = NODES, .files_max = FILES};
    struct share_server *server;
    struct share_worker *w;
    struct err err;

    if (!runs)
        begin();
    if (runs++ % CLEAN_EVERY == 0)
        make_share();
    config.read_only = take(&in, 1) % 8 == 0;
    config.root_fd = open(path("share"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    config.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (share_server_new(&config, &server, &err) || !(w = share_worker_new(server)))
        die("no server");
    while (in.left)
        request(w, &in);
    check_outside();
    share_worker_free(w);
    share_server_free(server);
    return 0;
}
