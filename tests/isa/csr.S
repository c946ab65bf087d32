# SPDX-License-Identifier: Apache-2.0
# Control and status registers: rights, legal values, views, counters.
.include "isa.inc"

main:
TEST 1 # unknown, read-only
    EXPECT_TRAP 2, csrr a0, 0x5c0
    EXPECT_TRAP 2, csrw mhartid, a0
    EXPECT_TRAP 2, csrsi cycle, 1
    csrrs a0, mhartid, zero
    EXPECT a0, 0
    csrrci a0, mvendorid, 0
TEST 2 # write, set, clear; old value back; x0 does not write
    li a0, 0x1234
    csrrw zero, mscratch, a0
    li a1, 0xff
    csrrs a2, mscratch, a1
    EXPECT a2, 0x1234
    csrrc a2, mscratch, a1
    EXPECT a2, 0x12ff
    csrrwi a2, mscratch, 21
    EXPECT a2, 0x1200
    csrrsi a2, mscratch, 2
    EXPECT a2, 21
    csrrci a2, mscratch, 1
    EXPECT a2, 23
    csrr a2, mscratch
    EXPECT a2, 22
    mv a0, a2
    csrrw a0, mscratch, a0
    EXPECT a0, 22
TEST 3 # misa, and bits that stay as they are
    csrr a0, misa
    li a1, 0x800000000014112d
    EXPECT_REG a0, a1
    csrw misa, zero
    csrr a0, misa
    EXPECT_REG a0, a1
    li a0, -1
    csrw mepc, a0
    csrr a0, mepc
    EXPECT a0, -2
    csrw mideleg, a1
    li a0, -1
    csrw mideleg, a0
    csrr a0, mideleg
    EXPECT a0, 0x222
    csrw medeleg, a0
    li a0, -1
    csrw medeleg, a0
    csrr a0, medeleg
    EXPECT a0, 0xb3ff
    csrw medeleg, zero
    csrw mideleg, zero
    csrr a0, mtvec
    csrsi mtvec, 2
    csrr a1, mtvec
    EXPECT_REG a0, a1
TEST 4 # sstatus is a view of mstatus
    li a0, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP | MSTATUS_MIE
    csrc mstatus, a0
    csrs sstatus, a0
    csrr a1, mstatus
    and a1, a1, a0
    EXPECT a1, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP
    csrc sstatus, a0
    csrr a1, sstatus
    srli a1, a1, 32
    andi a1, a1, 3
    EXPECT a1, 2
TEST 5 # satp takes known modes only
    li a0, 3 << 60 | 5
    csrw satp, a0
    csrr a1, satp
    EXPECT a1, 0
    li a0, 9 << 60 | 0x1234 << 44 | 7
    csrw satp, a0
    csrr a1, satp
    EXPECT_REG a0, a1
    csrw satp, zero
TEST 6 # floating point off: its registers and instructions are illegal
    li a0, MSTATUS_FS
    csrc mstatus, a0
    EXPECT_TRAP 2, csrr a0, fcsr
    EXPECT_TRAP 2, fadd.s fa0, fa0, fa0
    EXPECT_TRAP 2, fld fa0, 0(sp)
    EXPECT_TRAP 2, fmv.x.d a0, fa0
    EXPECT_TRAP 2, fsw fa0, 0(sp)
TEST 7 # the first write makes it dirty; stores and moves out do not
    li a0, 1 << 13
    csrs mstatus, a0
    fmv.x.d a1, fa0
    fsd fa0, 0(sp)
    csrr a2, mstatus
    li a1, MSTATUS_FS
    and a3, a2, a1
    EXPECT_REG a3, a0
    bltz a2, fail
    fld fa0, 0(sp)
    csrr a2, mstatus
    bgez a2, fail
    and a3, a2, a1
    EXPECT_REG a3, a1
    csrc mstatus, a1
    csrs mstatus, a0
    csrwi fflags, 0
    csrr a2, sstatus
    bgez a2, fail
TEST 8 # counters: exact from the first trap after a look at them; stoppable, writable
    csrr a0, minstret
    EXPECT_TRAP 3, ebreak
    csrr a0, minstret
    nop
    nop
    csrr a1, minstret
    sub a1, a1, a0
    EXPECT a1, 3
    li a0, 1000
    csrw minstret, a0
    csrr a1, minstret
    EXPECT a1, 1000
    csrwi mcountinhibit, 4
    csrr a0, minstret
    nop
    csrr a1, minstret
    EXPECT_REG a0, a1
    csrwi mcountinhibit, 0
    csrr a0, cycle
    csrr a1, cycle
    bgeu a0, a1, fail
TEST 9 # who may read them
    csrw mcounteren, zero
    ENTER 1
    EXPECT_TRAP 2, rdtime a0
    EXPECT_TRAP 2, rdcycle a0
    ENTER_M
    csrwi mcounteren, 7
    csrw scounteren, zero
    ENTER 1
    rdtime a0
    rdinstret a0
    ENTER_M
    ENTER 0
    EXPECT_TRAP 2, rdtime a0
    EXPECT_TRAP 2, csrr a0, 0xc03
    ENTER_M
    csrwi scounteren, 2
    ENTER 0
    rdtime a0
1:  rdtime a1
    beq a0, a1, 1b
    EXPECT_TRAP 2, rdcycle a0
    ENTER_M
TEST 10 # envcfg: cache-block instructions need leave; CBIE has no mode 2
    la s0, tohost + 64
    li a0, 2 << 4
    csrw 0x30a, a0
    csrr a0, 0x30a
    EXPECT a0, 0
    ENTER 1
    EXPECT_TRAP 2, cbo.zero 0(s0)
    EXPECT_TRAP 2, cbo.clean 0(s0)
    EXPECT_TRAP 2, cbo.inval 0(s0)
    ENTER_M
    li a0, 0xf0
    csrw 0x30a, a0
    ENTER 1
    cbo.zero 0(s0)
    cbo.flush 0(s0)
    cbo.inval 0(s0)
    li a0, 0x40
    csrw 0x10a, a0
    ENTER_M
    ENTER 0
    cbo.clean 0(s0)
    EXPECT_TRAP 2, cbo.zero 0(s0)
    EXPECT_TRAP 2, cbo.inval 0(s0)
    ENTER_M
TEST 11 # triggers and events are there and do nothing
    csrwi 0x7a0, 5
    csrr a0, 0x7a0
    EXPECT a0, 0
    csrr a0, 0x7a1
    EXPECT a0, 0
    csrr a0, mhpmcounter3
    EXPECT a0, 0
    csrw mhpmevent31, a0
    j pass
