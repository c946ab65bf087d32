# SPDX-License-Identifier: Apache-2.0
# Physical memory protection: grain, matching, order, locks, M mode, page tables.
.include "isa.inc"

.macro ADDR n, symbol, bits=0
    la t0, \symbol
    srli t0, t0, 2
    ori t0, t0, \bits
    csrw pmpaddr\n, t0
.endm

main:
TEST 1 # grain of 4 KiB: seen as the manual says to find it
    csrw pmpcfg0, zero
    li a0, -1
    csrw pmpaddr0, a0
    csrr a1, pmpaddr0
    EXPECT a1, 0x3ffffffffffc00
    li a0, 0x18 # NAPOT reads ones below
    csrw pmpcfg0, a0
    csrw pmpaddr0, zero
    csrr a1, pmpaddr0
    EXPECT a1, 0x1ff
    li a0, 0x10 # NA4 cannot be had
    csrw pmpcfg0, a0
    csrr a1, pmpcfg0
    andi a1, a1, 0x18
    EXPECT a1, 0x18
    csrw pmpcfg0, zero
TEST 2 # no entry matches: M passes, S does not
    csrw pmpaddr0, zero
    la s0, page
    ld a0, 0(s0)
    li t0, MSTATUS_MPRV | MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPRV
    csrs mstatus, t0
    EXPECT_TRAP 5, ld a0, 0(s0)
    EXPECT_REG s9, s0
    li t0, MSTATUS_MPRV
    csrc mstatus, t0
TEST 3 # entry 1 lets all pass, entry 0 makes one page read-only; seen through MPRV
    li t0, -1
    csrw pmpaddr1, t0
    ADDR 0, page, 0x1ff
    li t0, 0x1f19
    csrw pmpcfg0, t0
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPRV
    csrs mstatus, t0
    ld a0, 0(s0)
    EXPECT_TRAP 7, sd a0, 8(s0)
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPRV
    csrs mstatus, t0
    li t0, 4096
    add s1, s0, t0
    sd a0, 0(s1)
    li t0, MSTATUS_MPRV
    csrc mstatus, t0
TEST 4 # instruction fetch
    csrw pmpcfg0, zero
    ADDR 0, code, 0x1ff
    li t0, 0x1f1b
    csrw pmpcfg0, t0
    la s2, code
    ENTER 1
    EXPECT_TRAP 1, jr s2
    EXPECT_REG s9, s2
    ENTER_M
    li t0, 0x1f1f
    csrw pmpcfg0, t0
    ENTER 1
    jalr s2
    ENTER_M
TEST 5 # TOR; an access that leaves the range part way
    csrw pmpcfg0, zero
    la t0, page
    srli t0, t0, 2
    csrw pmpaddr0, t0
    la t0, page + 8192
    srli t0, t0, 2
    csrw pmpaddr1, t0
    li t0, -1
    csrw pmpaddr2, t0
    li t0, 0x1f0900 # [page, page + 8 KiB) read-only
    csrw pmpcfg0, t0
    ENTER 1
    EXPECT_TRAP 7, sb a0, 0(s0)
    li t0, 8192
    add s1, s0, t0
    sb a0, 0(s1)
    EXPECT_TRAP 7, sb a0, -1(s1)
    EXPECT_TRAP 7, sd a0, -4(s1)
    sb a0, -1(s0)
    EXPECT_TRAP 7, sd a0, -4(s0)
    EXPECT_REG s9, s0
    ENTER_M
TEST 6 # a walk may not read page tables that S may not read
    csrw pmpcfg0, zero
    ADDR 0, root, 0x1ff
    li t0, -1
    csrw pmpaddr1, t0
    li t0, 0x1f18
    csrw pmpcfg0, t0
    la t0, root
    li a0, 0x20000000 | 0xcf # 1 GiB at 0x80000000
    sd a0, 16(t0)
    srli t0, t0, 12
    li a0, 8 << 60
    or t0, t0, a0
    csrw satp, t0
    li t0, MSTATUS_MPRV
    csrc mstatus, t0
    la s3, page
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPRV | 1 << 11
    csrs mstatus, t0
    EXPECT_TRAP 5, ld a0, 0(s3)
    EXPECT_REG s9, s3
    li t0, 0x1f19
    csrw pmpcfg0, t0
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPRV | 1 << 11
    csrs mstatus, t0
    ld a0, 0(s3)
    li t0, MSTATUS_MPRV
    csrc mstatus, t0
    csrw satp, zero
TEST 7 # a lock binds M too, and holds
    csrw pmpcfg0, zero
    ADDR 0, page, 0x1ff
    li t0, 0x99
    csrw pmpcfg0, t0
    ld a0, 0(s0)
    EXPECT_TRAP 7, sd a0, 0(s0)
    csrw pmpcfg0, zero
    csrr a0, pmpcfg0
    EXPECT a0, 0x99
    csrr a1, pmpaddr0
    csrw pmpaddr0, zero
    csrr a2, pmpaddr0
    EXPECT_REG a1, a2
    j pass

.data
.balign 4096
page: .skip 8192
root: .skip 4096
.section .text
.balign 4096
code: ret
.balign 4096
