/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V Supervisor Binary Interface, served by Posada itself when a kernel is booted without
 * firmware. Calls come from the vCPUs' own threads, without the machine lock; everything in their
 * registers is hostile.
 */
#pragma once

#include "board/board.h"

struct riscv_sbi;

/* What the board lends to the SBI. */
struct riscv_sbi_config {
    struct engine *engine;
    struct mem *mem;
    unsigned harts;
    struct board_host host;
    struct power_sink power;
    /* Machine lock held in both. */
    bool (*put)(void *arg, uint8_t byte); /* false: the console is full */
    int (*get)(void *arg);                /* -1: nothing typed */
    void *arg;
};

struct riscv_sbi *riscv_sbi_new(const struct riscv_sbi_config *config); /* NULL without memory */
void riscv_sbi_free(struct riscv_sbi *sbi);
/* Hart 0 is on, all others are off. No vCPU runs. */
void riscv_sbi_reset(struct riscv_sbi *sbi);
bool riscv_sbi_hart_on(const struct riscv_sbi *sbi, unsigned hart);
/* Serves the call in a0..a7 and puts the answer into a0 and a1. */
enum board_action riscv_sbi_call(struct riscv_sbi *sbi, struct cpu *cpu);
