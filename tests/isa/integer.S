# SPDX-License-Identifier: Apache-2.0
# RV64I, M, Zba, Zbb, Zbs, Zicond: the corners where sign, width or zero matter.
.include "isa.inc"

.macro RR op, a, b, want:vararg
    li a0, \a
    li a1, \b
    \op a2, a0, a1
    EXPECT a2, \want
.endm
.macro RI op, a, imm, want:vararg
    li a0, \a
    \op a2, a0, \imm
    EXPECT a2, \want
.endm
.macro R1 op, a, want:vararg
    li a0, \a
    \op a2, a0
    EXPECT a2, \want
.endm

main:
TEST 1 # 32-bit results are sign-extended, operands cut
    RR addw, 0x17fffffff, 1, -0x80000000
    RR subw, 0x80000000, 1, 0x7fffffff
    RI addiw, 0x7fffffff, 1, -0x80000000
    RR sllw, 1, 31, -0x80000000
    RR sllw, 1, 32, 1
    RR srlw, 0xffffffff80000000, 63, 1
    RR sraw, 0x80000000, 31, -1
    RI srliw, 0x180000000, 31, 1
    RI sraiw, 0x80000000, 4, -0x8000000
    RR sll, 1, 127, 1 << 63
    RR sra, 1 << 63, 63, -1
TEST 2 # comparisons, x0 as destination and source
    RR slt, -1, 1, 1
    RR sltu, -1, 1, 0
    RI slti, -1, -2, 0
    RI sltiu, 5, -1, 1
    li a0, 7
    add zero, a0, a0
    EXPECT zero, 0
    sub a1, zero, a0
    EXPECT a1, -7
TEST 3 # M: division by zero and overflow have results
    RR div, 5, 0, -1
    RR divu, 5, 0, -1
    RR rem, 5, 0, 5
    RR remu, 5, 0, 5
    RR div, 1 << 63, -1, 1 << 63
    RR rem, 1 << 63, -1, 0
    RR divw, 0x80000000, -1, -0x80000000
    RR remw, 0x80000000, -1, 0
    RR divuw, 0xffffffff, 0, -1
    RR remuw, 0xffffffff80000001, 0, -0x7fffffff
    RR div, -7, 2, -3
    RR rem, -7, 2, -1
TEST 4
    RR mulh, -1, -1, 0
    RR mulhu, -1, -1, -2
    RR mulhsu, -1, -1, -1
    RR mulhsu, 1, -1, 0
    RR mulw, 0x10001, 0x10001, 0x20001
    RR mul, 0x100000001, 0x100000001, 0x200000001
TEST 5 # Zba
    RR sh1add, 3, 100, 106
    RR sh2add, 3, 100, 112
    RR sh3add, -1, 100, 92
    RR add.uw, -1, 1, 0x100000000
    RR sh3add.uw, -1, 0, 0x7fffffff8
    RI slli.uw, -1, 4, 0xffffffff0
    R1 zext.w, -1, 0xffffffff
TEST 6 # Zbb
    R1 clz, 0, 64
    R1 clz, 1, 63
    R1 ctz, 0, 64
    R1 clzw, 0xf00000000, 32
    R1 ctzw, 0xf00000000, 32
    R1 cpop, -1, 64
    R1 cpopw, -1, 32
    RR andn, 0xff, 0x0f, 0xf0
    RR orn, 0, -2, 1
    RR xnor, 5, 5, -1
    RR max, -1, 1, 1
    RR maxu, -1, 1, -1
    RR min, -1, 1, -1
    RR minu, -1, 1, 1
    R1 sext.b, 0x80, -128
    R1 sext.h, 0x8000, -32768
    R1 zext.h, -1, 0xffff
    RR rol, 0x8000000000000001, 1, 3
    RR ror, 3, 1, 0x8000000000000001
    RR rolw, 0x80000000, 1, 1
    RR rorw, 1, 1, -0x80000000
    RI roriw, 1, 1, -0x80000000
    RI rori, 1, 63, 2
    R1 orc.b, 0x0100020000000080, 0xff00ff00000000ff
    R1 rev8, 0x0102030405060708, 0x0807060504030201
TEST 7 # Zbs: the index is taken modulo 64
    RR bset, 0, 64 + 63, 1 << 63
    RR bclr, -1, 0, -2
    RR binv, 1, 0, 0
    RR bext, 0x8000000000000000, 63, 1
    RI bseti, 0, 40, 1 << 40
    RI bclri, -1, 63, 0x7fffffffffffffff
    RI binvi, 0, 31, 0x80000000
    RI bexti, 4, 2, 1
TEST 8 # Zicond (czero.eqz, czero.nez)
    li a0, 5
    li a1, 0
    .insn r 0x33, 5, 7, a2, a0, a1
    EXPECT a2, 0
    .insn r 0x33, 7, 7, a2, a0, a1
    EXPECT a2, 5
    li a1, 1 << 63
    .insn r 0x33, 5, 7, a2, a0, a1
    EXPECT a2, 5
    .insn r 0x33, 7, 7, a2, a0, a1
    EXPECT a2, 0
TEST 9 # jumps: the link is written after the target was read; bit 0 of the target is dropped
    la a0, 1f + 1
    jalr a0, a0
    j fail
1:  la a1, 1b - 4
    EXPECT_REG a0, a1
    la a0, 2f
    jalr zero, 0(a0)
    j fail
2:  li a0, -1
    bltu zero, a0, 3f
    j fail
3:  bgeu zero, a0, fail
    blt zero, a0, fail
    bne a0, a0, fail
TEST 10 # compressed forms
    .option push
    .option rvc
    c.li a0, -32
    c.addi a0, 31
    EXPECT a0, -1
    c.lui a1, 0xfffe0
    EXPECT a1, -0x20000
    c.srli a0, 60
    EXPECT a0, 15
    c.slli a0, 63
    c.srai a0, 63
    EXPECT a0, -1
    c.andi a0, -16
    c.mv a1, a0
    c.addiw a1, 15
    EXPECT a1, -1
    c.sub a1, a0
    EXPECT a1, 15
    c.addi16sp sp, -496
    c.addi4spn a2, sp, 1020
    c.sdsp a0, 504(sp)
    c.ldsp a3, 504(sp)
    EXPECT a3, -16
    c.sw a1, 124(a2)
    c.lw a4, 124(a2)
    EXPECT a4, 15
    c.addi16sp sp, 496
    .option pop
    j pass
