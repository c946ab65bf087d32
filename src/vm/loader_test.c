/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels, programs and initrds from files, most of them broken on purpose. */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "mem/mem.h"
#include "vm/loader.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

static char test_path[] = "/tmp/posada-loader-XXXXXX";

static const char *write_file(const void *data, size_t len)
{
    FILE *f = fopen(test_path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return test_path;
}

static int setup(void **state)
{
    int fd = mkstemp(test_path);

    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    return unlink(test_path);
}

/* A refused file: the errno, and a sentence that names the file and has this word. */
static void refuse(int r, int want, const struct err *err, const char *word)
{
    assert_int_equal(r, want);
    assert_int_equal(err->code, want);
    if (!strstr(err->text, word) || !strchr(err->text, '\''))
        fail_msg("'%s' lacks '%s'", err->text, word);
}

static void refuse_kernel(const void *data, size_t len, int want, const char *word)
{
    struct loader_image image;
    struct err err = {0};

    refuse(loader_open_kernel(&image, write_file(data, len), ARCH_RISCV64, &err), want, &err, word);
    assert_null(image.bytes.data);
}

/* --- Linux --- */
enum { IMAGE_LEN = 4096 };

static void make_linux(uint8_t *image, const char *magic)
{
    memset(image, 0, IMAGE_LEN);
    memcpy(image, "MZ", 2);
    st_le64(image + 8, 0x200000);
    st_le64(image + 16, 3 * IMAGE_LEN);
    memcpy(image + 56, magic, 4);
    image[IMAGE_LEN - 1] = 0x5a;
}

static size_t pack(const uint8_t *in, size_t len, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)room};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void check_linux(const void *data, size_t len)
{
    struct loader_image image;
    struct err err = {0};

    assert_int_equal(loader_open_kernel(&image, write_file(data, len), ARCH_RISCV64, &err), 0);
    assert_int_equal(image.kind, LOADER_LINUX);
    assert_int_equal(image.text_offset, 0x200000);
    assert_int_equal(image.memory_size, 3 * IMAGE_LEN);
    assert_int_equal(image.bytes.len, IMAGE_LEN);
    assert_int_equal(image.bytes.data[IMAGE_LEN - 1], 0x5a);
    loader_close(&image);
}

static void linux_plain_and_packed(void **state)
{
    uint8_t image[IMAGE_LEN], gz[IMAGE_LEN], zboot[2 * IMAGE_LEN] = {0};
    size_t len;

    make_linux(image, "RSC\x05");
    check_linux(image, sizeof(image));
    len = pack(image, sizeof(image), gz, sizeof(gz));
    check_linux(gz, len);
    memcpy(zboot, "MZ\0\0zimg", 8);
    st_le32(zboot + 8, 512);
    st_le32(zboot + 12, (uint32_t)len);
    strcpy((char *)zboot + 24, "gzip");
    memcpy(zboot + 512, gz, len);
    check_linux(zboot, 512 + len);
    refuse_kernel(zboot, 512 + len - 1, -ENOEXEC, "truncated");
    strcpy((char *)zboot + 24, "zstd22");
    refuse_kernel(zboot, 512 + len, -ENOEXEC, "zstd22");
}

static void linux_of_another_architecture(void **state)
{
    uint8_t image[IMAGE_LEN];

    make_linux(image, "ARM\x64");
    refuse_kernel(image, sizeof(image), -ENOEXEC, "it is for aarch64, but this guest is riscv64");
    memcpy(image + 0x202, "HdrS", 4);
    refuse_kernel(image, sizeof(image), -ENOEXEC, "it is for x86_64");
}

static int arch_of(const void *data, size_t len)
{
    return loader_kernel_arch(write_file(data, len));
}

