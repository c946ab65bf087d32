/* SPDX-License-Identifier: Apache-2.0 */
/* Integer operations. Immediates fold where x86 takes 32 signed bits. */
#include "jit/gen.h"

static bool gen_w(const struct ir_insn *op)
{
    return op->width == IR_64;
}

/* Operand b as a constant: an immediate or a temporary of known value. */
static bool gen_b_value(const struct gen *g, const struct ir_insn *op, int64_t *ret_value)
{
    if (op->flags & IR_B_IMM) {
        *ret_value = op->imm;
        return true;
    }
    return gen_const(g, op->b, ret_value);
}

static bool gen_b_imm32(const struct gen *g, const struct ir_insn *op, int32_t *ret_imm)
{
    int64_t v;

    if (!gen_b_value(g, op, &v))
        return false;
    if (!gen_w(op))
        v = (int32_t)v;
    *ret_imm = (int32_t)v;
    return v == (int32_t)v;
}

static unsigned gen_b_reg(struct gen *g, const struct ir_insn *op)
{
    unsigned r;

    if (!(op->flags & IR_B_IMM))
        return gen_src(g, op->b);
    r = gen_take(g);
    x86_mov_imm(&g->c, r, (uint64_t)op->imm);
    return r;
}

static void gen_b_to(struct gen *g, unsigned reg, const struct ir_insn *op)
{
    if (op->flags & IR_B_IMM)
        x86_mov_imm(&g->c, reg, (uint64_t)op->imm);
    else
        gen_src_to(g, reg, op->b);
}

/* Puts a into the register the result is computed in; other: a register that must survive. */
static unsigned gen_dst_from_a(struct gen *g, const struct ir_insn *op, int other)
{
    unsigned d = gen_dst(g, op->dst);

    if ((int)d == other)
        d = gen_take(g);
    gen_src_to(g, d, op->a);
    return d;
}

static int gen_b_host(const struct gen *g, const struct ir_insn *op)
{
    return op->flags & IR_B_IMM ? -1 : g->slot[op->b].reg;
}

static bool gen_add_lea(struct gen *g, const struct ir_insn *op, bool is_imm, int32_t imm)
{
    unsigned a, d;

    if (g->slot[op->a].constant || g->slot[op->a].reg < 0)
        return false;
    if (!is_imm && gen_b_host(g, op) < 0)
        return false;
    a = gen_src(g, op->a);
    if (is_imm) {
        d = gen_dst(g, op->dst);
        if (d == a)
            x86_alu_imm(&g->c, X86_ADD, gen_w(op), d, imm);
        else
            x86_rm(&g->c, X86_LEA, gen_w(op), d, a, imm);
    } else {
        unsigned b = gen_src(g, op->b);

        d = gen_dst(g, op->dst);
        if (d == a)
            x86_alu_rr(&g->c, X86_ADD, gen_w(op), d, b);
        else if (d == b)
            x86_alu_rr(&g->c, X86_ADD, gen_w(op), d, a);
        else
            x86_rx(&g->c, X86_LEA, gen_w(op), d, a, b, 0, 0);
    }
    gen_done(g, op->dst, d);
    return true;
}

/* 0 - b */
static bool gen_negate(struct gen *g, const struct ir_insn *op)
{
    enum { NEG = 3 };
    int64_t a;
    unsigned b, d;

    if (op->flags & IR_B_IMM || !gen_const(g, op->a, &a) || a)
        return false;
    b = gen_src(g, op->b);
    d = gen_dst(g, op->dst);
    x86_mov_rr(&g->c, d, b);
    x86_mul_group(&g->c, NEG, gen_w(op), d);
    gen_done(g, op->dst, d);
    return true;
}

static void gen_alu(struct gen *g, const struct ir_insn *op, enum x86_alu alu)
{
    int32_t imm = 0;
    bool is_imm = gen_b_imm32(g, op, &imm);
    unsigned d;

    if (alu == X86_SUB && gen_negate(g, op))
        return;
    if (alu == X86_ADD && gen_add_lea(g, op, is_imm, imm))
        return;
    if (is_imm) {
        d = gen_dst_from_a(g, op, -1);
        x86_alu_imm(&g->c, alu, gen_w(op), d, imm);
    } else if (op->flags & IR_B_IMM || g->slot[op->b].constant || g->slot[op->b].reg >= 0) {
        unsigned b = gen_b_reg(g, op);

        d = gen_dst_from_a(g, op, (int)b);
        x86_alu_rr(&g->c, alu, gen_w(op), d, b);
    } else {
        d = gen_dst_from_a(g, op, -1);
        x86_alu_rm(&g->c, alu, gen_w(op), d, RBP, slot_disp(op->b));
    }
    gen_done(g, op->dst, d);
}

