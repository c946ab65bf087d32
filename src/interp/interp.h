/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter: executes IR blocks, and so defines what IR means. Faults are precise; nothing
 * is delivered here: the caller looks at cpu->fault and cpu->exit.
 */
#pragma once

#include "ir/ir.h"

/* How a block was left. */
enum interp_leave {
    INTERP_NEXT,  /* cpu->pc is the next instruction */
    INTERP_FAULT, /* cpu->fault is pending, cpu->pc is the instruction that raised it */
    INTERP_STOP,  /* cpu->exit is set; cpu->pc as ir_helper says */
};

/* Executes one memory operation or helper; false: the block must be left (fault, exit). For other
 * executors that have no form of their own for an op. */
bool interp_effect(struct cpu *cpu, const struct ir_insn *op);

/* Runs one block; cpu->instret counts the instructions that retired. */
enum interp_leave interp_run_block(struct cpu *cpu, const struct ir_block *block);
