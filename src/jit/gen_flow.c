/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaving a block. Inside the page: a direct jump, linked when the target is known. Elsewhere: the
 * jump cache. Interrupts are looked for on backward and indirect jumps only, so every loop passes
 * a check. After an instruction that called a helper the context or the mappings may have changed:
 * a stub looks, and if so the dispatcher decides.
 */
#include "jit/region.h"

static int64_t flow_offset(const struct gen *g, uint64_t pc)
{
    return (int64_t)(pc - g->page_va);
}

bool gen_may_link(int64_t off)
{
    return off >= 0 && off < GUEST_PAGE_SIZE - 2;
}

enum flow_change { FLOW_SAME, FLOW_HELPER, FLOW_CODE };

/* Did the current guest instruction do what may change context and mappings, or code? */
static enum flow_change flow_after(const struct gen *g)
{
    const struct ir_insn *op = g->op;

    for (unsigned i = g->index; i-- > 0 && g->block->op[i].insn == op->insn;) {
        if (g->block->op[i].op == IR_HELPER)
            return FLOW_HELPER;
        if (g->block->op[i].op == IR_FENCE && g->block->op[i].aux == IR_FENCE_CODE)
            return FLOW_CODE;
    }
    return FLOW_SAME;
}

static void flow_count(struct gen *g)
{
    if (g->count)
        x86_alu_mem_imm(&g->c, X86_ADD, true, RBP, CPU_DISP(instret), 1);
}

static void flow_check_attention(struct gen *g, int64_t target)
{
    struct gen_cold *cold = gen_cold_new(g, COLD_ATTENTION);

    x86_alu_mem_imm(&g->c, X86_CMP, false, RBP, CPU_DISP(attention), 0);
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_NE);
    cold->value = target;
}

/* A jump (cc < 0: unconditional) to a translation in this page, or to the snippet that asks for
 * it. */
static void flow_link(struct gen *g, int cc, int64_t off)
{
    const uint8_t *target = g->target(g->arg, (uint32_t)off);
    struct gen_cold *cold;
    uint8_t *rel;

    x86_align_patch(&g->c, cc < 0 ? 1 : 2);
    rel = cc < 0 ? x86_jmp(&g->c) : x86_jcc(&g->c, (enum x86_cc)cc);
    if (target) {
        x86_patch(rel, target);
        return;
    }
    cold = gen_cold_new(g, COLD_LINK);
    cold->from[cold->from_count++] = rel;
    cold->value = off;
}

/* A backward one: by way of a cold end that counts, until the target has been looked at once. */
static void flow_link_back(struct gen *g, int64_t off)
{
    struct gen_cold *cold = gen_cold_new(g, COLD_BACK);

    x86_align_patch(&g->c, 1);
    cold->from[cold->from_count++] = x86_jmp(&g->c);
    cold->value = off;
}

void gen_jump_entry(struct x86_code *c)
{
    x86_rorx(c, false, RDX, RAX, 9); /* jump_index() * 16, pc being even */
    x86_lea_scaled(c, RCX, RAX, 3);
    x86_alu_rr(c, X86_XOR, false, RCX, RDX);
    x86_alu_imm(c, X86_AND, false, RCX, (JUMP_ENTRIES - 1) << 4);
    x86_alu_rm(c, X86_ADD, true, RCX, RBP, CPU_DISP(jit.jumps));
}

void gen_jump_cached(struct x86_code *c, const uint8_t *miss)
{
    gen_jump_entry(c);
    x86_alu_rm(c, X86_CMP, true, RAX, RCX, 0);
    x86_patch(x86_jcc(c, X86_NE), miss);
    x86_rm(c, 0xff, false, 4, RCX, (int32_t)offsetof(struct jump_entry, host));
}

static void flow_cached_jump(struct gen *g)
{
    gen_jump_cached(&g->c, g->stubs->second);
}

/* rax = page + off */
static void flow_far_pc(struct gen *g, int64_t off)
{
    x86_rm(&g->c, X86_MOV_LOAD, true, RAX, RBP, CPU_DISP(jit.page));
    if (off == (int32_t)off) {
        x86_alu_imm(&g->c, X86_ADD, true, RAX, (int32_t)off);
    } else {
        x86_mov_imm(&g->c, RCX, (uint64_t)off);
        x86_alu_rr(&g->c, X86_ADD, true, RAX, RCX);
    }
}

