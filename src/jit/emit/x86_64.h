/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assembler for the x86-64 subset the JIT emits. Encodings: Intel SDM vol. 2, chapters 2 and 3-5.
 * Code is written through one mapping and runs at another (jit_code in src/host/codemem.h); all
 * references inside the code memory are relative, so only absolute addresses need the difference.
 * Running out of room sets `full` and drops the rest: callers check once, at the end.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

enum x86_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Opcode byte plus where it lives. */
enum x86_op_flag {
    X86_0F = 1 << 8,
    X86_0F38 = 1 << 9,
    X86_66 = 1 << 10,
    X86_F3 = 1 << 11,
    X86_F2 = 1 << 12,
    X86_BYTE = 1 << 13, /* register operands are byte registers: sil, dil... need a REX prefix */
};

enum x86_alu { X86_ADD, X86_OR, X86_ADC, X86_SBB, X86_AND, X86_SUB, X86_XOR, X86_CMP };
enum x86_shift { X86_ROL, X86_ROR, X86_SHL = 4, X86_SHR, X86_SAR = 7 };
enum x86_cc {
    X86_O,
    X86_NO,
    X86_B,
    X86_AE,
    X86_E,
    X86_NE,
    X86_BE,
    X86_A,
    X86_S,
    X86_NS,
    X86_P,
    X86_NP,
    X86_L,
    X86_GE,
    X86_LE,
    X86_G
};

/* Common opcodes, reg on the left unless said otherwise. */
enum {
    X86_MOV_LOAD = 0x8b,  /* reg <- rm */
    X86_MOV_STORE = 0x89, /* rm <- reg */
    X86_MOV8_STORE = 0x88 | X86_BYTE,
    X86_MOV16_STORE = 0x89 | X86_66,
    X86_XOR_LOAD = 0x33,
    X86_LEA = 0x8d,
    X86_TEST = 0x85,
    X86_MOVZX8 = 0xb6 | X86_0F,
    X86_MOVZX16 = 0xb7 | X86_0F,
    X86_MOVSX8 = 0xbe | X86_0F,
    X86_MOVSX16 = 0xbf | X86_0F,
    X86_MOVSXD = 0x63,
    X86_IMUL = 0xaf | X86_0F,
    X86_LZCNT = 0xbd | X86_0F | X86_F3,
    X86_TZCNT = 0xbc | X86_0F | X86_F3,
    X86_POPCNT = 0xb8 | X86_0F | X86_F3,
    X86_CMOV = 0x40 | X86_0F, /* + cc */
    X86_XCHG = 0x87,
    X86_XADD = 0xc1 | X86_0F,
    X86_CMPXCHG = 0xb1 | X86_0F,
};

struct x86_code {
    uint8_t *at, *end;
    bool full;
};

static inline void x86_byte(struct x86_code *c, uint8_t v)
{
    if (c->at < c->end)
        *c->at++ = v;
    else
        c->full = true;
}
void x86_u32(struct x86_code *c, uint32_t v);
void x86_u64(struct x86_code *c, uint64_t v);

/* reg, register rm */
void x86_rr(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned rm);
/* reg, [base + disp] */
void x86_rm(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned base, int32_t disp);
/* reg, [base + (index << scale) + disp] */
void x86_rx(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned base, unsigned index,
            unsigned scale, int32_t disp);

/* reg = index << scale, 32 bits; flags untouched */
void x86_lea_scaled(struct x86_code *c, unsigned reg, unsigned index, unsigned scale);

void x86_mov_rr(struct x86_code *c, unsigned dst, unsigned src);
/* Shortest form that loads the 64-bit constant; leaves flags alone. */
void x86_mov_imm(struct x86_code *c, unsigned dst, uint64_t imm);
void x86_alu_rr(struct x86_code *c, enum x86_alu op, bool w, unsigned dst, unsigned src);
void x86_alu_rm(struct x86_code *c, enum x86_alu op, bool w, unsigned dst, unsigned base,
                int32_t disp);
void x86_alu_imm(struct x86_code *c, enum x86_alu op, bool w, unsigned dst, int32_t imm);
void x86_alu_mem_imm(struct x86_code *c, enum x86_alu op, bool w, unsigned base, int32_t disp,
                     int32_t imm);
void x86_shift_imm(struct x86_code *c, enum x86_shift op, bool w, unsigned dst, unsigned count);
/* BMI2 dst = a shifted by b, flags untouched: pp as SHLX/SARX/SHRX. */
void x86_shiftx(struct x86_code *c, enum x86_shift op, bool w, unsigned dst, unsigned a,
                unsigned b);
void x86_rorx(struct x86_code *c, bool w, unsigned dst, unsigned src, unsigned count);
void x86_imul_imm(struct x86_code *c, bool w, unsigned dst, unsigned src, int32_t imm);
void x86_mulx(struct x86_code *c, unsigned hi, unsigned lo, unsigned src); /* rdx * src */
void x86_mul_group(struct x86_code *c, unsigned ext, bool w, unsigned rm); /* f7 /ext */
void x86_bswap(struct x86_code *c, bool w, unsigned reg);
void x86_setcc(struct x86_code *c, enum x86_cc cc, unsigned reg);
/* FMA3 vfmadd231 family: op 0xb8.., single precision unless wide. dst += a * b. */
void x86_fma(struct x86_code *c, uint8_t op, bool wide, unsigned dst, unsigned a, unsigned b);

/* Jumps and calls with a 32-bit displacement; the form without target returns where to patch. */
uint8_t *x86_jmp(struct x86_code *c);
uint8_t *x86_jcc(struct x86_code *c, enum x86_cc cc);
void x86_patch(uint8_t *rel32, const uint8_t *target);
void x86_jmp_to(struct x86_code *c, const uint8_t *target);
void x86_call_to(struct x86_code *c, const uint8_t *target);
/* Pads so that the displacement of a jump emitted next (opcode_bytes before it) lies inside one
 * aligned 8-byte word: it can then be changed while other threads run it. */
void x86_align_patch(struct x86_code *c, unsigned opcode_bytes);
void x86_nop(struct x86_code *c, unsigned bytes);
