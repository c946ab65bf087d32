/* SPDX-License-Identifier: Apache-2.0 */
/* The generator's pass over a block, its cold ends, and the way to the interpreter. Overview:
 * gen.h. */
#include "jit/gen.h"
#include <string.h>

uint16_t gen_insn_offset(const struct gen *g)
{
    const struct ir_block *b = g->block;

    return (uint16_t)((b->pc & (GUEST_PAGE_SIZE - 1)) + b->insn[g->op->insn].pc_offset);
}

struct gen_cold *gen_cold_new(struct gen *g, unsigned kind)
{
    struct gen_cold *cold;

    if (g->cold_count == GEN_COLD_MAX) {
        g->c.full = true; /* the block is given up; the entry below only absorbs writes */
        g->cold_count--;
    }
    cold = &g->cold[g->cold_count++];
    *cold = (struct gen_cold){
        .kind = (uint8_t)kind, .insn_offset = gen_insn_offset(g), .op = g->op, .block = g->block};
    gen_take_sync(g, &cold->sync);
    return cold;
}

/* Tells the stubs which instruction runs: page offset, and length in the upper half. */
void gen_note_insn(struct gen *g)
{
    x86_rm(&g->c, 0xc7, false, 0, RBP, CPU_DISP(jit.insn));
    x86_u32(&g->c, gen_insn_offset(g) | (uint32_t)g->block->insn[g->op->insn].length << 16);
}

/* --- Fallback: the interpreter executes one op on the slots in memory --- */

static void gen_call_interpreter(struct gen *g, const struct ir_insn *op)
{
    gen_note_insn(g);
    x86_mov_imm(&g->c, RAX, (uintptr_t)g->keep(g->arg, op));
    x86_mov_imm(&g->c, R15, (uintptr_t)jit_interpret_op);
    gen_call_stub(g, g->stubs->helper);
}

void gen_cold_op(struct gen *g, struct gen_cold *cold)
{
    gen_emit_sync(g, &cold->sync);
    gen_call_interpreter(g, cold->op);
    x86_jmp_to(&g->c, cold->back);
}

void gen_fallback(struct gen *g, const struct ir_insn *op)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    const ir_slot used[3] = {op->a, op->b, op->c};
    const bool has[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

    gen_flush_temps(g);
    gen_release(g, GEN_CLOBBERED);
    gen_flush(g);
    for (unsigned i = 0; i < 3; i++) {
        if (has[i] && g->slot[used[i]].constant && !gen_is_global(g, used[i])) {
            gen_src_to(g, RAX, used[i]);
            x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, slot_disp(used[i]));
        }
    }
    gen_call_interpreter(g, op);
    if (info->has_dst)
        gen_forget(g, op->dst); /* in memory now */
}

/* --- The pass --- */

/* Is the op's 32-bit result sign-extended by the next one? */
static bool gen_is_extended(const struct ir_block *b, unsigned i)
{
    const struct ir_insn *op = &b->op[i], *next = op + 1;

    return i + 1 < b->op_count && op->width == IR_32 && op->op >= IR_ADD && op->op <= IR_MUL &&
           op->dst >= b->global_count && next->op == IR_EXTS && next->aux == 2 &&
           next->a == op->dst;
}

static void gen_liveness(struct gen *g)
{
    const struct ir_block *b = g->block;
    bool live[CPU_SLOTS] = {false};

    memset(live, true, b->global_count);
    for (unsigned i = b->op_count; i-- > 0;) {
        const struct ir_insn *op = &b->op[i];
        const struct ir_op_info *info = &ir_op_info[op->op];
        const ir_slot used[3] = {op->a, op->b, op->c};
        const bool has[3] = {info->has_a, info->has_b && !(op->flags & IR_B_IMM), info->has_c};

        g->kill[i] = 0;
        if (info->has_dst) {
            if (!live[op->dst] && info->pure) {
                g->kill[i] = GEN_DEAD;
                continue;
            }
            live[op->dst] = false;
        }
        if (info->may_fault || info->ends || op->op == IR_BR)
            memset(live, true, b->global_count);
        for (unsigned k = 0; k < 3; k++) {
            if (!has[k] || live[used[k]])
                continue;
            if (used[k] >= b->global_count)
                g->kill[i] |= (uint8_t)(1u << k);
            live[used[k]] = true;
        }
        if (gen_is_extended(b, i) && !(g->kill[i + 1] & GEN_DEAD) && g->kill[i + 1] & 1)
            g->kill[i] |= GEN_EXTEND;
    }
}