/* Temporaries are dead behind an exit, so the scratch registers are free whatever they hold; the
 * generator's picture of them stays as it is for the code that falls through. */
static void flow_to(struct gen *g, uint64_t pc)
{
    int64_t off = flow_offset(g, pc), here = gen_insn_offset(g);

    flow_count(g);
    if (gen_region_jump(g, -1, off))
        return;
    if (g->region)
        gen_map_leave(g);
    if (off <= here)
        flow_check_attention(g, off);
    if (gen_may_link(off) && off <= here && !g->apart) {
        flow_link_back(g, off);
        return;
    }
    if (gen_may_link(off)) {
        flow_link(g, -1, off);
        return;
    }
    flow_far_pc(g, off);
    flow_cached_jump(g);
}

static void flow_exit(struct gen *g, const struct ir_insn *op)
{
    uint64_t pc = (uint64_t)op->imm;
    int64_t off = flow_offset(g, pc);

    enum flow_change change = flow_after(g);

    gen_flush(g);
    if (change == FLOW_HELPER && off == (int32_t)off && !g->count) {
        /* Mostly it changed something else: sstatus.SUM, a timer, a page nobody executes. */
        x86_mov_imm(&g->c, RDX, (uint32_t)off);
        x86_call_to(&g->c, g->stubs->changed);
        change = FLOW_SAME;
    }
    if (change == FLOW_SAME) {
        flow_to(g, pc);
        return;
    }
    flow_count(g);
    if (g->region)
        gen_map_leave(g);
    if (off == (int32_t)off) {
        x86_mov_imm(&g->c, RDX, (uint32_t)off);
        x86_jmp_to(&g->c, g->stubs->dispatch);
        return;
    }
    flow_far_pc(g, off);
    x86_jmp_to(&g->c, g->stubs->jump);
}

/* A forward link that brings memory up to date on the way. */
static void flow_branch_cold(struct gen *g, unsigned cc, int64_t off)
{
    struct gen_cold *cold = gen_cold_new(g, COLD_BRANCH);

    cold->from[cold->from_count++] = x86_jcc(&g->c, (enum x86_cc)cc);
    cold->value = off;
}

void gen_cold_branch(struct gen *g, struct gen_cold *cold)
{
    gen_emit_sync(g, &cold->sync);
    if (g->region)
        flow_to(g, g->page_va + (uint64_t)cold->value);
    else
        flow_link(g, -1, cold->value);
}

/* In a region what leads out is cold; so is what must first bring memory up to date, if forward. */
static bool flow_branch_region(struct gen *g, unsigned cc, int64_t off)
{
    bool inside = region_find(g->region, off) >= 0;

    if (inside && !g->count && gen_is_settled(g))
        return gen_region_jump(g, (int)cc, off);
    if (inside && off <= gen_insn_offset(g))
        return false;
    flow_branch_cold(g, cc, off);
    return true;
}

/* Taken edges that only leave a forward link need one jcc; the others jump around the long form. */
static void flow_branch(struct gen *g, const struct ir_insn *op)
{
    int64_t off = flow_offset(g, (uint64_t)op->imm);
    unsigned cc = gen_cc(op->aux);
    struct gen_sync sync;
    uint8_t *around;

    gen_compare(g, op);
    if (g->region && flow_branch_region(g, cc, off))
        return;
    if (gen_may_link(off) && off > gen_insn_offset(g) && !g->count) {
        if (gen_is_settled(g))
            flow_link(g, (int)cc, off);
        else
            flow_branch_cold(g, cc, off);
        return;
    }
    around = x86_jcc(&g->c, (enum x86_cc)(cc ^ 1));
    gen_take_sync(g, &sync);
    gen_emit_sync(g, &sync);
    flow_to(g, (uint64_t)op->imm);
    x86_patch(around, g->c.at);
}

