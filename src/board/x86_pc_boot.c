/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways into an x86 machine: a bzImage by Linux's 64-bit protocol (Documentation/arch/x86/
 * boot.rst), a vmlinux by PVH (Xen docs/misc/pvh.pandoc), a program by Multiboot 0.6.96, firmware
 * by the reset vector. What the kernel finds beside itself - memory map, command line, tables -
 * lies below 1 MiB, at the addresses of x86_pc.h.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "board/x86_pc.h"
#include "cpu/x86/x86.h"
#include "mem/mem.h"
#include <errno.h>
#include <string.h>

enum pc_way { PC_BY_RESET, PC_BY_LINUX, PC_BY_PVH, PC_BY_MULTIBOOT };

static enum pc_way pc_way(const struct board_boot *boot)
{
    if (boot->bare)
        return PC_BY_RESET;
    if (boot->kernel.kind == BOARD_IMAGE_LINUX)
        return PC_BY_LINUX;
    return boot->kernel.multiboot ? PC_BY_MULTIBOOT : PC_BY_PVH;
}

/* --- Memory --- */
uint64_t pc_low_memory(uint64_t memory, bool firmware)
{
    uint64_t hole = firmware ? PC_FIRMWARE_WINDOW : PC_HOLE;

    return memory < hole ? memory : hole;
}

/* Firmware sorts out the first MiB and its own space by itself. */
static unsigned pc_firmware_map(uint64_t memory, struct pc_memory_range *range)
{
    uint64_t low = pc_low_memory(memory, true);

    range[0] = (struct pc_memory_range){0, low, PC_MEMORY_RAM};
    range[1] = (struct pc_memory_range){PC_HIGH, memory - low, PC_MEMORY_RAM};
    return memory == low ? 1 : 2;
}

unsigned pc_memory_map(uint64_t memory, bool firmware,
                       struct pc_memory_range range[PC_MEMORY_RANGES])
{
    uint64_t low = pc_low_memory(memory, false);
    const struct pc_memory_range all[] = {
        {0, PC_LOW_END, PC_MEMORY_RAM},
        {PC_LOW_END, 0xa0000 - PC_LOW_END, PC_MEMORY_RESERVED},
        {PC_ACPI, PC_MEGABYTE - PC_ACPI, PC_MEMORY_RESERVED},
        {PC_MEGABYTE, low - PC_MEGABYTE, PC_MEMORY_RAM},
        {PC_ECAM, 0x100000, PC_MEMORY_RESERVED},
        {PC_HIGH, memory - low, PC_MEMORY_RAM},
    };
    unsigned n = ARRAY_LEN(all) - (memory == low);

    if (firmware)
        return pc_firmware_map(memory, range);
    memcpy(range, all, n * sizeof(*range));
    return n;
}

/* --- Planning --- */
enum { INITRD_TOP = 0x7fffffff, SETUP_START = 0x1f1, SETUP_INITRD_MAX = 0x22c };

static int pc_too_small(const struct board_files *files, struct err *err)
{
    return err_set(err, -ENOMEM,
                   "kernel (%llu MiB) and initrd (%llu MiB) do not fit the guest's %llu MiB of "
                   "memory; give more with --memory",
                   (unsigned long long)(files->kernel.memory_size >> 20),
                   (unsigned long long)(files->initrd_len >> 20),
                   (unsigned long long)(files->memory >> 20));
}

/* A bzImage wants its preferred address, or any aligned one above 1 MiB. */
static int pc_place_linux(const struct board_files *files, uint64_t top, uint64_t *ret_at,
                          uint64_t *ret_end, struct err *err)
{
    const struct board_image *k = &files->kernel;
    uint64_t at = align_up(k->text_offset, k->alignment);

    if (at < PC_MEGABYTE || at + k->memory_size > top)
        at = align_up(PC_MEGABYTE, k->alignment);
    if (at + k->memory_size > top)
        return pc_too_small(files, err);
    *ret_at = at;
    *ret_end = at + k->memory_size;
    return 0;
}

static int pc_place_elf(const struct board_files *files, uint64_t top, uint64_t *ret_end,
                        struct err *err)
{
    const struct board_image *k = &files->kernel;

    if (k->narrow || k->multiboot || k->pvh_entry) {
        *ret_end = k->end;
        return k->end > top ? pc_too_small(files, err) : 0;
    }
    return err_set(err, -ENOEXEC,
                   "kernel: an ELF file with neither a PVH note nor a Multiboot header; use the "
                   "bzImage, or a kernel built with CONFIG_PVH");
}

