/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile layers: two tar archives of the fuzzer's making (headers with names, links, whiteouts and
 * sizes it chooses, bytes of them changed, packed or not) are laid over each other, and what comes
 * of them is written as EROFS. Whatever is taken must leave a tree that fits together.
 * As a program of its own: fuzz_layer_random [SEED [INPUTS]].
 */
#include "image/layer.h"
#include "image/erofs.h"
#include "image/tree.h"
#include "input.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 512, ENTRIES = 24, TAR_MAX = 1 << 18, TREE_BLOCKS = 1 << 14 };

/* Few names, so that entries meet. */
static void put_name(struct fuzz_input *in, char *name, size_t size)
{
    static const char *const parts[] = {"a", "b", "dir", "l", "up", "f", ".", "dir", "a", "l"};
    static const char *const last[] = {"..",           ".wh.a",     ".wh.",
                                       ".wh..wh..opq", ".wh..wh.x", ".wh.dir"};
    size_t at = 0;

    for (unsigned n = fuzz_byte(in) % 4; n-- && at < size - 20;)
        at +=
            (size_t)snprintf(name + at, size - at, "%s/", parts[fuzz_byte(in) % ARRAY_LEN(parts)]);
    if (fuzz_byte(in) % 32 != 31)
        (void)snprintf(name + at, size - at, "%s", parts[fuzz_byte(in) % ARRAY_LEN(parts)]);
    else
        (void)snprintf(name + at, size - at, "%s", last[fuzz_byte(in) % ARRAY_LEN(last)]);
}

static void put_octal(uint8_t *at, size_t width, uint64_t value)
{
    for (at[--width] = '\0'; width--; value >>= 3)
        at[width] = (uint8_t)('0' + (value & 7));
}

static size_t put_entry(struct fuzz_input *in, uint8_t *h)
{
    static const char kinds[] = "00000012222345555566xL";
    size_t size = 0;
    unsigned sum = 0;

    memset(h, 0, BLOCK);
    put_name(in, (char *)h, 100);
    put_octal(h + 100, 8, fuzz_byte(in) << 4 | 0600);
    put_octal(h + 108, 8, fuzz_byte(in));
    put_octal(h + 116, 8, fuzz_byte(in));
    h[156] = (uint8_t)kinds[fuzz_byte(in) % (sizeof(kinds) - 1)];
    if (strchr("0xgLK", h[156]))
        size = fuzz_byte(in) * (fuzz_byte(in) % 8 ? 1u : 300u);
    put_octal(h + 124, 12, fuzz_byte(in) % 64 != 63 ? size : (uint64_t)fuzz_byte(in) << 28);
    put_octal(h + 136, 12, fuzz_byte(in));
    put_name(in, (char *)h + 157, 100);
    memcpy(h + 257, "ustar\00000", 8);
    put_octal(h + 329, 8, fuzz_byte(in));
    put_octal(h + 337, 8, fuzz_byte(in));
    if (fuzz_byte(in) % 64 == 63)
        h[fuzz_byte(in) * 2 % BLOCK] = (uint8_t)fuzz_byte(in);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += h[i];
    put_octal(h + 148, 7, sum);
    return size;
}

static size_t make_tar(struct fuzz_input *in, uint8_t *tar)
{
    size_t at = 0;

    for (unsigned n = fuzz_byte(in) % ENTRIES; n-- && at < TAR_MAX - (1 << 17);) {
        size_t size = put_entry(in, tar + at);

        at += BLOCK;
        memset(tar + at, (int)fuzz_byte(in), size);
        if (size > 20) /* may be a pax record */
            (void)snprintf((char *)tar + at, 20, "%u path=%c\n", fuzz_byte(in) % 30,
                           (int)fuzz_byte(in));
        at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    memset(tar + at, 0, 1024);
    at += 1024;
    return fuzz_byte(in) % 16 != 15 ? at : at * fuzz_byte(in) / 256;
}

static int make_layer(struct fuzz_input *in, enum unpack_kind *ret_kind)
{
    static uint8_t tar[TAR_MAX + 4096], packed[TAR_MAX + 8192];
    size_t len = make_tar(in, tar);
    int fd = memfd_create("layer", MFD_CLOEXEC);
    const uint8_t *from = tar;
    z_stream z = {0};

    *ret_kind = UNPACK_NONE;
    if (fuzz_byte(in) % 4 == 3 && deflateInit2(&z, 1, Z_DEFLATED, 31, 8, 0) == Z_OK) {
        z.next_in = tar;
        z.avail_in = (uInt)len;
        z.next_out = packed;
        z.avail_out = sizeof(packed);
        (void)deflate(&z, Z_FINISH);
        len = z.total_out;
        (void)deflateEnd(&z);
        if (fuzz_byte(in) % 16 == 15 && len)
            packed[fuzz_byte(in) % len] ^= 1;
        from = packed;
        *ret_kind = UNPACK_GZIP;
    }
    if (fd < 0 || write(fd, from, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
        fuzz_die("cannot write the layer");
    return fd;
}

/* Counts, and what they are counted from. */
static uint32_t check_dir(const struct tree *t, const struct tree_inode *dir, unsigned depth)
{
    uint32_t nodes = 0, entries = 0;

    if (depth > TREE_DEPTH_MAX || dir->depth != depth)
        fuzz_die("a directory's depth");
    for (const struct tree_node *n = dir->first; n; n = n->next) {
        entries++;
        if (n->dir != dir || !n->inode->links || !n->name_len ||
            memchr(n->name, '/', n->name_len) || strcmp(n->name, "..") == 0 ||
            strcmp(n->name, ".") == 0)
            fuzz_die("a name");
        nodes += 1 + (S_ISDIR(n->inode->mode) ? check_dir(t, n->inode, depth + 1) : 0);
    }
    if (entries != dir->entries)
        fuzz_die("a directory's count");
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    enum layer_whiteouts how = fuzz_byte(&in) % 2 ? LAYER_APPLY : LAYER_KEEP;
    int out = memfd_create("image", MFD_CLOEXEC), r = 0;
    struct tree t;
    struct err err;
    uint64_t size = 0;

    if (out < 0 || tree_init(&t, out, TREE_BLOCKS) < 0)
        fuzz_die("no memory");
    for (int i = 0; i < 2 && r == 0; i++) {
        struct layer layer = {.name = "layer"};

        layer.fd = make_layer(&in, &layer.kind);
        r = layer_lay(&t, &layer, how, NULL, NULL, &err);
        (void)close(layer.fd);
        if (r < 0 && (!err.text[0] || err.code != r))
            fuzz_die("refused without a word");
        if (check_dir(&t, t.root, 0) != t.nodes)
            fuzz_die("the tree's count");
    }
    if (r == 0) {
        r = erofs_write(&t, &size, &err);
        if (r == 0 && (size % TREE_BLOCK || size / TREE_BLOCK > TREE_BLOCKS))
            fuzz_die("the image's size");
    }
    tree_done(&t);
    if (t.memory)
        fuzz_die("memory that is nobody's");
    return close(out);
}
