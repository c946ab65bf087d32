/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoded RISC-V instruction. Encodings and operands come from riscv.decode; riscv_decode() and
 * the enums are generated from it. A compressed instruction has the op of what it stands for.
 */
#pragma once

#include "cpu/riscv/ops.gen.h"

#include <stdbool.h>
#include <stdint.h>

struct riscv_insn {
    uint16_t op;    /* enum riscv_op: the meaning */
    uint16_t text;  /* enum riscv_text: the encoding and its spelling */
    uint8_t length; /* bytes: 2 or 4 */
    uint8_t rd, rs1, rs2, rs3;
    uint8_t rm; /* rounding mode field as encoded */
    int32_t imm;
    uint32_t bits; /* the instruction itself, 16 bits if compressed */
};

static inline uint8_t riscv_insn_length(uint32_t bits)
{
    return (bits & 3) == 3 ? 4 : 2;
}

/* Decodes the instruction whose first (or only) half is in bits 15..0. False for a reserved or
 * unknown encoding; length and bits are set even then. */
bool riscv_decode(uint32_t bits, struct riscv_insn *ret_insn);
