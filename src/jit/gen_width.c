/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which halves of registers matter. 32-bit results that the guest ISA sign-extends stay with
 * whatever upper half the host left (pending) as long as only their low halves are used: by 32-bit
 * operations, narrow stores, extensions, comparisons of two such values, and bitwise operations,
 * whose results are pending in turn.
 */
#include "jit/gen.h"

static bool width_is_narrow(const struct gen *g, ir_slot slot)
{
    const struct gen_slot *s = &g->slot[slot];

    return s->constant ? (int64_t)s->value == (int32_t)s->value : s->narrow;
}

static bool width_b_is_narrow(const struct gen *g, const struct ir_insn *op)
{
    return op->flags & IR_B_IMM ? op->imm == (int32_t)op->imm : width_is_narrow(g, op->b);
}

static bool width_is_pending(const struct gen *g, const struct ir_insn *op)
{
    return g->slot[op->a].pending || (!(op->flags & IR_B_IMM) && g->slot[op->b].pending);
}

static void width_settle(struct gen *g, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    if (info->has_a)
        gen_settle(g, op->a);
    if (info->has_b && !(op->flags & IR_B_IMM))
        gen_settle(g, op->b);
    if (info->has_c)
        gen_settle(g, op->c);
}

/* Operations that x86 does on the low halves alone. */
static bool width_is_low(const struct ir_insn *op)
{
    if (op->width != IR_32)
        return false;
    switch (op->op) {
    case IR_MOV:
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS:
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
    case IR_BSWAP:
    case IR_SETCC:
    case IR_BR: return true;
    default: return op->op >= IR_ADD && op->op <= IR_MUL;
    }
}

static void width_bitwise(struct gen *g, const struct ir_insn *op)
{
    if (op->op == IR_AND && op->flags & IR_B_IMM && op->imm >= 0 && op->imm <= INT32_MAX) {
        g->narrow = true; /* the upper half goes */
        return;
    }
    g->narrow = width_is_narrow(g, op->a) && width_b_is_narrow(g, op);
    if (g->narrow)
        g->pending = width_is_pending(g, op);
    else
        width_settle(g, op);
}

/* Sign-extension keeps order, signed and unsigned. */
static void width_compare(struct gen *g, const struct ir_insn *op)
{
    g->narrow = true;
    g->compare_low =
        width_is_pending(g, op) && width_is_narrow(g, op->a) && width_b_is_narrow(g, op);
    if (!g->compare_low)
        width_settle(g, op);
}

static void width_wide(struct gen *g, const struct ir_insn *op)
{
    switch (op->op) {
    case IR_AND:
    case IR_OR:
    case IR_XOR: width_bitwise(g, op); break;
    case IR_MOV:
        g->narrow = width_is_narrow(g, op->a);
        g->pending = g->slot[op->a].pending;
        break;
    case IR_SETCC:
    case IR_BR: width_compare(g, op); break;
    case IR_SHL:
        if (!(op->flags & IR_B_IMM) || (op->imm & 63) < 32)
            width_settle(g, op);
        break;
    case IR_SHR:
    case IR_SAR:
        width_settle(g, op);
        g->narrow = op->flags & IR_B_IMM && (op->imm & 63) >= (op->op == IR_SHR ? 33 : 32);
        break;
    case IR_ST:
        gen_settle(g, op->a);
        if ((op->aux & 3) == IR_MEM_64)
            gen_settle(g, op->b);
        break;
    case IR_LD:
        gen_settle(g, op->a);
        g->narrow = (op->aux & 3) < IR_MEM_32 || op->aux == (IR_MEM_32 | IR_MEM_SIGNED);
        break;
    default: width_settle(g, op); break;
    }
}

/* Below 2^31: the host's zero-extension of a 32-bit result is its sign-extension, too. */
static bool width_is_positive(const struct ir_insn *op)
{
    return op->op == IR_SHR && op->flags & IR_B_IMM && op->imm & 31;
}

void gen_width(struct gen *g, const struct ir_insn *op)
{
    g->narrow = g->pending = g->compare_low = false;
    if (op->op == IR_EXTS || op->op == IR_EXTU) {
        g->narrow = op->op == IR_EXTS || op->aux < 2;
    } else if (width_is_low(op)) {
        g->narrow = op->op == IR_SETCC;
        if (g->kill[g->index] & GEN_EXTEND && !g->fallback) {
            g->narrow = true;
            g->pending = !width_is_positive(op);
        }
    } else {
        width_wide(g, op);
    }
}
