/* SPDX-License-Identifier: Apache-2.0 */
/* The few pieces of host code all translations share: in, out, slow memory, helpers. */
#include "jit/gen.h"
#include <posada/cpu.h>

static void stub_pinned(struct x86_code *c, const struct cpu_ops *ops, uint32_t opcode)
{
    for (unsigned i = 0; i < GEN_PINNED && i < ops->hot_global_count; i++)
        x86_rm(c, opcode, true, gen_pinned_slot(i), RBP, slot_disp(ops->hot_globals[i]));
}

static void stub_space(struct x86_code *c)
{
    x86_rm(c, X86_MOV_LOAD, true, R15, RBP, CPU_DISP(mmu));
    x86_rm(c, X86_MOV_LOAD, true, R15, R15, (int32_t)offsetof(struct mmu, data));
}

static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};

static void stub_push(struct x86_code *c, unsigned reg, uint8_t opcode)
{
    if (reg >> 3)
        x86_byte(c, 0x41);
    x86_byte(c, (uint8_t)(opcode | (reg & 7)));
}

enum { FRAME = 24 }; /* keeps rsp 16-byte aligned in translated code */

/* int enter(cpu, host, pc) */
static const uint8_t *stub_enter(struct x86_code *c, const struct cpu_ops *ops)
{
    const uint8_t *at = c->at;

    for (unsigned i = 0; i < sizeof(saved); i++)
        stub_push(c, saved[i], 0x50);
    x86_alu_imm(c, X86_SUB, true, RSP, FRAME);
    x86_mov_rr(c, RAX, RDX);
    x86_mov_rr(c, RCX, RSI);
    x86_rm(c, X86_LEA, true, RBP, RDI, CPU_BIAS);
    stub_space(c);
    stub_pinned(c, ops, X86_MOV_LOAD);
    x86_rr(c, 0xff, false, 4, RCX); /* jmp rcx */
    return at;
}

/* Behind every way out: eax is the exit code. */
static const uint8_t *stub_leave(struct x86_code *c)
{
    const uint8_t *at = c->at;

    x86_alu_imm(c, X86_ADD, true, RSP, FRAME);
    for (unsigned i = sizeof(saved); i-- > 0;)
        stub_push(c, saved[i], 0x58);
    x86_byte(c, 0xc3);
    return at;
}

static void stub_exit_with(struct x86_code *c, const struct cpu_ops *ops, enum gen_exit code,
                           const uint8_t *leave)
{
    stub_pinned(c, ops, X86_MOV_STORE);
    x86_mov_imm(c, RAX, (uint64_t)code);
    x86_jmp_to(c, leave);
}

/* edx: page offset of the pc to go on at, sign-extended */
static const uint8_t *stub_offset(struct x86_code *c, const struct cpu_ops *ops, enum gen_exit code,
                                  const uint8_t *leave)
{
    const uint8_t *at = c->at;

    if (code == GEN_EXIT_LINK || code == GEN_EXIT_HOT || code == GEN_EXIT_APART)
        x86_rm(c, X86_MOV_STORE, true, RCX, RBP, CPU_DISP(jit.link));
    x86_rr(c, X86_MOVSXD, true, RDX, RDX);
    x86_alu_rm(c, X86_ADD, true, RDX, RBP, CPU_DISP(jit.page));
    x86_rm(c, X86_MOV_STORE, true, RDX, RBP, CPU_DISP(pc));
    stub_exit_with(c, ops, code, leave);
    return at;
}

/* A helper has run: may code of the same context and code space go on behind it? */
static const uint8_t *stub_changed(struct x86_code *c, const uint8_t *dispatch)
{
    const uint8_t *at = c->at;
    uint8_t *leave[3];

    x86_alu_mem_imm(c, X86_CMP, false, RBP, CPU_DISP(attention), 0);
    leave[0] = x86_jcc(c, X86_NE);
    x86_rm(c, X86_MOVZX8, false, RAX, RBP, CPU_DISP(count_instret));
    x86_shift_imm(c, X86_SHL, false, RAX, GEN_KEY_COUNT_BIT);
    x86_alu_rm(c, X86_OR, false, RAX, RBP, CPU_DISP(context));
    x86_alu_rm(c, X86_CMP, false, RAX, RBP, CPU_DISP(jit.key));
    leave[1] = x86_jcc(c, X86_NE);
    x86_rm(c, X86_MOV_LOAD, true, RAX, RBP, CPU_DISP(mmu));
    x86_rm(c, X86_MOV_LOAD, true, RAX, RAX, (int32_t)offsetof(struct mmu, code));
    x86_rm(c, X86_MOV_LOAD, true, RAX, RAX, (int32_t)offsetof(struct mmu_space, code_epoch));
    x86_alu_rm(c, X86_CMP, true, RAX, RBP, CPU_DISP(jit.epoch));
    leave[2] = x86_jcc(c, X86_NE);
    x86_byte(c, 0xc3);
    for (unsigned i = 0; i < ARRAY_LEN(leave); i++)
        x86_patch(leave[i], c->at);
    x86_alu_imm(c, X86_ADD, true, RSP, 8);
    x86_jmp_to(c, dispatch);
    return at;
}

/* rcx = offset of the entry that reg hashes to, in a table of 1 << bits */
static void stub_hash(struct x86_code *c, unsigned reg, unsigned bits)
{
    x86_imul_imm(c, false, RCX, reg, (int32_t)JUMP_SECOND_FACTOR);
    x86_shift_imm(c, X86_SHR, false, RCX, 32 - bits);
    x86_shift_imm(c, X86_SHL, false, RCX, 4);
}

/* rax: pc that the first level does not know */
static const uint8_t *stub_second(struct x86_code *c, const uint8_t *miss)
{
    const int32_t table = JUMP_ENTRIES * (int32_t)sizeof(struct jump_entry);
    const uint8_t *at = c->at;

    stub_hash(c, RAX, JUMP_SECOND_BITS);
    x86_alu_rm(c, X86_ADD, true, RCX, RBP, CPU_DISP(jit.jumps));
    x86_alu_rm(c, X86_CMP, true, RAX, RCX, table);
    x86_patch(x86_jcc(c, X86_NE), miss);
    x86_rm(c, 0xff, false, 4, RCX, table + (int32_t)offsetof(struct jump_entry, host));
    return at;
}

/* Puts rax and its code r12 into the jump cache; what was there moves to the second level. */
static void stub_remember(struct x86_code *c)
{
    const int32_t host = (int32_t)offsetof(struct jump_entry, host);
    const int32_t second = JUMP_ENTRIES * (int32_t)sizeof(struct jump_entry);

    gen_jump_entry(c);
    x86_rm(c, X86_MOV_LOAD, true, R13, RCX, 0);
    x86_rm(c, X86_MOV_LOAD, true, R14, RCX, host);
    x86_rm(c, X86_MOV_STORE, true, RAX, RCX, 0);
    x86_rm(c, X86_MOV_STORE, true, R12, RCX, host);
    stub_hash(c, R13, JUMP_SECOND_BITS);
    x86_alu_rm(c, X86_ADD, true, RCX, RBP, CPU_DISP(jit.jumps));
    x86_rm(c, X86_MOV_STORE, true, R13, RCX, second);
    x86_rm(c, X86_MOV_STORE, true, R14, RCX, second + host);
}

