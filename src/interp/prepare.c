/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the form of each operation for the fast interpreter. Contract: code.h, forms.h. */
#include "interp/code.h"
#include "interp/forms.h"

#include <string.h>

/* The form of ops whose handlers exist for slots and for an immediate, by operation. */
struct prepare_pair {
    uint8_t slots, imm; /* 0: none */
};

static const struct prepare_pair prepare_64[IR_OP_COUNT] = {
    [IR_ADD] = {FORM_ADD, FORM_ADD_I}, [IR_SUB] = {FORM_SUB, 0},
    [IR_AND] = {FORM_AND, FORM_AND_I}, [IR_OR] = {FORM_OR, FORM_OR_I},
    [IR_XOR] = {FORM_XOR, FORM_XOR_I}, [IR_SHL] = {FORM_SHL, FORM_SHL_I},
    [IR_SHR] = {FORM_SHR, FORM_SHR_I}, [IR_SAR] = {FORM_SAR, FORM_SAR_I},
    [IR_MUL] = {FORM_MUL, 0},
};

/* 32-bit operation whose result is sign-extended by the next op. */
static const struct prepare_pair prepare_32s[IR_OP_COUNT] = {
    [IR_ADD] = {FORM_ADDW, FORM_ADDW_I}, [IR_SUB] = {FORM_SUBW, 0},
    [IR_SHL] = {FORM_SHLW, FORM_SHLW_I}, [IR_SHR] = {FORM_SHRW, FORM_SHRW_I},
    [IR_SAR] = {FORM_SARW, FORM_SARW_I}, [IR_MUL] = {FORM_MULW, 0},
};

static unsigned prepare_setcc(const struct ir_insn *op)
{
    bool imm = op->flags & IR_B_IMM;

    if (op->width != IR_64)
        return FORM_PURE;
    switch (op->aux) {
    case IR_LT: return imm ? FORM_LT_I : FORM_LT;
    case IR_LTU: return imm ? FORM_LTU_I : FORM_LTU;
    default: return FORM_PURE;
    }
}

static unsigned prepare_extension(const struct ir_insn *op)
{
    static const uint8_t forms[2][3] = {{FORM_EXTS_8, FORM_EXTS_16, FORM_EXTS_32},
                                        {FORM_EXTU_8, FORM_EXTU_16, FORM_EXTU_32}};

    return forms[op->op == IR_EXTU][op->aux];
}

static unsigned prepare_pure(const struct ir_insn *op)
{
    const struct prepare_pair *pair = &prepare_64[op->op];
    unsigned form = op->flags & IR_B_IMM ? pair->imm : pair->slots;

    switch (op->op) {
    case IR_EXTS:
    case IR_EXTU: return prepare_extension(op);
    case IR_SETCC: return prepare_setcc(op);
    default: break;
    }
    if (op->width != IR_64)
        return FORM_PURE;
    switch (op->op) {
    case IR_IMM:
    case IR_PC: return FORM_IMM;
    case IR_MOV: return FORM_MOV;
    case IR_LEA: return FORM_LEA;
    case IR_SELECT: return FORM_SELECT;
    default: return form ? form : FORM_PURE;
    }
}

static unsigned prepare_access(const struct ir_insn *op)
{
    static const uint8_t loads[] = {FORM_LD_U8, FORM_LD_U16, FORM_LD_U32, FORM_LD_64,
                                    FORM_LD_S8, FORM_LD_S16, FORM_LD_S32, FORM_LD_64};
    static const uint8_t stores[] = {FORM_ST_8, FORM_ST_16, FORM_ST_32, FORM_ST_64};

    return op->op == IR_LD ? loads[op->aux] : stores[op->aux];
}

static unsigned prepare_branch(const struct ir_insn *op)
{
    static const uint8_t forms[] = {
        [IR_EQ] = FORM_BR_EQ, [IR_NE] = FORM_BR_NE,   [IR_LT] = FORM_BR_LT,
        [IR_GE] = FORM_BR_GE, [IR_LTU] = FORM_BR_LTU, [IR_GEU] = FORM_BR_GEU};

    return op->width == IR_64 ? forms[op->aux] : FORM_BR_32;
}

static unsigned prepare_form(const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    if (info->pure)
        return prepare_pure(op);
    if (info->is_float)
        return FORM_FLOAT;
    switch (op->op) {
    case IR_NOP: return FORM_NOP;
    case IR_FENCE: return FORM_FENCE;
    case IR_LD:
    case IR_ST: return prepare_access(op);
    case IR_BR: return prepare_branch(op);
    case IR_EXIT: return FORM_EXIT;
    case IR_JUMP: return FORM_JUMP;
    case IR_TRAP: return FORM_TRAP;
    default: return FORM_EFFECT;
    }
}

/* True when the instruction of op[0] reads slot t again behind op[1]. */
static bool prepare_reads_later(const struct ir_insn *op, const struct ir_insn *end, ir_slot t)
{
    for (const struct ir_insn *p = op + 2; p < end && p->insn == op->insn; p++) {
        const struct ir_op_info *info = &ir_op_info[p->op];

        if ((info->has_a && p->a == t) || (info->has_b && !(p->flags & IR_B_IMM) && p->b == t) ||
            (info->has_c && p->c == t))
            return true;
    }
    return false;
}

/* The form of op[0] fused with a sign extension in op[1], 0 when they are no such pair. */
static unsigned prepare_fused(const struct ir_insn *op, const struct ir_insn *end, unsigned globals)
{
    const struct prepare_pair *pair = &prepare_32s[op->op];
    unsigned form = op->flags & IR_B_IMM ? pair->imm : pair->slots;

    if (!form || op->width != IR_32 || op + 1 == end || op->dst < globals)
        return 0;
    if (op[1].op != IR_EXTS || op[1].aux != 2 || op[1].a != op->dst || op[1].insn != op->insn)
        return 0;
    return prepare_reads_later(op, end, op->dst) ? 0 : form;
}

static bool prepare_is_exit(const struct ir_insn *op)
{
    return op->op == IR_BR || op->op == IR_EXIT;
}

size_t interp_code_size(const struct ir_block *block)
{
    size_t links = 0;

    for (unsigned i = 0; i < block->op_count; i++)
        links += prepare_is_exit(&block->op[i]);
    return sizeof(struct interp_code) + block->op_count * sizeof(struct ir_insn) +
           links * sizeof(struct interp_code *) + block->insn_count * sizeof(struct ir_block_insn);
}

static unsigned prepare_ops(struct ir_insn *out, const struct ir_block *block)
{
    const struct ir_insn *op = block->op, *end = op + block->op_count;
    unsigned count = 0;

    for (; op < end; op++) {
        unsigned fused = prepare_fused(op, end, block->global_count);
        struct ir_insn *o = &out[count++];

        *o = *op;
        o->form = (uint16_t)(fused ? fused : prepare_form(op));
        if (fused)
            o->dst = (++op)->dst;
    }
    return count;
}

/* Gives each exit an empty link behind the ops; returns what follows the links. */
static void *prepare_links(struct interp_code *code)
{
    struct interp_code **first = (struct interp_code **)(void *)code;
    struct interp_code **link = (struct interp_code **)(void *)(code->op + code->op_count);

    for (unsigned i = 0; i < code->op_count; i++) {
        if (!prepare_is_exit(&code->op[i]))
            continue;
        code->op[i].c = (ir_slot)(link - first);
        *link++ = NULL;
    }
    return link;
}

void interp_code_init(struct interp_code *code, const struct ir_block *block, const uint8_t *host)
{
    struct ir_block_insn *insn;

    *code = (struct interp_code){
        .host = host, .pc = block->pc, .context = block->context, .insn_count = block->insn_count};
    code->op_count = (uint16_t)prepare_ops(code->op, block);
    insn = prepare_links(code);
    memcpy(insn, block->insn, block->insn_count * sizeof(*insn));
    code->insn = insn;
}
