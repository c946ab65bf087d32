/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel of one page that looks like a Linux Image: it uses the SBI for all a kernel wants of it,
 * prints a line for each part that works, resets once and powers off. Entered in S mode with the
 * hart's number in a0 and the device tree in a1; the same under Posada's SBI and under OpenSBI.
 */
    .equ EXT_TIME, 0x54494d45
    .equ EXT_IPI, 0x735049
    .equ EXT_RFENCE, 0x52464e43
    .equ EXT_HSM, 0x48534d
    .equ EXT_SRST, 0x53525354
    .equ MARK, 0x84000000           /* RAM that nobody loads: survives a reset */
    .equ TICKS, 200000              /* 20 ms of the 10 MHz time base */

    .macro sbi ext, function
    li a7, \ext
    li a6, \function
    ecall
    .endm

    .macro print text
    la a0, 9f
    call puts
    .pushsection .rodata
9:  .asciz "\text\n"
    .popsection
    .endm

    .option norvc
    .text
    .globl _start
_start:
    j entry
    .word 0
    .dword 0x200000                 /* text offset */
    .dword 0x10000                  /* size in memory */
    .dword 0, 2, 0
    .dword 0x5643534952             /* "RISCV" */
    .word 0x05435352                /* "RSC\x05" */
    .word 0

entry:
    /* OpenSBI before 1.3 says that a hart shall start before it says where: one that is not yet
     * asleep comes here instead. */
    la t0, starting
    lw t1, 0(t0)
    beqz t1, 1f
    li a1, 0x1234
    j second
1:  la sp, stack_end
    mv s0, a0                       /* this hart */
    mv s1, a1
    csrw sie, zero
    la t0, trap
    csrw stvec, t0

    print "supervisor: started"
    lw t0, 0(s1)
    li t1, 0xedfe0dd0               /* the device tree's magic, big-endian */
    sext.w t1, t1
    bne t0, t1, fail
    print "supervisor: device tree"

    /* A timer interrupt wakes a WFI, not much too early, and the time has gone by. */
    rdtime s2
    li t0, TICKS
    add a0, s2, t0
    sbi EXT_TIME, 0
    bnez a0, fail
    li t0, 1 << 5
    csrw sie, t0
1:  wfi
    csrr t0, sip
    andi t0, t0, 1 << 5
    beqz t0, 1b
    rdtime t0
    sub t0, t0, s2
    li t1, TICKS
    bltu t0, t1, fail
    li t1, TICKS * 500              /* ten seconds: the host may be busy */
    bgtu t0, t1, fail
    li a0, -1
    sbi EXT_TIME, 0
    csrr t0, sip
    andi t0, t0, 1 << 5
    bnez t0, fail
    csrw sie, zero
    print "supervisor: timer"

    /* The other hart, if there is one, starts with our word in a1, answers, and stops. */
    seqz s3, s0                     /* any hart may be ours: OpenSBI draws lots */
    mv a0, s3
    sbi EXT_HSM, 2
    bnez a0, no_second
    la t0, starting
    li t1, 1
    sw t1, 0(t0)
    fence
    mv a0, s3
    la a1, second
    li a2, 0x1234
    sbi EXT_HSM, 0
    bnez a0, fail
    la s4, answer
1:  lwu t0, 0(s4)
    li t1, 0x1234
    bne t0, t1, 1b
    la t0, starting
    sw zero, 0(t0)
    print "supervisor: second hart"

    /* It waits for our interrupt now; fences reach it asleep or not. */
    li t0, 1
    sll a0, t0, s3
    li a1, 0
    sbi EXT_RFENCE, 0
    bnez a0, fail
    li a0, 0
    li a1, -1
    li a2, 0
    li a3, -1
    sbi EXT_RFENCE, 1
    bnez a0, fail
    li t0, 1
    sll a0, t0, s3
    li a1, 0
    sbi EXT_IPI, 0
    bnez a0, fail
1:  mv a0, s3
    sbi EXT_HSM, 2
    li t0, 1                        /* stopped */
    bne a1, t0, 1b
    print "supervisor: fences, interrupt, second hart stopped"
no_second:

    /* Anything not there is refused, a1 says nothing. */
    li a0, 1
    li a1, -2
    sbi EXT_IPI, 0
    beqz a0, fail
    li a0, 0
    li a7, 0x12345678
    ecall
    li t0, -2
    bne a0, t0, fail

    /* Reset once, then the end. */
    li t0, MARK
    lw t1, 0(t0)
    li t2, 0x600d
    beq t1, t2, 1f
    sw t2, 0(t0)
    print "supervisor: reset"
    li a0, 1
    li a1, 0
    sbi EXT_SRST, 0
    j fail
1:  sw zero, 0(t0)
    print "supervisor: power off"
    li a0, 0
    li a1, 0
    sbi EXT_SRST, 0
fail:
    print "supervisor: FAILED"
    li a0, 0
    li a1, 1
    sbi EXT_SRST, 0
1:  wfi
    j 1b

    .balign 4
trap:
    print "supervisor: TRAP"
    j fail

/* a0: text. One byte a call, which all SBIs know. */
puts:
    mv t5, a0
1:  lbu a0, 0(t5)
    beqz a0, 2f
    li a7, 1
    ecall
    addi t5, t5, 1
    j 1b
2:  ret

/* The other hart: answers, waits for a software interrupt, stops. */
second:
    la t0, answer
    sw a1, 0(t0)
    li t0, 1 << 1
    csrw sie, t0
1:  wfi
    csrr t0, sip
    andi t0, t0, 1 << 1
    beqz t0, 1b
    csrci sip, 1 << 1
    la t0, answer
    sw zero, 0(t0)
    sbi EXT_HSM, 1
    j fail

    .balign 16
answer:
    .dword 0
starting:
    .dword 0
stack:
    .space 1024
stack_end:
