/* SPDX-License-Identifier: Apache-2.0 */
/* A CPU with 16 MiB of RAM at TEST_RAM for unit tests; assembled code is given as words. */
#pragma once

#include "cpu/riscv/internal.h"
#include "ir/ir.h"
#include "mem/mem.h"
#include "mmu/mmu.h"

#define TEST_RAM UINT64_C(0x80000000)
enum { TEST_RAM_SIZE = 16 << 20 };

struct riscv_cpu *test_cpu_new(const char *model); /* in M mode after reset; never NULL */
void test_cpu_free(struct riscv_cpu *rv);
void test_write64(struct riscv_cpu *rv, uint64_t gpa, uint64_t val);
uint64_t test_read64(struct riscv_cpu *rv, uint64_t gpa);
/* Puts 32-bit code words at TEST_RAM and lifts from there; checks the block's form. */
void test_lift(struct riscv_cpu *rv, const uint32_t *code, unsigned words, struct ir_block *block);
