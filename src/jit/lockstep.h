/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every block twice (STRESS_LOCKSTEP): first by the interpreter's definitions, whose results are
 * noted and undone, then translated, which must come to the same. The interpreted form is the block
 * as it was lifted, so the optimiser is compared too. Blocks that call helpers, touch devices or
 * pages that others use at any time (PAGE_SHARED), or write to code run once only. For one vCPU,
 * and without DMA into what is compared: writes of other threads show as differences.
 * A region runs for a few backward jumps at a time, in both forms.
 */
#pragma once

#include "ir/ir.h"

struct lockstep;
struct region_kept;

struct lockstep *lockstep_new(void); /* NULL without memory */
/* What runs: the block, or (unless NULL) the region whose head it is. True: the results are known
 * and the CPU and its memory are as before. Either way the region may run. */
bool must_use lockstep_expect(struct lockstep *l, struct cpu *cpu, const struct ir_block *block,
                              const struct region_kept *region);
/* Compares after the translation ran; prints all there is to know about a difference, and aborts.
 * turned: a region was left behind a backward jump already, for its head's block. */
void lockstep_check(struct lockstep *l, struct cpu *cpu, const struct ir_block *block, bool turned);
