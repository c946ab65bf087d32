/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads, stores and the rest of memory. Every access checks the first-level TLB inline:
 *     rdx = va;  rcx = table index * 16;  rdx ^= tag;  rdx <= page - size, else cold
 * which covers page crossing too; then rdx = addend, and the host address is rdx + va. The cold end
 * calls a stub (stubs.c) that walks and retries in C.
 */
#include "jit/region.h"
#include <posada/types.h>

enum { GEN_READ, GEN_WRITE };

static int32_t gen_table(unsigned access)
{
    return access == GEN_READ ? (int32_t)offsetof(struct mmu_space, read)
                              : (int32_t)offsetof(struct mmu_space, write);
}

/* A constant temporary that a cold end will read from its slot. */
static void gen_in_memory(struct gen *g, ir_slot slot)
{
    if (!g->slot[slot].constant || gen_is_global(g, slot))
        return;
    gen_take_reg(g, RAX);
    gen_src_to(g, RAX, slot);
    x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, slot_disp(slot));
}

struct gen_access {
    unsigned base; /* register of the guest address less off */
    int32_t off;
    unsigned host; /* the host address is base + off + this; or, in a window, this + off */
    bool window;
    uint8_t zero; /* this and what follows: see struct gen_cold */
    uint16_t span;
    int32_t low;
    uint8_t *miss;
};

/* Where the slot is in a register, that one stays; out of those that the check uses it moves. */
static void gen_hold(struct gen *g, ir_slot slot)
{
    struct gen_slot *s = &g->slot[slot];

    if (s->constant || s->reg < 0)
        return;
    g->busy |= 1u << s->reg;
    if (s->reg == RCX || s->reg == RDX)
        gen_move_away(g, slot);
}

/* Checks `span` bytes at base + off. Uses rcx and rdx; leaves the addend in rdx. */
static struct gen_access gen_tlb(struct gen *g, ir_slot base, int64_t off, unsigned access,
                                 unsigned span)
{
    struct gen_access a = {.off = (int32_t)off, .host = RDX};
    int32_t table = gen_table(access);

    g->busy |= 1u << RCX | 1u << RDX;
    gen_hold(g, base);
    gen_release(g, 1u << RCX | 1u << RDX);
    a.base = gen_src(g, base);
    if (off)
        x86_rm(&g->c, X86_LEA, true, RDX, a.base, a.off);
    else
        x86_mov_rr(&g->c, RDX, a.base);
    x86_rorx(&g->c, true, RCX, RDX, GUEST_PAGE_SHIFT - 4);
    x86_alu_imm(&g->c, X86_AND, false, RCX, (TLB_SIZE - 1) << 4);
    x86_rx(&g->c, X86_XOR_LOAD, true, RDX, R15, RCX, 0, table);
    x86_alu_imm(&g->c, X86_CMP, true, RDX, (int32_t)(GUEST_PAGE_SIZE - span));
    a.miss = x86_jcc(&g->c, X86_A);
    x86_rx(&g->c, X86_MOV_LOAD, true, RDX, R15, RCX, 0,
           table + (int32_t)offsetof(struct tlb_entry, addend));
    return a;
}

/* The check for an access of int registers: through a window, by opening one, or alone. */
static struct gen_access gen_check(struct gen *g, const struct ir_insn *op, unsigned access)
{
    const struct gen_window *w = gen_window_find(g, op);
    struct gen_access a;