static void architecture_by_the_first_bytes(void **state)
{
    uint8_t image[IMAGE_LEN], gz[IMAGE_LEN], zboot[2 * IMAGE_LEN] = {0}, elf[64] = "\177ELF";
    size_t len;

    make_linux(image, "ARM\x64");
    assert_int_equal(arch_of(image, sizeof(image)), ARCH_ARM64);
    make_linux(image, "RSC\x05");
    assert_int_equal(arch_of(image, sizeof(image)), ARCH_RISCV64);
    len = pack(image, sizeof(image), gz, sizeof(gz));
    assert_int_equal(arch_of(gz, len), ARCH_RISCV64);
    assert_int_equal(arch_of(gz, 12), -1);
    memcpy(zboot, "MZ\0\0zimg", 8);
    st_le32(zboot + 8, 512);
    memcpy(zboot + 512, gz, len);
    assert_int_equal(arch_of(zboot, 512 + len), ARCH_RISCV64);
    assert_int_equal(arch_of(zboot, 512), -1);
    st_le16(elf + 18, 3); /* EM_386 */
    assert_int_equal(arch_of(elf, sizeof(elf)), ARCH_X86_64);
    assert_int_equal(arch_of(elf, sizeof(elf) - 1), -1);
    st_le16(elf + 18, 183); /* EM_AARCH64 */
    assert_int_equal(arch_of(elf, sizeof(elf)), ARCH_ARM64);
    assert_int_equal(loader_kernel_arch("/nonexistent/vmlinux"), -1);
    assert_int_equal(loader_kernel_arch("/tmp"), -1);
}

static void linux_broken(void **state)
{
    uint8_t image[IMAGE_LEN], gz[IMAGE_LEN];
    size_t len;

    make_linux(image, "RSC\x05");
    len = pack(image, sizeof(image), gz, sizeof(gz));
    for (size_t cut = 1; cut < len; cut++)
        refuse_kernel(gz, len - cut, -ENOEXEC, "kernel '");
    gz[len - 6] ^= 1; /* the checksum */
    refuse_kernel(gz, len, -ENOEXEC, "corrupt");
    refuse_kernel(image, 60, -ENOEXEC, "not a kernel");
    refuse_kernel("#!/bin/sh\n", 10, -ENOEXEC, "not a kernel");
    refuse_kernel("", 0, -ENOEXEC, "empty");
    st_le64(image + 16, UINT64_MAX);
    refuse_kernel(image, sizeof(image), -ENOEXEC, "corrupt");
    make_linux(image, "RSC\x05");
    image[24] = 1;
    refuse_kernel(image, sizeof(image), -ENOEXEC, "big-endian");
}

/* The PE section table of an EFI-stub kernel says where its bytes end. */
static void linux_truncated_pe(void **state)
{
    uint8_t image[IMAGE_LEN];

    make_linux(image, "RSC\x05");
    st_le32(image + 0x3c, 64);
    memcpy(image + 64, "PE\0\0", 4);
    st_le16(image + 64 + 6, 1);
    st_le32(image + 64 + 24 + 16, IMAGE_LEN - 256);
    st_le32(image + 64 + 24 + 20, 256);
    check_linux(image, sizeof(image));
    refuse_kernel(image, sizeof(image) - 1, -ENOEXEC, "truncated");
    st_le16(image + 64 + 6, UINT16_MAX);
    refuse_kernel(image, sizeof(image), -ENOEXEC, "truncated");
}

static void files_that_are_none(void **state)
{
    struct loader_image image;
    struct err err = {0};

    refuse(loader_open_kernel(&image, "/nonexistent/vmlinux", ARCH_RISCV64, &err), -ENOENT, &err,
           "no such file");
    refuse(loader_open_kernel(&image, "/tmp", ARCH_RISCV64, &err), -ENOEXEC, &err,
           "not a regular file");
    refuse(loader_open_initrd(&image, "/nonexistent/initrd", &err), -ENOENT, &err, "initrd '");
}

/* --- ELF --- */
enum { ELF_TEXT = 0x200, ELF_SYM = 0x300, ELF_STR = 0x400, ELF_SH = 0x500, ELF_LEN = 0x600 };
#define ELF_BASE UINT64_C(0x80000000)

