# SPDX-License-Identifier: Apache-2.0
# Two harts at once: counters by AMO, by LR/SC and under a lock, store buffering with fences, and one
# hart rewriting a function that the other one calls behind fence.i. Needs --cpus 2.
.include "isa.inc"
.include "barrier.inc"
.equ ROUNDS, 50000

main:
    csrr s0, mhartid
    li s1, 0
    BARRIER
    li s2, ROUNDS # AMO and LR/SC, of both sizes
    la a0, counters
1:  li t0, 1
    amoadd.d zero, t0, (a0)
    addi a1, a0, 8
    amoadd.w zero, t0, (a1)
    addi a1, a0, 16
2:  lr.d t0, (a1)
    addi t0, t0, 1
    sc.d t1, t0, (a1)
    bnez t1, 2b
    addi a1, a0, 24
3:  lr.w t0, (a1)
    addi t0, t0, 1
    sc.w t1, t0, (a1)
    bnez t1, 3b
    addi a1, a0, 32
    li t0, 1
4:  amoswap.w.aq t1, t0, (a1) # a lock around plain accesses
    bnez t1, 4b
    ld t1, 40(a0)
    addi t1, t1, 1
    sd t1, 40(a0)
    amoswap.w.rl zero, zero, (a1)
    addi s2, s2, -1
    bnez s2, 1b
    BARRIER
    TEST 1
    ld t0, 0(a0)
    EXPECT t0, 2 * ROUNDS
    TEST 2
    lw t0, 8(a0)
    EXPECT t0, 2 * ROUNDS
    TEST 3
    ld t0, 16(a0)
    EXPECT t0, 2 * ROUNDS
    TEST 4
    lw t0, 24(a0)
    EXPECT t0, 2 * ROUNDS
    TEST 5
    ld t0, 40(a0)
    EXPECT t0, 2 * ROUNDS

    TEST 6 # store buffering: with fences not both may read the old value
    li s2, 5000
    slli s3, s0, 6
    la s4, words
    add s5, s4, s3 # mine
    xori s6, s3, 64
    add s6, s6, s4 # the other's
    la s7, seen
    slli t0, s0, 3
    add a3, s7, t0
6:  sd zero, 0(s5)
    BARRIER
    li t0, 1
    sd t0, 0(s5)
    fence rw, rw
    ld t1, 0(s6)
    sd t1, 0(a3)
    BARRIER
    ld t0, 0(s7)
    ld t1, 8(s7)
    or t0, t0, t1
    beqz t0, fail
    BARRIER
    addi s2, s2, -1
    bnez s2, 6b

    TEST 7 # hart 0 writes `li a0, n`, hart 1 calls it
    li s2, 2000
    la s3, code
    la s4, ready
7:  bnez s0, 8f
    slli t0, s2, 20
    li t1, 0x513
    or t0, t0, t1
    sw t0, 0(s3)
    fence w, w
    sd s2, 0(s4)
    j 9f
8:  ld t0, 0(s4)
    bne t0, s2, 8b
    fence.i
    jalr s3
    slli t0, s2, 52
    srai t0, t0, 52
    bne a0, t0, fail
9:  BARRIER
    addi s2, s2, -1
    bnez s2, 7b
    BARRIER
    bnez s0, 10f
    j pass
10: j 10b

.section .data
.balign 64
arrived: .dword 0
.balign 64
counters: .skip 64
words: .skip 128
seen: .dword 0, 0
.balign 64
ready: .dword 0
.balign 4096
code:
    .word 0x513
    ret