/* rax: pc that the jump cache does not know. Code that crosses a page's end is left out. */
static const uint8_t *stub_place(struct x86_code *c, const uint8_t *jump)
{
    const int32_t table = (int32_t)offsetof(struct mmu_space, code);
    const uint8_t *at = c->at;

    x86_rm(c, X86_MOV_LOAD, true, RDX, RBP, CPU_DISP(mmu));
    x86_rm(c, X86_MOV_LOAD, true, RDX, RDX, (int32_t)offsetof(struct mmu, code));
    x86_rorx(c, true, RCX, RAX, GUEST_PAGE_SHIFT - 4);
    x86_alu_imm(c, X86_AND, false, RCX, (TLB_SIZE - 1) << 4);
    x86_alu_rr(c, X86_ADD, true, RCX, RDX);
    x86_rm(c, X86_MOV_LOAD, true, RDX, RCX, table);
    x86_alu_rr(c, X86_XOR, true, RDX, RAX);
    x86_alu_imm(c, X86_CMP, true, RDX, GUEST_PAGE_SIZE - 4);
    x86_patch(x86_jcc(c, X86_A), jump);
    x86_rm(c, X86_MOV_LOAD, true, RDX, RCX, table + (int32_t)offsetof(struct tlb_entry, addend));
    x86_alu_rr(c, X86_ADD, true, RDX, RAX);
    stub_hash(c, RDX, PLACE_BITS);
    x86_alu_rm(c, X86_ADD, true, RCX, RBP, CPU_DISP(jit.places));
    x86_shift_imm(c, X86_SHL, true, RDX, PLACE_KEY_BITS);
    x86_alu_rm(c, X86_OR, true, RDX, RBP, CPU_DISP(jit.place_key));
    x86_alu_rm(c, X86_CMP, true, RDX, RCX, (int32_t)offsetof(struct place_entry, place));
    x86_patch(x86_jcc(c, X86_NE), jump);
    x86_rm(c, X86_MOV_LOAD, true, R12, RCX, (int32_t)offsetof(struct place_entry, host));
    stub_remember(c);
    x86_rr(c, 0xff, false, 4, R12); /* jmp r12 */
    return at;
}

static const uint8_t *stub_jump(struct x86_code *c, const struct cpu_ops *ops, const uint8_t *leave)
{
    const uint8_t *at = c->at;

    x86_rm(c, X86_MOV_STORE, true, RAX, RBP, CPU_DISP(pc));
    stub_exit_with(c, ops, GEN_EXIT_JUMP, leave);
    return at;
}

/* Leaves from inside a stub that was called: drops `depth` bytes of its frame. The slots are in
 * memory already. */
static void stub_abandon(struct x86_code *c, enum gen_exit code, int32_t depth,
                         const uint8_t *leave)
{
    x86_alu_imm(c, X86_ADD, true, RSP, depth);
    x86_mov_imm(c, RAX, (uint64_t)code);
    x86_jmp_to(c, leave);
}

/* The access on its own, for those that come from a window that crosses a page: rax: va, rcx:
 * value. Returns; or falls through with rax and rcx as they were. */
static void stub_memory_again(struct x86_code *c, bool store, unsigned size)
{
    static const uint32_t load_op[] = {X86_MOVZX8, X86_MOVZX16, X86_MOV_LOAD, X86_MOV_LOAD};
    static const uint32_t store_op[] = {X86_MOV8_STORE, X86_MOV16_STORE, X86_MOV_STORE,
                                        X86_MOV_STORE};
    const int32_t table = store ? (int32_t)offsetof(struct mmu_space, write)
                                : (int32_t)offsetof(struct mmu_space, read);
    unsigned bytes = 1u << size;
    uint8_t *miss;

    x86_rorx(c, true, RDX, RAX, GUEST_PAGE_SHIFT - 4);
    x86_alu_imm(c, X86_AND, false, RDX, (TLB_SIZE - 1) << 4);
    x86_alu_rr(c, X86_ADD, true, RDX, R15);
    x86_rm(c, X86_XOR_LOAD, true, RAX, RDX, table);
    x86_alu_imm(c, X86_CMP, true, RAX, (int32_t)(GUEST_PAGE_SIZE - bytes));
    miss = x86_jcc(c, X86_A);
    x86_rm(c, X86_XOR_LOAD, true, RAX, RDX, table);
    x86_rm(c, X86_MOV_LOAD, true, RDX, RDX, table + (int32_t)offsetof(struct tlb_entry, addend));
    if (store)
        x86_rx(c, store_op[size], size == 3, RCX, RAX, RDX, 0, 0);
    else
        x86_rx(c, load_op[size], size == 3, RAX, RAX, RDX, 0, 0);
    x86_byte(c, 0xc3);
    x86_patch(miss, c->at);
    x86_rm(c, X86_XOR_LOAD, true, RAX, RDX, table);
}