    if (w) {
        a = (struct gen_access){.off = (int32_t)op->imm, .host = w->reg, .window = true};
        g->busy |= 1u << w->reg;
        a.base = gen_src(g, op->a);
        x86_rr(&g->c, X86_TEST, true, w->reg, w->reg);
        a.miss = x86_jcc(&g->c, X86_E);
        return a;
    }
    g->busy |= 1u << RCX | 1u << RDX;
    gen_hold(g, op->a);
    w = gen_window_open(g, op);
    if (!w)
        return gen_tlb(g, op->a, op->imm, access, IR_MEM_SIZE(op->aux));
    a = gen_tlb(g, op->a, w->low, access, (unsigned)(w->high - w->low));
    x86_rx(&g->c, X86_LEA, true, w->reg, RDX, a.base, 0, 0);
    a.off = (int32_t)op->imm;
    a.host = a.zero = w->reg;
    a.low = w->low;
    a.span = (uint16_t)(w->high - w->low);
    a.window = true;
    return a;
}

/* An instruction on the accessed memory. */
static void gen_at(struct gen *g, uint32_t opcode, bool w, unsigned reg, const struct gen_access *a)
{
    if (a->window)
        x86_rm(&g->c, opcode, w, reg, a->host, a->off);
    else
        x86_rx(&g->c, opcode, w, reg, a->host, a->base, 0, a->off);
}

static struct gen_cold *gen_cold_access(struct gen *g, unsigned kind, const struct gen_access *a,
                                        unsigned size)
{
    struct gen_cold *cold = gen_cold_new(g, kind);

    cold->from[cold->from_count++] = a->miss;
    cold->base = (uint8_t)a->base;
    cold->off = a->off;
    cold->zero = a->zero;
    cold->low = a->low;
    cold->span = a->span;
    cold->size = (uint8_t)size;
    return cold;
}

/* An access whose bytes a region has checked in advance: without miss. */
static struct gen_access gen_covered_access(struct gen *g, const struct ir_insn *op, unsigned host,
                                            const struct region_cover *c)
{
    x86_rm(&g->c, X86_MOV_LOAD, true, host, RBP, gen_cover_addend(g, c));
    return (struct gen_access){.off = (int32_t)op->imm, .host = host, .base = gen_src(g, op->a)};
}

static void gen_load_covered(struct gen *g, const struct ir_insn *op, const struct region_cover *c)
{
    static const uint32_t zext[] = {X86_MOVZX8, X86_MOVZX16, X86_MOV_LOAD, X86_MOV_LOAD};
    static const uint32_t sext[] = {X86_MOVSX8, X86_MOVSX16, X86_MOVSXD, X86_MOV_LOAD};
    bool sign = (op->aux & IR_MEM_SIGNED) != 0;
    unsigned size = op->aux & 3, base = gen_src(g, op->a), d = gen_dst(g, op->dst);
    struct gen_access at = gen_covered_access(g, op, d == base ? gen_take(g) : d, c);

    gen_at(g, sign ? sext[size] : zext[size], sign || size == 3, d, &at);
    gen_done(g, op->dst, d);
}

static void gen_load(struct gen *g, const struct ir_insn *op)
{
    static const uint32_t zext[] = {X86_MOVZX8, X86_MOVZX16, X86_MOV_LOAD, X86_MOV_LOAD};
    static const uint32_t sext[] = {X86_MOVSX8, X86_MOVSX16, X86_MOVSXD, X86_MOV_LOAD};
    unsigned size = op->aux & 3, d;
    bool sign = (op->aux & IR_MEM_SIGNED) != 0;
    struct gen_access at;
    struct gen_cold *cold;

    g->busy |= 1u << RCX | 1u << RDX;
    gen_hold(g, op->a);
    if (gen_window_find(g, op))
        g->busy |= 1u << gen_window_find(g, op)->reg;
    /* Taken before the check, so that what it displaces is stored on both ways. */
    d = g->slot[op->dst].pinned ? (unsigned)g->slot[op->dst].reg : gen_take(g);
    g->busy |= 1u << d;
    at = gen_check(g, op, GEN_READ);
    cold = gen_cold_access(g, COLD_LOAD, &at, size);
    gen_at(g, sign ? sext[size] : zext[size], sign || size == 3, d, &at);
    cold->sign = sign;
    cold->reg = (uint8_t)d;
    cold->back = g->c.at;
    gen_done(g, op->dst, d);
}

