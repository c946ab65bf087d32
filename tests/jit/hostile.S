# SPDX-License-Identifier: Apache-2.0
# Hostile code: pages of random words, most of them made instructions, run in U and S mode (MODE=3:
# M mode, where anything may come of it) from random entries, with random registers that often point
# at the code itself, at devices, at holes, at the last page of RAM. A timer ends what loops. M mode's
# own pages, the timer and the finisher are behind PMP. Nothing is compared: the host must survive,
# and the frame must get to its end. -DSEED=n -DROUNDS=n -DMODE=n
.include "isa.inc"
#ifndef SEED
#define SEED 1
#endif
#ifndef ROUNDS
#define ROUNDS 300
#endif
#ifndef MODE
#define MODE 1
#endif
.equ CODE, 0x80200000
.equ LAST, 0x83ffe000 # of 64 MiB
.equ MTIME, 0x200bff8
.equ MTIMECMP, 0x2004000

.macro RANDOM
    slli t0, s0, 13
    xor s0, s0, t0
    srli t0, s0, 7
    xor s0, s0, t0
    slli t0, s0, 17
    xor s0, s0, t0
.endm

main:
    li t0, 0x2001ffff # the frame: 1 MiB
    csrw pmpaddr0, t0
    li t0, 0x801fff # the CLINT
    csrw pmpaddr1, t0
    li t0, 0x401ff # the finisher
    csrw pmpaddr2, t0
    li t0, -1
    csrw pmpaddr3, t0
    li t0, 0x1f181818
    csrw pmpcfg0, t0
    csrw mcounteren, t0
    li t0, 1 << 7
    csrw mie, t0
    la t0, next
    csrw mtvec, t0
    la sp, state
    li t0, SEED * 0x9e3779b9 + 1
    sd t0, 0(sp)
    j next

.balign 4
next:
    la sp, state
    csrw satp, zero
    sfence.vma
    ld s0, 0(sp)
    ld s1, 8(sp)
    addi s1, s1, -1
    sd s1, 8(sp)
    bnez s1, 1f
    la t0, m_trap
    csrw mtvec, t0
    j pass
1:  RANDOM
    li s2, CODE
    andi t0, s0, 0x700
    bnez t0, 2f
    li s2, LAST
2:  andi t0, s1, 7 # each filling is run eight times
    bnez t0, 5f
    li s3, 2048
    mv s4, s2
3:  RANDOM
    srli t1, s0, 16
    srli t2, s0, 8
    andi t2, t2, 7
    beqz t2, 4f
    andi t2, s0, 31
    la t3, opcodes
    add t3, t3, t2
    lbu t3, 0(t3)
    andi t1, t1, -128
    or t1, t1, t3
4:  sw t1, 0(s4)
    addi s4, s4, 4
    addi s3, s3, -1
    bnez s3, 3b
5:  RANDOM
    andi t0, s0, 2
    bnez t0, 6f
    fence.i
6:  li s3, 31 # registers
    addi s4, sp, 24
7:  RANDOM
    mv t1, s0
    srli t2, s0, 5
    andi t2, t2, 15
    slli t2, t2, 3
    la t3, places
    add t3, t3, t2
    ld t3, 0(t3)
    beqz t3, 8f
    srli t1, s0, 40
    slli t1, t1, 51
    srli t1, t1, 51
    add t1, t1, t3
8:  sd t1, 0(s4)
    addi s4, s4, 8
    addi s3, s3, -1
    bnez s3, 7b
    RANDOM
    slli t1, s0, 20 # where to start
    srli t1, t1, 51
    add t1, t1, s2
    andi t2, s0, 31
    bnez t2, 9f
    ld t1, 40(sp) # anywhere
9:  csrw mepc, t1
    li t1, MSTATUS_MPP | MSTATUS_MPRV
    csrc mstatus, t1
    li t1, MSTATUS_FS
    csrs mstatus, t1
.if MODE == 3
    li t1, MSTATUS_MPP | MSTATUS_MPIE
    csrs mstatus, t1
.else
    RANDOM
    andi t1, s0, 1
    slli t1, t1, 11
    csrs mstatus, t1
.endif
    sd s0, 0(sp)
    li t1, MTIME
    ld t2, 0(t1)
    addi t2, t2, 2000
    li t1, MTIMECMP
    sd t2, 0(t1)
    .irp r, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, (16 + 8 * \r)(sp)
    .endr
    ld sp, 32(sp)
    mret

.section .data
.balign 8
state:
    .dword 0, ROUNDS
    .skip 8 * 40
places: # what registers point at; 0: random values
    .dword CODE, CODE, CODE, CODE + 0xff8, LAST, LAST, 0x10000000, 0x0c000000
    .dword 0x30000000, 0x80000000, 0x84000000, 0, 0, 0, -4096, 0x7fffffff800
opcodes: # loads, stores, arithmetic, branches, jumps, atomics, float, system, fences, compressed
    .byte 0x03, 0x23, 0x13, 0x33, 0x1b, 0x3b, 0x63, 0x63, 0x6f, 0x67, 0x2f, 0x07, 0x27, 0x43, 0x53, 0x53
    .byte 0x73, 0x0f, 0x17, 0x37, 0x01, 0x02, 0x00, 0x41, 0x23, 0x23, 0x13, 0x33, 0x03, 0x2f, 0x0f, 0x73