/* A bare program of one segment with the symbol tohost at ELF_BASE + 0x40. */
static void make_elf(uint8_t *elf)
{
    static const char strings[] = "\0start\0tohost";
    Elf64_Ehdr h = {.e_type = ET_EXEC,
                    .e_machine = EM_RISCV,
                    .e_version = 1,
                    .e_entry = 0x1004,
                    .e_phoff = 64,
                    .e_shoff = ELF_SH,
                    .e_ehsize = 64,
                    .e_phentsize = 56,
                    .e_phnum = 1,
                    .e_shentsize = 64,
                    .e_shnum = 3};
    Elf64_Phdr p = {.p_type = PT_LOAD,
                    .p_offset = ELF_TEXT,
                    .p_vaddr = 0x1000,
                    .p_paddr = ELF_BASE,
                    .p_filesz = 0x100,
                    .p_memsz = 0x180};
    Elf64_Sym sym[] = {{0}, {.st_name = 1, .st_value = 0x1004}, {.st_name = 7, .st_value = 0x1040}};
    Elf64_Shdr sh[] = {
        {0},
        {.sh_type = SHT_SYMTAB, .sh_offset = ELF_SYM, .sh_size = sizeof(sym), .sh_link = 2},
        {.sh_type = SHT_STRTAB, .sh_offset = ELF_STR, .sh_size = sizeof(strings)}};

    memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    memset(elf, 0, ELF_LEN);
    memcpy(elf, &h, sizeof(h));
    memcpy(elf + 64, &p, sizeof(p));
    memset(elf + ELF_TEXT, 0x13, 0x100);
    memcpy(elf + ELF_SYM, sym, sizeof(sym));
    memcpy(elf + ELF_STR, strings, sizeof(strings));
    memcpy(elf + ELF_SH, sh, sizeof(sh));
}

static void elf_program(void **state)
{
    uint8_t elf[ELF_LEN], back[0x180];
    struct loader_image image;
    struct mem *mem = mem_new();
    struct err err = {0};

    make_elf(elf);
    assert_int_equal(loader_open_kernel(&image, write_file(elf, ELF_LEN), ARCH_RISCV64, &err), 0);
    assert_int_equal(image.kind, LOADER_ELF);
    assert_int_equal(image.entry, ELF_BASE + 4);
    assert_true(image.has_tohost);
    assert_int_equal(image.tohost, ELF_BASE + 0x40);
    assert_int_equal(mem_add_ram(mem, GPA(ELF_BASE), 1 << 20, &err), 0);
    assert_int_equal(mem_fill(mem, GPA(ELF_BASE), 0xff, 0x200), 0);
    assert_int_equal(loader_write(&image, mem, 0, &err), 0);
    assert_int_equal(mem_read(mem, GPA(ELF_BASE), back, sizeof(back)), 0);
    assert_int_equal(back[0xff], 0x13);
    assert_int_equal(back[0x100], 0);
    assert_int_equal(back[0x17f], 0);
    assert_null(image.bytes.data); /* in RAM now; later writes read the file again */
    refuse(loader_write(&image, mem, 1 << 20, &err), -ENOMEM, &err, "--memory");
    refuse(loader_write(&image, mem, UINT64_MAX - 16, &err), -ENOMEM, &err, "--memory");
    loader_close(&image);
    mem_free(mem);
}

static void reset_reads_the_same_file_only(void **state)
{
    uint8_t elf[ELF_LEN], back[4] = {0};
    struct mem *mem = mem_new();
    struct loader_image image;
    const char *path;
    struct err err = {0};

    make_elf(elf);
    path = write_file(elf, ELF_LEN);
    assert_int_equal(mem_add_ram(mem, GPA(ELF_BASE), 1 << 16, &err), 0);
    assert_int_equal(loader_open_kernel(&image, path, ARCH_RISCV64, &err), 0);
    assert_int_equal(loader_write(&image, mem, 0, &err), 0);
    assert_int_equal(mem_write(mem, GPA(ELF_BASE + 0xff), back, sizeof(back)), 0);
    assert_int_equal(loader_write(&image, mem, 0, &err), 0);
    assert_int_equal(mem_read(mem, GPA(ELF_BASE + 0xff), back, 1), 0);
    assert_int_equal(back[0], 0x13);
    for (unsigned i = 0; i < 2; i++) { /* guests of the same image come and go */
        char other[sizeof(test_path) + 8];

        snprintf(other, sizeof(other), "%s.link", test_path);
        assert_int_equal(link(path, other), 0);
        assert_int_equal(i ? loader_write(&image, mem, 0, &err) : 0, 0);
        assert_int_equal(unlink(other), 0);
        assert_int_equal(loader_write(&image, mem, 0, &err), 0);
    }
    elf[ELF_TEXT] ^= 1;
    (void)write_file(elf, ELF_LEN); /* in place, to the same length; the clock may not have moved */
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){{0}, {0}}, 0), 0);
    refuse(loader_write(&image, mem, 0, &err), -ESTALE, &err, "changed");
    loader_close(&image);
    mem_free(mem);
}

