/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux kernels for x86 ("bzImage"). Spec: Linux Documentation/arch/x86/boot.rst, protocol 2.12:
 * a setup header at 0x1f1, setup_sects sectors of real-mode code, then the protected-mode kernel,
 * entered 0x200 behind its start in 64-bit mode. The header is kept for the board, which hands it
 * on in the "zero page". Not modelled: protocols before 2.12, 32-bit kernels.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "vm/loader.h"
#include <errno.h>
#include <string.h>

enum { SETUP_SECTORS = 0x1f1, SYSTEM_SIZE = 0x1f4, JUMP_LENGTH = 0x201, VERSION = 0x206 };
enum { LOAD_FLAGS = 0x211, ALIGNMENT = 0x230, XLOAD_FLAGS = 0x236, PREFERRED = 0x258 };
enum { INIT_SIZE = 0x260, HEADER_END = 0x268, SECTOR = 512, SYSTEM_UNIT = 16 };
enum { VERSION_2_12 = 0x20c, LOADED_HIGH = 1, KERNEL_64 = 1, ENTRY_64 = 0x200 };
enum { ALIGNMENT_MAX = 1 << 30 };

static int bzimage_bad(const struct loader_image *image, const char *why, struct err *err)
{
    return err_set(err, -ENOEXEC, "kernel '%s': %s", image->path, why);
}

static int bzimage_check(const struct loader_image *image, struct err *err)
{
    const uint8_t *h = image->bytes.data;

    if (image->bytes.len < HEADER_END)
        return bzimage_bad(image, "truncated; fetch the file again", err);
    if (ld_le16(h + VERSION) < VERSION_2_12 || !(h[LOAD_FLAGS] & LOADED_HIGH))
        return bzimage_bad(image, "its boot protocol is older than 2.12 (Linux 3.8)", err);
    if (!(ld_le16(h + XLOAD_FLAGS) & KERNEL_64))
        return bzimage_bad(image, "a 32-bit kernel; use a 64-bit one", err);
    if (!is_pow2(ld_le32(h + ALIGNMENT)) || ld_le32(h + ALIGNMENT) > ALIGNMENT_MAX ||
        ld_le32(h + ALIGNMENT) < 4096 || ld_le64(h + PREFERRED) > LOADER_KERNEL_MAX ||
        ld_le32(h + INIT_SIZE) > LOADER_KERNEL_MAX)
        return bzimage_bad(image, "corrupt: its header makes no sense", err);
    return 0;
}

/* The header ends where the jump at 0x200 leads. */
static void bzimage_keep_header(struct loader_image *image)
{
    const uint8_t *h = image->bytes.data;
    uint32_t end = 0x202u + h[JUMP_LENGTH];

    end = end < HEADER_END ? HEADER_END : end;
    end = end > image->bytes.len ? (uint32_t)image->bytes.len : end;
    image->setup_len = end - SETUP_SECTORS;
    if (image->setup_len > LOADER_SETUP_MAX)
        image->setup_len = LOADER_SETUP_MAX;
    memcpy(image->setup, h + SETUP_SECTORS, image->setup_len);
}

int loader_parse_bzimage(struct loader_image *image, struct err *err)
{
    const uint8_t *h = image->bytes.data;
    uint64_t offset, len, init_size;
    int r = bzimage_check(image, err);

    if (r)
        return r;
    offset = (uint64_t)((h[SETUP_SECTORS] ? h[SETUP_SECTORS] : 4) + 1) * SECTOR;
    len = (uint64_t)ld_le32(h + SYSTEM_SIZE) * SYSTEM_UNIT;
    if (!len || offset >= image->bytes.len)
        return bzimage_bad(image, "truncated; fetch the file again", err);
    /* The size counts whole units, so the last may be short. */
    if (len > image->bytes.len - offset && len - (image->bytes.len - offset) >= SYSTEM_UNIT)
        return bzimage_bad(image, "truncated; fetch the file again", err);
    len = len < image->bytes.len - offset ? len : image->bytes.len - offset;
    init_size = ld_le32(h + INIT_SIZE);
    bzimage_keep_header(image);
    image->kind = LOADER_LINUX;
    image->entry = ENTRY_64;
    image->text_offset = ld_le64(h + PREFERRED);
    image->alignment = ld_le32(h + ALIGNMENT);
    image->memory_size = init_size > len ? init_size : len;
    image->segment[0] =
        (struct loader_segment){.offset = offset, .len = len, .memory_len = image->memory_size};
    image->segment_count = 1;
    return 0;
}
