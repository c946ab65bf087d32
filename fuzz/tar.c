/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile tar streams at `posada cp`'s host side: headers made of the fuzzer's choices with a right
 * checksum, or any bytes, cut anywhere. The file beside the target stays as it was.
 * As a program of its own: fuzz_tar_random [SEED [INPUTS]].
 */
#include "copy/copy.h"

#include "copy/tar.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES = 8, NAMES = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
    const uint8_t *p;
    size_t left;
};

static char base[] = "/tmp/posada-fuzz-XXXXXX";

static unsigned take(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->p++;
}

static void die(const char *what)
{
    fprintf(stderr, "fuzz_tar: %s\n", what);
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

static void begin(void)
{
    if (!mkdtemp(base) || file_write(AT_FDCWD, path("secret"), "secret", 6, 0644, NULL))
        die("no place");
    atexit(remove_all);
}

static void check_outside(void)
{
    static struct stat first;
    struct stat st;
    char got[16];
    int fd = open(path("secret"), O_RDONLY);

    if (fd < 0 || read(fd, got, sizeof(got)) != 6 || memcmp(got, "secret", 6) || fstat(fd, &st) < 0)
        die("the file outside has changed");
    close(fd);
    if (!first.st_ino)
        first = st;
    if (st.st_nlink != 1 || st.st_mode != first.st_mode || st.st_ino != first.st_ino)
        die("the file outside is another");
}

static void put_name(struct input *in, char *to)
{
    static const char *const names[NAMES] = {"t",         "t/a",  "t/b",   "t/a/c",
                                             "..",        "t/..", "/t",    "t/../../secret",
                                             "../secret", ".",    "t//b/", "./t/a"};

    (void)strcpy(to, names[take(in) % NAMES]);
}

static void put_entry(struct input *in, int fd)
{
    static const char types[] = {'0', '0', '1', '2', '5', '3', '6', 'L', 'x', 'g', 'K', '\0'};
    static uint8_t headers[COPY_TAR_HEADERS_MAX], data[2 * COPY_TAR_BLOCK];
    struct copy_entry *e = calloc(1, sizeof(*e));
    unsigned how;
    size_t n;

    if (!e)
        die("no memory");
    e->type = types[take(in) % sizeof(types)];
    e->mode = take(in) * 16;
    put_name(in, e->name);
    put_name(in, e->link);
    how = take(in);
    e->size = how & 1 ? take(in) : 0;
    n = copy_tar_encode(e, headers);
    if (how % 16 == 2)
        headers[take(in) * 2 + 1] ^= (uint8_t)take(in);
    (void)!write(fd, headers, n);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(how & 4 ? take(in) : 'd');
    (void)!write(fd, data, e->size ? COPY_TAR_BLOCK : 0);
    free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static unsigned runs;
    struct input in = {data, len};
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct copy_unpack config = {.mask = 0777};
    struct err err = {0};
    unsigned how = take(&in);

    if (!runs++)
        begin();
    (void)!file_remove_tree(AT_FDCWD, path("in"), NULL);
    if (mkdir(path("in"), 0755) < 0)
        die("no target");
    for (unsigned i = 0; i < ENTRIES && in.left; i++)
        put_entry(&in, fd);
    if (how & 1)
        (void)!write(fd, in.p, in.left);
    else
        (void)!ftruncate(fd, lseek(fd, 0, SEEK_CUR) + 2 * COPY_TAR_BLOCK);
    (void)lseek(fd, 0, SEEK_SET);
    config.path = path("in");
    config.name = how & 2 ? "t" : NULL;
    if (copy_unpack(&config, fd, &err) < 0 && !err.text[0])
        die("refused without a word");
    check_outside();
    close(fd);
    return 0;
}
