/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every block twice (STRESS_LOCKSTEP): first by the interpreter's definitions, whose results are
 * noted and undone, then translated, which must come to the same. The interpreted form is the block
 * as it was lifted, so the optimiser is compared too. Blocks that call helpers, touch devices or
 * pages that others use at any time (PAGE_SHARED), or write to code run once only. For one vCPU,
 * and without DMA into what is compared: writes of other threads show as differences.
 */
#pragma once

#include "ir/ir.h"

struct lockstep;

struct lockstep *lockstep_new(void); /* NULL without memory */
/* True: the results are known and the CPU and its memory are as before. */
bool must_use lockstep_expect(struct lockstep *l, struct cpu *cpu, const struct ir_block *block);
/* Compares after the translation ran; prints all there is to know about a difference, and aborts.
 */
void lockstep_check(const struct lockstep *l, struct cpu *cpu, const struct ir_block *block);
