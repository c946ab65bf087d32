/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile tar streams at `posada cp`'s host side: headers made of the fuzzer's choices with a right
 * checksum, or any bytes, cut anywhere. The file beside the target stays as it was.
 * As a program of its own: fuzz_tar_random [SEED [INPUTS]].
 */
#include "copy/copy.h"

#include "copy/tar.h"
#include "host/file.h"
#include "input.h"
#include "place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES = 8, NAMES = 12 };

static void put_name(struct fuzz_input *in, char *to)
{
    static const char *const names[NAMES] = {"t",         "t/a",  "t/b",   "t/a/c",
                                             "..",        "t/..", "/t",    "t/../../secret",
                                             "../secret", ".",    "t//b/", "./t/a"};

    (void)strcpy(to, names[fuzz_byte(in) % NAMES]);
}

static void put_entry(struct fuzz_input *in, int fd)
{
    static const char types[] = {'0', '0', '1', '2', '5', '3', '6', 'L', 'x', 'g', 'K', '\0'};
    static uint8_t headers[COPY_TAR_HEADERS_MAX], data[2 * COPY_TAR_BLOCK];
    struct copy_entry *e = calloc(1, sizeof(*e));
    unsigned how;
    size_t n;

    if (!e)
        fuzz_die("no memory");
    e->type = types[fuzz_byte(in) % sizeof(types)];
    e->mode = fuzz_byte(in) * 16;
    put_name(in, e->name);
    put_name(in, e->link);
    how = fuzz_byte(in);
    e->size = how & 1 ? fuzz_byte(in) : 0;
    n = copy_tar_encode(e, headers);
    if (how % 16 == 2)
        headers[fuzz_byte(in) * 2 + 1] ^= (uint8_t)fuzz_byte(in);
    (void)!write(fd, headers, n);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(how & 4 ? fuzz_byte(in) : 'd');
    (void)!write(fd, data, e->size ? COPY_TAR_BLOCK : 0);
    free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct copy_unpack config = {.mask = 0777};
    struct err err = {0};
    unsigned how = fuzz_byte(&in);

    fuzz_place_begin();
    (void)!file_remove_tree(AT_FDCWD, fuzz_place_path("in"), NULL);
    if (mkdir(fuzz_place_path("in"), 0755) < 0)
        fuzz_die("no target");
    for (unsigned i = 0; i < ENTRIES && in.left; i++)
        put_entry(&in, fd);
    if (how & 1)
        (void)!write(fd, in.p, in.left);
    else
        (void)!ftruncate(fd, lseek(fd, 0, SEEK_CUR) + 2 * COPY_TAR_BLOCK);
    (void)lseek(fd, 0, SEEK_SET);
    config.path = fuzz_place_path("in");
    config.name = how & 2 ? "t" : NULL;
    if (copy_unpack(&config, fd, &err) < 0 && !err.text[0])
        fuzz_die("refused without a word");
    fuzz_place_check();
    close(fd);
    return 0;
}
