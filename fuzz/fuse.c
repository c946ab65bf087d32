/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile guests at a share: any requests, in part well-formed so that they get far, at the FUSE
 * server without its box. Whatever they are, the server lives, answers in form, and the file beside
 * the share stays as it was. As a program of its own: fuzz_fuse_random [SEED [INPUTS]].
 */
#include "share/server.h"

#include "host/file.h"
#include "input.h"
#include "place.h"
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

static void make_share(void)
{
    (void)!file_remove_tree(AT_FDCWD, fuzz_place_path("share"), NULL);
    if (mkdir(fuzz_place_path("share"), 0755) < 0 || mkdir(fuzz_place_path("share/d"), 0755) < 0 ||
        symlink("../secret", fuzz_place_path("share/s")) < 0 ||
        symlink("..", fuzz_place_path("share/u")) < 0)
        fuzz_die("no share");
}

/* Files stay small, whatever is asked for. */
static void begin(void)
{
    const struct rlimit small = {1 << 20, 1 << 20};

    signal(SIGXFSZ, SIG_IGN);
    (void)setrlimit(RLIMIT_FSIZE, &small);
    fuzz_place_begin();
}

/* A name that leads somewhere, mostly. */
static size_t put_name(struct fuzz_input *in, uint8_t *to)
{
    static const char *const names[] = {"a", "b",   "d",         "s", "u", "..",
                                        ".", "d/a", "../secret", "",  "c", "e"};
    const char *name = names[fuzz_byte(in) % ARRAY_LEN(names)];

    memcpy(to, name, strlen(name) + 1);
    return strlen(name) + 1;
}

static size_t put_number(struct fuzz_input *in, uint8_t *to)
{
    unsigned how = fuzz_byte(in);
    uint64_t v = how & 1   ? fuzz_byte(in) % 16
                 : how & 2 ? fuzz_take(in, 8)
                           : UINT64_C(1) << 32 | how >> 4;

    memcpy(to, &v, sizeof(v));
    return sizeof(v);
}

/* Numbers and names in the fuzzer's order: structures and what follows them. */
static size_t put_arguments(struct fuzz_input *in, uint8_t *to)
{
    unsigned numbers = fuzz_byte(in) % 12, names = fuzz_byte(in) % 3;
    size_t len = 0;

    while (numbers--)
        len += put_number(in, to + len);
    if (fuzz_byte(in) & 1)
        len = len > 4 ? len - 4 : len; /* structures of odd words */
    while (names--)
        len += put_name(in, to + len);
    return len;
}

static void request(struct share_worker *w, struct fuzz_input *in)
{
    static _Alignas(8) uint8_t reply[ROOM];
    _Alignas(8) uint8_t bytes[REQUEST_MAX] = {0};
    struct fuse_in_header *h = (struct fuse_in_header *)(void *)bytes;
    const struct fuse_out_header *out = (const struct fuse_out_header *)(const void *)reply;
    size_t len = sizeof(*h), room, n;

    h->opcode = (uint32_t)fuzz_byte(in) % 56;
    h->nodeid = fuzz_byte(in) % 12;
    h->unique = fuzz_byte(in);
    len += put_arguments(in, bytes + len);
    h->len = (uint32_t)len;
    if (fuzz_byte(in) % 8 == 0)
        len = fuzz_byte(in) % (len + 1);
    room = fuzz_byte(in) % 4 ? ROOM : fuzz_take(in, 2) % ROOM;
    n = share_serve(w, bytes, len, reply, room);
    if (n > room || (n && (n < sizeof(*out) || out->len != n || out->unique != h->unique)))
        fuzz_die("an answer out of form");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static unsigned runs;
    struct fuzz_input in = {data, len};
    struct share_server_config config = {.nodes_max = NODES, .files_max = FILES};
    struct share_server *server;
    struct share_worker *w;
    struct err err;

    if (!runs)
        begin();
    if (runs++ % CLEAN_EVERY == 0)
        make_share();
    config.read_only = fuzz_byte(&in) % 8 == 0;
    config.root_fd = open(fuzz_place_path("share"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    config.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (share_server_new(&config, &server, &err) || !(w = share_worker_new(server)))
        fuzz_die("no server");
    while (in.left)
        request(w, &in);
    fuzz_place_check();
    share_worker_free(w);
    share_server_free(server);
    return 0;
}
