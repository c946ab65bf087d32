/* SPDX-License-Identifier: Apache-2.0 */
/* A block as text: the guest instruction's address before its first op, then one op a line. */
#include "ir/ir.h"

#include <inttypes.h>
#include <stddef.h>

static const char *const print_width[] = {"", ".w", ".d", ".s"};
static const char *const print_cc[] = {"eq", "ne", "lt", "ge", "ltu", "geu"};
static const char *const print_amo[] = {"swap", "add", "xor",  "and", "or",
                                        "min",  "max", "minu", "maxu"};

static void print_slot(const struct ir_block *b, const char *const *names, ir_slot slot, FILE *out)
{
    if (slot < b->global_count && names && names[slot])
        fprintf(out, "%s", names[slot]);
    else if (slot < b->global_count)
        fprintf(out, "g%u", slot);
    else
        fprintf(out, "t%u", slot - b->global_count);
}

/* Memory ops whose aux is a size and a sign. */
static bool print_is_access(const struct ir_insn *op)
{
    return op->op >= IR_LD && op->op <= IR_CAS;
}

static bool print_shows_aux(const struct ir_insn *op)
{
    return op->aux && !print_is_access(op) && op->op != IR_SETCC && op->op != IR_BR;
}

static void print_name(const struct ir_insn *op, FILE *out)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    fprintf(out, "%s", info->name);
    if (op->op == IR_SETCC || op->op == IR_BR)
        fprintf(out, ".%s", op->aux <= IR_GEU ? print_cc[op->aux] : "?");
    if (op->op == IR_AMO)
        fprintf(out, ".%s", op->c <= IR_MAXU ? print_amo[op->c] : "?");
    if (print_is_access(op))
        fprintf(out, ".%s%u", op->aux & IR_MEM_SIGNED ? "s" : "", 8 * IR_MEM_SIZE(op->aux));
    fprintf(out, "%s", op->width <= IR_F32 ? print_width[op->width] : ".?");
}

static void print_operands(const struct ir_block *b, const char *const *names,
                           const struct ir_insn *op, FILE *out)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot slot[] = {op->dst, op->a, op->b, op->c};
    const bool used[] = {info->has_dst, info->has_a, info->has_b && !(op->flags & IR_B_IMM),
                         info->has_c};
    const char *sep = " ";

    for (unsigned i = 0; i < 4; i++) {
        if (!used[i])
            continue;
        fprintf(out, "%s", sep);
        print_slot(b, names, slot[i], out);
        sep = ", ";
    }
    if (op->imm || op->flags & IR_B_IMM || op->op == IR_IMM || op->op == IR_PC || op->op == IR_EXIT)
        fprintf(out, "%s%s0x%" PRIx64, sep, op->imm < 0 && op->op != IR_EXIT ? "-" : "",
                op->imm < 0 && op->op != IR_EXIT ? -(uint64_t)op->imm : (uint64_t)op->imm);
}

void ir_print(const struct ir_block *b, const char *const *names, FILE *out)
{
    fprintf(out, "block 0x%" PRIx64 " context 0x%x: %u instructions, %u ops\n", b->pc, b->context,
            b->insn_count, b->op_count);
    for (unsigned i = 0; i < b->op_count; i++) {
        const struct ir_insn *op = &b->op[i];

        if (!i || op->insn != op[-1].insn)
            fprintf(out, "%" PRIx64 ":\n", b->pc + b->insn[op->insn].pc_offset);
        fprintf(out, "    ");
        if (op->op >= IR_OP_COUNT) {
            fprintf(out, "op %u?\n", op->op);
            continue;
        }
        print_name(op, out);
        print_operands(b, names, op, out);
        if (print_shows_aux(op))
            fprintf(out, " [%u]", op->aux);
        fputc('\n', out);
    }
}
