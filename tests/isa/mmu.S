# SPDX-License-Identifier: Apache-2.0
# Sv39, Sv48 and Sv57: the same tables at every depth. RAM is mapped one to one by a 1 GiB page;
# WINDOW is one table chain down to 4 KiB pages under test. Accessed as S unless said otherwise.
.include "isa.inc"

.equ WINDOW, 0x40000000
.equ V, 1
.equ R, 2
.equ W, 4
.equ X, 8
.equ U, 16
.equ G, 32
.equ A, 64
.equ D, 128
.equ ADUE, 1 << 61

# PTE n of the 4 KiB table = page symbol with flags
.macro PTE n, symbol, flags:vararg
    la t0, \symbol
    srli t0, t0, 12
    slli t0, t0, 10
    li t1, \flags
    or t0, t0, t1
    la t1, table0
    sd t0, 8 * \n(t1)
    sfence.vma
.endm

# a register's entry = the next table
.macro LINK slot, table, next
    la t0, \next
    srli t0, t0, 12
    slli t0, t0, 10
    ori t0, t0, V
    la t1, \table
    sd t0, \slot(t1)
.endm

main:
    li t0, ADUE
    csrc 0x30a, t0
    LINK 0, table4, table3
    LINK 0, table3, table2
    LINK 8, table2, table1
    LINK 0, table1, table0
    la t0, table2
    li t1, (0x80000000 >> 2) | V | R | W | X | A | D
    sd t1, 16(t0)
    li t1, 0x80000000 >> 2 | V | R | W | X | U | A | D # the same for U mode at 0xc0000000
    sd t1, 24(t0)
    la s0, table2
    li s1, 8
    jal run
    la s0, table3
    li s1, 9
    jal run
    la s0, table4
    li s1, 10
    jal run
    j pass

.balign 8
run: # s0 root, s1 mode
    mv s7, ra
    srli t0, s0, 12
    slli t1, s1, 60
    or s5, t0, t1
    csrw satp, s5
    sfence.vma
    li s2, WINDOW
    li s3, 4096
    add s3, s3, s2 # second page
    slli s6, s1, 4 # tests are 16 * mode + n
TEST 1
    add gp, gp, s6
    PTE 0, page0, V|R|W|A|D
    ENTER 1
    li a0, 0x1122334455667788
    sd a0, 0(s2)
    la t0, page0
    ld a1, 0(t0)
    EXPECT_REG a0, a1
TEST 2 # no right to write, to fetch, no entry, W without R
    add gp, gp, s6
    PTE 0, page0, V|R|A|D
    ld a1, 0(s2)
    EXPECT_TRAP 15, sd a0, 8(s2)
    addi t0, s2, 8
    EXPECT_REG s9, t0
    EXPECT_TRAP 15, amoadd.d a1, a0, (s2)
    EXPECT_TRAP 15, sc.d a1, a0, (s2)
    EXPECT_TRAP 12, jr s2
    EXPECT_REG s9, s2
    PTE 0, page0, R|W|A|D
    EXPECT_TRAP 13, lr.d a1, (s2)
    PTE 0, page0, V|W|A|D
    EXPECT_TRAP 13, ld a1, 0(s2)
    PTE 0, page0, V|A|D
    EXPECT_TRAP 13, ld a1, 0(s2)
    PTE 0, page0, 1 << 54|V|R|W|A|D
    EXPECT_TRAP 13, ld a1, 0(s2)
    PTE 0, page0, 1 << 61|V|R|W|A|D
    EXPECT_TRAP 13, ld a1, 0(s2)
TEST 3 # execute-only is readable with MXR
    add gp, gp, s6
    PTE 0, page0, V|X|A|D
    EXPECT_TRAP 13, ld a1, 0(s2)
    li t0, MSTATUS_MXR
    csrs sstatus, t0
    ld a1, 0(s2)
    EXPECT_REG a1, a0
    csrc sstatus, t0
    EXPECT_TRAP 13, ld a1, 0(s2)
TEST 4 # user pages: S needs SUM, and never executes them
    add gp, gp, s6
    PTE 0, page0, V|R|W|X|U|A|D
    EXPECT_TRAP 13, ld a1, 0(s2)
    li t0, MSTATUS_SUM
    csrs sstatus, t0
    ld a1, 0(s2)
    EXPECT_TRAP 12, jr s2
    csrc sstatus, t0
    EXPECT_TRAP 15, sd a1, 0(s2)
TEST 5 # accessed and dirty by hand (Svade)
    add gp, gp, s6
    PTE 0, page0, V|R|W|X
    EXPECT_TRAP 13, ld a1, 0(s2)
    EXPECT_TRAP 12, jr s2
    PTE 0, page0, V|R|W|A
    ld a1, 0(s2)
    EXPECT_TRAP 15, sd a1, 0(s2)
    ENTER_M
TEST 6 # and by the walk (Svadu)
    add gp, gp, s6
    li t0, ADUE
    csrs 0x30a, t0
    PTE 0, page0, V|R|W
    ENTER 1
    ld a1, 0(s2)
    la t1, table0
    lbu a2, 0(t1)
    EXPECT a2, V|R|W|A
    sd a1, 0(s2)
    lbu a2, 0(t1)
    EXPECT a2, V|R|W|A|D
    PTE 0, page0, V|R # a refused access leaves it alone
    EXPECT_TRAP 15, sd a1, 0(s2)
    la t1, table0
    lbu a2, 0(t1)
    EXPECT a2, V|R
    ENTER_M
    li t0, ADUE
    csrc 0x30a, t0
