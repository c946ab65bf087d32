/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux kernel images for direct boot. Spec: Linux Documentation/arch/riscv/boot-image-header.rst,
 * arch/arm64/booting.rst and drivers/firmware/efi/libstub/zboot-header.S. Both Images share one
 * layout: text offset at 8, image size at 16, magic at 56; both are entered at their first byte.
 * An Image may be wrapped in gzip, or in an EFI "zboot" program, or in both. x86 bzImages are
 * loader_bzimage.c's. Not modelled: zboot with a compression other than gzip.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "vm/loader.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

enum { HEADER_SIZE = 64, TEXT_OFFSET = 8, IMAGE_SIZE = 16, IMAGE_FLAGS = 24, MAGIC = 56 };
enum { ZBOOT_MAGIC = 4, ZBOOT_OFFSET = 8, ZBOOT_SIZE = 12, ZBOOT_COMPRESSION = 24 };
enum { BZIMAGE_MAGIC = 0x202, LINUX_FLAG_BIG_ENDIAN = 1 };
/* PE/COFF: offsets from the signature, then from a section's header. */
enum { PE_OFFSET = 0x3c, PE_HEADERS = 24, PE_SECTION_COUNT = 6, PE_OPTIONAL_SIZE = 20 };
enum { PE_SECTION_SIZE = 40, PE_RAW_SIZE = 16, PE_RAW_OFFSET = 20 };
enum { GUNZIP_FIRST = 1 << 20, KERNEL_HEAD = 4096 };

bool loader_is_gzip(const uint8_t *data, uint64_t len)
{
    return len >= 3 && data[0] == 0x1f && data[1] == 0x8b && data[2] == 8;
}

/* Doubles the output buffer, never beyond max. */
static int gunzip_grow(struct loader_bytes *out, uint64_t *room, uint64_t max)
{
    uint64_t want = *room ? *room * 2 : GUNZIP_FIRST;
    uint8_t *data;

    if (*room >= max)
        return -EFBIG;
    if (want > max)
        want = max;
    data = realloc(out->data, want);
    if (!data)
        return -ENOMEM;
    out->data = data;
    *room = want;
    return 0;
}

/* One call of inflate() with as much room as there is; 1 at the stream's end. */
static int gunzip_step(z_stream *z, const uint8_t *in, uint64_t len, uint64_t *used)
{
    uint64_t left = len - *used;
    int r;

    z->next_in = in + *used;
    z->avail_in = left > UINT32_MAX ? UINT32_MAX : (uInt)left;
    r = inflate(z, Z_NO_FLUSH);
    *used = (uint64_t)(z->next_in - in);
    if (r == Z_STREAM_END)
        return 1;
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    /* Without progress although there was room: the input has ended early. */
    return r == Z_OK ? 0 : -ENOEXEC;
}

static int gunzip_keep(z_stream *z, const uint8_t *in, uint64_t len, uint64_t max,
                       struct loader_bytes *out, uint64_t *used)
{
    uint64_t room = 0;
    int r;

    do {
        r = out->len == room ? gunzip_grow(out, &room, max) : 0;
        if (r)
            return r;
        z->next_out = out->data + out->len;
        z->avail_out = (uInt)(room - out->len);
        r = gunzip_step(z, in, len, used);
        out->len = (uint64_t)(z->next_out - out->data);
    } while (!r);
    return r < 0 ? r : 0;
}

static int gunzip_check(z_stream *z, const uint8_t *in, uint64_t len, uint64_t max, uint64_t *used)
{
    uint8_t scratch[16384];
    uint64_t total = 0;
    int r;

    do {
        z->next_out = scratch;
        z->avail_out = sizeof(scratch);
        r = gunzip_step(z, in, len, used);
        total += sizeof(scratch) - z->avail_out;
        if (total > max)
            return -EFBIG;
    } while (!r);
    return r < 0 ? r : 0;
}

