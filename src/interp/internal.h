/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/interp only: what the plain and the fast interpreter share. */
#pragma once

#include "interp/interp.h"

/* Memory operations and helpers: false leaves the block (cpu->fault or cpu->exit says why). */
bool interp_effect(struct cpu *cpu, const struct ir_insn *op);
void interp_fence(struct cpu *cpu, const struct ir_insn *op);
/* IR_TRAP with its value. */
void interp_trap(struct cpu *cpu, const struct ir_insn *op, uint64_t value);
/* Sets pc and the retired count for leaving early at op, which belongs to insn of the block at pc.
 */
enum interp_leave interp_leave(struct cpu *cpu, uint64_t pc, const struct ir_block_insn *insn,
                               const struct ir_insn *op);