static void gen_shift(struct gen *g, const struct ir_insn *op, enum x86_shift sh)
{
    bool w = gen_w(op);
    int64_t n;
    unsigned a, b, d;

    if (gen_b_value(g, op, &n)) {
        unsigned count = (unsigned)n & (w ? 63 : 31);

        d = gen_dst_from_a(g, op, -1);
        if (count)
            x86_shift_imm(&g->c, sh, w, d, count);
        else if (!w)
            x86_rr(&g->c, X86_MOV_LOAD, false, d, d);
    } else if (sh == X86_ROR) {
        gen_take_reg(g, RCX); /* may spill a source that lives there; it is then re-read */
        gen_src_to(g, RCX, op->b);
        d = gen_take(g);
        gen_src_to(g, d, op->a);
        x86_rr(&g->c, 0xd3, w, sh, d);
    } else {
        a = gen_src(g, op->a);
        b = gen_src(g, op->b);
        d = gen_dst(g, op->dst);
        x86_shiftx(&g->c, sh, w, d, a, b);
    }
    gen_done(g, op->dst, d);
}

static void gen_mul(struct gen *g, const struct ir_insn *op)
{
    unsigned b = gen_b_reg(g, op), d = gen_dst_from_a(g, op, (int)b);

    x86_rr(&g->c, X86_IMUL, gen_w(op), d, b);
    gen_done(g, op->dst, d);
}

/* rdx is mulx's own operand; the low half goes where the high half then lands. */
static void gen_mulhu(struct gen *g, const struct ir_insn *op)
{
    unsigned b, d;

    gen_take_reg(g, RDX);
    b = gen_b_reg(g, op);
    gen_src_to(g, RDX, op->a);
    d = gen_dst(g, op->dst);
    x86_mulx(&g->c, d, d, b);
    gen_done(g, op->dst, d);
}

/* High half of the product; signed corrections for MULHSU. All three scratch registers. */
static void gen_mul_high(struct gen *g, const struct ir_insn *op)
{
    gen_release(g, GEN_CLOBBERED);
    g->busy = GEN_CLOBBERED;
    gen_src_to(g, RAX, op->a);
    gen_b_to(g, RCX, op);
    x86_mul_group(&g->c, op->op == IR_MULHS ? 5 : 4, true, RCX);
    if (op->op == IR_MULHSU) { /* minus b where a is negative */
        gen_src_to(g, RAX, op->a);
        x86_shift_imm(&g->c, X86_SAR, true, RAX, 63);
        x86_alu_rr(&g->c, X86_AND, true, RAX, RCX);
        x86_alu_rr(&g->c, X86_SUB, true, RDX, RAX);
    }
    gen_done(g, op->dst, RDX);
}

/* Division with RISC-V's total rules: x / 0, and MIN / -1 by way of negation. */
static void gen_div(struct gen *g, const struct ir_insn *op)
{
    bool w = gen_w(op), sign = op->op == IR_DIVS || op->op == IR_REMS;
    bool rem = op->op == IR_REMU || op->op == IR_REMS;
    uint8_t *zero, *minus_one = NULL, *out[2] = {NULL, NULL};

    gen_release(g, GEN_CLOBBERED);
    g->busy = GEN_CLOBBERED;
    gen_src_to(g, RAX, op->a);
    gen_b_to(g, RCX, op);
    x86_rr(&g->c, X86_TEST, w, RCX, RCX);
    zero = x86_jcc(&g->c, X86_E);
    if (sign) {
        x86_alu_imm(&g->c, X86_CMP, w, RCX, -1);
        minus_one = x86_jcc(&g->c, X86_E);
        if (w)
            x86_byte(&g->c, 0x48);
        x86_byte(&g->c, 0x99); /* cqo, cdq */
    } else {
        x86_alu_rr(&g->c, X86_XOR, false, RDX, RDX);
    }
    x86_mul_group(&g->c, sign ? 7 : 6, w, RCX);
    out[0] = x86_jmp(&g->c);
    x86_patch(zero, g->c.at);
    x86_rr(&g->c, X86_MOV_LOAD, w, RDX, RAX);
    x86_rr(&g->c, 0xc7, w, 0, RAX);
    x86_u32(&g->c, UINT32_MAX);
    if (sign) {
        out[1] = x86_jmp(&g->c);
        x86_patch(minus_one, g->c.at);
        x86_mul_group(&g->c, 3, w, RAX); /* neg */
        x86_alu_rr(&g->c, X86_XOR, false, RDX, RDX);
        x86_patch(out[1], g->c.at);
    }
    x86_patch(out[0], g->c.at);
    gen_done(g, op->dst, rem ? RDX : RAX);
}

