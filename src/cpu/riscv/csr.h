/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that riscv.csr names: number is the register's, for those that serve several. */
#pragma once

#include "cpu/riscv/internal.h"

typedef uint64_t csr_read_fn(struct riscv_cpu *rv, unsigned number);
typedef void csr_write_fn(struct riscv_cpu *rv, unsigned number, uint64_t val);

#include "cpu/riscv/csr_fns.gen.h"

#define MIP_SOFT                                                                                   \
    (1ull << RISCV_IRQ_SSI | 1ull << RISCV_IRQ_STI | 1ull << RISCV_IRQ_SEI) /* M may write */
