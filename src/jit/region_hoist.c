/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLB checks that a loop needs not make at each access. A value is followed as "what this guest
 * register held at the head, plus so much" (so much being between two bounds), over all members;
 * a register that a turn of the loop moves by a bounded distance, or not at all, is tame. Accesses
 * by way of tame registers are covered: on entry, and where the head sees that the register has
 * moved too far, one check says that everything the next turn may access by it lies in one
 * accessible page. If it does not, that turn is run by the head's block, outside the region. So
 * covered accesses cannot fault, and need no cold end.
 */
#include "jit/region.h"
#include <stdlib.h>
#include <string.h>

enum kind { KIND_NONE, KIND_REL, KIND_RANGE };

/* KIND_REL: root's value at the head + low .. high; KIND_RANGE: a number, low .. high. */
struct value {
    uint8_t kind;
    ir_slot root;
    int32_t low, high;
};

enum { REACH = 2048 }; /* bounds beyond it are not followed */

struct state {
    struct value slot[CPU_SLOTS];
};

struct hoist {
    struct region *r;
    unsigned globals;
    struct state in[REGION_MEMBERS];
    bool reached[REGION_MEMBERS], written[CPU_SLOTS];
    struct state back; /* at the jumps to the head */
    bool any_back;
};

static const struct value hoist_nothing;

static struct value hoist_make(unsigned kind, ir_slot root, int64_t low, int64_t high)
{
    if (low < -REACH || high > REACH || low > high)
        return hoist_nothing;
    return (struct value){(uint8_t)kind, root, (int32_t)low, (int32_t)high};
}

static struct value hoist_range(int64_t low, int64_t high)
{
    return hoist_make(KIND_RANGE, 0, low, high);
}

static struct value hoist_join(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind || a->root != b->root)
        return hoist_nothing;
    return hoist_make(a->kind, a->root, a->low < b->low ? a->low : b->low,
                      a->high > b->high ? a->high : b->high);
}

static struct value hoist_sum(const struct value *a, const struct value *b, unsigned shift)
{
    if (b->kind != KIND_RANGE || !a->kind)
        return hoist_nothing;
    return hoist_make(a->kind, a->root, a->low + b->low * (INT64_C(1) << shift),
                      a->high + b->high * (INT64_C(1) << shift));
}

static struct value hoist_add(const struct state *s, const struct ir_insn *op)
{
    struct value imm = hoist_range(op->imm, op->imm), a = s->slot[op->a], sum;

    if (op->flags & IR_B_IMM)
        return hoist_sum(&a, &imm, 0);
    sum = hoist_sum(&a, &s->slot[op->b], 0);
    return sum.kind ? sum : hoist_sum(&s->slot[op->b], &a, 0);
}

static struct value hoist_shift(const struct value *a, const struct ir_insn *op)
{
    unsigned n = (unsigned)op->imm & 63;

    if (!(op->flags & IR_B_IMM) || op->width != IR_64)
        return hoist_nothing;
    if (op->op == IR_SHR && n >= 53)
        return hoist_range(0, (INT64_C(1) << (64 - n)) - 1);
    if (a->kind != KIND_RANGE || a->low < 0 || n > 11)
        return hoist_nothing;
    return op->op == IR_SHL ? hoist_range((int64_t)a->low << n, (int64_t)a->high << n)
                            : hoist_range(a->low >> n, a->high >> n);
}

/* What the op's result is. 32-bit results are numbers or nothing. */
static struct value hoist_result(const struct state *s, const struct ir_insn *op)
{
    const struct value *a = &s->slot[op->a];
    bool wide = op->width == IR_64;

    switch (op->op) {
    case IR_MOV: return wide ? *a : hoist_nothing;
    case IR_IMM: return wide ? hoist_range(op->imm, op->imm) : hoist_nothing;
    case IR_ADD: return wide ? hoist_add(s, op) : hoist_nothing;
    case IR_LEA: return wide ? hoist_sum(a, &s->slot[op->b], op->aux) : hoist_nothing;
    case IR_AND:
        return wide && op->flags & IR_B_IMM && op->imm >= 0 ? hoist_range(0, op->imm)
                                                            : hoist_nothing;
    case IR_SHL:
    case IR_SHR: return hoist_shift(a, op);
    case IR_EXTU: return op->aux ? hoist_nothing : hoist_range(0, 255);
    case IR_LD: return op->aux == IR_MEM_8 ? hoist_range(0, 255) : hoist_nothing;
    case IR_SETCC: return hoist_range(0, 1);
    default: return hoist_nothing;
    }
}

static void hoist_merge(struct state *to, const struct state *from, unsigned globals, bool first)
{
    for (unsigned i = 0; i < globals; i++)
        to->slot[i] = first ? from->slot[i] : hoist_join(&to->slot[i], &from->slot[i]);
}

/* A jump inside: the member it leads to sees this state. Only the head, and members reached by
 * forward jumps alone, ask for it. */
