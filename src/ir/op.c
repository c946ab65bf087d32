/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about each operation: one line an op, the only place that knows them. */
#include "ir/ir.h"

#define BINARY(n)                                                                                  \
    {                                                                                              \
        .name = (n), .has_dst = 1, .has_a = 1, .has_b = 1, .pure = true, .b_may_be_imm = true      \
    }
#define BINARY_SLOTS(n)                                                                            \
    {                                                                                              \
        .name = (n), .has_dst = 1, .has_a = 1, .has_b = 1, .pure = true                            \
    }
#define UNARY(n)                                                                                   \
    {                                                                                              \
        .name = (n), .has_dst = 1, .has_a = 1, .pure = true                                        \
    }
/* Not pure: the sticky flags are an effect. */
#define FLOAT(n, b, c)                                                                             \
    {                                                                                              \
        .name = (n), .has_dst = 1, .has_a = 1, .has_b = (b), .has_c = (c), .is_float = true        \
    }
#define MEMORY(n, dst, b, c)                                                                       \
    {                                                                                              \
        .name = (n), .has_dst = (dst), .has_a = 1, .has_b = (b), .has_c = (c), .may_fault = true   \
    }

const struct ir_op_info ir_op_info[IR_OP_COUNT] = {
    [IR_NOP] = {.name = "nop"},
    [IR_MOV] = UNARY("mov"),
    [IR_IMM] = {.name = "imm", .has_dst = 1, .pure = true},
    [IR_PC] = {.name = "pc", .has_dst = 1, .pure = true},
    [IR_ADD] = BINARY("add"),
    [IR_SUB] = BINARY("sub"),
    [IR_AND] = BINARY("and"),
    [IR_OR] = BINARY("or"),
    [IR_XOR] = BINARY("xor"),
    [IR_SHL] = BINARY("shl"),
    [IR_SHR] = BINARY("shr"),
    [IR_SAR] = BINARY("sar"),
    [IR_ROR] = BINARY("ror"),
    [IR_MUL] = BINARY("mul"),
    [IR_MULHU] = BINARY("mulhu"),
    [IR_MULHS] = BINARY("mulhs"),
    [IR_MULHSU] = BINARY("mulhsu"),
    [IR_DIVU] = BINARY("divu"),
    [IR_DIVS] = BINARY("divs"),
    [IR_REMU] = BINARY("remu"),
    [IR_REMS] = BINARY("rems"),
    [IR_LEA] = BINARY_SLOTS("lea"),
    [IR_EXTS] = UNARY("exts"),
    [IR_EXTU] = UNARY("extu"),
    [IR_EXTRACT] = UNARY("extract"),
    [IR_DEPOSIT] = BINARY_SLOTS("deposit"),
    [IR_CLZ] = UNARY("clz"),
    [IR_CTZ] = UNARY("ctz"),
    [IR_POPCNT] = UNARY("popcnt"),
    [IR_BSWAP] = UNARY("bswap"),
    [IR_ORCB] = UNARY("orcb"),
    [IR_SETCC] = BINARY("setcc"),
    [IR_SELECT] =
        {.name = "select", .has_dst = 1, .has_a = 1, .has_b = 1, .has_c = 1, .pure = true},
    [IR_FLAGS] = BINARY_SLOTS("flags"),
    [IR_TESTCC] = UNARY("testcc"),
    [IR_LD] = MEMORY("ld", 1, 0, 0),
    [IR_ST] = MEMORY("st", 0, 1, 0),
    [IR_LR] = MEMORY("lr", 1, 0, 0),
    [IR_SC] = MEMORY("sc", 1, 1, 0),
    [IR_AMO] = MEMORY("amo", 1, 1, 0), /* c is enum ir_amo */
    [IR_CAS] = MEMORY("cas", 1, 1, 1),
    [IR_BZERO] = MEMORY("bzero", 0, 0, 0),
    [IR_FENCE] = {.name = "fence"},
    [IR_FADD] = FLOAT("fadd", 1, 0),
    [IR_FSUB] = FLOAT("fsub", 1, 0),
    [IR_FMUL] = FLOAT("fmul", 1, 0),
    [IR_FDIV] = FLOAT("fdiv", 1, 0),
    [IR_FSQRT] = FLOAT("fsqrt", 0, 0),
    [IR_FMA] = FLOAT("fma", 1, 1),
    [IR_FMIN] = FLOAT("fmin", 1, 0),
    [IR_FMAX] = FLOAT("fmax", 1, 0),
    [IR_FCMP] = FLOAT("fcmp", 1, 0),
    [IR_FCLASS] = FLOAT("fclass", 0, 0),
    [IR_FCVT_FF] = FLOAT("fcvt.ff", 0, 0),
    [IR_FCVT_FI] = FLOAT("fcvt.fi", 0, 0),
    [IR_FCVT_IF] = FLOAT("fcvt.if", 0, 0),
    [IR_FBOX] = UNARY("fbox"),
    [IR_FUNBOX] = UNARY("funbox"),
    [IR_HELPER] =
        {.name = "helper", .has_dst = 1, .has_a = 1, .has_b = 1, .has_c = 1, .may_fault = true},
    [IR_BR] = {.name = "br", .has_a = 1, .has_b = 1},
    [IR_EXIT] = {.name = "exit", .ends = true},
    [IR_JUMP] = {.name = "jump", .has_a = 1, .ends = true},
    [IR_TRAP] = {.name = "trap", .has_a = 1, .may_fault = true, .ends = true},
};