static void gen_bury(struct gen *g, const struct ir_insn *op)
{
    const ir_slot used[3] = {op->a, op->b, op->c};

    for (unsigned k = 0; k < 3; k++)
        if ((g->kill[g->index] & 1u << k) && !(ir_op_info[op->op].has_dst && used[k] == op->dst))
            gen_forget(g, used[k]);
    g->busy = 0;
}

static void gen_op(struct gen *g, const struct ir_insn *op)
{
    g->op = op;
    gen_width(g, op);
    if (g->fallback && (ir_op_info[op->op].has_dst || ir_op_info[op->op].may_fault) &&
        op->op != IR_HELPER && op->op != IR_PC)
        gen_fallback(g, op);
    else if (!gen_int(g, op) && !gen_mem(g, op) && !gen_fp(g, op) && !gen_flow(g, op))
        gen_fallback(g, op);
    gen_bury(g, op);
}

/* A 32-bit op and the extension of its result to a guest register, as one. */
static void gen_extended_op(struct gen *g, const struct ir_insn *op)
{
    struct ir_insn both = *op;

    both.dst = op[1].dst;
    gen_op(g, &both);
    g->op = op; /* `both` goes */
    g->index++;
}

void gen_ops(struct gen *g)
{
    const struct ir_block *b = g->block;
    int before = 0;

    for (g->index = 0; g->index < b->op_count; g->index++) {
        const struct ir_insn *op = &b->op[g->index];

        /* Instructions without ops count, too. */
        if (g->count && op->insn != before)
            x86_alu_mem_imm(&g->c, X86_ADD, true, RBP, CPU_DISP(instret), op->insn - before);
        before = op->insn;
        if (g->kill[g->index] & GEN_DEAD)
            continue;
        if (g->kill[g->index] & GEN_EXTEND && !g->fallback)
            gen_extended_op(g, op);
        else
            gen_op(g, op);
    }
}

void gen_cold_ends(struct gen *g)
{
    g->index = IR_MAX_OPS; /* behind all ops */
    for (unsigned i = 0; i < g->cold_count && !g->c.full; i++) {
        struct gen_cold *cold = &g->cold[i];

        g->op = cold->op;
        g->block = cold->block;
        for (unsigned k = 0; k < cold->from_count; k++)
            x86_patch(cold->from[k], g->c.at);
        switch (cold->kind) {
        case COLD_LOAD:
        case COLD_STORE: gen_cold_mem(g, cold); break;
        case COLD_OP: gen_cold_op(g, cold); break;
        case COLD_BRANCH: gen_cold_branch(g, cold); break;
        default: gen_cold_flow(g, cold); break;
        }
    }
}

static void gen_entry(struct gen *g)
{
    enum { OUTER_BYTES = 6 + 7 };

    while (((uintptr_t)g->c.at + OUTER_BYTES) & 7) /* inner's first eight bytes change at once */
        x86_byte(&g->c, 0x90);
    g->outer = g->c.at;
    x86_byte(&g->c, 0x48); /* and rax, -4096, always in the long form */
    x86_byte(&g->c, 0x25);
    x86_u32(&g->c, (uint32_t)-GUEST_PAGE_SIZE);
    x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, CPU_DISP(jit.page));
    g->inner = g->c.at;
    x86_nop(&g->c, 5);
}

void gen_begin(struct gen *g, const struct ir_block *b)
{
    g->busy = 0;
    g->block = b;
    g->page_va = b->pc & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    for (unsigned r = 0; r < ARRAY_LEN(g->holds); r++)
        g->holds[r] = -1;
    memset(g->window, 0, sizeof(g->window));
    for (unsigned s = 0; s < CPU_SLOTS; s++)
        if (g->slot[s].pinned)
            g->slot[s].narrow = g->slot[s].pending = false;
        else if (!(g->slot[s].constant && s < b->global_count))
            g->slot[s] = (struct gen_slot){.reg = -1};
    gen_liveness(g);
}

bool gen_block(struct gen *g, const struct ir_block *b)
{
    g->cold_count = 0;
    gen_begin(g, b);
    gen_entry(g);
    gen_ops(g);
    gen_cold_ends(g);
    g->stale = g->c.at;
    x86_mov_imm(&g->c, RDX, b->pc & (GUEST_PAGE_SIZE - 1));
    x86_jmp_to(&g->c, g->stubs->stale);
    return !g->c.full;
}
