# SPDX-License-Identifier: Apache-2.0
# Stack frames across a page's end: the accesses of one frame cannot share a TLB check there, and an
# aligned or misaligned one of them may itself lie in both pages. Every place of a frame is tried,
# several times each, so that what is linked on the way is used, too; then the towers of Hanoi.
.include "isa.inc"
.equ FRAME, 64
#ifndef ROUNDS
#define ROUNDS 40
#define STEP 1
#define DISCS 12
#endif

main:
    TEST 1
    li s4, -2 * FRAME # where sp is, from the page's end; all alignments
    la s5, middle
    li s7, 0
place:
    add sp, s5, s4
    li s2, ROUNDS
    li s0, 5
    li s1, 7
    li s3, 11
1:  mv a0, s2
    call work
    add t0, s2, s2
    addi t0, t0, 21 # 2 * s2 + s0 + s1 + 3 * 3
    EXPECT_REG a0, t0
    EXPECT s0, 5
    EXPECT s1, 7
    EXPECT s3, 11
    addi s2, s2, -1
    bnez s2, 1b
    addi s4, s4, STEP
    li t0, 2 * FRAME
    blt s4, t0, place
    EXPECT s7, 4 * FRAME / STEP * ROUNDS
    TEST 2
    addi sp, s5, 4 * FRAME + 16
    li a0, DISCS
    li a1, 1
    li a2, 2
    li a3, 3
    li s6, 0
    call hanoi
    EXPECT s6, (1 << DISCS) - 1
    j pass

# a0 = 2 * a0 + s0 + s1 + 9, by way of the frame: loads of all sizes see what stores of all sizes left.
work:
    addi s7, s7, 1 # a register that may be newer than memory when the frame is left aside
    addi sp, sp, -FRAME
    sd ra, 56(sp)
    sd s0, 48(sp)
    sd s1, 40(sp)
    sd s2, 32(sp)
    sd s3, 24(sp)
    sd a0, 16(sp)
    sh s0, 12(sp)
    sb s1, 14(sp)
    sw a0, 8(sp)
    sd zero, 0(sp)
    ld a1, 16(sp)
    lw a2, 8(sp)
    lhu s0, 12(sp)
    lb s1, 14(sp)
    ld s3, 0(sp)
    add a0, a1, a2
    add a0, a0, s0
    add a0, a0, s1
    addi s3, s3, 3
    sd s3, 0(sp)
    call leaf
    ld ra, 56(sp)
    ld s0, 48(sp)
    ld s1, 40(sp)
    ld s2, 32(sp)
    ld s3, 24(sp)
    addi sp, sp, FRAME
    ret
leaf: # its caller's frame through another base
    mv t1, sp
    lw t0, 0(t1)
    lwu t2, 4(t1)
    add a0, a0, t0
    add a0, a0, t0
    add a0, a0, t0
    add a0, a0, t2
    ret

# a0 discs from a1 to a2 over a3; s6 counts the moves.
hanoi:
    addi sp, sp, -48
    sd ra, 40(sp)
    sd s0, 32(sp)
    sd s1, 24(sp)
    sd s2, 16(sp)
    sd s3, 8(sp)
    mv s0, a0
    mv s1, a1
    mv s2, a2
    mv s3, a3
    beqz a0, 1f
    addi a0, s0, -1
    mv a2, s3
    mv a3, s2
    call hanoi
    addi s6, s6, 1
    addi a0, s0, -1
    mv a1, s3
    mv a2, s2
    mv a3, s1
    call hanoi
1:  ld ra, 40(sp)
    ld s0, 32(sp)
    ld s1, 24(sp)
    ld s2, 16(sp)
    ld s3, 8(sp)
    addi sp, sp, 48
    ret

.section .bss
.balign 4096
    .skip 4096
middle:
    .skip 4096
