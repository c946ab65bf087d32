/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF64 programs: bare-metal tests, firmware, vmlinux. Spec: System V ABI, chapters 4 and 5.
 * PT_LOAD segments go to their physical addresses; the entry, a virtual address, is translated
 * through the segment that holds it. The symbol `tohost` (riscv-tests) is looked up in SHT_SYMTAB.
 * Every number comes from the file and is checked. Not modelled: relocation, dynamic linking.
 */
#include "base/checked.h"
#include "base/endian.h"
#include "vm/loader.h"
#include <elf.h>
#include <errno.h>
#include <string.h>

/* Offsets of the fields used, as <elf.h> lays them out. */
#define EH(field) offsetof(Elf64_Ehdr, field)
#define PH(field) offsetof(Elf64_Phdr, field)
#define SH(field) offsetof(Elf64_Shdr, field)
#define SY(field) offsetof(Elf64_Sym, field)

enum { ELF_SYMBOLS_MAX = 1 << 20 };

static int elf_bad(const struct loader_image *image, const char *why, struct err *err)
{
    return err_set(err, -ENOEXEC, "%s '%s': %s", image->what, image->path, why);
}

static int elf_machine_arch(unsigned machine)
{
    switch (machine) {
    case EM_RISCV: return ARCH_RISCV64;
    case EM_AARCH64: return ARCH_ARM64;
    case EM_X86_64: return ARCH_X86_64;
    default: return -1;
    }
}

int loader_elf_arch(const struct loader_bytes *b)
{
    unsigned machine = b->len < sizeof(Elf64_Ehdr) ? EM_NONE : ld_le16(b->data + EH(e_machine));

    return machine == EM_386 ? ARCH_X86_64 : elf_machine_arch(machine); /* 386: Multiboot */
}

static int elf_check_header(const struct loader_image *image, enum vm_arch arch, struct err *err)
{
    const uint8_t *h = image->bytes.data;
    int found;

    if (image->bytes.len < sizeof(Elf64_Ehdr))
        return elf_bad(image, "truncated ELF file", err);
    found = elf_machine_arch(ld_le16(h + EH(e_machine)));
    if (h[EI_CLASS] != ELFCLASS64 || h[EI_DATA] != ELFDATA2LSB || found != (int)arch)
        return err_set(err, -ENOEXEC, "%s '%s': it is for %s, but this guest is %s", image->what,
                       image->path,
                       found < 0 || h[EI_CLASS] != ELFCLASS64 ? "another architecture"
                                                              : vm_arch_name((enum vm_arch)found),
                       vm_arch_name(arch));
    if (ld_le16(h + EH(e_type)) != ET_EXEC && ld_le16(h + EH(e_type)) != ET_DYN)
        return elf_bad(image, "an ELF file, but not a program; link it first", err);
    if (ld_le16(h + EH(e_phentsize)) != sizeof(Elf64_Phdr))
        return elf_bad(image, "corrupt ELF file: no program headers", err);
    return 0;
}

static int elf_add_segment(struct loader_image *image, const uint8_t *p, struct err *err)
{
    struct loader_segment s = {
        .address = ld_le64(p + PH(p_paddr)),
        .virtual_address = ld_le64(p + PH(p_vaddr)),
        .offset = ld_le64(p + PH(p_offset)),
        .len = ld_le64(p + PH(p_filesz)),
        .memory_len = ld_le64(p + PH(p_memsz)),
    };

    if (!s.memory_len)
        return 0;
    if (!range_within(s.offset, s.len, image->bytes.len))
        return elf_bad(image, "truncated ELF file: a segment's bytes are missing", err);
    if (s.memory_len < s.len || s.memory_len > LOADER_KERNEL_MAX)
        return elf_bad(image, "corrupt ELF file: a segment's size makes no sense", err);
    if (image->segment_count == LOADER_SEGMENTS_MAX)
        return elf_bad(image, "ELF file with too many segments", err);
    image->segment[image->segment_count++] = s;
    return 0;
}

static int elf_read_segments(struct loader_image *image, struct err *err)
{
    const uint8_t *h = image->bytes.data;
    uint64_t at = ld_le64(h + EH(e_phoff));
    unsigned count = ld_le16(h + EH(e_phnum));

    if (!range_within(at, (uint64_t)count * sizeof(Elf64_Phdr), image->bytes.len))
        return elf_bad(image, "truncated ELF file: its program headers are missing", err);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *p = h + at + i * sizeof(Elf64_Phdr);
        int r = ld_le32(p + PH(p_type)) == PT_LOAD ? elf_add_segment(image, p, err) : 0;

        if (r)
            return r;
    }
    return image->segment_count ? 0 : elf_bad(image, "an ELF file with nothing to load", err);
}