/* The highest place below `top` and the kernel's own limit that is not the kernel's. */
static int pc_place_initrd(const struct board_files *files, uint64_t top, uint64_t kernel_end,
                           uint64_t *ret_initrd, struct err *err)
{
    const struct board_image *k = &files->kernel;
    uint64_t limit = INITRD_TOP;

    *ret_initrd = 0;
    if (!files->initrd_len)
        return 0;
    if (k->kind == BOARD_IMAGE_LINUX && k->setup_len >= SETUP_INITRD_MAX + 4 - SETUP_START)
        limit = ld_le32(k->setup + SETUP_INITRD_MAX - SETUP_START);
    if (limit + 1 < top)
        top = limit + 1;
    if (files->initrd_len > top || align_down(top - files->initrd_len, GUEST_PAGE_SIZE) <
                                       align_up(kernel_end, GUEST_PAGE_SIZE))
        return pc_too_small(files, err);
    *ret_initrd = align_down(top - files->initrd_len, GUEST_PAGE_SIZE);
    return 0;
}

static int pc_check(const struct board_files *files, struct err *err)
{
    if (strlen(files->append) >= PC_APPEND_MAX)
        return err_set(err, -EINVAL, "the kernel command line has more than %d characters",
                       PC_APPEND_MAX - 1);
    if (files->memory < 2 * PC_MEGABYTE)
        return err_set(err, -ENOMEM,
                       "%llu KiB of memory are too few for this board; give more with --memory",
                       (unsigned long long)(files->memory >> 10));
    return 0;
}

/* It lies below 4 GiB and starts at the reset vector; what it boots is on a disk. */
static int pc_plan_firmware(const struct board_files *files, struct board_boot *ret_boot,
                            struct err *err)
{
    uint64_t size = files->firmware.memory_size;

    if (files->kernel.kind || files->initrd_len)
        return err_set(
            err, -EINVAL,
            "--firmware starts what is on a disk of this machine; leave out --kernel and "
            "--initrd, or the firmware");
    if (files->firmware.kind != BOARD_IMAGE_RAW || size < PC_FIRMWARE_MIN ||
        size > PC_FIRMWARE_MAX || size % GUEST_PAGE_SIZE)
        return err_set(err, -ENOEXEC,
                       "--firmware: this machine takes a flash image of 64 KiB to 8 MiB in whole "
                       "pages, such as SeaBIOS or OVMF");
    *ret_boot =
        (struct board_boot){.firmware_at = PC_HIGH - size, .bare = true, .append = files->append};
    return 0;
}

int pc_plan(const struct board_files *files, struct board_boot *ret_boot, struct err *err)
{
    uint64_t top = pc_low_memory(files->memory, false), end = PC_MEGABYTE;
    struct board_boot b = {
        .initrd_len = files->initrd_len, .append = files->append, .kernel = files->kernel};
    int r = pc_check(files, err);

    if (r)
        return r;
    if (files->firmware.kind)
        return pc_plan_firmware(files, ret_boot, err);
    if (files->kernel.kind == BOARD_IMAGE_LINUX)
        r = pc_place_linux(files, top, &b.kernel_at, &end, err);
    else
        r = pc_place_elf(files, top, &end, err);
    if (!r)
        r = pc_place_initrd(files, top, end, &b.initrd, err);
    if (r)
        return r;
    b.entry = b.kernel_at + files->kernel.entry;
    if (pc_way(&b) == PC_BY_PVH)
        b.entry = files->kernel.pvh_entry;
    *ret_boot = b;
    return 0;
}

/* --- Linux's zero page --- */
enum { ZP_RSDP = 0x70, ZP_E820_COUNT = 0x1e8, ZP_SETUP = 0x1f1, ZP_E820 = 0x2d0 };
enum { ZP_LOADER = 0x210, ZP_LOAD_FLAGS = 0x211, ZP_INITRD = 0x218, ZP_INITRD_LEN = 0x21c };
enum { ZP_APPEND = 0x228, ZP_VIDEO_MODE = 0x1fa, E820_ENTRY = 20, LOADER_UNKNOWN = 0xff };

static void pc_make_zero_page(const struct board_boot *boot, uint64_t memory, uint8_t *page)
{
    struct pc_memory_range range[PC_MEMORY_RANGES];
    unsigned n = pc_memory_map(memory, false, range);
    uint32_t setup = boot->kernel.setup_len;

    memset(page, 0, GUEST_PAGE_SIZE);
    memcpy(page + ZP_SETUP, boot->kernel.setup, setup);
    st_le64(page + ZP_RSDP, PC_ACPI);
    page[ZP_LOADER] = LOADER_UNKNOWN;
    st_le32(page + ZP_INITRD, (uint32_t)boot->initrd);
    st_le32(page + ZP_INITRD_LEN, (uint32_t)boot->initrd_len);
    st_le32(page + ZP_APPEND, PC_APPEND);
    st_le16(page + ZP_VIDEO_MODE, 0xffff); /* normal */
    page[ZP_E820_COUNT] = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        st_le64(page + ZP_E820 + i * E820_ENTRY, range[i].start);
        st_le64(page + ZP_E820 + i * E820_ENTRY + 8, range[i].size);
        st_le32(page + ZP_E820 + i * E820_ENTRY + 16, range[i].type);
    }
}