/* Stores an immediate: value fits in 32 bits. */
static void gen_store_imm(struct gen *g, const struct gen_access *at, unsigned size, int64_t value)
{
    static const uint32_t store[] = {0xc6, 0xc7 | X86_66, 0xc7, 0xc7};

    gen_at(g, store[size], size == 3, 0, at);
    for (unsigned i = 0; i < (size == 3 ? 4u : 1u << size); i++)
        x86_byte(&g->c, (uint8_t)(value >> (8 * i)));
}

static void gen_store_covered(struct gen *g, const struct ir_insn *op, const struct region_cover *c)
{
    static const uint32_t store[] = {X86_MOV8_STORE, X86_MOV16_STORE, X86_MOV_STORE, X86_MOV_STORE};
    int64_t value = 0;
    bool is_imm = gen_const(g, op->b, &value) && value == (int32_t)value;
    unsigned size = op->aux & 3, from = is_imm ? 0 : gen_src(g, op->b);
    struct gen_access at;

    (void)gen_src(g, op->a); /* keep it, whatever is given up for the addend */
    at = gen_covered_access(g, op, gen_take(g), c);
    if (is_imm)
        gen_store_imm(g, &at, size, value);
    else
        gen_at(g, store[size], size == 3, from, &at);
}

static void gen_store(struct gen *g, const struct ir_insn *op)
{
    static const uint32_t store[] = {X86_MOV8_STORE, X86_MOV16_STORE, X86_MOV_STORE, X86_MOV_STORE};
    unsigned size = op->aux & 3, reg = RCX;
    struct gen_access at;
    struct gen_cold *cold;
    int64_t value = 0;
    bool is_const = gen_const(g, op->b, &value), is_imm = is_const && value == (int32_t)value;
    unsigned from = 16; /* register of the value, if it has one yet */

    g->busy |= 1u << RCX | 1u << RDX;
    if (gen_window_find(g, op)) { /* rcx is not free then */
        g->busy |= 1u << gen_window_find(g, op)->reg;
        from = is_imm ? 16 : gen_src(g, op->b);
    } else {
        gen_hold(g, op->b);
    }
    at = gen_check(g, op, GEN_WRITE);
    cold = gen_cold_access(g, COLD_STORE, &at, size);
    cold->value = value;
    cold->sign = is_const;
    if (is_imm) {
        gen_store_imm(g, &at, size, value);
    } else {
        if (from < 16)
            reg = from;
        else if (!is_const && g->slot[op->b].reg >= 0)
            reg = (unsigned)g->slot[op->b].reg;
        else
            gen_src_to(g, RCX, op->b);
        cold->reg = (uint8_t)reg;
        gen_at(g, store[size], size == 3, reg, &at);
    }
    cold->back = g->c.at;
}

/* What rax, rcx and rdx held must outlive the stub; what is dirty has just been stored. */
static void gen_cold_save(struct gen *g, const struct gen_sync *sync)
{
    for (unsigned r = RAX; r <= RDX; r++) {
        if (sync->holds[r] < 0 || gen_is_global(g, (ir_slot)sync->holds[r]))
            continue;
        if (sync->pending >> r & 1)
            x86_rr(&g->c, X86_MOVSXD, true, r, r);
        x86_rm(&g->c, X86_MOV_STORE, true, r, RBP, slot_disp((ir_slot)sync->holds[r]));
    }
}

static void gen_cold_restore(struct gen *g, const struct gen_sync *sync)
{
    for (unsigned r = RAX; r <= RDX; r++)
        if (sync->holds[r] >= 0)
            x86_rm(&g->c, X86_MOV_LOAD, true, r, RBP, slot_disp((ir_slot)sync->holds[r]));
}