/* sext.w, which may be left pending, or be a mere move. */
static bool gen_extend_word(struct gen *g, const struct ir_insn *op)
{
    const struct gen_slot *a = &g->slot[op->a];
    bool dies = g->kill[g->index] & 1 && !gen_is_global(g, op->a);

    if (op->op != IR_EXTS || op->aux != 2 || a->constant || a->reg < 0)
        return false;
    if (a->narrow && !a->pending) {
        gen_done(g, op->dst, gen_src(g, op->a));
        return true;
    }
    g->pending = op->dst == op->a || (dies && !g->slot[op->dst].pinned);
    if (!g->pending)
        return false;
    gen_done(g, op->dst, (unsigned)a->reg);
    return true;
}

static void gen_extend(struct gen *g, const struct ir_insn *op)
{
    static const uint32_t sext[] = {X86_MOVSX8 | X86_BYTE, X86_MOVSX16, X86_MOVSXD};
    static const uint32_t zext[] = {X86_MOVZX8 | X86_BYTE, X86_MOVZX16, X86_MOV_LOAD};
    bool sign = op->op == IR_EXTS;
    unsigned a, d;

    if (gen_extend_word(g, op))
        return;
    a = gen_src(g, op->a);
    d = gen_dst(g, op->dst);
    x86_rr(&g->c, sign ? sext[op->aux] : zext[op->aux], sign, d, a);
    gen_done(g, op->dst, d);
}

static void gen_extract(struct gen *g, const struct ir_insn *op)
{
    unsigned low = op->aux, len = (unsigned)op->imm, d = gen_dst_from_a(g, op, -1);

    if (low + len < 64)
        x86_shift_imm(&g->c, X86_SHL, true, d, 64 - low - len);
    x86_shift_imm(&g->c, X86_SHR, true, d, 64 - len);
    gen_done(g, op->dst, d);
}

static void gen_count(struct gen *g, const struct ir_insn *op, uint32_t opcode)
{
    unsigned a = gen_src(g, op->a), d = gen_dst(g, op->dst);

    x86_rr(&g->c, opcode, gen_w(op), d, a);
    gen_done(g, op->dst, d);
}

static void gen_lea(struct gen *g, const struct ir_insn *op)
{
    unsigned a = gen_src(g, op->a), b = gen_src(g, op->b), d;

    d = gen_dst(g, op->dst);
    x86_rx(&g->c, X86_LEA, gen_w(op), d, a, b, op->aux, 0);
    gen_done(g, op->dst, d);
}

void gen_compare(struct gen *g, const struct ir_insn *op)
{
    bool w = gen_w(op) && !g->compare_low;
    int32_t imm;
    unsigned a = gen_src(g, op->a);

    if (!gen_b_imm32(g, op, &imm)) {
        if (op->flags & IR_B_IMM || g->slot[op->b].constant || g->slot[op->b].reg >= 0)
            x86_alu_rr(&g->c, X86_CMP, w, a, gen_b_reg(g, op));
        else
            x86_alu_rm(&g->c, X86_CMP, w, a, RBP, slot_disp(op->b));
    } else if (imm == 0) {
        x86_rr(&g->c, X86_TEST, w, a, a);
    } else {
        x86_alu_imm(&g->c, X86_CMP, w, a, imm);
    }
}

enum x86_cc gen_cc(unsigned cc)
{
    static const enum x86_cc map[] = {X86_E, X86_NE, X86_L, X86_GE, X86_B, X86_AE};

    return map[cc];
}

static void gen_setcc(struct gen *g, const struct ir_insn *op)
{
    unsigned d;

    gen_compare(g, op);
    g->busy = 0; /* the operands are consumed; mov and movzx leave flags alone */
    d = gen_dst(g, op->dst);
    x86_setcc(&g->c, gen_cc(op->aux), d);
    x86_rr(&g->c, X86_MOVZX8 | X86_BYTE, false, d, d);
    gen_done(g, op->dst, d);
}

static void gen_select(struct gen *g, const struct ir_insn *op)
{
    unsigned c = gen_src(g, op->c), a, d;

    a = gen_src(g, op->a);
    d = gen_dst(g, op->dst);
    if (d == c || d == a)
        d = gen_take(g);
    gen_src_to(g, d, op->b);
    x86_rr(&g->c, X86_TEST, true, c, c);
    x86_rr(&g->c, X86_CMOV | X86_NE, true, d, a);
    gen_done(g, op->dst, d);
}

