/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on one disk image, one a line on standard input, one answer a line:
 *     diskops FORMAT PATH [BACKING_DIR]
 *     w OFFSET LEN SEED    write a pattern: each sector repeats (SEED, its number)
 *     W OFFSET LEN SEED    the same with FUA
 *     z OFFSET LEN, Z ...  write zeroes; Z may unmap       d OFFSET LEN  discard
 *     x OFFSET LEN         answer: crc32 of what is there   f             flush
 *     s, a, k NAME         create, apply, delete a snapshot r SIZE        resize
 *     c                    check: answer "LEAKS CORRUPTIONS"
 *     m                    map: answer "z:LEN d:LEN ...", what reads as zeroes without a look at
 * data Answers "ok", "ok VALUE" or "error CODE TEXT". The image is closed at the end of the input.
 */
#include "block/qcow2.h"

#include "base/endian.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SECTOR = 512, DATA_MAX = 8 << 20 };

static uint8_t data[DATA_MAX];

static void pattern(uint64_t offset, uint64_t len, uint32_t seed)
{
    for (uint64_t at = 0; at < len; at += 8) {
        st_le32(data + at, seed);
        st_le32(data + at + 4, (uint32_t)((offset + at) / SECTOR));
    }
}

static int request(struct blk_store *store, char op, uint64_t offset, uint64_t len, uint32_t seed)
{
    struct iovec iov = {data, len};
    struct blk_req req = {.offset = offset, .length = len, .iov = &iov, .iov_count = 1};

    switch (op) {
    case 'w': req.op = BLK_WRITE; break;
    case 'W':
        req.op = BLK_WRITE;
        req.flags = BLK_FUA;
        break;
    case 'z': req.op = BLK_WRITE_ZEROES; break;
    case 'Z':
        req.op = BLK_WRITE_ZEROES;
        req.flags = BLK_MAY_UNMAP;
        break;
    case 'd': req.op = BLK_DISCARD; break;
    case 'f': req.op = BLK_FLUSH; break;
    default: req.op = BLK_READ; break;
    }
    if (req.op == BLK_WRITE)
        pattern(offset, len, seed);
    return blk_store_io(store, &req);
}

/* Extents of one kind in a row are one. */
static int map(struct blk_store *store)
{
    uint64_t at = 0, run = 0;
    enum blk_extent_kind kind, last = BLK_EXTENT_DATA;
    int64_t n = 1;

    printf("ok");
    for (; at < store->info.size && n > 0; at += (uint64_t)n) {
        n = store->ops->extent(store, at, store->info.size - at, &kind);
        if (n <= 0)
            break;
        if (at && kind != last) {
            printf(" %c:%" PRIu64, last == BLK_EXTENT_ZERO ? 'z' : 'd', run);
            run = 0;
        }
        run += (uint64_t)n;
        last = kind;
    }
    printf(" %c:%" PRIu64 "%s\n", last == BLK_EXTENT_ZERO ? 'z' : 'd', run, n > 0 ? "" : " error");
    return 1;
}

static int whole(struct blk_store *store, char op, const char *word, struct err *err)
{
    struct qcow2_report report;
    int r;

    switch (op) {
    case 's': return qcow2_snapshot_create(store, word, err);
    case 'a': return qcow2_snapshot_apply(store, word, err);
    case 'k': return qcow2_snapshot_delete(store, word, err);
    case 'm': return map(store);
    case 'r': return blk_store_resize(store, strtoull(word, NULL, 0), err);
    default:
        r = qcow2_check(store, false, &report, err);
        if (!r)
            printf("ok %" PRIu64 " %" PRIu64 "\n", report.leaks, report.corruptions);
        return r ? r : 1;
    }
}

static void run(struct blk_store *store, char op, char *words)
{
    char *offset = strtok(words, " "), *len = strtok(NULL, " "), *seed = strtok(NULL, " ");
    uint64_t n = len ? strtoull(len, NULL, 0) : 0;
    struct err err = {0};
    int r;

    if (strchr("sakrcm", op)) {
        r = whole(store, op, offset ? offset : "", &err);
        if (r == 1)
            return;
    } else {
        r = n > DATA_MAX && strchr("wWx", op)
                ? -22
                : request(store, op, offset ? strtoull(offset, NULL, 0) : 0, n,
                          seed ? (uint32_t)strtoul(seed, NULL, 0) : 0);
    }
    if (r)
        printf("error %d %s\n", r, err.text);
    else if (op == 'x')
        printf("ok %lu\n", crc32(0, data, (uInt)n));
    else
        printf("ok\n");
}

int main(int argc, char **argv)
{
    struct blk_source source = {.format = argv[1], .path = argc > 2 ? argv[2] : ""};
    struct blk_store *store;
    struct err err = {0};
    char line[512];

    source.backing_dir = argc > 3 ? argv[3] : NULL;
    if (argc < 3 || blk_store_open(&source, &store, &err)) {
        fprintf(stderr, "diskops: %s\n", err.text);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = 0;
        run(store, line[0], line + 1);
        (void)fflush(stdout);
    }
    return blk_store_close(store) ? 1 : 0;
}