/* rax = va */
static void gen_cold_address(struct gen *g, const struct gen_cold *cold, unsigned base)
{
    if (cold->off)
        x86_rm(&g->c, X86_LEA, true, RAX, base, cold->off);
    else
        x86_mov_rr(&g->c, RAX, base);
}

/* rax = va, rcx = value, from wherever the two are. */
static void gen_cold_operands(struct gen *g, const struct gen_cold *cold)
{
    bool in_reg = !cold->sign && cold->reg != RCX;

    if (cold->base == RDX && in_reg && cold->reg == RAX) {
        x86_rr(&g->c, X86_XCHG, true, RAX, RDX);
        gen_cold_address(g, cold, RAX);
        x86_mov_rr(&g->c, RCX, RDX);
    } else if (cold->base != RDX && in_reg) {
        x86_mov_rr(&g->c, RDX, cold->reg);
        gen_cold_address(g, cold, cold->base);
        x86_mov_rr(&g->c, RCX, RDX);
    } else {
        gen_cold_address(g, cold, cold->base);
        if (cold->sign)
            x86_mov_imm(&g->c, RCX, (uint64_t)cold->value);
        else if (in_reg)
            x86_mov_rr(&g->c, RCX, cold->reg);
        else
            x86_rm(&g->c, X86_MOV_LOAD, true, RCX, RBP, slot_disp(cold->op->b));
    }
}

/* Where a window would reach across a page's end, the block is left. The access that opens one has
 * taken rdx for its check. */
static void gen_cold_window(struct gen *g, struct gen_cold *cold)
{
    uint8_t *inside;

    x86_rm(&g->c, X86_LEA, false, RDX, cold->base, cold->low);
    x86_alu_imm(&g->c, X86_AND, false, RDX, GUEST_PAGE_SIZE - 1);
    x86_alu_imm(&g->c, X86_CMP, false, RDX, GUEST_PAGE_SIZE - cold->span);
    inside = x86_jcc(&g->c, X86_BE);
    gen_cold_apart(g, cold);
    x86_patch(inside, g->c.at);
}

void gen_cold_mem(struct gen *g, struct gen_cold *cold)
{
    bool load = cold->kind == COLD_LOAD;

    if (cold->span && gen_may_link(cold->insn_offset))
        gen_cold_window(g, cold);
    gen_emit_sync(g, &cold->sync);
    gen_cold_save(g, &cold->sync);
    if (load)
        gen_cold_address(g, cold, cold->base);
    else
        gen_cold_operands(g, cold);
    x86_mov_imm(&g->c, RDX, cold->insn_offset);
    gen_call_stub(g, load ? g->stubs->load[cold->size] : g->stubs->store[cold->size]);
    if (load) {
        static const uint32_t sext[] = {X86_MOVSX8 | X86_BYTE, X86_MOVSX16, X86_MOVSXD};

        if (cold->sign && cold->size < 3)
            x86_rr(&g->c, sext[cold->size], true, cold->reg, RAX);
        else
            x86_mov_rr(&g->c, cold->reg, RAX);
    }
    gen_cold_restore(g, &cold->sync);
    if (cold->zero)
        x86_alu_rr(&g->c, X86_XOR, false, cold->zero, cold->zero);
    x86_jmp_to(&g->c, cold->back);
}

/* cbo.zero and friends: size bytes, aligned down, never crossing a page. */
static void gen_bzero(struct gen *g, const struct ir_insn *op)
{
    struct gen_access at;
    struct gen_cold *cold;

    if (op->imm < 16 || op->imm > 64) {
        gen_fallback(g, op);
        return;
    }
    gen_take_reg(g, RAX);
    gen_flush_temps(g);
    gen_in_memory(g, op->a);
    at = gen_tlb(g, op->a, 0, GEN_WRITE, 1);
    cold = gen_cold_access(g, COLD_OP, &at, 0);
    x86_mov_rr(&g->c, RAX, at.base);
    x86_alu_imm(&g->c, X86_AND, true, RAX, (int32_t)-op->imm);
    x86_rr(&g->c, 0x57 | X86_0F, false, 0, 0); /* xorps xmm0, xmm0 */
    for (int32_t i = 0; i < op->imm; i += 16)
        x86_rx(&g->c, 0x11 | X86_0F, false, 0, RAX, RDX, 0, i); /* movups [], xmm0 */
    cold->back = g->c.at;
}

