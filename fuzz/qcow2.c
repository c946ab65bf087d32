/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile qcow2 images: a good one with a snapshot is changed in places of the fuzzer's choice and
 * opened; whatever opens must live through requests, a check, a snapshot and closing.
 * As a program of its own: fuzz_qcow2_random [SEED [INPUTS]].
 */
#include "block/qcow2.h"

#include "base/endian.h"
#include "input.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DISK = 1 << 20, IMAGE_MAX = 1 << 18, CHANGES = 6, REQUESTS = 12 };

/* The good image, made once. */
static size_t seed_image(const uint8_t **ret)
{
    static uint8_t image[IMAGE_MAX];
    static size_t len;
    struct qcow2_options options = {.size = DISK, .cluster_bits = 9};
    char path[] = "/tmp/posada-fuzz-XXXXXX";
    struct blk_source source = {.format = "qcow2", .path = path};
    uint8_t buf[8192] = {1};
    struct blk_store *store;
    struct err err;
    FILE *f;

    *ret = image;
    if (len)
        return len;
    close(mkstemp(path));
    (void)unlink(path);
    if (qcow2_create(path, &options, &err) || blk_store_open(&source, &store, &err) ||
        blk_store_write(store, 0, buf, sizeof(buf)) || qcow2_snapshot_create(store, "s", &err) ||
        blk_store_write(store, 4096, buf, sizeof(buf)) || blk_store_close(store))
        fuzz_die("no image to start from");
    f = fopen(path, "re");
    len = f ? fread(image, 1, sizeof(image), f) : 0;
    (void)unlink(path);
    if (!len || fclose(f))
        fuzz_die("no image to start from");
    return len;
}

static void use(struct blk_store *store, struct fuzz_input *in)
{
    static uint8_t buf[16384];
    struct iovec iov = {buf, 0};
    struct qcow2_report report;
    struct err err;

    for (unsigned i = 0; i < REQUESTS && store->info.size; i++) {
        uint64_t offset = fuzz_take(in, 3) * 512 % store->info.size;
        struct blk_req req = {.op = (enum blk_op)(fuzz_byte(in) % 5), .iov = &iov, .iov_count = 1};

        req.offset = offset;
        req.length = (fuzz_byte(in) % 32 + 1) * 512;
        if (req.length > store->info.size - offset)
            req.length = 512;
        iov.iov_len = req.length;
        (void)!blk_store_io(store, &req);
    }
    (void)!qcow2_check(store, fuzz_byte(in) & 1, &report, &err);
    if (fuzz_byte(in) & 1)
        (void)!qcow2_snapshot_create(store, "t", &err);
    if (fuzz_byte(in) & 1)
        (void)!qcow2_snapshot_apply(store, "s", &err);
    if (fuzz_byte(in) & 1)
        (void)!qcow2_snapshot_delete(store, "s", &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    const uint8_t *image;
    size_t size = seed_image(&image);
    int fd = memfd_create("image", MFD_CLOEXEC);
    char path[32];
    struct blk_source source = {.format = "qcow2", .path = path};
    struct blk_store *store;
    struct err err;

    if (fd < 0 || write(fd, image, size) != (ssize_t)size)
        fuzz_die("no memory file");
    for (unsigned n = fuzz_byte(&in) % CHANGES; n; n--) {
        uint64_t how = fuzz_byte(&in), at = fuzz_take(&in, 3), value = fuzz_take(&in, 8);
        uint8_t bytes[8];

        st_be64(bytes, how & 2 ? value : value & 0xffff);
        at = how & 4 ? at % 128 : how & 8 ? at % size / 8 * 8 : at % size;
        (void)!pwrite(fd, bytes, 1u << how % 4, (off_t)at);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    source.read_only = fuzz_byte(&in) % 4 == 0;
    if (!blk_store_open(&source, &store, &err)) {
        use(store, &in);
        (void)blk_store_close(store);
    } else if (!err.text[0]) {
        fuzz_die("refused without a word");
    }
    close(fd);
    return 0;
}
