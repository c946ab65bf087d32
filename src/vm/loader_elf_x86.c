/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is x86's own in ELF programs: the PVH note that names a 32-bit entry (Xen
 * docs/misc/pvh.pandoc), and programs of 32 bits with a Multiboot header (Multiboot specification
 * 0.6.96), which test programs for virtual machines are. Every number is checked.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "vm/loader.h"
#include <elf.h>
#include <errno.h>
#include <string.h>

#define EH64(field) offsetof(Elf64_Ehdr, field)
#define PH64(field) offsetof(Elf64_Phdr, field)
#define EH32(field) offsetof(Elf32_Ehdr, field)
#define PH32(field) offsetof(Elf32_Phdr, field)

enum { NOTE_HEADER = 12, NOTE_PVH_ENTRY = 18, MULTIBOOT_WITHIN = 8192, MULTIBOOT_HEADER = 12 };
#define MULTIBOOT_MAGIC UINT32_C(0x1badb002)

/* --- PVH --- */
/* Reads the notes in [at, end) of the file; the entry, 0: none. */
static uint64_t pvh_in_notes(const uint8_t *data, uint64_t at, uint64_t end)
{
    while (range_within(at, NOTE_HEADER, end)) {
        uint64_t name_len = ld_le32(data + at), len = ld_le32(data + at + 4);
        uint64_t name = at + NOTE_HEADER, desc = name + align_up(name_len, 4);

        if (!range_within(name, name_len, end) || !range_within(desc, len, end))
            return 0;
        if (name_len == 4 && !memcmp(data + name, "Xen", 4) &&
            ld_le32(data + at + 8) == NOTE_PVH_ENTRY && (len == 4 || len == 8))
            return ld_le32(data + desc);
        at = desc + align_up(len, 4);
    }
    return 0;
}

void loader_find_pvh(struct loader_image *image)
{
    const uint8_t *h = image->bytes.data;
    uint64_t at = ld_le64(h + EH64(e_phoff)), offset, len;
    unsigned count = ld_le16(h + EH64(e_phnum));

    if (!range_within(at, (uint64_t)count * sizeof(Elf64_Phdr), image->bytes.len))
        return;
    for (unsigned i = 0; i < count && !image->pvh_entry; i++) {
        const uint8_t *p = h + at + i * sizeof(Elf64_Phdr);

        offset = ld_le64(p + PH64(p_offset));
        len = ld_le64(p + PH64(p_filesz));
        if (ld_le32(p + PH64(p_type)) == PT_NOTE && range_within(offset, len, image->bytes.len))
            image->pvh_entry = pvh_in_notes(h, offset, offset + len);
    }
}

/* --- Multiboot --- */
bool loader_is_multiboot(const struct loader_bytes *b)
{
    for (uint64_t at = 0; at < MULTIBOOT_WITHIN && range_within(at, MULTIBOOT_HEADER, b->len);
         at += 4) {
        uint32_t flags = ld_le32(b->data + at + 4), sum = ld_le32(b->data + at + 8);

        if (ld_le32(b->data + at) == MULTIBOOT_MAGIC && MULTIBOOT_MAGIC + flags + sum == 0)
            return true;
    }
    return false;
}

static int narrow_bad(const struct loader_image *image, const char *why, struct err *err)
{
    return err_set(err, -ENOEXEC, "%s '%s': %s", image->what, image->path, why);
}

static int narrow_add_segment(struct loader_image *image, const uint8_t *p, struct err *err)
{
    struct loader_segment s = {
        .address = ld_le32(p + PH32(p_paddr)),
        .virtual_address = ld_le32(p + PH32(p_vaddr)),
        .offset = ld_le32(p + PH32(p_offset)),
        .len = ld_le32(p + PH32(p_filesz)),
        .memory_len = ld_le32(p + PH32(p_memsz)),
    };

    if (ld_le32(p + PH32(p_type)) != PT_LOAD || !s.memory_len)
        return 0;
    if (!range_within(s.offset, s.len, image->bytes.len))
        return narrow_bad(image, "truncated ELF file: a segment's bytes are missing", err);
    if (s.memory_len < s.len || s.memory_len > LOADER_KERNEL_MAX)
        return narrow_bad(image, "corrupt ELF file: a segment's size makes no sense", err);
    if (image->segment_count == LOADER_SEGMENTS_MAX)
        return narrow_bad(image, "ELF file with too many segments", err);
    image->segment[image->segment_count++] = s;
    return 0;
}

int loader_parse_multiboot(struct loader_image *image, struct err *err)
{
    const uint8_t *h = image->bytes.data;
    uint64_t at = ld_le32(h + EH32(e_phoff));
    unsigned count = ld_le16(h + EH32(e_phnum));
    int r = 0;

    if (ld_le16(h + EH32(e_phentsize)) != sizeof(Elf32_Phdr) ||
        !range_within(at, (uint64_t)count * sizeof(Elf32_Phdr), image->bytes.len))
        return narrow_bad(image, "truncated ELF file: its program headers are missing", err);
    for (unsigned i = 0; i < count && !r; i++)
        r = narrow_add_segment(image, h + at + i * sizeof(Elf32_Phdr), err);
    if (r)
        return r;
    if (!image->segment_count)
        return narrow_bad(image, "an ELF file with nothing to load", err);
    image->kind = LOADER_ELF;
    image->narrow = image->multiboot = true;
    image->entry = ld_le32(h + EH32(e_entry));
    return 0;
}
