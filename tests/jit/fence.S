# SPDX-License-Identifier: Apache-2.0
# Hart 0 changes code that hart 1 has translated a moment ago, by a store that was checked before
# that, and says so by memory alone; hart 1 runs it behind fence.i. Device reads between check and
# store, and behind both, make the time long in which hart 0 has told the host of nothing.
# Each round has a page of its own, so that it is translated in that time. Needs --cpus 2.
.include "isa.inc"
.include "barrier.inc"
.ifndef ROUNDS
.equ ROUNDS, 300
.endif
.equ PAGE, 4096
.equ SAME_TLB_SLOT, 16 << 20
.equ MTIME, 0x200bff8
.equ OLD, 0x00100513 # li a0, 1
.equ NEW, 0x00200513 # li a0, 2
.equ RET, 0x00008067

.macro SLOWLY times
    .rept \times
    ld t0, 0(s6)
    .endr
.endm

# Hart 0: a check that serves two stores, `before`, hart 1 translates, the second store, the word,
# and `after` in the same straight line. Then the same seen from hart 1.
.macro CHANGE n, before, after:vararg
    TEST \n
    li s2, ROUNDS
    la s4, words
    li s6, MTIME
    li s7, NEW
    sd zero, 0(s4)
    sd zero, 64(s4)
11: BARRIER
    bnez s0, 15f
    li t0, OLD
    sw t0, 0(s3)
    li t0, RET
    sw t0, 4(s3)
    BARRIER
    j 12f
12: sd zero, 128(s3)
    \before
    sd s2, 0(s4)
    SLOWLY 30
    sw s7, 0(s3)
    fence w, w
    sd s2, 64(s4)
    \after
    j 19f
15: BARRIER
16: ld t0, 0(s4)
    bne t0, s2, 16b
    jalr s3
    li t0, 2
    bgtu a0, t0, fail
    addi t1, a0, -1
    seqz t1, t1
    add s5, s5, t1
17: ld t0, 64(s4)
    bne t0, s2, 17b
    fence.i
    jalr s3
    li t0, 2
    bne a0, t0, fail
19: li t0, PAGE
    add s3, s3, t0
    addi s2, s2, -1
    bnez s2, 11b
    BARRIER
.endm

main:
    csrr s0, mhartid
    li s1, 0
    li s5, 0 # rounds in which hart 1 was in time to see the old code
    li s3, 0x81000000

    # hart 0 goes on without a look at what the other asks for
    CHANGE 1, , SLOWLY 400

    # its entry for the page makes room for another one first
    .macro REPLACE
    li t0, SAME_TLB_SLOT
    add t0, t0, s3
    sd zero, 0(t0)
    .endm
    .macro FORGET
    REPLACE
    SLOWLY 400
    .endm
    CHANGE 2, , FORGET

    # it empties its TLBs first
    .macro FLUSH
    sfence.vma
    SLOWLY 400
    .endm
    CHANGE 3, , FLUSH

    # its entry made room before the page was code, but the check still serves
    CHANGE 4, REPLACE, SLOWLY 400

    bnez s0, 5f
4:  ld t0, hart_1_done
    beqz t0, 4b
    TEST 5 # hart 1 was in time at least once, or nothing was tried
    fence
    ld t0, old_seen
    beqz t0, fail
    j pass
5:  la t0, old_seen
    sd s5, 0(t0)
    li t1, 1
    la t0, hart_1_done
    fence w, w
    sd t1, 0(t0)
6:  j 6b

.section .data
.balign 64
arrived: .dword 0
.balign 64
words: .skip 128
hart_1_done: .dword 0
old_seen: .dword 0