static void flow_jump(struct gen *g, const struct ir_insn *op)
{
    gen_flush(g);
    gen_src_to(g, RAX, op->a);
    flow_count(g);
    if (g->region)
        gen_map_leave(g);
    if (flow_after(g) != FLOW_SAME) {
        x86_jmp_to(&g->c, g->stubs->jump);
        return;
    }
    x86_alu_mem_imm(&g->c, X86_CMP, false, RBP, CPU_DISP(attention), 0);
    x86_patch(x86_jcc(&g->c, X86_NE), g->stubs->jump); /* the dispatcher looks first */
    flow_cached_jump(g);
}

static void flow_helper(struct gen *g, const struct ir_insn *op)
{
    gen_flush(g);
    gen_release(g, g->map->scratch);
    g->busy = GEN_CLOBBERED;
    gen_src_to(g, RAX, op->a);
    gen_src_to(g, RDX, op->b);
    gen_src_to(g, RCX, op->c);
    gen_note_insn(g);
    x86_mov_imm(&g->c, R15, (uint64_t)op->imm);
    x86_call_to(&g->c, g->stubs->helper);
    for (unsigned s = 0; s < g->block->global_count; s++)
        g->slot[s].narrow = false; /* it may have written any */
    gen_done(g, op->dst, RAX);
}

/* Asks the stub for what the jump whose displacement is at rel is to lead to. */
static void flow_ask(struct gen *g, const uint8_t *rel, const uint8_t *stub)
{
    int32_t back = (int32_t)(rel - (g->c.at + 7));

    x86_byte(&g->c, 0x48); /* lea rcx, [rip + back]: the displacement to patch */
    x86_byte(&g->c, 0x8d);
    x86_byte(&g->c, 0x0d);
    x86_u32(&g->c, (uint32_t)back);
    x86_jmp_to(&g->c, stub);
}

void gen_cold_apart(struct gen *g, struct gen_cold *cold)
{
    uint8_t *rel;

    gen_emit_sync(g, &cold->sync);
    if (g->region)
        gen_map_leave(g);
    x86_align_patch(&g->c, 1);
    rel = x86_jmp(&g->c);
    x86_patch(rel, g->c.at);
    x86_mov_imm(&g->c, RDX, cold->insn_offset);
    flow_ask(g, rel, g->stubs->apart);
}

static void flow_cold_back(struct gen *g, const struct gen_cold *cold)
{
    const uint8_t *target = g->target(g->arg, (uint32_t)cold->value);
    unsigned hot = jit_hot_index(g->page_gpa + (uint64_t)cold->value);
    uint8_t *found, *rel;

    x86_alu_mem_imm(&g->c, X86_SUB, false, RBP, CPU_DISP(hot) + (int32_t)(hot * sizeof(int32_t)),
                    1);
    found = x86_jcc(&g->c, X86_S);
    x86_align_patch(&g->c, 1);
    rel = x86_jmp(&g->c);
    x86_patch(rel, target ? target : g->c.at);
    if (!target) {
        x86_mov_imm(&g->c, RDX, (uint32_t)cold->value);
        flow_ask(g, rel, g->stubs->link);
    }
    x86_patch(found, g->c.at);
    x86_mov_imm(&g->c, RDX, (uint32_t)cold->value);
    flow_ask(g, cold->from[0], g->stubs->hot);
}

void gen_cold_flow(struct gen *g, struct gen_cold *cold)
{
    bool judge = cold->kind == COLD_JUDGE || cold->kind == COLD_ENTRY;

    if (cold->kind == COLD_BACK) {
        flow_cold_back(g, cold);
        return;
    }
    if (cold->kind == COLD_HEAD || cold->kind == COLD_JUDGE)
        gen_map_leave(g);
    x86_mov_imm(&g->c, RDX, (uint32_t)cold->value);
    if (cold->kind == COLD_LINK) {
        flow_ask(g, cold->from[0], g->stubs->link);
    } else {
        x86_jmp_to(&g->c, judge ? g->stubs->judge : g->stubs->attention);
    }
}

bool gen_flow(struct gen *g, const struct ir_insn *op)
{
    switch (op->op) {
    case IR_BR: flow_branch(g, op); return true;
    case IR_EXIT: flow_exit(g, op); return true;
    case IR_JUMP: flow_jump(g, op); return true;
    case IR_HELPER: flow_helper(g, op); return true;
    default: return false; /* IR_TRAP */
    }
}