int loader_gunzip(const uint8_t *in, uint64_t len, uint64_t max, struct loader_bytes *ret_out,
                  uint64_t *ret_used)
{
    struct loader_bytes out = {0};
    uint64_t used = 0;
    z_stream z = {0};
    int r;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return -ENOMEM;
    r = ret_out ? gunzip_keep(&z, in, len, max, &out, &used)
                : gunzip_check(&z, in, len, max, &used);
    inflateEnd(&z);
    if (r) {
        free(out.data);
        return r;
    }
    if (ret_out)
        *ret_out = out;
    *ret_used = used;
    return 0;
}

/* Replaces the image's bytes by what [offset, offset + len) of them inflates to. */
static int linux_unwrap(struct loader_image *image, uint64_t offset, uint64_t len, struct err *err)
{
    struct loader_bytes out;
    uint64_t used;
    int r = loader_gunzip(image->bytes.data + offset, len, LOADER_KERNEL_MAX, &out, &used);

    if (r == -EFBIG)
        return err_set(err, r, "kernel '%s': it unpacks to more than %llu MiB", image->path,
                       (unsigned long long)(LOADER_KERNEL_MAX >> 20));
    if (r == -ENOMEM)
        return err_set(err, r, "kernel '%s': no memory to unpack it", image->path);
    if (r)
        return err_set(err, r,
                       "kernel '%s': its gzip data is corrupt or truncated; fetch the file again",
                       image->path);
    free(image->bytes.data);
    image->bytes = out;
    return 0;
}

static bool linux_is_zboot(const struct loader_bytes *b)
{
    return b->len >= HEADER_SIZE && !memcmp(b->data, "MZ", 2) &&
           !memcmp(b->data + ZBOOT_MAGIC, "zimg", 4);
}

static int linux_unwrap_zboot(struct loader_image *image, struct err *err)
{
    const uint8_t *h = image->bytes.data;
    uint64_t offset = ld_le32(h + ZBOOT_OFFSET), len = ld_le32(h + ZBOOT_SIZE);

    if (strncmp((const char *)h + ZBOOT_COMPRESSION, "gzip", 5))
        return err_set(err, -ENOEXEC,
                       "kernel '%s': an EFI zboot program packed with %.8s, which cannot be "
                       "unpacked here; give the plain Image",
                       image->path, (const char *)h + ZBOOT_COMPRESSION);
    if (!range_within(offset, len, image->bytes.len))
        return err_set(err, -ENOEXEC, "kernel '%s': truncated: its packed part is missing",
                       image->path);
    return linux_unwrap(image, offset, len, err);
}

/* Which architecture's Image this is; -1: none. */
static int linux_arch(const struct loader_bytes *b)
{
    if (b->len > BZIMAGE_MAGIC + 4 && !memcmp(b->data + BZIMAGE_MAGIC, "HdrS", 4))
        return ARCH_X86_64;
    if (b->len < HEADER_SIZE)
        return -1;
    if (!memcmp(b->data + MAGIC, "RSC\x05", 4))
        return ARCH_RISCV64;
    if (!memcmp(b->data + MAGIC, "ARM\x64", 4))
        return ARCH_ARM64;
    return -1;
}

/* Inflates the beginning of a gzip stream, as far as the bytes at hand go. */
static void linux_inflate_head(struct loader_bytes *b)
{
    uint8_t out[KERNEL_HEAD];
    z_stream z = {
        .next_in = b->data, .avail_in = (uInt)b->len, .next_out = out, .avail_out = sizeof(out)};

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return;
    (void)!inflate(&z, Z_SYNC_FLUSH);
    inflateEnd(&z);
    b->len = sizeof(out) - z.avail_out;
    memcpy(b->data, out, b->len);
}

int loader_kernel_arch(const char *path)
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    uint8_t head[KERNEL_HEAD];
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
    struct loader_bytes b = {.data = head, .len = n < 0 ? 0 : (uint64_t)n};

    if (linux_is_zboot(&b)) {
        n = pread(fd, head, sizeof(head), ld_le32(head + ZBOOT_OFFSET));
        b.len = n < 0 ? 0 : (uint64_t)n;
    }
    if (loader_is_gzip(head, b.len))
        linux_inflate_head(&b);
    return loader_is_elf(&b) ? loader_elf_arch(&b) : linux_arch(&b);
}

