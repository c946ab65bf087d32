/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction encoding; contract in x86_64.h. */
#include "x86_64.h"
#include <string.h>

void x86_u32(struct x86_code *c, uint32_t v)
{
    if (c->end - c->at < (ptrdiff_t)sizeof(v)) {
        c->full = true;
        return;
    }
    memcpy(c->at, &v, sizeof(v));
    c->at += sizeof(v);
}

void x86_u64(struct x86_code *c, uint64_t v)
{
    x86_u32(c, (uint32_t)v);
    x86_u32(c, (uint32_t)(v >> 32));
}

/* Prefixes, REX and opcode bytes in front of a ModRM byte. */
static void x86_head(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned index,
                     unsigned base, bool byte_rm)
{
    unsigned rex = (w ? 8u : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
    bool byte_reg = (op & X86_BYTE) && (reg >= RSP || (byte_rm && base >= RSP));

    if (op & X86_66)
        x86_byte(c, 0x66);
    if (op & X86_F3)
        x86_byte(c, 0xf3);
    if (op & X86_F2)
        x86_byte(c, 0xf2);
    if (rex || byte_reg)
        x86_byte(c, (uint8_t)(0x40 | rex));
    if (op & (X86_0F | X86_0F38))
        x86_byte(c, 0x0f);
    if (op & X86_0F38)
        x86_byte(c, 0x38);
    x86_byte(c, (uint8_t)op);
}

static void x86_modrm(struct x86_code *c, unsigned mod, unsigned reg, unsigned rm)
{
    x86_byte(c, (uint8_t)(mod << 6 | (reg & 7) << 3 | (rm & 7)));
}

void x86_rr(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned rm)
{
    x86_head(c, op, w, reg, 0, rm, true);
    x86_modrm(c, 3, reg, rm);
}

static unsigned x86_mod(unsigned base, int32_t disp)
{
    if (disp == 0 && (base & 7) != RBP)
        return 0;
    return disp >= -128 && disp <= 127 ? 1 : 2;
}

static void x86_disp(struct x86_code *c, unsigned mod, int32_t disp)
{
    if (mod == 1)
        x86_byte(c, (uint8_t)disp);
    else if (mod == 2)
        x86_u32(c, (uint32_t)disp);
}

void x86_rm(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned base, int32_t disp)
{
    unsigned mod = x86_mod(base, disp);

    x86_head(c, op, w, reg, 0, base, false);
    x86_modrm(c, mod, reg, base);
    if ((base & 7) == RSP)
        x86_byte(c, 0x24);
    x86_disp(c, mod, disp);
}

void x86_rx(struct x86_code *c, uint32_t op, bool w, unsigned reg, unsigned base, unsigned index,
            unsigned scale, int32_t disp)
{
    unsigned mod = x86_mod(base, disp);

    x86_head(c, op, w, reg, index, base, false);
    x86_modrm(c, mod, reg, RSP);
    x86_byte(c, (uint8_t)(scale << 6 | (index & 7) << 3 | (base & 7)));
    x86_disp(c, mod, disp);
}

void x86_lea_scaled(struct x86_code *c, unsigned reg, unsigned index, unsigned scale)
{
    x86_head(c, X86_LEA, false, reg, index, 0, false);
    x86_modrm(c, 0, reg, RSP);
    x86_byte(c, (uint8_t)(scale << 6 | (index & 7) << 3 | RBP)); /* no base */
    x86_u32(c, 0);
}

void x86_mov_rr(struct x86_code *c, unsigned dst, unsigned src)
{
    if (dst != src)
        x86_rr(c, X86_MOV_LOAD, true, dst, src);
}

void x86_mov_imm(struct x86_code *c, unsigned dst, uint64_t imm)
{
    if (imm == (uint32_t)imm) {
        if (dst >> 3)
            x86_byte(c, 0x41);
        x86_byte(c, (uint8_t)(0xb8 | (dst & 7)));
        x86_u32(c, (uint32_t)imm);
    } else if ((int64_t)imm == (int32_t)imm) {
        x86_rr(c, 0xc7, true, 0, dst);
        x86_u32(c, (uint32_t)imm);
    } else {
        x86_byte(c, (uint8_t)(0x48 | dst >> 3));
        x86_byte(c, (uint8_t)(0xb8 | (dst & 7)));
        x86_u64(c, imm);
    }
}

void x86_alu_rr(struct x86_code *c, enum x86_alu op, bool w, unsigned dst, unsigned src)
{
    x86_rr(c, (uint32_t)op << 3 | 3, w, dst, src);
}

void x86_alu_rm(struct x86_code *c, enum x86_alu op, bool w, unsigned dst, unsigned base,
                int32_t disp)
{
    x86_rm(c, (uint32_t)op << 3 | 3, w, dst, base, disp);
}

void x86_alu_imm(struct x86_code *c, enum x86_alu op, bool w, unsigned dst, int32_t imm)
{
    bool small = imm >= -128 && imm <= 127;

    x86_rr(c, small ? 0x83 : 0x81, w, op, dst);
    if (small)
        x86_byte(c, (uint8_t)imm);
    else
        x86_u32(c, (uint32_t)imm);
}

void x86_alu_mem_imm(struct x86_code *c, enum x86_alu op, bool w, unsigned base, int32_t disp,
                     int32_t imm)
{
    bool small = imm >= -128 && imm <= 127;

    x86_rm(c, small ? 0x83 : 0x81, w, op, base, disp);
    if (small)
        x86_byte(c, (uint8_t)imm);
    else
        x86_u32(c, (uint32_t)imm);
}

void x86_shift_imm(struct x86_code *c, enum x86_shift op, bool w, unsigned dst, unsigned count)
{
    x86_rr(c, 0xc1, w, op, dst);
    x86_byte(c, (uint8_t)count);
}

/* Three-byte VEX prefix, opcode and a register ModRM. map: 1 0F, 2 0F38, 3 0F3A. */
static void x86_vex(struct x86_code *c, unsigned map, unsigned pp, bool w, uint8_t op, unsigned reg,
                    unsigned vvvv, unsigned rm)
{
    x86_byte(c, 0xc4);
    x86_byte(c, (uint8_t)((~reg >> 3 & 1) << 7 | 1 << 6 | (~rm >> 3 & 1) << 5 | map));
    x86_byte(c, (uint8_t)((w ? 0x80u : 0) | (~vvvv & 15) << 3 | pp));
    x86_byte(c, op);
    x86_modrm(c, 3, reg, rm);
}

void x86_shiftx(struct x86_code *c, enum x86_shift op, bool w, unsigned dst, unsigned a, unsigned b)
{
    unsigned pp = op == X86_SHL ? 1 : op == X86_SAR ? 2 : 3;

    x86_vex(c, 2, pp, w, 0xf7, dst, b, a);
}

void x86_rorx(struct x86_code *c, bool w, unsigned dst, unsigned src, unsigned count)
{
    x86_vex(c, 3, 3, w, 0xf0, dst, 0, src);
    x86_byte(c, (uint8_t)count);
}

void x86_mulx(struct x86_code *c, unsigned hi, unsigned lo, unsigned src)
{
    x86_vex(c, 2, 3, true, 0xf6, hi, lo, src);
}

void x86_imul_imm(struct x86_code *c, bool w, unsigned dst, unsigned src, int32_t imm)
{
    x86_rr(c, 0x69, w, dst, src);
    x86_u32(c, (uint32_t)imm);
}

void x86_mul_group(struct x86_code *c, unsigned ext, bool w, unsigned rm)
{
    x86_rr(c, 0xf7, w, ext, rm);
}

void x86_bswap(struct x86_code *c, bool w, unsigned reg)
{
    if (w || reg >> 3)
        x86_byte(c, (uint8_t)(0x40 | (w ? 8 : 0) | reg >> 3));
    x86_byte(c, 0x0f);
    x86_byte(c, (uint8_t)(0xc8 | (reg & 7)));
}

void x86_setcc(struct x86_code *c, enum x86_cc cc, unsigned reg)
{
    x86_rr(c, (0x90u | (uint32_t)cc) | X86_0F | X86_BYTE, false, 0, reg);
}

void x86_fma(struct x86_code *c, uint8_t op, bool wide, unsigned dst, unsigned a, unsigned b)
{
    x86_vex(c, 2, 1, wide, op, dst, a, b);
}

uint8_t *x86_jmp(struct x86_code *c)
{
    x86_byte(c, 0xe9);
    x86_u32(c, 0);
    return c->at - 4;
}

uint8_t *x86_jcc(struct x86_code *c, enum x86_cc cc)
{
    x86_byte(c, 0x0f);
    x86_byte(c, (uint8_t)(0x80 | cc));
    x86_u32(c, 0);
    return c->at - 4;
}

void x86_patch(uint8_t *rel32, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (rel32 + 4));

    /* One store, so that a thread executing the jump sees the old or the new target. */
    __atomic_store_n((int32_t *)(void *)rel32, rel, __ATOMIC_RELEASE);
}

void x86_jmp_to(struct x86_code *c, const uint8_t *target)
{
    uint8_t *at = x86_jmp(c);

    if (!c->full)
        x86_patch(at, target);
}

void x86_call_to(struct x86_code *c, const uint8_t *target)
{
    x86_byte(c, 0xe8);
    x86_u32(c, 0);
    if (!c->full)
        x86_patch(c->at - 4, target);
}

void x86_nop(struct x86_code *c, unsigned bytes)
{
    static const uint8_t nops[8][8] = {
        {0x90},
        {0x66, 0x90},
        {0x0f, 0x1f, 0x00},
        {0x0f, 0x1f, 0x40, 0x00},
        {0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
        {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    };

    for (unsigned n; bytes; bytes -= n) {
        n = bytes < 8 ? bytes : 8;
        for (unsigned i = 0; i < n; i++)
            x86_byte(c, nops[n - 1][i]);
    }
}

void x86_align_patch(struct x86_code *c, unsigned opcode_bytes)
{
    unsigned at = (unsigned)((uintptr_t)c->at + opcode_bytes) & 7;

    if (at > 4)
        x86_nop(c, 8 - at);
}