TEST 7 # across two pages: all or nothing, the fault names the second page
    add gp, gp, s6
    PTE 0, page0, V|R|W|A|D
    PTE 1, page2, V|R|W|A|D
    ENTER 1
    la t0, page0 + 4096
    li a0, -1
    sd a0, -4(s3)
    lw a1, -4(t0)
    EXPECT a1, -1
    ld a1, -4(s3)
    EXPECT_REG a0, a1
    la t0, page2
    lwu a1, 0(t0)
    EXPECT a1, 0xffffffff
    PTE 1, page2, V|R|A|D
    EXPECT_TRAP 15, sd zero, -4(s3)
    EXPECT_REG s9, s3
    la t0, page0 + 4096
    lw a1, -4(t0)
    EXPECT a1, -1
    PTE 1, page2, 0
    EXPECT_TRAP 13, ld a1, -4(s3)
    EXPECT_REG s9, s3
    sd zero, -8(s3)
TEST 8 # an instruction across two pages, the second missing
    add gp, gp, s6
    PTE 0, page1, V|R|X|A|D
    li t0, 0x00000013 # nop
    la t1, page1 + 4096
    sh t0, -2(t1)
    fence.i
    addi t2, s3, -2
    EXPECT_TRAP 12, jr t2
    EXPECT_REG s8, t2
    EXPECT_REG s9, s3
TEST 9 # superpages: 2 MiB, misaligned, pointers with leaf bits
    add gp, gp, s6
    la t0, table1
    li t1, 0x80000000 >> 2 | V|R|A|D
    sd t1, 8(t0)
    sfence.vma
    li t2, WINDOW + 0x200000
    la t0, page0
    slli t1, t0, 43
    srli t1, t1, 43
    add t2, t2, t1
    ld a0, 0(t0)
    ld a1, 0(t2)
    EXPECT_REG a0, a1
    la t0, table1
    li t1, 0x80001000 >> 2 | V|R|A|D
    sd t1, 8(t0)
    sfence.vma t2, zero
    EXPECT_TRAP 13, ld a1, 0(t2)
    EXPECT_REG s9, t2
    LINK 8, table1, table0
    la t0, table1
    ld t1, 8(t0)
    ori t1, t1, D
    sd t1, 8(t0)
    sfence.vma
    EXPECT_TRAP 13, ld a1, 0(t2)
    sd zero, 8(t0)
    sfence.vma
TEST 10 # addresses must be sign-extended
    add gp, gp, s6
    li t0, 39 - 8 * 9
    slli t1, s1, 3
    add t1, t1, s1
    add t0, t0, t1 # bits of a virtual address
    addi t0, t0, -1
    li t2, 1
    sll t2, t2, t0
    EXPECT_TRAP 13, ld a1, 0(t2)
    EXPECT_REG s9, t2
    EXPECT_TRAP 12, jr t2
    or t1, t2, s2
    EXPECT_TRAP 15, sd a1, 0(t1)
TEST 11 # an old translation lives at most until its fence, by address and by space
    add gp, gp, s6
    PTE 0, page0, V|R|W|A|D
    ld a0, 0(s2)
    PTE 0, page1, V|R|W|A|D
    sd s2, 0(s2)
    la t0, page1
    ld a1, 0(t0)
    EXPECT_REG a1, s2
    la t0, page0
    srli t0, t0, 2
    ori t0, t0, V|R|W|A|D
    la t1, table0
    sd t0, 0(t1)
    sfence.w.inval
    sinval.vma s2, zero
    sfence.inval.ir
    ld a1, 0(s2)
    EXPECT_REG a1, a0
    li t0, 5 << 44 # another address space with the same tables
    or t0, t0, s5
    csrw satp, t0
    ld a1, 0(s2)
    sd zero, 0(t1)
    li t0, 5
    sfence.vma s2, t0
    EXPECT_TRAP 13, ld a1, 0(s2)
    csrw satp, s5
TEST 12 # NAPOT: 64 KiB through one entry
    add gp, gp, s6
    la t0, napot
    srli t0, t0, 2
    li t1, 1 << 63 | 8 << 10 | V|R|A|D
    or t0, t0, t1
    la t1, table0
    li t2, 16
    add t3, t1, 16 * 8
1:  sd t0, 0(t3)
    addi t3, t3, 8
    addi t2, t2, -1
    bnez t2, 1b
    sfence.vma
    la t0, napot
    li t1, 0xf008
    add t0, t0, t1
    sd s3, 0(t0)
    li t1, WINDOW + 0x1f008
    ld a0, 0(t1)
    EXPECT_REG a0, s3
    PTE 16, napot, 1 << 63 | 4 << 10 | V|R|A|D
    li t1, WINDOW + 0x10000
    EXPECT_TRAP 13, ld a0, 0(t1)
    ENTER_M
TEST 13 # MPRV lends M the view of S, for data only
    add gp, gp, s6
    PTE 0, page0, V|R|W|A|D
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPRV | 1 << 11
    csrs mstatus, t0
    ld a0, 0(s2)
    EXPECT_TRAP 13, ld a0, 0(s3)
    csrc mstatus, t0
    csrw satp, zero
    li t0, MSTATUS_MPRV
    csrc mstatus, t0
    jr s7

.data
.balign 65536
napot: .skip 65536
table4: .skip 4096
table3: .skip 4096
table2: .skip 4096
table1: .skip 4096
table0: .skip 4096
page0: .skip 4096
page1: .skip 4096
page2: .skip 4096
