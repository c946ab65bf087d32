/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block-local clean-up, two passes. Forward: constants and copies move into the operations that
 * use them, operations on constants become constants, a jump to a known address becomes an exit.
 * Backward: pure operations whose result nobody sees go away.
 *
 * Somebody may see every guest register wherever the block can be left, so a write to one is only
 * dead if another follows before the next op that may fault or leave. Addresses made from the pc
 * (IR_PC) keep that mark: only what stays right when the block runs at another virtual page is
 * computed on them.
 */
#include "ir/eval.h"
#include "ir/ir.h"

#include <posada/cpu.h>
#include <string.h>

enum known { KNOWN_NOTHING, KNOWN_CONST, KNOWN_PC, KNOWN_COPY };

struct value {
    uint8_t known;    /* enum known */
    ir_slot source;   /* KNOWN_COPY: of this slot ... */
    uint32_t version; /* ... as long as it has this version */
    uint64_t bits;    /* KNOWN_CONST, KNOWN_PC */
};

struct forward {
    const struct ir_block *block;
    uint32_t version[CPU_SLOTS];
    struct value value[CPU_SLOTS];
};

static void forward_forget_all(struct forward *f)
{
    memset(f->value, 0, f->block->slot_count * sizeof(*f->value));
}

static ir_slot forward_source(const struct forward *f, ir_slot slot)
{
    const struct value *v = &f->value[slot];

    return v->known == KNOWN_COPY && f->version[v->source] == v->version ? v->source : slot;
}

static void forward_copies(const struct forward *f, struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    if (info->has_a)
        op->a = forward_source(f, op->a);
    if (info->has_b && !(op->flags & IR_B_IMM))
        op->b = forward_source(f, op->b);
    if (info->has_c)
        op->c = forward_source(f, op->c);
}

static bool forward_is_const(const struct forward *f, ir_slot slot)
{
    return f->value[slot].known == KNOWN_CONST;
}

static bool forward_commutes(const struct ir_insn *op)
{
    return op->op == IR_ADD || op->op == IR_AND || op->op == IR_OR || op->op == IR_XOR ||
           op->op == IR_MUL;
}

/* Puts a constant operand into the op. */
static void forward_immediate(const struct forward *f, struct ir_insn *op)
{
    if (!ir_op_info[op->op].b_may_be_imm || op->flags & IR_B_IMM)
        return;
    if (!forward_is_const(f, op->b) && forward_is_const(f, op->a) && forward_commutes(op)) {
        ir_slot a = op->a;

        op->a = op->b;
        op->b = a;
    }
    if (!forward_is_const(f, op->b))
        return;
    op->imm = (int64_t)f->value[op->b].bits;
    op->flags |= IR_B_IMM;
    if (op->op != IR_SUB)
        return;
    op->op = IR_ADD; /* one form less for those who execute */
    op->imm = (int64_t) - (uint64_t)op->imm;
}

static void forward_make_const(struct ir_insn *op, enum ir_op kind, uint64_t bits)
{
    op->op = (uint8_t)kind;
    op->width = IR_64;
    op->flags = op->aux = 0;
    op->a = op->b = op->c = 0;
    op->imm = (int64_t)bits;
}

/* Replaces a pure op on constants by its result. */
static void forward_fold(const struct forward *f, struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    bool b_imm = op->flags & IR_B_IMM;

    if (!info->pure || op->op == IR_IMM || op->op == IR_PC)
        return;
    if ((info->has_a && !forward_is_const(f, op->a)) ||
        (info->has_b && !b_imm && !forward_is_const(f, op->b)) ||
        (info->has_c && !forward_is_const(f, op->c)))
        return;
    forward_make_const(op, IR_IMM,
                       ir_eval(op, f->value[op->a].bits,
                               b_imm ? (uint64_t)op->imm : f->value[op->b].bits,
                               f->value[op->c].bits));
}