static void gen_move(struct gen *g, const struct ir_insn *op)
{
    unsigned a = gen_src(g, op->a), d;

    if (gen_w(op) && gen_is_global(g, op->dst)) {
        gen_done(g, op->dst, a);
        return;
    }
    d = gen_dst(g, op->dst);
    if (gen_w(op))
        x86_mov_rr(&g->c, d, a);
    else
        x86_rr(&g->c, X86_MOV_LOAD, false, d, a);
    gen_done(g, op->dst, d);
}

static void gen_imm(struct gen *g, ir_slot dst, uint64_t value)
{
    g->narrow = (int64_t)value == (int32_t)value;
    if (!gen_is_global(g, dst)) { /* lives nowhere until something needs a register */
        gen_forget(g, dst);
        g->slot[dst] = (struct gen_slot){.reg = -1, .constant = true, .value = value};
    } else if (g->slot[dst].pinned) {
        gen_forget(g, dst);
        x86_mov_imm(&g->c, (unsigned)g->slot[dst].reg, value);
        g->slot[dst].narrow = g->narrow;
    } else if ((int64_t)value == (int32_t)value) {
        gen_forget(g, dst);
        x86_rm(&g->c, 0xc7, true, 0, RBP, slot_disp(dst));
        x86_u32(&g->c, (uint32_t)value);
    } else {
        unsigned d = gen_take(g);

        x86_mov_imm(&g->c, d, value);
        gen_done(g, dst, d);
    }
}

/* A virtual address relative to the block's page. */
static void gen_pc(struct gen *g, const struct ir_insn *op)
{
    int64_t off = (int64_t)((uint64_t)op->imm - g->page_va);
    unsigned d = gen_dst(g, op->dst);

    x86_rm(&g->c, X86_MOV_LOAD, true, d, RBP, CPU_DISP(jit.page));
    if (off == (int32_t)off) {
        if (off)
            x86_alu_imm(&g->c, X86_ADD, true, d, (int32_t)off);
    } else {
        unsigned t = gen_take(g);

        x86_mov_imm(&g->c, t, (uint64_t)off);
        x86_alu_rr(&g->c, X86_ADD, true, d, t);
    }
    gen_done(g, op->dst, d);
}

static void gen_bswap(struct gen *g, const struct ir_insn *op)
{
    unsigned d = gen_dst_from_a(g, op, -1);

    x86_bswap(&g->c, gen_w(op), d);
    gen_done(g, op->dst, d);
}

bool gen_int(struct gen *g, const struct ir_insn *op)
{
    switch (op->op) {
    case IR_NOP: break;
    case IR_MOV: gen_move(g, op); break;
    case IR_IMM: gen_imm(g, op->dst, (uint64_t)op->imm); break;
    case IR_PC: gen_pc(g, op); break;
    case IR_ADD: gen_alu(g, op, X86_ADD); break;
    case IR_SUB: gen_alu(g, op, X86_SUB); break;
    case IR_AND: gen_alu(g, op, X86_AND); break;
    case IR_OR: gen_alu(g, op, X86_OR); break;
    case IR_XOR: gen_alu(g, op, X86_XOR); break;
    case IR_SHL: gen_shift(g, op, X86_SHL); break;
    case IR_SHR: gen_shift(g, op, X86_SHR); break;
    case IR_SAR: gen_shift(g, op, X86_SAR); break;
    case IR_ROR: gen_shift(g, op, X86_ROR); break;
    case IR_MUL: gen_mul(g, op); break;
    case IR_MULHU: gen_mulhu(g, op); break;
    case IR_MULHS:
    case IR_MULHSU: gen_mul_high(g, op); break;
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS: gen_div(g, op); break;
    case IR_LEA:
        if (op->aux > 3)
            return false;
        gen_lea(g, op);
        break;
    case IR_EXTS:
    case IR_EXTU: gen_extend(g, op); break;
    case IR_EXTRACT: gen_extract(g, op); break;
    case IR_CLZ: gen_count(g, op, X86_LZCNT); break;
    case IR_CTZ: gen_count(g, op, X86_TZCNT); break;
    case IR_POPCNT: gen_count(g, op, X86_POPCNT); break;
    case IR_BSWAP: gen_bswap(g, op); break;
    case IR_SETCC: gen_setcc(g, op); break;
    case IR_SELECT: gen_select(g, op); break;
    default: return false;
    }
    return true;
}
