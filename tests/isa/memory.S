# SPDX-License-Identifier: Apache-2.0
# Loads, stores, atomics, reservations, code that changes itself; misaligned accesses.
.include "isa.inc"

main:
    la s0, buffer
TEST 1 # widths and signs
    li a0, 0x8182838485868788
    sd a0, 0(s0)
    lb a1, 0(s0)
    EXPECT a1, -0x78
    lbu a1, 7(s0)
    EXPECT a1, 0x81
    lh a1, 2(s0)
    EXPECT a1, 0xffffffffffff8586
    lhu a1, 2(s0)
    EXPECT a1, 0x8586
    lw a1, 4(s0)
    EXPECT a1, 0xffffffff81828384
    lwu a1, 4(s0)
    EXPECT a1, 0x81828384
TEST 2 # misaligned in RAM works, also across a page
    lw a1, 1(s0)
    EXPECT a1, 0xffffffff84858687
    la s1, page + 4096 - 3
    sd a0, 0(s1)
    ld a1, 0(s1)
    EXPECT_REG a1, a0
    lbu a1, 3(s1)
    EXPECT a1, 0x85
    lh a1, 2(s1)
    EXPECT a1, 0xffffffffffff8586
TEST 3 # misaligned atomics trap, with the address
    addi s2, s0, 2
    EXPECT_TRAP 6, amoadd.w a1, a0, (s2)
    EXPECT_REG s9, s2
    EXPECT_TRAP 4, lr.w a1, (s2)
    EXPECT_TRAP 6, sc.w a1, a0, (s2)
    addi s2, s0, 4
    EXPECT_TRAP 6, amoswap.d a1, a0, (s2)
    EXPECT_TRAP 4, lr.d a1, (s2)
TEST 4 # nothing there
    li s2, 0x1f000000
    EXPECT_TRAP 5, ld a1, 8(s2)
    EXPECT s9, 0x1f000008
    EXPECT_TRAP 7, sb a1, 0(s2)
    EXPECT_TRAP 7, amoor.d a1, a0, (s2)
    EXPECT_TRAP 5, lr.w a1, (s2)
    li s2, -8
    EXPECT_TRAP 5, ld a1, 0(s2)
    EXPECT s9, -8
    li s2, 0x1f000000
    EXPECT_TRAP 1, jr s2
    EXPECT s9, 0x1f000000
    EXPECT_REG s8, s9
TEST 5 # AMOs
    li a0, 0xffffffff80000000
    sd a0, 0(s0)
    li a1, 0x7fffffff
    amoadd.w a2, a1, (s0)
    EXPECT a2, -0x80000000
    ld a2, 0(s0)
    EXPECT a2, -1
    li a1, 5
    amomin.d a2, a1, (s0)
    ld a2, 0(s0)
    EXPECT a2, -1
    amominu.d a2, a1, (s0)
    ld a2, 0(s0)
    EXPECT a2, 5
    li a1, -9
    amomax.d a2, a1, (s0)
    EXPECT a2, 5
    amomaxu.w a2, a1, (s0)
    ld a2, 0(s0)
    EXPECT a2, 0xfffffff7
    amoxor.d.aqrl a2, a1, (s0)
    amoand.d a2, a1, (s0)
    amoswap.w zero, a1, (s0)
    lw a2, 0(s0)
    EXPECT a2, -9
TEST 6 # LR and SC: success once, failure without or after another SC
    li a1, 77
    sc.d a2, a1, (s0)
    EXPECT a2, 1
    lr.d a3, (s0)
    sc.d a2, a1, (s0)
    EXPECT a2, 0
    ld a3, 0(s0)
    EXPECT a3, 77
    sc.d a2, zero, (s0)
    EXPECT a2, 1
    lr.w a3, (s0)
    addi s2, s0, 64
    sc.w a2, a1, (s2)
    EXPECT a2, 1
TEST 7 # a trap in between drops the reservation
    lr.d a3, (s0)
    EXPECT_TRAP 3, ebreak
    sc.d a2, zero, (s0)
    EXPECT a2, 1
TEST 8 # code that changes itself: FENCE.I makes it seen
    la s2, patch
    lw a0, 0(s2)
    lw a1, other
    jal 9f
    EXPECT a2, 1
    sw a1, 0(s2)
    fence.i
    jal 9f
    EXPECT a2, 2
    sw a0, 0(s2)
    fence.i
    jal 9f
    EXPECT a2, 1
    j 10f
9:
.option push
.option norvc
patch:
    li a2, 1
    ret
other:
    li a2, 2
.option pop
10:
TEST 9 # cbo.zero clears the 64 bytes around; the others leave memory alone
    la s2, buffer + 128
    li a0, -1
    sd a0, -8(s2)
    sd a0, 0(s2)
    sd a0, 56(s2)
    sd a0, 64(s2)
    addi a1, s2, 13
    cbo.zero (a1)
    ld a2, 0(s2)
    EXPECT a2, 0
    ld a2, 56(s2)
    EXPECT a2, 0
    ld a2, -8(s2)
    EXPECT a2, -1
    ld a2, 64(s2)
    EXPECT a2, -1
    cbo.clean (s2)
    cbo.flush (s2)
    cbo.inval (s2)
    prefetch.r 0(s2)
    li a1, 0x1f000000
    EXPECT_TRAP 7, cbo.zero 0(a1)
    j pass

.data
.balign 64
buffer: .skip 256
.balign 4096
page: .skip 8192
