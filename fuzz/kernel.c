/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile kernels for x86: a bzImage, a vmlinux with a PVH note, a program with a Multiboot header,
 * a file of the fuzzer's own - each with numbers it chooses - is opened, planned for, written into
 * guest memory and entered, as at a start. What is taken must lie inside memory.
 * As a program of its own: fuzz_kernel_random [SEED [INPUTS]].
 */
#include "base/bits.h"
#include "base/endian.h"
#include "board/x86_pc.h"
#include "cpu/x86/x86.h"
#include "input.h"
#include "mem/mem.h"
#include "vm/boot.h"
#include <elf.h>
#include <fcntl.h>
#include <posada/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_MAX = 16384, MEMORY = 16 << 20, SETUP_END = 0x268 };

/* A number that makes sense, or one that does not. */
static uint64_t pick(struct fuzz_input *in, uint64_t sane, unsigned bytes)
{
    unsigned kind = fuzz_byte(in) % 16;

    if (kind < 11)
        return sane;
    if (kind < 13)
        return sane + fuzz_byte(in) - 128;
    return kind == 13 ? UINT64_MAX - fuzz_byte(in) : fuzz_take(in, bytes);
}

static size_t make_bzimage(struct fuzz_input *in, uint8_t *f)
{
    f[0x1f1] = (uint8_t)pick(in, 3, 1);
    st_le32(f + 0x1f4, (uint32_t)pick(in, (FILE_MAX - 2048) / 16, 4));
    st_le16(f + 0x1fe, 0xaa55);
    f[0x201] = (uint8_t)pick(in, 0x66, 1);
    memcpy(f + 0x202, "HdrS", 4);
    st_le16(f + 0x206, (uint16_t)pick(in, 0x20f, 2));
    f[0x211] = (uint8_t)pick(in, 1, 1);
    st_le32(f + 0x22c, (uint32_t)pick(in, 0x7fffffff, 4));
    st_le32(f + 0x230, (uint32_t)pick(in, 0x200000, 4));
    st_le16(f + 0x236, (uint16_t)pick(in, 3, 2));
    st_le64(f + 0x258, pick(in, 0x200000, 8));
    st_le32(f + 0x260, (uint32_t)pick(in, 0x100000, 4));
    return (size_t)pick(in, FILE_MAX, 2) % (FILE_MAX + 1);
}

static void put_segment64(struct fuzz_input *in, uint8_t *p, uint32_t type, uint64_t offset)
{
    st_le32(p + offsetof(Elf64_Phdr, p_type), (uint32_t)pick(in, type, 4));
    st_le64(p + offsetof(Elf64_Phdr, p_offset), pick(in, offset, 8));
    st_le64(p + offsetof(Elf64_Phdr, p_paddr), pick(in, 0x200000 + offset, 8));
    st_le64(p + offsetof(Elf64_Phdr, p_filesz), pick(in, 0x400, 8));
    st_le64(p + offsetof(Elf64_Phdr, p_memsz), pick(in, 0x1000, 8));
}

static size_t make_vmlinux(struct fuzz_input *in, uint8_t *f)
{
    unsigned count = (unsigned)pick(in, 3, 2);

    memcpy(f, "\177ELF\2\1\1", 7);
    st_le16(f + offsetof(Elf64_Ehdr, e_type), (uint16_t)pick(in, ET_EXEC, 2));
    st_le16(f + offsetof(Elf64_Ehdr, e_machine), (uint16_t)pick(in, EM_X86_64, 2));
    st_le32(f + offsetof(Elf64_Ehdr, e_version), 1);
    st_le64(f + offsetof(Elf64_Ehdr, e_entry), pick(in, 0x200000, 8));
    st_le64(f + offsetof(Elf64_Ehdr, e_phoff), pick(in, 64, 8));
    st_le16(f + offsetof(Elf64_Ehdr, e_ehsize), 64);
    st_le16(f + offsetof(Elf64_Ehdr, e_phentsize), (uint16_t)pick(in, sizeof(Elf64_Phdr), 2));
    st_le16(f + offsetof(Elf64_Ehdr, e_phnum), (uint16_t)count);
    for (unsigned i = 0; i < 3; i++)
        put_segment64(in, f + 64 + i * sizeof(Elf64_Phdr), i == 2 ? PT_NOTE : PT_LOAD,
                      0x400 * (i + 1));
    st_le32(f + 0xc00, (uint32_t)pick(in, 4, 4));
    st_le32(f + 0xc04, (uint32_t)pick(in, 4, 4));
    st_le32(f + 0xc08, (uint32_t)pick(in, 18, 4));
    memcpy(f + 0xc0c, "Xen", 4);
    st_le32(f + 0xc10, (uint32_t)pick(in, 0x200400, 4));
    return (size_t)pick(in, FILE_MAX, 2) % (FILE_MAX + 1);
}