/* --- Atomics: rdx = host address; a misaligned or slow one is interpreted --- */

static struct gen_cold *gen_atomic_begin(struct gen *g, const struct ir_insn *op, unsigned access)
{
    unsigned bytes = IR_MEM_SIZE(op->aux);
    struct gen_access at;
    struct gen_cold *cold;

    gen_take_reg(g, RAX);
    gen_flush_temps(g);
    gen_in_memory(g, op->a);
    if (ir_op_info[op->op].has_b)
        gen_in_memory(g, op->b);
    at = gen_tlb(g, op->a, 0, access, bytes);
    cold = gen_cold_access(g, COLD_OP, &at, 0);
    x86_rr(&g->c, 0xf6 | X86_BYTE, false, 0, at.base); /* test base, bytes - 1 */
    x86_byte(&g->c, (uint8_t)(bytes - 1));
    cold->from[cold->from_count++] = x86_jcc(&g->c, X86_NE);
    x86_alu_rr(&g->c, X86_ADD, true, RDX, at.base);
    return cold;
}

/* The cold end leaves the result in its slot, or in its home. */
static void gen_atomic_end(struct gen *g, const struct ir_insn *op, unsigned reg,
                           struct gen_cold *cold)
{
    if ((op->aux & 3) == 2 && op->aux & IR_MEM_SIGNED)
        x86_rr(&g->c, X86_MOVSXD, true, reg, reg);
    gen_forget(g, op->dst);
    if (g->slot[op->dst].pinned)
        x86_mov_rr(&g->c, (unsigned)g->slot[op->dst].reg, reg);
    else
        x86_rm(&g->c, X86_MOV_STORE, true, reg, RBP, slot_disp(op->dst));
    cold->back = g->c.at;
}

/* lock cmpxchg [rdx], rcx */
static void gen_cmpxchg(struct gen *g, bool w)
{
    x86_byte(&g->c, 0xf0);
    x86_rm(&g->c, X86_CMPXCHG, w, RCX, RDX, 0);
}

/* rcx = what the AMO makes of the old value in rax */
static void gen_amo_value(struct gen *g, const struct ir_insn *op, bool w)
{
    static const enum x86_alu alu[] = {
        [IR_AMOXOR] = X86_XOR, [IR_AMOAND] = X86_AND, [IR_AMOOR] = X86_OR};
    static const enum x86_cc keep_old[] = {
        [IR_MIN] = X86_L, [IR_MAX] = X86_G, [IR_MINU] = X86_B, [IR_MAXU] = X86_A};

    gen_src_to(g, RCX, op->b);
    if (op->c <= IR_AMOOR) {
        x86_alu_rr(&g->c, alu[op->c], w, RCX, RAX);
    } else {
        x86_alu_rr(&g->c, X86_CMP, w, RAX, RCX);
        x86_rr(&g->c, (uint32_t)X86_CMOV | keep_old[op->c], w, RCX, RAX);
    }
}