static void hoist_edge(struct hoist *h, const struct state *s, int to)
{
    if (to < 0)
        return;
    if (to == 0) {
        hoist_merge(&h->back, s, h->globals, !h->any_back);
        h->any_back = true;
    } else if (!h->r->member[to].target) {
        hoist_merge(&h->in[to], s, h->globals, !h->reached[to]);
        h->reached[to] = true;
    }
}

/* At the head, and wherever nothing but that is known: what no member writes is as at the head. */
static void hoist_fresh(struct hoist *h, struct state *s, bool head)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 1; i < h->globals; i++)
        if (head || !h->written[i])
            s->slot[i] = hoist_make(KIND_REL, (ir_slot)i, 0, 0);
}

/* Makes room in the root's cover for bytes low .. high - 1; false: too far away. */
static bool hoist_widen(struct region_cover *c, int32_t low, int32_t high, bool write)
{
    int32_t l = c->used && c->low < low ? c->low : low;
    int32_t u = c->used && c->high > high ? c->high : high;

    if (u - l > REACH)
        return false;
    c->low = l;
    c->high = u;
    c->used = true;
    c->write |= write;
    return true;
}

static struct region_cover *hoist_cover(struct region *r, ir_slot root)
{
    for (unsigned i = 0; i < r->cover_count; i++)
        if (r->cover[i].root == root)
            return &r->cover[i];
    if (r->cover_count == REGION_COVERS)
        return NULL;
    r->cover[r->cover_count] = (struct region_cover){.root = root};
    return &r->cover[r->cover_count++];
}

/* Is the register moved by a bounded distance, if at all, until the head is there again? */
static bool hoist_is_tame(const struct hoist *h, ir_slot root)
{
    const struct value *v = &h->back.slot[root];

    return root && v->kind == KIND_REL && v->root == root;
}

static void hoist_access(struct hoist *h, struct region_member *m, unsigned i,
                         const struct state *s)
{
    const struct ir_insn *op = &m->ir.op[i];
    const struct value *v = &s->slot[op->a];
    struct region_cover *c;

    if ((op->op != IR_LD && op->op != IR_ST) || v->kind != KIND_REL || !hoist_is_tame(h, v->root) ||
        op->imm < -REACH || op->imm > REACH ||
        v->high - v->low + (int32_t)IR_MEM_SIZE(op->aux) > REACH ||
        h->r->wild >> (v->root & 63) & 1)
        return;
    c = hoist_cover(h->r, v->root);
    if (c &&
        hoist_widen(c, v->low + (int32_t)op->imm,
                    v->high + (int32_t)op->imm + (int32_t)IR_MEM_SIZE(op->aux), op->op == IR_ST))
        m->cover[i] = (uint8_t)(c - h->r->cover + 1);
}

static void hoist_member(struct hoist *h, unsigned n, bool mark)
{
    struct region_member *m = &h->r->member[n];
    struct state s = h->in[n];

    if (!n || m->target || !h->reached[n])
        hoist_fresh(h, &s, !n);
    for (unsigned i = 0; i < m->ir.op_count; i++) {
        const struct ir_insn *op = &m->ir.op[i];

        if (mark)
            hoist_access(h, m, i, &s);
        else
            hoist_edge(h, &s, region_edge(h->r, m, i));
        if (ir_op_info[op->op].has_dst)
            s.slot[op->dst] = hoist_result(&s, op);
    }
}

/* Forward jumps lead to greater offsets: by offset, each member comes behind those it follows. */
static void hoist_pass(struct hoist *h, bool mark)
{
    struct region *r = h->r;
    uint32_t below = 0;

    for (;;) {
        int next = -1;

        for (unsigned i = 0; i < r->count; i++)
            if (r->member[i].kept && r->member[i].offset >= below &&
                (next < 0 || r->member[i].offset < r->member[next].offset))
                next = (int)i;
        if (next < 0)
            return;
        hoist_member(h, (unsigned)next, mark);
        below = r->member[next].offset + 1;
    }
}

void region_hoist(struct region *r)
{
    struct hoist *h = calloc(1, sizeof(*h));

    r->cover_count = 0;
    if (!h)
        return;
    h->r = r;
    h->globals = r->member[0].ir.global_count;
    for (unsigned i = 0; i < r->count; i++) {
        struct region_member *m = &r->member[i];

        memset(m->cover, 0, m->ir.op_count);
        for (unsigned k = 0; m->kept && k < m->ir.op_count; k++)
            h->written[m->ir.op[k].dst] |= ir_op_info[m->ir.op[k].op].has_dst;
    }
    hoist_pass(h, false);
    if (h->any_back)
        hoist_pass(h, true);
    for (unsigned i = 0; i < r->cover_count; i++) {
        r->cover[i].up = h->back.slot[r->cover[i].root].high > 0;
        r->cover[i].down = h->back.slot[r->cover[i].root].low < 0;
    }
    free(h);
}
