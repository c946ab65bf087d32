# SPDX-License-Identifier: Apache-2.0
# F and D: boxing, canonical NaNs, rounding modes, flags, conversions at the edges.
.include "isa.inc"

.equ NX, 1
.equ UF, 2
.equ OF, 4
.equ DZ, 8
.equ NV, 16

.macro FLAGS want
    csrrw t5, fflags, zero
    EXPECT t5, \want
.endm
# op on two doubles (singles) given by their bits; result bits and flags
.macro DD op, a, b, want, flags, rm:vararg
    li a0, \a
    li a1, \b
    fmv.d.x fa0, a0
    fmv.d.x fa1, a1
    .ifb \rm
    \op fa2, fa0, fa1
    .else
    \op fa2, fa0, fa1, \rm
    .endif
    fmv.x.d a2, fa2
    EXPECT a2, \want
    FLAGS \flags
.endm
.macro SS op, a, b, want, flags, rm:vararg
    li a0, \a
    li a1, \b
    fmv.w.x fa0, a0
    fmv.w.x fa1, a1
    .ifb \rm
    \op fa2, fa0, fa1
    .else
    \op fa2, fa0, fa1, \rm
    .endif
    fmv.x.d a2, fa2
    EXPECT a2, \want
    FLAGS \flags
.endm
# conversion of bits a (double, single, integer) to integer register or bits
.macro TOINT op, move, a, want, flags, rm
    li a0, \a
    \move fa0, a0
    \op a2, fa0, \rm
    EXPECT a2, \want
    FLAGS \flags
.endm
.macro FROMINT op, back, a, want, flags
    li a0, \a
    \op fa0, a0
    \back a2, fa0
    EXPECT a2, \want
    FLAGS \flags
.endm

.equ D_1, 0x3ff0000000000000
.equ D_TINY, 1 << 52       # smallest normal
.equ D_MAX, 0x7fefffffffffffff
.equ D_INF, 0x7ff << 52
.equ D_QNAN, 0x7ff8000000000000
.equ D_SNAN, 0x7ff0000000000001
.equ S_1, 0x3f800000
.equ S_QNAN, 0x7fc00000
.equ S_SNAN, 0x7f800001
.equ BOX, 0xffffffff00000000

main:
    li t0, MSTATUS_FS
    csrs mstatus, t0
    fscsr zero
TEST 1 # results are canonical NaNs; sNaN raises NV, qNaN does not
    DD fadd.d, 0xfff8000000000123, D_1, D_QNAN, 0
    DD fmul.d, D_SNAN, D_1, D_QNAN, NV
    DD fsub.d, D_INF, D_INF, D_QNAN, NV
    DD fdiv.d, D_1, 0, D_INF, DZ
    DD fdiv.d, 0, 0, D_QNAN, NV
    SS fadd.s, S_QNAN + 5, S_1, BOX + S_QNAN, 0
    SS fadd.s, S_SNAN, S_1, BOX + S_QNAN, NV
TEST 2 # rounding modes
    DD fadd.d, D_1, 1, D_1, NX, rne
    DD fadd.d, D_1, 1, D_1 + 1, NX, rup
    DD fsub.d, D_1, 1, D_1 - 1, NX, rtz
    DD fsub.d, D_1, 1, D_1, NX, rup
    DD fadd.d, D_1, 0x3ca0000000000000, D_1, NX, rne # tie to even
    DD fadd.d, D_1, 0x3ca0000000000000, D_1 + 1, NX, rmm # tie away
    DD fsub.d, D_1, D_1, 0, 0, rne
    DD fsub.d, D_1, D_1, 1 << 63, 0, rdn
    fsrmi 3
    DD fadd.d, D_1, 1, D_1 + 1, NX # dynamic
    fsrmi 0