static size_t make_multiboot(struct fuzz_input *in, uint8_t *f)
{
    memcpy(f, "\177ELF\1\1\1", 7);
    st_le16(f + offsetof(Elf32_Ehdr, e_type), ET_EXEC);
    st_le16(f + offsetof(Elf32_Ehdr, e_machine), (uint16_t)pick(in, EM_386, 2));
    st_le32(f + offsetof(Elf32_Ehdr, e_version), 1);
    st_le32(f + offsetof(Elf32_Ehdr, e_entry), (uint32_t)pick(in, 0x100000, 4));
    st_le32(f + offsetof(Elf32_Ehdr, e_phoff), (uint32_t)pick(in, 52, 4));
    st_le16(f + offsetof(Elf32_Ehdr, e_ehsize), 52);
    st_le16(f + offsetof(Elf32_Ehdr, e_phentsize), (uint16_t)pick(in, sizeof(Elf32_Phdr), 2));
    st_le16(f + offsetof(Elf32_Ehdr, e_phnum), (uint16_t)pick(in, 2, 2));
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *p = f + 52 + i * sizeof(Elf32_Phdr);

        st_le32(p + offsetof(Elf32_Phdr, p_type), PT_LOAD);
        st_le32(p + offsetof(Elf32_Phdr, p_offset), (uint32_t)pick(in, 0x400 * i, 4));
        st_le32(p + offsetof(Elf32_Phdr, p_paddr), (uint32_t)pick(in, 0x100000 + 0x1000 * i, 4));
        st_le32(p + offsetof(Elf32_Phdr, p_filesz), (uint32_t)pick(in, 0x400, 4));
        st_le32(p + offsetof(Elf32_Phdr, p_memsz), (uint32_t)pick(in, 0x800, 4));
    }
    st_le32(f + 0x200, 0x1badb002);
    st_le32(f + 0x204, (uint32_t)pick(in, 0, 4));
    st_le32(f + 0x208, (uint32_t) - (0x1badb002 + ld_le32(f + 0x204)));
    return (size_t)pick(in, FILE_MAX, 2) % (FILE_MAX + 1);
}

static size_t make_file(struct fuzz_input *in, uint8_t *f)
{
    size_t len;

    memset(f, 0, FILE_MAX);
    switch (fuzz_byte(in) % 4) {
    case 0: return make_bzimage(in, f);
    case 1: return make_vmlinux(in, f);
    case 2: return make_multiboot(in, f);
    default:
        len = in->left < FILE_MAX ? in->left : FILE_MAX;
        memcpy(f, in->p, len);
        return len;
    }
}

/* Opens and plans; what was accepted is written and entered. */
static void start(const struct vm_config *config, struct mem *mem, struct x86_cpu *x)
{
    struct boot boot;
    struct err err;

    if (boot_open(&boot, config, &x86_pc_ops, &err))
        return;
    if (!boot_write(&boot, mem, &err)) {
        x86_cpu_ops.reset(&x->cpu);
        if (!pc_enter(&boot.board, config->memory, mem, x, &err) && !boot.board.bare &&
            boot.board.kernel_at >= config->memory)
            fuzz_die("a kernel outside memory was taken");
    }
    boot_close(&boot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t file[FILE_MAX];
    struct fuzz_input in = {data, len};
    struct vm_config config = {.arch = ARCH_X86_64, .memory = MEMORY, .cpus = 1};
    struct x86_cpu *x = calloc(1, sizeof(*x));
    struct mem *mem = mem_new();
    struct err err;
    char path[48], append[] = "quiet";
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    size_t size = make_file(&in, file);

    if (!x || !mem || fd < 0 || mem_add_ram(mem, GPA(0), MEMORY, &err) ||
        pwrite(fd, file, size, 0) != (ssize_t)size)
        fuzz_die("no memory for the guest");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    config.kernel = path;
    config.append = append;
    x->cpu.ops = &x86_cpu_ops;
    x->cpu.mem = mem;
    start(&config, mem, x);
    close(fd);
    mem_free(mem);
    free(x);
    return 0;
}