/* pc + constant, and pc with low bits cleared: right at any distance of whole pages. */
static void forward_fold_pc(const struct forward *f, struct ir_insn *op)
{
    uint64_t bits = f->value[op->a].bits, imm = (uint64_t)op->imm;

    if (!ir_op_info[op->op].has_a || f->value[op->a].known != KNOWN_PC || op->width != IR_64)
        return;
    if (op->op == IR_ADD && op->flags & IR_B_IMM)
        forward_make_const(op, IR_PC, bits + imm);
    else if (op->op == IR_AND && op->flags & IR_B_IMM && ~imm < GUEST_PAGE_SIZE)
        forward_make_const(op, IR_PC, bits & imm);
    else if (op->op == IR_MOV)
        forward_make_const(op, IR_PC, bits);
}

/* Only a target made from the pc moves with the block: a constant one stays a jump. */
static void forward_jump(const struct forward *f, struct ir_insn *op)
{
    if (op->op != IR_JUMP || f->value[op->a].known != KNOWN_PC)
        return;
    forward_make_const(op, IR_EXIT, f->value[op->a].bits);
}

static void forward_learn(struct forward *f, const struct ir_insn *op)
{
    struct value *v = &f->value[op->dst];

    if (op->op == IR_HELPER)
        forward_forget_all(f);
    if (!ir_op_info[op->op].has_dst)
        return;
    f->version[op->dst]++;
    *v = (struct value){.known = KNOWN_NOTHING};
    if (op->op == IR_IMM)
        *v = (struct value){.known = KNOWN_CONST,
                            .bits = op->width == IR_32 ? (uint32_t)op->imm : (uint64_t)op->imm};
    else if (op->op == IR_PC)
        *v = (struct value){.known = KNOWN_PC, .bits = (uint64_t)op->imm};
    else if (op->op == IR_MOV && op->width == IR_64 && op->a != op->dst)
        *v = (struct value){.known = KNOWN_COPY, .source = op->a, .version = f->version[op->a]};
}

/* Temporaries do not survive their instruction, so copies of them must not either. */
static void forward_next_insn(struct forward *f)
{
    for (unsigned i = f->block->global_count; i < f->block->slot_count; i++)
        f->version[i]++;
}

static void optimise_forward(struct ir_block *b)
{
    struct forward f = {.block = b};

    for (unsigned i = 0; i < b->op_count; i++) {
        struct ir_insn *op = &b->op[i];

        if (i && op->insn != op[-1].insn)
            forward_next_insn(&f);
        forward_copies(&f, op);
        forward_immediate(&f, op);
        forward_fold(&f, op);
        forward_fold_pc(&f, op);
        forward_jump(&f, op);
        forward_learn(&f, op);
    }
}

/* --- Backward --- */

struct live {
    const struct ir_block *block;
    bool slot[CPU_SLOTS];
};

static void live_globals(struct live *l)
{
    memset(l->slot, true, l->block->global_count);
}

static void live_reads(struct live *l, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    if (info->has_a)
        l->slot[op->a] = true;
    if (info->has_b && !(op->flags & IR_B_IMM))
        l->slot[op->b] = true;
    if (info->has_c)
        l->slot[op->c] = true;
}

/* Walks one op backward; false when it can go. */
static bool live_step(struct live *l, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    if (op->op == IR_NOP || (info->pure && !l->slot[op->dst]))
        return false;
    if (info->has_dst)
        l->slot[op->dst] = false;
    if (info->may_fault || info->ends || op->op == IR_BR)
        live_globals(l);
    live_reads(l, op);
    return true;
}

static void optimise_backward(struct ir_block *b)
{
    struct live l = {.block = b};
    unsigned to = b->op_count;

    for (unsigned from = b->op_count; from-- > 0;) {
        if (from + 1u < b->op_count && b->op[from].insn != b->op[from + 1].insn)
            memset(l.slot + b->global_count, false, (size_t)(b->slot_count - b->global_count));
        if (live_step(&l, &b->op[from]))
            b->op[--to] = b->op[from];
    }
    b->op_count = (uint16_t)(b->op_count - to);
    memmove(b->op, b->op + to, b->op_count * sizeof(*b->op));
}

void ir_optimise(struct ir_block *b)
{
    optimise_forward(b);
    optimise_backward(b);
}