TEST 3 # overflow, underflow: tiny after rounding
    DD fmul.d, D_MAX, D_MAX, D_INF, OF + NX, rne
    DD fmul.d, D_MAX, D_MAX, D_MAX, OF + NX, rtz
    DD fmul.d, D_TINY, 0x3fe0000000000000, 1 << 51, 0, rne # exact subnormal: no UF
    DD fmul.d, D_TINY + 1, 0x3fe0000000000000, 1 << 51, UF + NX, rne
    DD fmul.d, D_TINY, 0x3fefffffffffffff, D_TINY, UF + NX, rne
    DD fmul.d, D_TINY + 1, 0x3feffffffffffffe, D_TINY, NX, rne # 1 - 2^-104: not tiny once rounded
    SS fmul.s, 0x00800000, 0x3f000000, BOX + 0x400000, 0, rne
    SS fmul.s, 0x7f7fffff, 0x7f7fffff, BOX + 0x7f800000, OF + NX, rne
TEST 4 # a single that is not boxed is a NaN, for all but moves and stores
    li a0, S_1
    fmv.d.x fa0, a0
    fmv.x.w a1, fa0
    EXPECT a1, S_1
    fadd.s fa1, fa0, fa0
    fmv.x.d a1, fa1
    EXPECT a1, BOX + S_QNAN
    FLAGS 0
    fsgnj.s fa1, fa0, fa0
    fmv.x.d a1, fa1
    EXPECT a1, BOX + S_QNAN
    fclass.s a1, fa0
    EXPECT a1, 1 << 9
    fsw fa0, 0(sp)
    lw a1, 0(sp)
    EXPECT a1, S_1
    flw fa0, 0(sp)
    fmv.x.d a1, fa0
    EXPECT a1, BOX + S_1
TEST 5 # sign injection
    DD fsgnj.d, D_1, 1 << 63, D_1 + (1 << 63), 0
    DD fsgnjn.d, D_1, D_1, D_1 + (1 << 63), 0
    DD fsgnjx.d, D_1 + (1 << 63), 1 << 63, D_1, 0
    SS fsgnjn.s, S_1, S_1, BOX + 0xbf800000, 0
    SS fsgnjx.s, 0xbf800000, 0x80000000, BOX + S_1, 0
    fneg.d fa1, fa0
    fabs.d fa1, fa1
TEST 6 # minimum and maximum: zeros are ordered, a number beats a NaN
    DD fmin.d, 0, 1 << 63, 1 << 63, 0
    DD fmax.d, 1 << 63, 0, 0, 0
    DD fmin.d, D_QNAN, D_1, D_1, 0
    DD fmax.d, D_1, D_SNAN, D_1, NV
    DD fmax.d, D_QNAN, D_QNAN + 1, D_QNAN, 0
    SS fmin.s, S_1, S_SNAN, BOX + S_1, NV
TEST 7 # comparisons: feq is quiet, flt and fle are not
    li a0, D_QNAN
    fmv.d.x fa0, a0
    li a0, D_1
    fmv.d.x fa1, a0
    feq.d a1, fa0, fa1
    EXPECT a1, 0
    FLAGS 0
    flt.d a1, fa0, fa1
    EXPECT a1, 0
    FLAGS NV
    fle.d a1, fa1, fa1
    EXPECT a1, 1
    FLAGS 0
TEST 8 # to integers: saturated, NV instead of NX
    TOINT fcvt.w.d, fmv.d.x, 0x41dfffffffe00000, 0x7fffffff, NX, rtz # 2^31 - 0.5
    TOINT fcvt.w.d, fmv.d.x, 0x41dfffffffe00000, 0x7fffffff, NV, rup
    TOINT fcvt.w.d, fmv.d.x, D_QNAN, 0x7fffffff, NV, rtz
    TOINT fcvt.wu.d, fmv.d.x, 0x41effffffff00000, -1, NX, rtz
    TOINT fcvt.wu.d, fmv.d.x, 0xbff0000000000000, 0, NV, rtz
    TOINT fcvt.wu.d, fmv.d.x, 0xbfe0000000000000, 0, NX, rtz
    TOINT fcvt.l.d, fmv.d.x, 0x43e0000000000000, 0x7fffffffffffffff, NV, rtz
    TOINT fcvt.l.d, fmv.d.x, 0xc3e0000000000000, 1 << 63, 0, rtz
    TOINT fcvt.lu.d, fmv.d.x, 0x43effffffffffffF, 0xfffffffffffff800, 0, rtz
    TOINT fcvt.lu.s, fmv.w.x, 0x7f800000, -1, NV, rtz
    TOINT fcvt.w.s, fmv.w.x, 0x40200000, 2, NX, rne
    TOINT fcvt.w.s, fmv.w.x, 0x40200000, 3, NX, rmm
    TOINT fcvt.l.s, fmv.w.x, 0xc0200000, -3, NX, rdn
