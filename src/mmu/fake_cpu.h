/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CPU for tests: no instructions, and page tables that are a list of mappings in plain C. RAM
 * lies at FAKE_RAM; a device at FAKE_DEVICE answers reads with the address and records writes.
 */
#pragma once

#include "mem/mem.h"
#include "mmu/mmu.h"

enum { FAKE_PAGES = 16, FAKE_MAPS = 8 };
#define FAKE_RAM    UINT64_C(0x80000000)
#define FAKE_DEVICE UINT64_C(0x10000000)

/* Fault causes: the access kind, plus what was wrong. */
enum { FAKE_PAGE_FAULT = 0x10, FAKE_ACCESS = 0x20, FAKE_MISALIGNED = 0x30 };

struct fake_map {
    uint64_t va, gpa, size; /* size 0: unused */
    uint64_t piece;         /* what protection leaves of it around any address; 0: all */
    bool r, w, x;
};

struct fake {
    struct cpu cpu; /* must be first */
    struct fake_map map[FAKE_MAPS];
    unsigned walks, device_writes;
    uint64_t device_gpa, device_val;
    unsigned code_writes;
    uint64_t code_gpa, code_len;
};

/* Page walk and faults only: tests of engines copy it and add instructions. */
extern const struct cpu_ops fake_cpu_ops;

/* Everything is mapped to itself until the first fake_map(). */
struct fake *fake_new(void);
void fake_free(struct fake *f);
void fake_map(struct fake *f, unsigned n, uint64_t va, uint64_t gpa, uint64_t size,
              const char *rwx);
