/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V board: its memory map and the device tree made from it. The map is that of QEMU's
 * `virt`, so that known firmware and kernels run; the numbers stand in riscv_virt_map[] alone.
 */
#pragma once

#include "board/board.h"

enum riscv_virt_region {
    VIRT_SYSCON, /* test finisher: power-off and reset */
    VIRT_RTC,
    VIRT_CLINT, /* machine-level software interrupts and timer */
    VIRT_SSWI,  /* ACLINT: supervisor-level software interrupts */
    VIRT_PLIC,
    VIRT_UART,
    VIRT_ECAM,
    VIRT_PCI_MMIO,
    VIRT_RAM,
    VIRT_REGIONS,
};

struct riscv_virt_slot {
    const char *name;
    uint64_t base, size;
    unsigned irq; /* PLIC source; the first of four for PCI's INTx; 0: none */
};

extern const struct board_ops riscv_virt_ops;
extern const struct riscv_virt_slot riscv_virt_map[VIRT_REGIONS];

enum { VIRT_PLIC_SOURCES = 95, VIRT_PCI_INTX = 4, VIRT_PCI_SLOTS = 32 };
enum { VIRT_SEED_SIZE = 64 };

struct riscv_fdt_input {
    unsigned cpus;
    const struct cpu *cpu; /* any of them: all have the same extensions */
    uint64_t memory;
    const struct board_boot *boot;
    uint8_t seed[VIRT_SEED_SIZE]; /* for the guest's random pool, fresh at every reset */
};

/* Writes the flattened device tree into buf; -ENOSPC when it does not fit (a long command line).
 */
int must_use riscv_virt_fdt(const struct riscv_fdt_input *in, void *buf, size_t room,
                            struct err *err);
