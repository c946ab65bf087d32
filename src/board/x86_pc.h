/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86-64 board: its memory map and the tables made from it. RAM below the hole ends at
 * PC_HOLE; the rest of it starts at 4 GiB.
 */
#pragma once

#include "board/board.h"

extern const struct board_ops x86_pc_ops;

/* --- Memory --- */
#define PC_HOLE       UINT64_C(0xc0000000)
#define PC_HIGH       UINT64_C(0x100000000)
#define PC_MEMORY_MAX (UINT64_C(1) << 40)
enum {
    PC_PCI_WINDOW = 0xc0000000,
    PC_PCI_WINDOW_SIZE = 0x20000000,
    PC_ECAM = 0xe0000000,
    PC_IOAPIC = 0xfec00000,
    PC_LAPIC = 0xfee00000,
};
/* With firmware, which puts ECAM and BARs where it likes: low RAM ends earlier, and all from there
 * to the I/O APIC is PCI's. The firmware ends at 4 GiB. */
#define PC_FIRMWARE_WINDOW UINT64_C(0x80000000)
enum { PC_FIRMWARE_MIN = 64 << 10, PC_FIRMWARE_MAX = 8 << 20, PC_FIRMWARE_LOW = 128 << 10 };
/* Below 1 MiB; page 0 stays free for whoever looks at it. */
enum {
    PC_ZERO_PAGE = 0x7000,   /* Linux boot parameters */
    PC_PAGE_TABLES = 0x9000, /* identity map of 4 GiB: 6 pages; for Linux as well */
    /* At the end, where programs that lie below 1 MiB themselves do not reach. */
    PC_APPEND = 0x8c000,
    PC_GDT = 0x9d000,
    PC_START_INFO = 0x9e000, /* PVH, Multiboot */
    PC_APPEND_MAX = 0x10000,
    PC_LOW_END = 0x9fc00, /* of usable memory */
    PC_ACPI = 0xe0000,
    PC_ACPI_SIZE = 0x10000,
    PC_SMBIOS = 0xf0000,
    PC_SMBIOS_SIZE = 0x1000,
    PC_MEGABYTE = 0x100000,
};

/* --- Ports and interrupts --- */
enum {
    PC_PORT_PM = 0x600,
    PC_PORT_RESET = 0xcf9,
    PC_PORT_DEBUG_EXIT = 0xf4,
    PC_PORT_PANIC = 0x505
};
enum { PC_IRQ_TIMER = 0, PC_IRQ_UART = 4, PC_IRQ_RTC = 8, PC_IRQ_SCI = 9 };
/* No more pins than Linux insists on, PCI's four among them: each costs a boot a dozen exits. */
enum { PC_GSI_TIMER = 2, PC_GSIS = 16, PC_PCI_LINES = 4 };
extern const uint8_t pc_gsi_pci[PC_PCI_LINES];

enum pc_memory_type { PC_MEMORY_RAM = 1, PC_MEMORY_RESERVED = 2 };
enum { PC_MEMORY_RANGES = 8 };
struct pc_memory_range {
    uint64_t start, size;
    uint32_t type; /* as E820 has it */
};
/* How guests see `memory` bytes; the number of ranges. */
unsigned pc_memory_map(uint64_t memory, bool firmware,
                       struct pc_memory_range range[PC_MEMORY_RANGES]);
/* RAM below the hole. */
uint64_t pc_low_memory(uint64_t memory, bool firmware);

/* --- Tables --- */
/* Where in the ACPI tables something has to be done when firmware moves them. */
struct pc_acpi_layout {
    uint32_t len; /* of all; the RSDP is the first PC_RSDP_SIZE bytes */
    struct {
        uint32_t at, size;
    } pointer[8];
    unsigned pointers;
    struct {
        uint32_t at, len;
    } table[8]; /* with a checksum at byte 9 */
    unsigned tables;
};
enum { PC_RSDP_SIZE = 36, PC_RSDP_XSDT = 24, PC_ACPI_CHECKSUM = 9 };
/* Writes the ACPI tables for this address into buf; -ENOSPC. firmware: it has put the ECAM and
 * PCI's memory where it likes, so that the tables say nothing of them but the largest window.
 * ret_layout may be NULL. */
int must_use pc_acpi_tables(unsigned cpus, bool firmware, uint8_t *buf, size_t room,
                            uint64_t address, struct pc_acpi_layout *ret_layout, struct err *err);
/* The DSDT's AML alone, for tests; its length, 0 when it does not fit. */
size_t pc_acpi_dsdt(bool firmware, uint8_t *buf, size_t room);
/* SMBIOS 3 entry point (of PC_SMBIOS_ENTRY bytes), and the structures from PC_SMBIOS_TABLES on;
 * ret_len, of all, may be NULL. */
enum { PC_SMBIOS_ENTRY = 24, PC_SMBIOS_TABLES = 32 };
int must_use pc_smbios_tables(uint64_t memory, unsigned cpus, uint8_t *buf, size_t room,
                              uint64_t address, uint32_t *ret_len, struct err *err);

/* --- Booting (x86_pc_boot.c) --- */
int must_use pc_plan(const struct board_files *files, struct board_boot *ret_boot, struct err *err);
struct x86_cpu;
/* Writes what the way in needs into memory and puts the boot CPU there, after its reset. */
int must_use pc_enter(const struct board_boot *boot, uint64_t memory, struct mem *mem,
                      struct x86_cpu *cpu, struct err *err);