static int linux_check_arch(const struct loader_image *image, enum vm_arch arch, struct err *err)
{
    int found = linux_arch(&image->bytes);

    if (found < 0)
        return err_set(err, -ENOEXEC,
                       "kernel '%s': not a kernel: neither a Linux Image nor an ELF file, plain or "
                       "packed with gzip",
                       image->path);
    if (found != (int)arch)
        return err_set(err, -ENOEXEC, "kernel '%s': it is for %s, but this guest is %s",
                       image->path, vm_arch_name((enum vm_arch)found), vm_arch_name(arch));
    return 0;
}

/*
 * The Image's own size counts .bss, so it cannot tell a truncated file; the section table of the PE
 * header that an EFI-stub kernel also carries can. True when nothing is missing as far as known.
 */
static bool linux_is_whole(const struct loader_bytes *b)
{
    uint64_t pe = ld_le32(b->data + PE_OFFSET), table;
    unsigned sections;

    if (!range_within(pe, PE_HEADERS, b->len) || memcmp(b->data + pe, "PE\0", 4))
        return true;
    sections = ld_le16(b->data + pe + PE_SECTION_COUNT);
    table = pe + PE_HEADERS + ld_le16(b->data + pe + PE_OPTIONAL_SIZE);
    if (!range_within(table, (uint64_t)sections * PE_SECTION_SIZE, b->len))
        return false;
    for (unsigned i = 0; i < sections; i++) {
        const uint8_t *s = b->data + table + (uint64_t)i * PE_SECTION_SIZE;

        if (!range_within(ld_le32(s + PE_RAW_OFFSET), ld_le32(s + PE_RAW_SIZE), b->len))
            return false;
    }
    return true;
}

static int linux_check_header(const struct loader_image *image, struct err *err)
{
    const uint8_t *h = image->bytes.data;
    uint64_t size = ld_le64(h + IMAGE_SIZE);

    if (ld_le64(h + IMAGE_FLAGS) & LINUX_FLAG_BIG_ENDIAN)
        return err_set(err, -ENOEXEC, "kernel '%s': big-endian kernels are not supported",
                       image->path);
    if (size > LOADER_KERNEL_MAX || ld_le64(h + TEXT_OFFSET) > LOADER_KERNEL_MAX)
        return err_set(err, -ENOEXEC, "kernel '%s': corrupt: its header asks for %llu MiB",
                       image->path, (unsigned long long)(size >> 20));
    if (!linux_is_whole(&image->bytes))
        return err_set(err, -ENOEXEC, "kernel '%s': truncated; fetch the file again", image->path);
    return 0;
}

int loader_parse_linux(struct loader_image *image, enum vm_arch arch, struct err *err)
{
    uint64_t size;
    const uint8_t *h;
    int r = 0;

    if (linux_is_zboot(&image->bytes))
        r = linux_unwrap_zboot(image, err);
    if (!r && loader_is_gzip(image->bytes.data, image->bytes.len))
        r = linux_unwrap(image, 0, image->bytes.len, err);
    if (!r && loader_is_elf(&image->bytes))
        return loader_parse_elf(image, arch, err);
    if (!r)
        r = linux_check_arch(image, arch, err);
    if (!r && arch == ARCH_X86_64)
        return loader_parse_bzimage(image, err);
    if (!r)
        r = linux_check_header(image, err);
    if (r)
        return r;
    h = image->bytes.data;
    size = ld_le64(h + IMAGE_SIZE);
    image->kind = LOADER_LINUX;
    image->text_offset = ld_le64(h + TEXT_OFFSET);
    image->memory_size = size > image->bytes.len ? size : image->bytes.len;
    image->segment[0] =
        (struct loader_segment){.len = image->bytes.len, .memory_len = image->memory_size};
    image->segment_count = 1;
    return 0;
}
