/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initial RAM disks: what Linux's init/initramfs.c accepts, one or more archives one after the
 * other. Spec: Linux Documentation/driver-api/early-userspace/buffer-format.rst. Plain cpio
 * ("070701", "070702") and gzip are walked to their end, so that a corrupt or truncated file is
 * told before the guest panics; other compressions are known by their first bytes only.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "vm/loader.h"
#include <errno.h>
#include <string.h>

enum { CPIO_HEADER = 110, CPIO_FILE_SIZE = 54, CPIO_NAME_SIZE = 94, CPIO_FIELD = 8 };

static const struct {
    const char *name;
    uint8_t len, magic[6];
} initrd_packed[] = {
    {"xz", 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    {"zstd", 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {"lz4", 4, {0x02, 0x21, 0x4c, 0x18}},
    {"bzip2", 3, {'B', 'Z', 'h'}},
    {"lzma", 3, {0x5d, 0, 0}},
    {"lzo", 4, {0x89, 'L', 'Z', 'O'}},
};

static bool initrd_is_packed(const uint8_t *p, uint64_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(initrd_packed); i++)
        if (len >= initrd_packed[i].len && !memcmp(p, initrd_packed[i].magic, initrd_packed[i].len))
            return true;
    return false;
}

static bool cpio_is(const uint8_t *p, uint64_t len)
{
    return len >= 6 && (!memcmp(p, "070701", 6) || !memcmp(p, "070702", 6));
}

/* Eight hexadecimal digits; false for anything else. */
static bool cpio_field(const uint8_t *p, uint64_t *ret_val)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < CPIO_FIELD; i++) {
        uint8_t c = p[i] | 0x20;
        unsigned digit;

        if (p[i] >= '0' && p[i] <= '9')
            digit = p[i] - (unsigned)'0';
        else if (c >= 'a' && c <= 'f')
            digit = c - (unsigned)'a' + 10;
        else
            return false;
        val = val << 4 | digit;
    }
    *ret_val = val;
    return true;
}

/* Walks one archive from its first header to its trailer: bytes used, 0 when it is broken. */
static uint64_t cpio_walk(const uint8_t *p, uint64_t len)
{
    uint64_t at = 0, name_len, file_len;

    while (range_within(at, CPIO_HEADER, len) && cpio_is(p + at, len - at)) {
        const uint8_t *h = p + at;

        if (!cpio_field(h + CPIO_FILE_SIZE, &file_len) ||
            !cpio_field(h + CPIO_NAME_SIZE, &name_len) || !name_len ||
            !range_within(at + CPIO_HEADER, name_len, len) || h[CPIO_HEADER + name_len - 1])
            return 0;
        at = align_up(at + CPIO_HEADER + name_len, 4);
        if (!strcmp((const char *)h + CPIO_HEADER, "TRAILER!!!"))
            return at < len ? at : len;
        if (!range_within(at, file_len, len))
            return 0;
        at = align_up(at + file_len, 4);
    }
    return 0;
}

static int initrd_bad(const struct loader_image *image, uint64_t at, const char *why,
                      struct err *err)
{
    return err_set(err, -ENOEXEC, "initrd '%s': %s (at byte %llu); make or fetch the file again",
                   image->path, why, (unsigned long long)at);
}

/* Bytes of the archive at `at`; all that is left for a compression that is not walked. */
static int initrd_next(const struct loader_image *image, uint64_t at, uint64_t *ret_used,
                       struct err *err)
{
    const uint8_t *p = image->bytes.data + at;
    uint64_t len = image->bytes.len - at;

    if (cpio_is(p, len)) {
        *ret_used = cpio_walk(p, len);
        return *ret_used ? 0 : initrd_bad(image, at, "corrupt or truncated cpio archive", err);
    }
    if (loader_is_gzip(p, len)) {
        if (loader_gunzip(p, len, LOADER_INITRD_MAX, NULL, ret_used))
            return initrd_bad(image, at, "corrupt or truncated gzip data", err);
        return 0;
    }
    if (!initrd_is_packed(p, len))
        return initrd_bad(image, at, "neither a cpio archive nor a compressed one", err);
    *ret_used = len;
    return 0;
}

int loader_check_initrd(const struct loader_image *image, struct err *err)
{
    uint64_t at = 0, used = 0;
    int r;

    while (at < image->bytes.len) {
        if (at && !image->bytes.data[at]) { /* zeros may pad between archives */
            at++;
            continue;
        }
        r = initrd_next(image, at, &used, err);
        if (r)
            return r;
        at += used;
    }
    return 0;
}