static void elf_broken(void **state)
{
    uint8_t elf[ELF_LEN];

    make_elf(elf);
    refuse_kernel(elf, 40, -ENOEXEC, "truncated");
    refuse_kernel(elf, 100, -ENOEXEC, "truncated");
    refuse_kernel(elf, ELF_TEXT + 0xff, -ENOEXEC, "truncated");
    st_le16(elf + offsetof(Elf64_Ehdr, e_machine), EM_AARCH64);
    refuse_kernel(elf, ELF_LEN, -ENOEXEC, "aarch64");
    make_elf(elf);
    st_le64(elf + offsetof(Elf64_Ehdr, e_entry), 0x99999);
    refuse_kernel(elf, ELF_LEN, -ENOEXEC, "entry");
    make_elf(elf);
    st_le64(elf + 64 + offsetof(Elf64_Phdr, p_offset), UINT64_MAX - 8);
    refuse_kernel(elf, ELF_LEN, -ENOEXEC, "truncated");
    make_elf(elf);
    st_le64(elf + 64 + offsetof(Elf64_Phdr, p_memsz), UINT64_MAX);
    refuse_kernel(elf, ELF_LEN, -ENOEXEC, "corrupt");
    make_elf(elf);
    st_le16(elf + offsetof(Elf64_Ehdr, e_type), ET_REL);
    refuse_kernel(elf, ELF_LEN, -ENOEXEC, "link");
}

/* Any damage to headers and tables is survived: refused, or loaded without the symbol. */
static void elf_every_byte_damaged(void **state)
{
    uint8_t elf[ELF_LEN];

    for (size_t at = 0; at < ELF_LEN; at++) {
        struct loader_image image;
        struct err err = {0};

        if (at >= ELF_TEXT && at < ELF_SYM)
            continue;
        make_elf(elf);
        elf[at] ^= 0xff;
        if (!loader_open_kernel(&image, write_file(elf, ELF_LEN), ARCH_RISCV64, &err))
            loader_close(&image);
    }
}

/* --- initrd --- */
static size_t cpio_member(char *to, const char *name, const char *data)
{
    int n = sprintf(to, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s", 1,
                    0100644, 0, 0, 1, 0, strlen(data), 0, 0, 0, 0, strlen(name) + 1, 0, name);
    size_t len = align_up((size_t)n + 1, 4);

    memset(to + n, 0, len - (size_t)n);
    memcpy(to + len, data, strlen(data));
    return align_up(len + strlen(data), 4);
}

static size_t make_cpio(char *to)
{
    size_t len = cpio_member(to, "init", "#!/bin/sh\necho hello\n");

    return len + cpio_member(to + len, "TRAILER!!!", "");
}

static int open_initrd(const void *data, size_t len, struct err *err)
{
    struct loader_image image;
    int r = loader_open_initrd(&image, write_file(data, len), err);

    if (!r)
        loader_close(&image);
    return r;
}

static void initrd_good(void **state)
{
    char cpio[2048] = "";
    uint8_t gz[1024];
    struct err err;
    size_t len = make_cpio(cpio), packed = pack((const uint8_t *)cpio, len, gz, sizeof(gz));

    assert_int_equal(open_initrd(cpio, len, &err), 0);
    assert_int_equal(open_initrd(cpio, len + 512, &err), 0); /* padded */
    assert_int_equal(open_initrd(gz, packed, &err), 0);
    memcpy(cpio + len, gz, packed); /* microcode first, then the rest: as many distributions do */
    assert_int_equal(open_initrd(cpio, len + packed, &err), 0);
    assert_int_equal(open_initrd("\x28\xb5\x2f\xfd....", 8, &err), 0);
}

static void initrd_broken(void **state)
{
    char cpio[2048] = "";
    uint8_t gz[1024];
    struct err err;
    size_t len = make_cpio(cpio), packed = pack((const uint8_t *)cpio, len, gz, sizeof(gz));

    for (size_t cut = 5; cut < len; cut += 7)
        refuse(open_initrd(cpio, len - cut, &err), -ENOEXEC, &err, "initrd '");
    refuse(open_initrd(gz, packed - 1, &err), -ENOEXEC, &err, "gzip");
    gz[packed / 2] ^= 0x10;
    refuse(open_initrd(gz, packed, &err), -ENOEXEC, &err, "gzip");
    memcpy(cpio + 54, "ffffffff", 8); /* file size */
    refuse(open_initrd(cpio, len, &err), -ENOEXEC, &err, "cpio");
    refuse(open_initrd("hello", 5, &err), -ENOEXEC, &err, "neither");
    refuse(open_initrd("", 0, &err), -ENOEXEC, &err, "empty");
}

