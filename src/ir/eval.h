/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each pure integer operation means, in C: the one place. Constant folding, the interpreter's
 * general case and the tests of every faster form all use it.
 */
#pragma once

#include "ir/ir.h"

/* The value of a pure op (ir_op_info.pure) on the given operands. b is the immediate's value when
 * the op has IR_B_IMM: the caller picks. */
uint64_t ir_eval(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c);

/* a <cc> b on the low 32 (IR_32) or all 64 bits. */
bool ir_compare(enum ir_cc cc, enum ir_width w, uint64_t a, uint64_t b);
