/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotations of ISAs, or programs, without a rotate instruction: x << n and x >> (width - n), put
 * together by or, xor or add. Once both halves have been seen the rotation is computed into a
 * temporary of its own, before the second half, which often overwrites x. The halves, if nobody
 * else wants them, are dead then; so is the rotation if the halves never meet.
 * The temporary outlives its guest instruction: only the generator, which numbers no two of them
 * alike, sees such blocks.
 * Likewise a left and a right shift of one register, with nothing between them that could see the
 * one's result: an extension. Compilers move other instructions between the two.
 */
#include "jit/gen.h"
#include <string.h>

enum half_kind { HALF_NONE, HALF_LEFT, HALF_RIGHT };

/* The value of a slot: source << count or source >> count. */
struct half {
    ir_slot source, rotation; /* 0: its other half has not been seen */
    uint32_t version;         /* of the source */
    uint8_t kind, count, width;
    bool raw; /* IR_32, not sign-extended yet */
};

enum { RECENT = 8, EXTEND_AHEAD = 8 };

struct rotate {
    struct ir_block *block;
    uint32_t version[CPU_SLOTS];
    struct half half[CPU_SLOTS];
    ir_slot recent[RECENT]; /* slots that got halves last */
    unsigned next;
};

/* What the op makes of its operand, if it is half a rotation. */
static struct half rotate_half(const struct rotate *r, const struct ir_insn *op)
{
    unsigned bits = op->width == IR_32 ? 32 : 64, count = (unsigned)op->imm & (bits - 1);
    struct half none = {0}, half;

    if (op->op == IR_EXTS && op->aux == 2 && r->half[op->a].raw) {
        half = r->half[op->a];
        half.raw = false;
        return half;
    }
    if ((op->op != IR_SHL && op->op != IR_SHR) || !(op->flags & IR_B_IMM) || !count)
        return none;
    return (struct half){
        .source = op->a,
        .version = r->version[op->a],
        .kind = op->op == IR_SHL ? HALF_LEFT : HALF_RIGHT,
        .count = (uint8_t)count,
        .width = (uint8_t)bits,
        .raw = op->width == IR_32,
    };
}

static bool rotate_fits(const struct half *a, const struct half *b)
{
    return b->kind && !b->raw && a->kind != b->kind && a->width == b->width &&
           a->source == b->source && a->version == b->version && a->count + b->count == a->width;
}

static struct half *rotate_partner(struct rotate *r, const struct half *half)
{
    for (unsigned i = 0; i < RECENT; i++)
        if (rotate_fits(half, &r->half[r->recent[i]]))
            return &r->half[r->recent[i]];
    return NULL;
}

/* Inserts the rotation before op i. Number of ops inserted. */
static unsigned rotate_insert(struct rotate *r, unsigned i, const struct half *half,
                              ir_slot *ret_rotation)
{
    struct ir_block *b = r->block;
    unsigned n = half->width == 32 ? 2 : 1;
    unsigned right = half->kind == HALF_RIGHT ? half->count : half->width - half->count;
    struct ir_insn *op = &b->op[i];

    if (b->op_count + n > IR_MAX_OPS || b->slot_count + n > CPU_SLOTS)
        return 0;
    memmove(op + n, op, (b->op_count - i) * sizeof(*op));
    op[0] = (struct ir_insn){.op = IR_ROR,
                             .width = half->width == 32 ? IR_32 : IR_64,
                             .flags = IR_B_IMM,
                             .dst = b->slot_count,
                             .a = half->source,
                             .insn = op[n].insn,
                             .imm = right};
    if (n == 2)
        op[1] = (struct ir_insn){.op = IR_EXTS,
                                 .aux = 2,
                                 .dst = (ir_slot)(b->slot_count + 1),
                                 .a = b->slot_count,
                                 .insn = op[0].insn};
    b->op_count = (uint16_t)(b->op_count + n);
    b->slot_count = (uint16_t)(b->slot_count + n);
    *ret_rotation = (ir_slot)(b->slot_count - 1);
    return n;
}

/* Where the halves meet the rotation is the result. */
static void rotate_join(const struct rotate *r, struct ir_insn *op)
{
    const struct half *a = &r->half[op->a], *b = &r->half[op->b];
    bool low = op->width == IR_32;

    if ((op->op != IR_OR && op->op != IR_XOR && op->op != IR_ADD) || op->flags & IR_B_IMM)
        return;
    if (!a->rotation || a->rotation != b->rotation || a->kind == b->kind || a->raw || b->raw ||
        (low && a->width != 32))
        return;
    op->op = IR_MOV;
    op->a = a->rotation;
    op->b = 0;
}

/* May y = x << n wait behind the op: it neither uses y nor changes x or y, and nothing can leave?
 */
static bool rotate_passes(const struct ir_insn *op, ir_slot x, ir_slot y)
{
    const struct ir_op_info *info = &ir_op_info[op->op];

    return (info->pure || op->op == IR_NOP) && !(info->has_a && op->a == y) &&
           !(info->has_b && !(op->flags & IR_B_IMM) && op->b == y) &&
           !(info->has_c && op->c == y) && !(info->has_dst && (op->dst == x || op->dst == y));
}

static bool rotate_is_shift(const struct ir_insn *op)
{
    return op->width == IR_64 && op->flags & IR_B_IMM;
}

/* y = x << n ... y = y >> n, and nobody can see y between the two. */
static void rotate_extend(const struct ir_block *b, struct ir_insn *op)
{
    const struct ir_insn *end = b->op + b->op_count;
    unsigned left = 64u - ((unsigned)op->imm & 63);
    struct ir_insn *back = op + 1;

    if (op->op != IR_SHL || !rotate_is_shift(op) || (left != 8 && left != 16 && left != 32))
        return;
    while (back < end && back - op <= EXTEND_AHEAD && rotate_passes(back, op->a, op->dst))
        back++;
    if (back == end || (back->op != IR_SHR && back->op != IR_SAR) || !rotate_is_shift(back) ||
        back->a != op->dst || back->dst != op->dst || back->imm != op->imm)
        return;
    back->op = back->op == IR_SHR ? IR_EXTU : IR_EXTS;
    back->aux = left == 8 ? 0 : left == 16 ? 1 : 2;
    back->flags = 0;
    back->a = op->a;
    back->imm = 0;
    op->op = IR_NOP;
    op->flags = 0;
}

static void rotate_learn(struct rotate *r, const struct ir_insn *op, const struct half *half)
{
    if (op->op == IR_HELPER) { /* may write any guest register */
        for (unsigned s = 0; s < r->block->global_count; s++) {
            r->version[s]++;
            r->half[s].kind = HALF_NONE;
            r->half[s].rotation = 0;
        }
    }
    if (!ir_op_info[op->op].has_dst)
        return;
    r->version[op->dst]++;
    r->half[op->dst] = *half;
    if (half->kind && !half->raw)
        r->recent[r->next++ % RECENT] = op->dst;
}

void gen_find_rotations(struct ir_block *b)
{
    struct rotate r = {.block = b};

    for (unsigned i = 0; i < b->op_count; i++)
        rotate_extend(b, &b->op[i]);
    for (unsigned i = 0; i < b->op_count; i++) {
        struct half half = rotate_half(&r, &b->op[i]), *other;

        if (half.kind && !half.raw && r.version[half.source] == half.version &&
            (other = rotate_partner(&r, &half))) {
            i += rotate_insert(&r, i, &half, &half.rotation);
            other->rotation = half.rotation;
        }
        rotate_join(&r, &b->op[i]);
        rotate_learn(&r, &b->op[i], &half);
    }
}