static const uint8_t *stub_memory(struct x86_code *c, const struct cpu_ops *ops, bool store,
                                  unsigned log_size, const uint8_t *leave)
{
    enum { LOCAL = 24 };
    const uint8_t *at = c->at;
    uint8_t *fault;

    x86_rm(c, X86_MOV_STORE, false, RDX, RBP, CPU_DISP(jit.insn));
    stub_memory_again(c, store, log_size);
    x86_alu_imm(c, X86_SUB, true, RSP, LOCAL);
    stub_pinned(c, ops, X86_MOV_STORE);
    x86_rm(c, X86_LEA, true, RDI, RBP, -CPU_BIAS);
    x86_mov_rr(c, RSI, RAX);
    x86_mov_imm(c, RDX, UINT64_C(1) << log_size);
    if (!store)
        x86_rm(c, X86_LEA, true, RCX, RSP, 8);
    x86_mov_imm(c, RAX, store ? (uintptr_t)mmu_store_slow : (uintptr_t)mmu_load_slow);
    x86_rr(c, 0xff, false, 2, RAX); /* call rax */
    x86_rr(c, 0x84 | X86_BYTE, false, RAX, RAX);
    fault = x86_jcc(c, X86_E);
    stub_pinned(c, ops, X86_MOV_LOAD);
    if (!store)
        x86_rm(c, X86_MOV_LOAD, true, RAX, RSP, 8);
    x86_alu_imm(c, X86_ADD, true, RSP, LOCAL);
    x86_byte(c, 0xc3);
    x86_patch(fault, c->at);
    stub_abandon(c, GEN_EXIT_FAULT, LOCAL + 8, leave);
    return at;
}

static const uint8_t *stub_helper(struct x86_code *c, const struct cpu_ops *ops,
                                  const uint8_t *leave)
{
    enum { LOCAL = 8 };
    const uint8_t *at = c->at;
    uint8_t *fault, *leaves;

    x86_alu_imm(c, X86_SUB, true, RSP, LOCAL);
    stub_pinned(c, ops, X86_MOV_STORE);
    x86_rm(c, X86_LEA, true, RDI, RBP, -CPU_BIAS);
    x86_mov_rr(c, RSI, RAX);
    x86_rr(c, 0xff, false, 2, R15);
    x86_rm(c, 0x80, false, X86_CMP, RBP, CPU_DISP(fault.pending));
    x86_byte(c, 0);
    fault = x86_jcc(c, X86_NE);
    x86_alu_mem_imm(c, X86_CMP, false, RBP, CPU_DISP(exit), CPU_EXIT_NONE);
    leaves = x86_jcc(c, X86_NE);
    stub_space(c);
    stub_pinned(c, ops, X86_MOV_LOAD);
    x86_alu_imm(c, X86_ADD, true, RSP, LOCAL);
    x86_byte(c, 0xc3);
    x86_patch(fault, c->at);
    stub_abandon(c, GEN_EXIT_FAULT, LOCAL + 8, leave);
    x86_patch(leaves, c->at);
    stub_abandon(c, GEN_EXIT_CPU, LOCAL + 8, leave);
    return at;
}

void stubs_emit(struct x86_code *c, struct jit_stubs *s, const struct cpu_ops *ops)
{
    const uint8_t *leave = stub_leave(c);

    s->enter = stub_enter(c, ops);
    s->attention = stub_offset(c, ops, GEN_EXIT_ATTENTION, leave);
    s->dispatch = stub_offset(c, ops, GEN_EXIT_DISPATCH, leave);
    s->stale = stub_offset(c, ops, GEN_EXIT_STALE, leave);
    s->changed = stub_changed(c, s->dispatch);
    s->link = stub_offset(c, ops, GEN_EXIT_LINK, leave);
    s->hot = stub_offset(c, ops, GEN_EXIT_HOT, leave);
    s->judge = stub_offset(c, ops, GEN_EXIT_JUDGE, leave);
    s->body = stub_offset(c, ops, GEN_EXIT_BODY, leave);
    s->apart = stub_offset(c, ops, GEN_EXIT_APART, leave);
    s->jump = stub_jump(c, ops, leave);
    s->place = stub_place(c, s->jump);
    s->second = stub_second(c, s->place);
    s->helper = stub_helper(c, ops, leave);
    for (unsigned i = 0; i < 4; i++) {
        s->load[i] = stub_memory(c, ops, false, i, leave);
        s->store[i] = stub_memory(c, ops, true, i, leave);
    }
}