/* Physical address of a virtual one; false when no segment holds it. */
static bool elf_physical(const struct loader_image *image, uint64_t va, uint64_t *ret_pa)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct loader_segment *s = &image->segment[i];

        if (va - s->virtual_address < s->memory_len) {
            *ret_pa = s->address + (va - s->virtual_address);
            return true;
        }
    }
    return false;
}

/* The section header of that index, NULL when it or its contents are outside the file. */
static const uint8_t *elf_section(const struct loader_bytes *b, uint64_t index)
{
    uint64_t at = ld_le64(b->data + EH(e_shoff));
    unsigned count = ld_le16(b->data + EH(e_shnum));
    const uint8_t *s;

    if (index >= count || ld_le16(b->data + EH(e_shentsize)) != sizeof(Elf64_Shdr) ||
        !range_within(at, (uint64_t)count * sizeof(Elf64_Shdr), b->len))
        return NULL;
    s = b->data + at + index * sizeof(Elf64_Shdr);
    if (ld_le32(s + SH(sh_type)) != SHT_NOBITS &&
        !range_within(ld_le64(s + SH(sh_offset)), ld_le64(s + SH(sh_size)), b->len))
        return NULL;
    return s;
}

static bool elf_find_in(const struct loader_bytes *b, const uint8_t *symbols,
                        const uint8_t *strings, const char *name, uint64_t *ret_value)
{
    uint64_t count = ld_le64(symbols + SH(sh_size)) / sizeof(Elf64_Sym);
    uint64_t text_len = ld_le64(strings + SH(sh_size)), name_len = strlen(name) + 1;
    const char *text = (const char *)b->data + ld_le64(strings + SH(sh_offset));
    const uint8_t *sym = b->data + ld_le64(symbols + SH(sh_offset));

    for (uint64_t i = 0; i < count && i < ELF_SYMBOLS_MAX; i++, sym += sizeof(Elf64_Sym)) {
        uint64_t at = ld_le32(sym + SY(st_name));

        if (!range_within(at, name_len, text_len) || memcmp(text + at, name, name_len))
            continue;
        *ret_value = ld_le64(sym + SY(st_value));
        return true;
    }
    return false;
}

static bool elf_find_symbol(const struct loader_bytes *b, const char *name, uint64_t *ret_value)
{
    unsigned count = ld_le16(b->data + EH(e_shnum));

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *s = elf_section(b, i), *strings;

        if (!s || ld_le32(s + SH(sh_type)) != SHT_SYMTAB)
            continue;
        strings = elf_section(b, ld_le32(s + SH(sh_link)));
        if (!strings || ld_le32(strings + SH(sh_type)) != SHT_STRTAB)
            continue;
        if (elf_find_in(b, s, strings, name, ret_value))
            return true;
    }
    return false;
}

int loader_parse_elf(struct loader_image *image, enum vm_arch arch, struct err *err)
{
    const struct loader_bytes *b = &image->bytes;
    uint64_t tohost;
    int r;

    if (arch == ARCH_X86_64 && b->len >= sizeof(Elf32_Ehdr) && b->data[EI_CLASS] == ELFCLASS32 &&
        ld_le16(b->data + EH(e_machine)) == EM_386 && loader_is_multiboot(b))
        return loader_parse_multiboot(image, err);
    r = elf_check_header(image, arch, err);
    if (!r)
        r = elf_read_segments(image, err);
    if (r)
        return r;
    image->kind = LOADER_ELF;
    if (arch == ARCH_X86_64)
        loader_find_pvh(image);
    if (image->pvh_entry)
        return 0; /* a vmlinux: its own entry is for the 64-bit protocol, and physical */
    if (!elf_physical(image, ld_le64(image->bytes.data + EH(e_entry)), &image->entry))
        return elf_bad(image, "corrupt ELF file: its entry lies in no segment", err);
    image->multiboot = arch == ARCH_X86_64 && loader_is_multiboot(b);
    image->has_tohost = elf_find_symbol(&image->bytes, "tohost", &tohost) &&
                        elf_physical(image, tohost, &image->tohost);
    return 0;
}
