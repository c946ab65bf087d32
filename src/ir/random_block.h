/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random but valid IR blocks, for tests that compare two ways to execute one: integer operations
 * of every kind, loads and stores, sometimes one that faults, branches at the end.
 */
#pragma once

#include "ir/ir.h"

enum {
    RANDOM_GLOBALS = 32,
    RANDOM_BASE = 30, /* slot that must hold the address of 4 KiB of RAM; never written */
    RANDOM_BAD = 31,  /* slot that must hold an address that faults; never written */
};

uint64_t random_u64(uint64_t *seed);
void random_block(struct ir_block *b, uint64_t *seed);