/* --- PVH's start information, its memory map and its one module --- */
enum { PVH_SIZE = 56, PVH_MODULE = 64, PVH_MEMORY = 128, PVH_ENTRY = 24 };
#define PVH_MAGIC UINT32_C(0x336ec578)

static void pc_make_start_info(const struct board_boot *boot, uint64_t memory, uint8_t *page)
{
    struct pc_memory_range range[PC_MEMORY_RANGES];
    unsigned n = pc_memory_map(memory, false, range);

    memset(page, 0, GUEST_PAGE_SIZE);
    st_le32(page, PVH_MAGIC);
    st_le32(page + 4, 1); /* version: has a memory map */
    st_le32(page + 12, boot->initrd_len ? 1 : 0);
    st_le64(page + 16, PC_START_INFO + PVH_MODULE);
    st_le64(page + 24, PC_APPEND);
    st_le64(page + 32, PC_ACPI);
    st_le64(page + 40, PC_START_INFO + PVH_MEMORY);
    st_le32(page + 48, n);
    st_le64(page + PVH_MODULE, boot->initrd);
    st_le64(page + PVH_MODULE + 8, boot->initrd_len);
    for (unsigned i = 0; i < n; i++) {
        st_le64(page + PVH_MEMORY + i * PVH_ENTRY, range[i].start);
        st_le64(page + PVH_MEMORY + i * PVH_ENTRY + 8, range[i].size);
        st_le32(page + PVH_MEMORY + i * PVH_ENTRY + 16, range[i].type);
    }
}

/* --- Multiboot information --- */
enum { MB_MEMORY = 1, MB_APPEND = 4, MB_MODULES = 8, MB_MAP = 0x40, MB_NAME = 0x200 };
enum { MB_MODULE_AT = 128, MB_MAP_AT = 256, MB_MAP_ENTRY = 24, MB_LOADER_AT = 144 };
#define MULTIBOOT_LOADED UINT64_C(0x2badb002)

static void pc_make_multiboot(const struct board_boot *boot, uint64_t memory, uint8_t *page)
{
    struct pc_memory_range range[PC_MEMORY_RANGES];
    unsigned n = pc_memory_map(memory, false, range);

    memset(page, 0, GUEST_PAGE_SIZE);
    st_le32(page, MB_MEMORY | MB_APPEND | MB_MAP | MB_NAME | (boot->initrd_len ? MB_MODULES : 0));
    st_le32(page + 4, PC_LOW_END >> 10);
    st_le32(page + 8, (uint32_t)((pc_low_memory(memory, false) - PC_MEGABYTE) >> 10));
    st_le32(page + 16, PC_APPEND);
    st_le32(page + 20, boot->initrd_len ? 1 : 0);
    st_le32(page + 24, PC_START_INFO + MB_MODULE_AT);
    st_le32(page + 44, n * MB_MAP_ENTRY);
    st_le32(page + 48, PC_START_INFO + MB_MAP_AT);
    st_le32(page + 64, PC_START_INFO + MB_LOADER_AT);
    st_le32(page + MB_MODULE_AT, (uint32_t)boot->initrd);
    st_le32(page + MB_MODULE_AT + 4, (uint32_t)(boot->initrd + boot->initrd_len));
    memcpy(page + MB_LOADER_AT, "posada", 7);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *entry = page + MB_MAP_AT + i * MB_MAP_ENTRY;

        st_le32(entry, MB_MAP_ENTRY - 4); /* without the size itself */
        st_le64(entry + 4, range[i].start);
        st_le64(entry + 12, range[i].size);
        st_le32(entry + 20, range[i].type);
    }
}

/* --- Descriptors and page tables --- */
enum { SEL_CODE = 0x10, SEL_DATA = 0x18, SEL_TASK = 0x20 };
enum { ATTR_CODE_64 = 0xa09b, ATTR_CODE_32 = 0xc09b, ATTR_DATA = 0xc093, ATTR_TASK = 0x8b };
enum { PTE_USABLE = 3, PTE_LARGE = 0x80, GIGABYTES = 4, GDT_ENTRIES = 5 };