TEST 9 # from integers
    FROMINT fcvt.d.w, fmv.x.d, 0x180000000, 0xc1e0000000000000, 0
    FROMINT fcvt.d.wu, fmv.x.d, -1, 0x41efffffffe00000, 0
    FROMINT fcvt.d.lu, fmv.x.d, -1, 0x43f0000000000000, NX
    FROMINT fcvt.s.l, fmv.x.d, 0x1000001, BOX + 0x4b800000, NX
    FROMINT fcvt.s.lu, fmv.x.d, 1 << 63, BOX + 0x5f000000, 0
TEST 10 # between formats
    li a0, 0x36a0000000000000 # smallest single subnormal
    fmv.d.x fa0, a0
    fcvt.s.d fa1, fa0
    fmv.x.d a1, fa1
    EXPECT a1, BOX + 1
    FLAGS 0
    fcvt.d.s fa2, fa1
    fmv.x.d a1, fa2
    EXPECT_REG a1, a0
    li a0, D_SNAN
    fmv.d.x fa0, a0
    fcvt.s.d fa1, fa0
    fmv.x.d a1, fa1
    EXPECT a1, BOX + S_QNAN
    FLAGS NV
TEST 11 # fused: one rounding; inf * 0 + qNaN is invalid; signs
    li a0, D_1 + 1
    fmv.d.x fa0, a0
    li a0, 0xbff0000000000002
    fmv.d.x fa1, a0
    fmadd.d fa2, fa0, fa0, fa1 # (1+e)^2 - (1+2e) = e^2
    fmv.x.d a1, fa2
    EXPECT a1, 0x3970000000000000
    FLAGS 0
    fnmadd.d fa2, fa0, fa0, fa1
    fmv.x.d a1, fa2
    EXPECT a1, 0xb970000000000000
    fmsub.d fa2, fa0, fa0, fa0
    fnmsub.d fa3, fa0, fa0, fa0
    fadd.d fa2, fa2, fa3
    fmv.x.d a1, fa2
    EXPECT a1, 0
    csrwi fflags, 0
    li a0, D_INF
    fmv.d.x fa0, a0
    fmv.d.x fa1, zero
    li a0, D_QNAN
    fmv.d.x fa2, a0
    fmadd.d fa3, fa0, fa1, fa2
    FLAGS NV
TEST 12 # square root, classes
    li a0, 0xbff0000000000000
    fmv.d.x fa0, a0
    fsqrt.d fa1, fa0
    fmv.x.d a1, fa1
    EXPECT a1, D_QNAN
    FLAGS NV
    li a0, 0x4000000000000000
    fmv.d.x fa0, a0
    fsqrt.d fa1, fa0
    fmv.x.d a1, fa1
    EXPECT a1, 0x3ff6a09e667f3bcd
    FLAGS NX
    li a0, 1 << 63
    fmv.d.x fa0, a0
    fclass.d a1, fa0
    EXPECT a1, 1 << 3
    li a0, D_SNAN
    fmv.d.x fa0, a0
    fclass.d a1, fa0
    EXPECT a1, 1 << 8
TEST 13 # rounding modes that do not exist
    EXPECT_TRAP 2, .insn r 0x53, 5, 1, x10, x10, x10
    fsrmi 5
    EXPECT_TRAP 2, fadd.d fa0, fa0, fa0
    fadd.d fa0, fa0, fa0, rne
    fmin.d fa0, fa0, fa0
    fsrmi 7
    EXPECT_TRAP 2, fsqrt.s fa0, fa0
    fsrmi 0
TEST 14 # flags stick, and are writable
    csrwi fflags, 2
    fmv.d.x fa1, zero
    fdiv.d fa0, fa0, fa1
    frflags a0
    andi a0, a0, UF
    EXPECT a0, UF
    csrwi fcsr, 0x1f
    frcsr a0
    EXPECT a0, 0x1f
    li a0, 0xff
    fscsr a0
    frrm a0
    EXPECT a0, 7
    fsrmi 0
    j pass
