/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms an operation takes in the fast interpreter (ir_insn.form): the common ones by operand
 * kind and width, each with a handler of its own; the rest through the general handlers at the
 * end. _I: b is the immediate. W: 32 bits, result sign-extended.
 */
#pragma once

/* clang-format off */ /* it finds no rest in a row of macros: each run moves one more */
#define INTERP_FORMS(X) \
    X(NOP) X(IMM) X(MOV) X(LEA) X(SELECT) X(ADD) X(SUB) X(AND) X(OR) X(XOR) X(SHL) X(SHR) \
    X(SAR) X(MUL) X(LT) X(LTU) X(ADD_I) X(AND_I) X(OR_I) X(XOR_I) X(SHL_I) X(SHR_I) X(SAR_I) \
    X(LT_I) X(LTU_I) X(ADDW) X(SUBW) X(SHLW) X(SHRW) X(SARW) X(MULW) X(ADDW_I) X(SHLW_I) \
    X(SHRW_I) X(SARW_I) X(EXTS_8) X(EXTS_16) X(EXTS_32) X(EXTU_8) X(EXTU_16) X(EXTU_32) \
    X(LD_U8) X(LD_S8) X(LD_U16) X(LD_S16) X(LD_U32) X(LD_S32) X(LD_64) X(ST_8) X(ST_16) \
    X(ST_32) X(ST_64) X(BR_EQ) X(BR_NE) X(BR_LT) X(BR_GE) X(BR_LTU) X(BR_GEU) X(BR_32) \
    X(EXIT) X(JUMP) X(TRAP) X(PURE) X(FLOAT) X(FENCE) X(EFFECT)
/* clang-format on */

#define INTERP_FORM_ENUM(name) FORM_##name,
enum interp_form { INTERP_FORMS(INTERP_FORM_ENUM) FORM_COUNT };
#undef INTERP_FORM_ENUM