static bool gen_amo(struct gen *g, const struct ir_insn *op)
{
    bool w = (op->aux & 3) == 3;
    struct gen_cold *cold;
    const uint8_t *again;

    if ((op->aux & 3) < 2)
        return false;
    cold = gen_atomic_begin(g, op, GEN_WRITE);
    if (op->c == IR_SWAP || op->c == IR_AMOADD) {
        gen_src_to(g, RCX, op->b);
        if (op->c == IR_AMOADD)
            x86_byte(&g->c, 0xf0);
        x86_rm(&g->c, op->c == IR_SWAP ? X86_XCHG : X86_XADD, w, RCX, RDX, 0);
        gen_atomic_end(g, op, RCX, cold);
        return true;
    }
    x86_rm(&g->c, X86_MOV_LOAD, w, RAX, RDX, 0);
    again = g->c.at;
    gen_amo_value(g, op, w);
    gen_cmpxchg(g, w);
    x86_patch(x86_jcc(&g->c, X86_NE), again);
    gen_atomic_end(g, op, RAX, cold);
    return true;
}

static bool gen_lr(struct gen *g, const struct ir_insn *op)
{
    struct gen_cold *cold;

    if ((op->aux & 3) < 2)
        return false;
    cold = gen_atomic_begin(g, op, GEN_READ);
    x86_rm(&g->c, X86_MOV_LOAD, (op->aux & 3) == 3, RAX, RDX, 0);
    x86_rm(&g->c, X86_MOV_STORE, true, RDX, RBP, CPU_DISP(reserved_host));
    x86_rm(&g->c, X86_MOV_STORE, true, RAX, RBP, CPU_DISP(reserved_value));
    gen_atomic_end(g, op, RAX, cold);
    return true;
}

static bool gen_sc(struct gen *g, const struct ir_insn *op)
{
    bool w = (op->aux & 3) == 3;
    struct gen_cold *cold;
    uint8_t *lost;

    if ((op->aux & 3) < 2)
        return false;
    cold = gen_atomic_begin(g, op, GEN_WRITE);
    gen_src_to(g, RCX, op->b);
    x86_alu_rm(&g->c, X86_CMP, true, RDX, RBP, CPU_DISP(reserved_host));
    x86_rm(&g->c, 0xc7, true, 0, RBP, CPU_DISP(reserved_host)); /* mov: flags stay */
    x86_u32(&g->c, 0);
    x86_mov_imm(&g->c, RAX, 1);
    lost = x86_jcc(&g->c, X86_NE);
    x86_rm(&g->c, X86_MOV_LOAD, true, RAX, RBP, CPU_DISP(reserved_value));
    gen_cmpxchg(g, w);
    x86_setcc(&g->c, X86_NE, RAX);
    x86_rr(&g->c, X86_MOVZX8 | X86_BYTE, false, RAX, RAX);
    x86_patch(lost, g->c.at);
    gen_atomic_end(g, op, RAX, cold);
    return true;
}

static void gen_fence(struct gen *g, const struct ir_insn *op)
{
    if (op->aux == IR_FENCE_TSO)
        return;
    x86_byte(&g->c, 0xf0); /* lock or dword [], imm */
    if (op->aux == IR_FENCE_FULL)
        x86_alu_mem_imm(&g->c, X86_OR, false, RSP, 0, 0);
    else /* the block ends for the dispatcher (gen_flow.c) */
        x86_alu_mem_imm(&g->c, X86_OR, false, RBP, CPU_DISP(attention), ATTENTION_FENCE);
}

bool gen_mem(struct gen *g, const struct ir_insn *op)
{
    switch (op->op) {
    case IR_LD:
        if (op->imm != (int32_t)op->imm)
            return false;
        if (gen_covered(g))
            gen_load_covered(g, op, gen_covered(g));
        else
            gen_load(g, op);
        return true;
    case IR_ST:
        if (op->imm != (int32_t)op->imm)
            return false;
        if (gen_covered(g))
            gen_store_covered(g, op, gen_covered(g));
        else
            gen_store(g, op);
        return true;
    case IR_BZERO: gen_bzero(g, op); return true;
    case IR_AMO: return gen_amo(g, op);
    case IR_LR: return gen_lr(g, op);
    case IR_SC: return gen_sc(g, op);
    case IR_FENCE: gen_fence(g, op); return true;
    default: return false;
    }
}