static int pc_write_gdt(struct mem *mem, struct x86_cpu *x, uint32_t code)
{
    const uint64_t attributes[GDT_ENTRIES] = {[2] = code, [3] = ATTR_DATA, [4] = ATTR_TASK};
    uint8_t gdt[GDT_ENTRIES * 8] = {0};

    for (unsigned i = 2; i < GDT_ENTRIES; i++) {
        uint64_t limit = i == 4 ? 0x67 : 0xfffff;

        st_le64(gdt + i * 8, (limit & 0xffff) | (limit >> 16) << 48 | attributes[i] << 40);
    }
    x->gdt_base = PC_GDT;
    x->gdt_limit = sizeof(gdt) - 1;
    x86_set_flat(x, X86_CS, SEL_CODE, code);
    for (unsigned seg = 0; seg <= X86_GS; seg++)
        if (seg != X86_CS)
            x86_set_flat(x, (enum x86_segment)seg, SEL_DATA, ATTR_DATA);
    x86_set_flat(x, X86_TR, SEL_TASK, ATTR_TASK);
    x->seg_limit[X86_TR] = 0x67;
    x->seg_attributes[X86_LDTR] |= X86_SEG_UNUSABLE;
    return mem_write(mem, GPA(PC_GDT), gdt, sizeof(gdt));
}

/* 4 GiB, each address to itself, in pages of 2 MiB. */
static int pc_write_page_tables(struct mem *mem)
{
    uint8_t page[GUEST_PAGE_SIZE] = {0};
    uint64_t at = PC_PAGE_TABLES, next = at + 2 * GUEST_PAGE_SIZE;
    int r;

    st_le64(page, (at + GUEST_PAGE_SIZE) | PTE_USABLE);
    r = mem_write(mem, GPA(at), page, sizeof(page));
    for (unsigned i = 0; i < GIGABYTES; i++)
        st_le64(page + i * 8, (next + i * GUEST_PAGE_SIZE) | PTE_USABLE);
    if (!r)
        r = mem_write(mem, GPA(at + GUEST_PAGE_SIZE), page, sizeof(page));
    for (unsigned i = 0; i < GIGABYTES && !r; i++) {
        for (unsigned k = 0; k < 512; k++)
            st_le64(page + k * 8, ((uint64_t)i << 30 | (uint64_t)k << 21) | PTE_USABLE | PTE_LARGE);
        r = mem_write(mem, GPA(next + i * GUEST_PAGE_SIZE), page, sizeof(page));
    }
    return r;
}

/* --- Entering --- */
static int pc_enter_long(struct mem *mem, struct x86_cpu *x)
{
    int r = pc_write_gdt(mem, x, ATTR_CODE_64);

    if (!r)
        r = pc_write_page_tables(mem);
    x->cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
    x->cr3 = PC_PAGE_TABLES;
    x->cr4 = X86_CR4_PAE;
    x->efer = X86_EFER_LME | X86_EFER_LMA;
    x->cpu.slot[X86_RSI] = PC_ZERO_PAGE;
    return r;
}

static int pc_enter_protected(struct mem *mem, struct x86_cpu *x, uint64_t eax)
{
    x->cr0 = X86_CR0_PE | X86_CR0_ET;
    x->cpu.slot[X86_RAX] = eax;
    x->cpu.slot[X86_RBX] = PC_START_INFO;
    return pc_write_gdt(mem, x, ATTR_CODE_32);
}

static int
pc_write_info(const struct board_boot *boot, uint64_t memory, struct mem *mem, uint64_t at,
              void (*make)(const struct board_boot *boot, uint64_t memory, uint8_t *page))
{
    uint8_t page[GUEST_PAGE_SIZE];
    int r;

    make(boot, memory, page);
    r = mem_write(mem, GPA(at), page, sizeof(page));
    return r ? r : mem_write(mem, GPA(PC_APPEND), boot->append, strlen(boot->append) + 1);
}

int pc_enter(const struct board_boot *boot, uint64_t memory, struct mem *mem, struct x86_cpu *x,
             struct err *err)
{
    int r = 0;

    switch (pc_way(boot)) {
    case PC_BY_RESET: return 0; /* the CPU's own reset state */
    case PC_BY_LINUX:
        r = pc_write_info(boot, memory, mem, PC_ZERO_PAGE, pc_make_zero_page);
        r = r ? r : pc_enter_long(mem, x);
        break;
    case PC_BY_PVH:
        r = pc_write_info(boot, memory, mem, PC_START_INFO, pc_make_start_info);
        r = r ? r : pc_enter_protected(mem, x, 0);
        break;
    case PC_BY_MULTIBOOT:
        r = pc_write_info(boot, memory, mem, PC_START_INFO, pc_make_multiboot);
        r = r ? r : pc_enter_protected(mem, x, MULTIBOOT_LOADED);
        break;
    }
    x->cpu.pc = boot->entry;
    return r ? err_set(err, -ENOMEM, "no room for the kernel's parameters; give more with --memory")
             : 0;
}
