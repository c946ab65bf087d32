/* SPDX-License-Identifier: Apache-2.0 */
/* A bare program for a debugger: every hart counts in its own register and in memory, for ever. */
    .globl _start, again, counter
_start:
    csrr t2, mhartid
    la t1, counter
    slli t2, t2, 3
    add t1, t1, t2
    li t0, 0
again:
    addi t0, t0, 1
    sd t0, 0(t1)
    j again
    .balign 64
counter:
    .space 64