static void firmware_raw_or_elf(void **state)
{
    struct loader_image image;
    uint8_t elf[ELF_LEN];
    struct err err = {0};

    assert_int_equal(loader_open_firmware(&image, write_file("\x13\0\0\0", 4), ARCH_RISCV64, &err),
                     0);
    assert_int_equal(image.kind, LOADER_RAW);
    loader_close(&image);
    make_elf(elf);
    st_le16(elf + offsetof(Elf64_Ehdr, e_machine), EM_X86_64);
    refuse(loader_open_firmware(&image, write_file(elf, ELF_LEN), ARCH_RISCV64, &err), -ENOEXEC,
           &err, "firmware '");
}

/* --- x86 --- */
enum { BZ_SETUP = 1024, BZ_LEN = 4096 };

static void make_bzimage(uint8_t *image)
{
    memset(image, 0, BZ_LEN);
    image[0x1f1] = 1; /* setup sectors, besides the first */
    st_le32(image + 0x1f4, (BZ_LEN - BZ_SETUP) / 16);
    image[0x201] = 0x6a;
    memcpy(image + 0x202, "HdrS", 4);
    st_le16(image + 0x206, 0x20f);
    image[0x211] = 1;
    st_le32(image + 0x230, 0x200000);
    st_le16(image + 0x236, 1);
    st_le64(image + 0x258, 0x1000000);
    st_le32(image + 0x260, 0x800000);
}

static int open_x86(const void *data, size_t len, struct loader_image *image, struct err *err)
{
    return loader_open_kernel(image, write_file(data, len), ARCH_X86_64, err);
}

static void refuse_x86(const void *data, size_t len, const char *word)
{
    struct loader_image image;
    struct err err = {0};

    refuse(open_x86(data, len, &image, &err), -ENOEXEC, &err, word);
}

static void bzimage_good_and_broken(void **state)
{
    struct loader_image k;
    uint8_t image[BZ_LEN];
    struct err err = {0};

    make_bzimage(image);
    assert_int_equal(open_x86(image, sizeof(image), &k, &err), 0);
    assert_int_equal(k.kind, LOADER_LINUX);
    assert_int_equal(k.entry, 0x200);
    assert_int_equal(k.text_offset, 0x1000000);
    assert_int_equal(k.memory_size, 0x800000);
    assert_int_equal(k.segment[0].offset, BZ_SETUP);
    assert_int_equal(k.setup_len, 0x202 + 0x6a - 0x1f1);
    assert_memory_equal(k.setup + 0x11, "HdrS", 4);
    loader_close(&k);
    for (size_t len = 0x207; len < BZ_LEN - 16; len += 61)
        refuse_x86(image, len, "truncated");
    st_le16(image + 0x206, 0x20b);
    refuse_x86(image, sizeof(image), "2.12");
    make_bzimage(image);
    st_le16(image + 0x236, 0);
    refuse_x86(image, sizeof(image), "32-bit");
    make_bzimage(image);
    st_le32(image + 0x230, 0x300000);
    refuse_x86(image, sizeof(image), "corrupt");
    make_bzimage(image);
    st_le32(image + 0x260, UINT32_MAX);
    refuse_x86(image, sizeof(image), "corrupt");
}

/* A program of 32 bits: Multiboot header, one segment. */
static size_t make_multiboot(uint8_t *image)
{
    Elf32_Ehdr *eh = (Elf32_Ehdr *)(void *)image;
    Elf32_Phdr *ph = (Elf32_Phdr *)(void *)(image + sizeof(*eh));

    memset(image, 0, IMAGE_LEN);
    memcpy(eh->e_ident, "\177ELF\1\1\1", 7);
    *eh = (Elf32_Ehdr){.e_type = ET_EXEC,
                       .e_machine = EM_386,
                       .e_entry = 0x100010,
                       .e_phoff = sizeof(*eh),
                       .e_phentsize = sizeof(*ph),
                       .e_phnum = 1};
    memcpy(eh->e_ident, "\177ELF\1\1\1", 7);
    *ph = (Elf32_Phdr){.p_type = PT_LOAD,
                       .p_offset = 256,
                       .p_paddr = 0x100000,
                       .p_vaddr = 0x100000,
                       .p_filesz = 64,
                       .p_memsz = 128};
    st_le32(image + 256, 0x1badb002);
    st_le32(image + 264, 0u - 0x1badb002u);
    return 320;
}

static void multiboot_good_and_broken(void **state)
{
    static uint8_t image[IMAGE_LEN];
    size_t len = make_multiboot(image);
    struct loader_image k;
    struct err err = {0};

    assert_int_equal(open_x86(image, len, &k, &err), 0);
    assert_true(k.narrow && k.multiboot);
    assert_int_equal(k.entry, 0x100010);
    assert_int_equal(k.segment[0].memory_len, 128);
    loader_close(&k);
    refuse_x86(image, len - 1, "truncated");
    st_le32(image + 264, 5); /* the header's sum */
    refuse_x86(image, len, "another architecture");
}

static size_t make_pvh(uint8_t *image)
{
    Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)image;
    Elf64_Phdr *ph = (Elf64_Phdr *)(void *)(image + sizeof(*eh));

    memset(image, 0, IMAGE_LEN);
    *eh = (Elf64_Ehdr){.e_type = ET_EXEC,
                       .e_machine = EM_X86_64,
                       .e_entry = 0x1000000,
                       .e_phoff = sizeof(*eh),
                       .e_phentsize = sizeof(*ph),
                       .e_phnum = 2};
    memcpy(eh->e_ident, "\177ELF\2\1\1", 7);
    ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                         .p_offset = 512,
                         .p_paddr = 0x1000000,
                         .p_vaddr = UINT64_C(0xffffffff81000000),
                         .p_filesz = 64,
                         .p_memsz = 4096};
    ph[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 600, .p_filesz = 20 + 24};
    st_le32(image + 600, 4); /* somebody else's note first */
    st_le32(image + 604, 4);
    st_le32(image + 608, 18);
    memcpy(image + 612, "GNU", 4);
    st_le32(image + 620, 4);
    st_le32(image + 624, 8);
    st_le32(image + 628, 18);
    memcpy(image + 632, "Xen", 4);
    st_le64(image + 636, 0x1000040);
    return 644;
}

static void vmlinux_with_and_without_pvh(void **state)
{
    static uint8_t image[IMAGE_LEN];
    size_t len = make_pvh(image);
    struct loader_image k;
    struct err err = {0};

    assert_int_equal(open_x86(image, len, &k, &err), 0);
    assert_int_equal(k.pvh_entry, 0x1000040);
    assert_int_equal(k.segment[0].address, 0x1000000);
    loader_close(&k);
    st_le32(image + 604, UINT32_MAX); /* a note beyond its segment */
    refuse_x86(image, len, "entry");
}

/* Whatever is flipped, it is a refusal or an image inside its own bytes; never a crash. */
static void x86_images_with_flipped_bits(void **state)
{
    static uint8_t image[IMAGE_LEN];
    uint64_t random = 1;

    for (unsigned i = 0; i < 3000; i++) {
        size_t len = i % 3 == 0 ? BZ_LEN : i % 3 == 1 ? make_multiboot(image) : make_pvh(image);
        struct loader_image k;
        struct err err = {0};

        if (i % 3 == 0)
            make_bzimage(image);
        for (unsigned n = 0; n < 1 + i % 4; n++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            image[(i % 3 == 0 && n ? 0x1f1 + (random >> 40) % 0x80 : (random >> 40) % len)] ^=
                (uint8_t)(1u << (random >> 33) % 8);
        }
        if (open_x86(image, len, &k, &err))
            continue;
        for (unsigned n = 0; n < k.segment_count; n++)
            assert_true(range_within(k.segment[n].offset, k.segment[n].len, k.bytes.len));
        loader_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_plain_and_packed),
        cmocka_unit_test(linux_of_another_architecture),
        cmocka_unit_test(architecture_by_the_first_bytes),
        cmocka_unit_test(linux_broken),
        cmocka_unit_test(linux_truncated_pe),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(elf_program),
        cmocka_unit_test(reset_reads_the_same_file_only),
        cmocka_unit_test(elf_broken),
        cmocka_unit_test(elf_every_byte_damaged),
        cmocka_unit_test(initrd_good),
        cmocka_unit_test(initrd_broken),
        cmocka_unit_test(firmware_raw_or_elf),
        cmocka_unit_test(bzimage_good_and_broken),
        cmocka_unit_test(multiboot_good_and_broken),
        cmocka_unit_test(vmlinux_with_and_without_pvh),
        cmocka_unit_test(x86_images_with_flipped_bits),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
