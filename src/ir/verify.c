/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks the form of a block: what interpreter and JIT rely on without looking. Run on every block
 * in tests and under stress; not on the hot path of a release.
 */
#include "ir/ir.h"

#include "base/bits.h"
#include <errno.h>
#include <posada/cpu.h>
#include <posada/err.h>
#include <string.h>

struct verify {
    const struct ir_block *block;
    unsigned at;                /* op being checked */
    bool global_written;        /* in the current guest instruction */
    uint8_t written[CPU_SLOTS]; /* temporaries with a value in the current instruction */
};

/* What is wrong with the op's operands, or NULL. */
static const char *verify_slots(struct verify *v, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot read[3] = {op->a, op->b, op->c};
    const bool used[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

    for (unsigned i = 0; i < 3; i++) {
        if (!used[i])
            continue;
        if (read[i] >= v->block->slot_count)
            return "reads a slot beyond slot_count";
        if (read[i] >= v->block->global_count && !v->written[read[i]])
            return "reads a temporary that this instruction has not written";
    }
    if (info->has_dst && op->dst >= v->block->slot_count)
        return "writes a slot beyond slot_count";
    return NULL;
}

static const char *verify_width(const struct ir_insn *op)
{
    bool is_float = op->width == IR_F32 || op->width == IR_F64;

    if (op->width > IR_F32)
        return "has no such width";
    if (op->op == IR_FBOX || op->op == IR_FUNBOX)
        return NULL; /* bits only: the width means nothing */
    if (is_float != ir_op_info[op->op].is_float)
        return is_float ? "is an integer op with a float width" : "is a float op without its width";
    if (op->op >= IR_MULHU && op->op <= IR_MULHSU && op->width != IR_64)
        return "exists for 64 bits only";
    return NULL;
}

/* aux and imm of the ops that give them a meaning. */
static const char *verify_detail(const struct ir_insn *op)
{
    unsigned bits = op->width == IR_32 ? 32 : 64;
    bool ok = true;

    switch ((enum ir_op)op->op) {
    case IR_LEA: ok = op->aux < bits; break;
    case IR_EXTS:
    case IR_EXTU: ok = op->aux <= 2; break;
    case IR_EXTRACT:
    case IR_DEPOSIT: ok = op->imm > 0 && op->aux + op->imm <= bits; break;
    case IR_BR:
    case IR_SETCC: ok = op->aux <= IR_GEU; break;
    case IR_FLAGS:
        ok = op->aux <= IR_FLAGS_LOGIC && (op->imm == 0 || op->imm == 8 || op->imm == 16);
        break;
    case IR_TESTCC: ok = op->aux <= IR_CC_LE; break;
    case IR_LD:
    case IR_LR:
    case IR_CAS: ok = op->aux <= (IR_MEM_64 | IR_MEM_SIGNED); break;
    case IR_ST:
    case IR_SC: ok = op->aux <= IR_MEM_64; break;
    case IR_AMO: ok = op->aux <= (IR_MEM_64 | IR_MEM_SIGNED) && op->c <= IR_MAXU; break;
    case IR_BZERO:
        ok = op->imm > 0 && is_pow2((uint64_t)op->imm) && op->imm <= GUEST_PAGE_SIZE;
        break;
    case IR_FENCE: ok = op->aux <= IR_FENCE_CODE; break;
    case IR_FCMP: ok = op->aux <= IR_FLE; break;
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
    case IR_FSQRT:
    case IR_FMA:
    case IR_FCVT_FF: ok = op->aux <= IR_RMM; break;
    case IR_FCVT_FI:
    case IR_FCVT_IF: ok = op->aux <= IR_RMM && op->imm >= IR_I32 && op->imm <= IR_U64; break;
    case IR_HELPER: ok = op->imm != 0; break;
    case IR_JUMP: ok = op->aux <= IR_JUMP_RETURN; break;
    default: break;
    }
    return ok ? NULL : "has an aux or imm outside its range";
}

/* Precise faults: nothing architectural is written before the last op that may fault. */
static const char *verify_order(struct verify *v, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    if (info->may_fault && v->global_written)
        return "may fault after its instruction wrote a guest register";
    if (info->has_dst && op->dst < v->block->global_count)
        v->global_written = true;
    if (info->has_dst)
        v->written[op->dst] = 1;
    return NULL;
}

static const char *verify_place(struct verify *v, const struct ir_insn *op)
{
    const struct ir_block *b = v->block;

    if (op->insn >= b->insn_count || (v->at && op->insn < op[-1].insn))
        return "belongs to no instruction, or to an earlier one";
    if (ir_op_info[op->op].ends != (v->at + 1u == b->op_count))
        return v->at + 1u == b->op_count ? "is last but does not end the block"
                                         : "ends the block but ops follow";
    if (op->flags & ~IR_B_IMM || (op->flags && !ir_op_info[op->op].b_may_be_imm))
        return "has a flag that it does not take";
    return NULL;
}

static const char *verify_op(struct verify *v, const struct ir_insn *op)
{
    const char *wrong;

    if (op->op >= IR_OP_COUNT)
        return "is no operation";
    if (v->at && op->insn != op[-1].insn) {
        v->global_written = false;
        memset(v->written, 0, sizeof(v->written));
    }
    wrong = verify_place(v, op);
    if (!wrong)
        wrong = verify_width(op);
    if (!wrong)
        wrong = verify_detail(op);
    if (!wrong)
        wrong = verify_slots(v, op);
    return wrong ? wrong : verify_order(v, op);
}

int ir_verify(const struct ir_block *b, struct err *err)
{
    struct verify v = {.block = b};

    if (!b->op_count || b->op_count > IR_MAX_OPS || !b->insn_count ||
        b->insn_count > IR_MAX_INSNS || b->slot_count > CPU_SLOTS ||
        b->global_count > b->slot_count)
        return err_set(err, -EINVAL, "IR block at 0x%llx: counts out of range",
                       (unsigned long long)b->pc);
    for (; v.at < b->op_count; v.at++) {
        const struct ir_insn *op = &b->op[v.at];
        const char *wrong = verify_op(&v, op);

        if (wrong)
            return err_set(err, -EINVAL, "IR block at 0x%llx: op %u (%s) %s",
                           (unsigned long long)b->pc, v.at,
                           op->op < IR_OP_COUNT ? ir_op_info[op->op].name : "?", wrong);
    }
    return 0;
}
