# SPDX-License-Identifier: Apache-2.0
# Exceptions, interrupts, delegation, returns, and the status bits that govern them.
.include "isa.inc"

.equ SSIP, 1 << 1
.equ STIP, 1 << 5
.equ SEIP, 1 << 9

main:
TEST 1 # illegal instructions: mtval is the instruction, 16 bits of a short one
    EXPECT_TRAP 2, .4byte 0xffffffeb
    EXPECT s9, 0xffffffeb
    .balign 4
    EXPECT_TRAP 2, .2byte 0
    EXPECT s9, 0
    EXPECT_TRAP 2, .4byte 0x0000707b
    EXPECT s9, 0x707b
    EXPECT_TRAP 2, .2byte 0x8002 # c.jr x0
    EXPECT s9, 0x8002
TEST 2 # breakpoints and environment calls; mepc is the instruction itself
    EXPECT_TRAP 3, ebreak
    EXPECT_REG s9, s8
    EXPECT_TRAP 11, ecall
    EXPECT s9, 0
    ENTER 1
    EXPECT_TRAP 9, ecall
    ENTER_M
    ENTER 0
    EXPECT_TRAP 8, ecall
    EXPECT_TRAP 2, csrr a0, sscratch
    EXPECT_TRAP 2, sret
    EXPECT_TRAP 2, mret
    EXPECT_TRAP 2, wfi
    EXPECT_TRAP 2, sfence.vma
    EXPECT_TRAP 2, sfence.w.inval
    EXPECT_TRAP 2, sinval.vma zero, zero
    ENTER_M
TEST 3 # mstatus over a trap: MPIE, MIE, MPP; mret undoes it
    csrsi mstatus, MSTATUS_MIE
    la t0, 1f
    csrr t1, mtvec
    csrw mtvec, t0
    ebreak
.balign 4
1:  csrw mtvec, t1
    csrr a0, mstatus
    li a1, MSTATUS_MPIE | MSTATUS_MIE | MSTATUS_MPP
    and a0, a0, a1
    EXPECT a0, MSTATUS_MPIE | MSTATUS_MPP
    la t0, 2f
    csrw mepc, t0
    mret
2:  csrr a0, mstatus
    and a0, a0, a1
    EXPECT a0, MSTATUS_MPIE | MSTATUS_MIE
    csrci mstatus, MSTATUS_MIE
TEST 4 # no mode 2
    li a1, MSTATUS_MPP
    csrc mstatus, a1
    li a0, 2 << 11
    csrs mstatus, a0
    csrr a0, mstatus
    and a0, a0, a1
    EXPECT a0, 0
TEST 5 # delegation: from U and S to S, from M never
    la t0, s_trap
    csrw stvec, t0
    li t0, 1 << 3
    csrw medeleg, t0
    EXPECT_TRAP 3, ebreak
    ENTER 0
    li s7, 0
3:  ebreak
    EXPECT s7, 3
    la t0, 3b
    EXPECT_REG t0, s6
    ENTER_M
    csrr a0, sstatus
    andi a0, a0, MSTATUS_SPP
    EXPECT a0, 0
    ENTER 1
    li s7, 0
    ebreak
    EXPECT s7, 3
    csrw scause, zero
    ENTER_M
    csrw medeleg, zero
TEST 6 # interrupts: to M only when enabled, by priority, vectored
    csrci mstatus, MSTATUS_MIE
    li a0, SSIP | STIP | SEIP
    csrw mie, a0
    csrw mip, a0
    nop
    la t0, vectors + 1
    csrr s1, mtvec
    csrw mtvec, t0
    li s7, 0
    csrsi mstatus, MSTATUS_MIE # taken here: SEI, SSI, STI, each clears itself
    nop
    csrw mtvec, s1
    csrci mstatus, MSTATUS_MIE
    EXPECT s7, 0x915
    csrr a0, mip
    andi a0, a0, SSIP | STIP | SEIP
    EXPECT a0, 0
TEST 7 # a delegated one does not interrupt M, shows in sip, and is taken in S and U
    li a0, SSIP
    csrw mideleg, a0
    csrw mip, a0
    csrsi mstatus, MSTATUS_MIE
    nop
    csrci mstatus, MSTATUS_MIE
    csrr a0, sip
    EXPECT a0, SSIP
    li s7, 0
    csrci mstatus, MSTATUS_SIE
    ENTER 1
    EXPECT s7, 0
    csrsi sstatus, MSTATUS_SIE
    nop
    EXPECT s7, 0x8000000000000001
    csrr a0, sip
    EXPECT a0, 0
    csrci sstatus, MSTATUS_SIE
    csrsi sip, SSIP
    li s7, 0
    la t0, 4f
    csrw sepc, t0
    li t0, MSTATUS_SPP | MSTATUS_SPIE
    csrc sstatus, t0
    sret # to U: S interrupts are on whatever SIE says
4:  EXPECT s7, 0x8000000000000001
    ENTER_M
    csrw mideleg, zero
TEST 8 # TW, TVM, TSR
    li a0, MSTATUS_TW | MSTATUS_TVM | MSTATUS_TSR
    csrs mstatus, a0
    ENTER 1
    EXPECT_TRAP 2, wfi
    EXPECT_TRAP 2, sret
    EXPECT_TRAP 2, csrr a0, satp
    EXPECT_TRAP 2, csrw satp, zero
    EXPECT_TRAP 2, sfence.vma
    EXPECT_TRAP 2, sinval.vma zero, zero
    sfence.w.inval
    ENTER_M
    li a0, MSTATUS_TW | MSTATUS_TVM | MSTATUS_TSR
    csrc mstatus, a0
TEST 9 # wfi with a pending, enabled interrupt goes on even while they are off
    li a0, SSIP
    csrs mie, a0
    csrs mip, a0
    wfi
    csrc mip, a0
TEST 10 # Sstc: stimecmp makes STIP, only while STCE is on
    li t0, -1
    csrw 0x14d, t0
    li t0, 1 << 63
    csrs 0x30a, t0
    csrr a0, mip
    andi a0, a0, SSIP | STIP | SEIP
    EXPECT a0, 0
    li a0, STIP
    csrs mip, a0
    csrr a0, mip
    andi a0, a0, SSIP | STIP | SEIP
    EXPECT a0, 0 # read-only now
    ENTER 1
    EXPECT_TRAP 2, csrr a0, 0x14d # mcounteren.TM is off
    ENTER_M
    csrwi mcounteren, 2
    ENTER 1
    csrr a0, 0x14d
    EXPECT a0, -1
    ENTER_M
    csrw mcounteren, zero
    csrw 0x30a, zero
    j pass

.balign 4
s_trap:
    csrr s7, scause
    csrr s6, sepc
    bltz s7, 1f
    addi t6, s6, 2 # c.ebreak
    csrw sepc, t6
    sret
1:  csrci sip, SSIP
    sret

.balign 256
vectors:
    .rept 12
    j vector
    .balign 4
    .endr
vector:
    csrr t6, mcause
    andi t6, t6, 0xf
    slli s7, s7, 4
    add s7, s7, t6
    li a0, 1
    sll a0, a0, t6
    csrc mip, a0
    mret
