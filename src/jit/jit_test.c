/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random IR blocks under the JIT and under the interpreter: slots, RAM, flags and the way out must
 * agree. The seed is printed; POSADA_SEED and POSADA_ROUNDS repeat or lengthen a run.
 */
#include "jit/test_pair.h"

#include "base/unit_test.h"
#include "interp/interp.h"
#include "ir/ir.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GLOBALS = 32, DATA = 0x4000, FIRST_FLOAT = 20 };

static struct ir_block test_block;

static uint64_t random_value(void)
{
    static const uint64_t edge[] = {0,
                                    1,
                                    ~UINT64_C(0),
                                    UINT64_C(1) << 63,
                                    INT64_MAX,
                                    0x80000000,
                                    0x7fffffff,
                                    0xffffffff,
                                    UINT64_C(0xffffffff7fc00000),
                                    UINT64_C(0x7ff8000000000000),
                                    UINT64_C(0xfff0000000000000),
                                    UINT64_C(0x7ff0000000000001),
                                    UINT64_C(0x3ff0000000000000),
                                    UINT64_C(0xc1e0000000200000),
                                    UINT64_C(0xffffffff3f800000),
                                    UINT64_C(0xffffffff7f800001),
                                    UINT64_C(0x0000000000000001),
                                    UINT64_C(0x000fffffffffffff)};

    switch (test_pick(4)) {
    case 0: return edge[test_pick(ARRAY_LEN(edge))];
    case 1: return test_rng() >> test_pick(64);
    case 2: return UINT64_C(0xffffffff00000000) | (test_rng() & 0xffffffff);
    default: return test_rng();
    }
}

static uint64_t mixing(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    cpu->slot[3] += a;
    return a * 3 + b * 5 + c;
}

static ir_slot global(void)
{
    return (ir_slot)test_pick(FIRST_FLOAT);
}

/* A source: a global, or one of this instruction's temporaries. */
static ir_slot source(const ir_slot *temps, unsigned n)
{
    return n && test_pick(3) ? temps[test_pick(n)] : global();
}

static void random_int(struct ir_block *b, const ir_slot *temps, unsigned n, ir_slot dst)
{
    static const uint8_t binary[] = {IR_ADD,  IR_SUB,  IR_AND,   IR_OR,  IR_XOR,  IR_SHL,
                                     IR_SHR,  IR_SAR,  IR_ROR,   IR_MUL, IR_DIVU, IR_DIVS,
                                     IR_REMU, IR_REMS, IR_SETCC, IR_ADD, IR_ADD};
    static const uint8_t unary[] = {IR_MOV, IR_CLZ, IR_CTZ, IR_POPCNT, IR_BSWAP, IR_ORCB};
    enum ir_width w = test_pick(3) ? IR_64 : IR_32;
    ir_slot x = source(temps, n), y = source(temps, n), z = source(temps, n);
    struct ir_insn *op;

    switch (test_pick(12)) {
    case 0:
        ir_emit(b, unary[test_pick(ARRAY_LEN(unary))], test_pick(2) ? IR_64 : w, dst, x, 0);
        break;
    case 1:
        op = ir_emit(b, test_pick(2) ? IR_EXTS : IR_EXTU, IR_64, dst, x, 0);
        op->aux = (uint8_t)test_pick(3);
        break;
    case 2:
        op = ir_emit(b, IR_SELECT, IR_64, dst, x, y);
        op->c = z;
        break;
    case 3: ir_emit_imm(b, IR_IMM, IR_64, dst, 0, (int64_t)random_value()); break;
    case 4:
        op = ir_emit(b, IR_LEA, IR_64, dst, x, y);
        op->aux = (uint8_t)test_pick(4);
        break;
    case 5:
        op = ir_emit(b, IR_EXTRACT, IR_64, dst, x, 0);
        op->aux = (uint8_t)test_pick(63);
        op->imm = 1 + test_pick(64u - op->aux);
        break;
    case 6: ir_emit(b, (enum ir_op)(IR_MULHU + test_pick(3)), IR_64, dst, x, y); break;
    case 7:
    case 8:
        op = ir_emit_imm(b, binary[test_pick(ARRAY_LEN(binary))], w, dst, x,
                         (int64_t)random_value());
        op->aux = op->op == IR_SETCC ? (uint8_t)test_pick(6) : 0;
        break;
    default:
        op = ir_emit(b, binary[test_pick(ARRAY_LEN(binary))], w, dst, x, y);
        op->aux = op->op == IR_SETCC ? (uint8_t)test_pick(6) : 0;
        break;
    }
}

static ir_slot random_float_source(void)
{
    return (ir_slot)(FIRST_FLOAT + test_pick(GLOBALS - FIRST_FLOAT));
}

static void random_float(struct ir_block *b)
{
    static const uint8_t arith[] = {IR_FADD,    IR_FSUB,    IR_FMUL,   IR_FDIV, IR_FSQRT,
                                    IR_FMA,     IR_FMIN,    IR_FMAX,   IR_FCMP, IR_FCLASS,
                                    IR_FCVT_FF, IR_FCVT_FI, IR_FCVT_IF};
    enum ir_width w = test_pick(2) ? IR_F64 : IR_F32;
    ir_slot x = random_float_source(), y = random_float_source(), z = random_float_source();
    enum ir_op kind = arith[test_pick(ARRAY_LEN(arith))];
    struct ir_insn *op;
    ir_slot t = ir_temp(b);

    if (w == IR_F32 && kind != IR_FCVT_IF) {
        ir_slot u = ir_temp(b), v = ir_temp(b), q = ir_temp(b);

        ir_emit(b, IR_FUNBOX, IR_F32, u, x, 0);
        ir_emit(b, IR_FUNBOX, IR_F32, v, y, 0);
        ir_emit(b, IR_FUNBOX, IR_F32, q, z, 0);
        x = u, y = v, z = q;
    }
    op = ir_emit(b, kind, w, t, x, kind == IR_FCVT_IF ? 0 : y);
    op->c = z;
    op->imm =
        kind == IR_FMA || kind == IR_FCVT_FI || kind == IR_FCVT_IF ? (int64_t)test_pick(4) : 0;
    op->aux = (uint8_t)(kind == IR_FCMP                      ? test_pick(3)
                        : kind >= IR_FMIN && kind <= IR_FMAX ? 0
                        : test_pick(3)                       ? b->context
                                                             : test_pick(5));
    if (kind == IR_FCMP || kind == IR_FCLASS || kind == IR_FCVT_FI)
        ir_emit(b, IR_MOV, IR_64, global(), t, 0);
    else if (kind == IR_FCVT_FF ? w == IR_F64 : w == IR_F32)
        ir_emit(b, IR_FBOX, IR_F32, random_float_source(), t, 0);
    else
        ir_emit(b, IR_MOV, IR_64, random_float_source(), t, 0);
}

static void random_memory(struct ir_block *b)
{
    ir_slot base = ir_temp(b), masked = ir_temp(b), val = global();
    unsigned size = test_pick(4);
    struct ir_insn *op;

    ir_emit_imm(b, IR_AND, IR_64, masked, global(), test_pick(8) ? 0x1ff8 : 0x1fff);
    ir_emit_imm(b, IR_ADD, IR_64, base, masked, (int64_t)(FAKE_RAM + DATA));
    switch (test_pick(9)) {
    case 8: /* LR or SC of one of two words, so that some pairs match */
        ir_emit_imm(b, IR_IMM, IR_64, base, 0, (int64_t)(FAKE_RAM + DATA + 8 * test_pick(2)));
        op = test_pick(2) ? ir_emit(b, IR_LR, IR_64, global(), base, 0)
                          : ir_emit(b, IR_SC, IR_64, global(), base, val);
        op->aux = (uint8_t)(test_pick(4) ? 3 : 2 | (op->op == IR_LR ? IR_MEM_SIGNED : 0));
        break;
    case 0:
        op = ir_emit(b, IR_AMO, IR_64, global(), base, val);
        op->aux = (uint8_t)((2 + test_pick(2)) | (test_pick(2) ? IR_MEM_SIGNED : 0));
        op->c = (ir_slot)test_pick(9);
        break;
    case 1:
        op = ir_emit(b, IR_BZERO, IR_64, 0, base, 0);
        op->imm = 64;
        break;
    case 2:
    case 3:
    case 4: ir_store(b, val, base, (int64_t)test_pick(64) - 32, size); break;
    default:
        ir_load(b, global(), base, (int64_t)test_pick(64) - 32,
                size | (test_pick(2) && size < 3 ? (unsigned)IR_MEM_SIGNED : 0));
    }
}

/* What RISC-V's W instructions are lifted to, and what compilers do with their results. */
static void random_word(struct ir_block *b)
{
    static const uint8_t binary[] = {IR_ADD, IR_SUB, IR_SHL, IR_SHR,
                                     IR_SAR, IR_ROR, IR_MUL, IR_DIVS};
    static const uint8_t bitwise[] = {IR_AND, IR_OR, IR_XOR, IR_MOV};
    ir_slot t = ir_temp(b), x = global(), y = global(), dst = test_pick(2) ? global() : x;
    int64_t imm = test_pick(2) ? (int64_t)test_pick(64) : (int64_t)random_value();

    switch (test_pick(7)) {
    case 6: /* a negation */
        ir_emit_imm(b, IR_IMM, IR_64, t, 0, 0);
        ir_emit(b, IR_SUB, test_pick(2) ? IR_64 : IR_32, dst, t, y);
        return;
    case 0: ir_emit(b, (enum ir_op)bitwise[test_pick(4)], IR_64, dst, x, y); return;
    case 1: ir_emit_imm(b, (enum ir_op)bitwise[test_pick(3)], IR_64, dst, x, imm); return;
    case 2: ir_emit(b, IR_EXTS, IR_64, dst, x, 0)->aux = 2; return;
    case 3: /* rotate by two shifts */
        imm = 1 + (int64_t)test_pick(31);
        ir_emit_imm(b, IR_SHL, IR_32, t, x, imm);
        ir_emit(b, IR_EXTS, IR_64, y, t, 0)->aux = 2;
        ir_emit_imm(b, IR_SHR, IR_32, t, x, 32 - imm);
        ir_emit(b, IR_EXTS, IR_64, x, t, 0)->aux = 2;
        ir_emit(b, (enum ir_op)bitwise[1 + test_pick(2)], IR_64, dst, y, x);
        return;
    case 4: ir_emit_imm(b, (enum ir_op)binary[test_pick(8)], IR_32, t, x, imm); break;
    default: ir_emit(b, (enum ir_op)binary[test_pick(8)], IR_32, t, x, y); break;
    }
    ir_emit(b, IR_EXTS, IR_64, dst, t, 0)->aux = 2;
}

static void random_between(struct ir_block *b, ir_slot x, ir_slot y, ir_slot z)
{
    ir_slot other = global();

    switch (test_pick(8)) {
    case 0: ir_emit_imm(b, IR_ADD, IR_64, test_pick(2) ? x : z, test_pick(2) ? y : x, 5); break;
    case 1: ir_emit_imm(b, IR_ADD, IR_64, y, other, 5); break;
    default: ir_emit_imm(b, IR_ADD, IR_64, z, other, 5); break;
    }
}

/* The same over the whole register: halves of a rotation may be used on their own, too. */
static void random_rotate(struct ir_block *b)
{
    static ir_slot half; /* shifted left by half_count some instructions ago, if at all */
    static int64_t half_count;
    ir_slot x = global(), y = global(), z = global();
    int64_t n = 1 + (int64_t)test_pick(63);

    if (test_pick(2)) {
        half = test_pick(2) ? y : half;
        if (half == y)
            half_count = 64 - (8 << test_pick(3));
        ir_emit_imm(b,
                    half == y      ? IR_SHL
                    : test_pick(2) ? IR_SHR
                                   : IR_SAR,
                    IR_64, half, half == y ? x : half, half_count);
        return;
    }
    if (!test_pick(3)) { /* or extension: the left shift, and what is between, may matter */
        n = test_pick(8) ? 64 - (8 << test_pick(3)) : n;
        ir_emit_imm(b, IR_SHL, IR_64, y, x, n);
        for (unsigned between = test_pick(4); between; between--)
            random_between(b, x, y, z);
        ir_emit_imm(b, test_pick(2) ? IR_SHR : IR_SAR, IR_64, test_pick(8) ? y : z, y,
                    test_pick(8) ? n : 3);
        return;
    }
    ir_emit_imm(b, IR_SHL, IR_64, y, x, n);
    ir_emit_imm(b, IR_SHR, IR_64, z, x, test_pick(8) ? 64 - n : n);
    ir_emit(b,
            test_pick(2)   ? IR_OR
            : test_pick(2) ? IR_XOR
                           : IR_ADD,
            IR_64, test_pick(2) ? y : global(), y, z);
}

/* Accesses around a base register, which share TLB checks; near a page's end they cannot. */
static void random_struct(struct ir_block *b, ir_slot base)
{
    int64_t off = test_pick(8) ? (int64_t)test_pick(96) - 48 : (int64_t)test_pick(1400) - 700;
    unsigned size = test_pick(4);

    if (test_pick(2))
        ir_store(b, global(), base, off, size);
    else
        ir_load(b, test_pick(16) ? global() : base, base, off,
                size | (test_pick(2) && size < 3 ? (unsigned)IR_MEM_SIGNED : 0));
}

/* Puts an address into the base register; one in 16 is near nothing. */
static void random_base(struct ir_block *b, ir_slot base)
{
    ir_slot masked = ir_temp(b);

    if (!test_pick(16)) {
        ir_emit_imm(b, IR_IMM, IR_64, base, 0, (int64_t)random_value());
        return;
    }
    ir_emit_imm(b, IR_AND, IR_64, masked, global(), test_pick(2) ? 0x1fff : 0xfff);
    ir_emit_imm(b, IR_OR, IR_64, masked, masked, test_pick(4) ? 0 : 0xff0);
    ir_emit_imm(b, IR_ADD, IR_64, base, masked, (int64_t)(FAKE_RAM + DATA));
}

static void random_insn(struct ir_block *b)
{
    ir_slot temps[6];
    unsigned n = 0, len = 1 + test_pick(6);

    switch (test_pick(9)) {
    case 0: random_memory(b); return;
    case 1: random_float(b); return;
    case 6:
    case 7: random_word(b); return;
    case 8: random_rotate(b); return;
    case 2:
        if (!test_pick(4)) {
            ir_call(b, mixing, ir_temp(b), global(), global(), global());
            return;
        }
        break;
    case 3:
        if (!test_pick(3)) {
            ir_pc(b, global(), b->pc + 0x123456);
            return;
        }
        break;
    default: break;
    }
    while (n < len) {
        ir_slot t = ir_temp(b);

        random_int(b, temps, n, t);
        temps[n++] = t;
    }
    random_int(b, temps, n, global());
    if (test_pick(3) == 0)
        ir_branch(b, (enum ir_cc)test_pick(6), global(), global(), b->pc + 0x800);
}

static void random_block(struct ir_block *b, uint64_t pc)
{
    unsigned n = 1 + test_pick(test_pick(4) ? 12 : 40);
    ir_slot base[2] = {global(), global()};
    unsigned structs = test_pick(3),
             at = test_pick(3); /* in how many of four instructions; since when */

    ir_begin(b, pc, test_pick(5), GLOBALS); /* the context is a rounding mode */
    for (unsigned i = 0; i < n; i++) {
        if (!ir_next_insn(b, pc + 4 * i, 4))
            break;
        if (i == at || i == at + 1)
            random_base(b, base[i - at]);
        else if (i > at + 1 && test_pick(4) < structs)
            random_struct(b, base[test_pick(2)]);
        else
            random_insn(b);
    }
    ir_next_insn(b, pc + 4 * n, 4);
    if (!test_pick(8)) {
        ir_trap(b, 2, global());
        return;
    }
    ir_call(b, test_stop, ir_temp(b), 0, 0, 0);
    ir_exit(b, pc + 4 * n + 4);
}

/* What is left of the test block from the pc on; false: the pc is none of its instructions. */
static bool test_rest(uint64_t pc, struct ir_block *block)
{
    unsigned insn = 0, op = 0;

    while (insn < test_block.insn_count && test_block.pc + test_block.insn[insn].pc_offset != pc)
        insn++;
    if (insn == test_block.insn_count)
        return false;
    while (test_block.op[op].insn < insn)
        op++;
    *block = test_block;
    block->pc = pc;
    block->length -= (uint32_t)(pc - test_block.pc);
    block->insn_count -= (uint16_t)insn;
    block->op_count -= (uint16_t)op;
    for (unsigned i = 0; i < block->insn_count; i++) {
        block->insn[i] = test_block.insn[insn + i];
        block->insn[i].pc_offset -= (uint16_t)(pc - test_block.pc);
    }
    for (unsigned i = 0; i < block->op_count; i++) {
        block->op[i] = test_block.op[op + i];
        block->op[i].insn -= (uint16_t)insn;
    }
    return true;
}

static void test_lift(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                      struct ir_block *block)
{
    (void)cpu;
    (void)fetch;
    (void)max_insns;
    if (test_rest(pc, block))
        return;
    ir_begin(block, pc, 0, GLOBALS); /* a taken branch ends here */
    ir_next_insn(block, pc, 4);
    ir_call(block, test_stop, ir_temp(block), 0, 0, 0);
    ir_exit(block, pc + 4);
}

static unsigned test_rounding(uint32_t context)
{
    return context;
}

static void no_claim(void *arg, gpa_t page)
{
    (void)arg;
    (void)page;
}

static void no_note(void *arg, gpa_t page, unsigned first, unsigned last)
{
    (void)arg;
    (void)page;
    (void)first;
    (void)last;
}

static void pair_init(struct test_pair *p)
{
    static const uint8_t hot[] = {1, 2, 8, 9, 10, 11, 12, 13, 14, 15};

    test_pair_init(p);
    p->ops.lift = test_lift;
    p->ops.hot_globals = hot;
    p->ops.hot_global_count = ARRAY_LEN(hot);
    p->ops.rounding = test_rounding;
    test_pair_jit(p, 0, &(struct jit_pages){no_claim, no_note, NULL});
}

static void run_plain(struct cpu *cpu)
{
    static struct ir_block other;

    while (interp_run_block(cpu, cpu->pc == test_block.pc ? &test_block : &other) == INTERP_NEXT) {
        if (cpu->pc != test_block.pc)
            test_lift(cpu, NULL, cpu->pc, 1, &other);
    }
}

static bool same(const struct cpu *a, const struct cpu *b)
{
    return !memcmp(a->slot, b->slot, GLOBALS * sizeof(a->slot[0])) && a->pc == b->pc &&
           a->fp_flags == b->fp_flags && a->fault.pending == b->fault.pending &&
           a->fault.cause == b->fault.cause && a->fault.value == b->fault.value &&
           a->exit == b->exit;
}

static void show_difference(const struct test_pair *p)
{
    const struct cpu *a = &p->jitted->cpu, *b = &p->plain->cpu;

    ir_print(&test_block, NULL, stderr);
    for (unsigned i = 0; i < GLOBALS; i++)
        if (a->slot[i] != b->slot[i])
            fprintf(stderr, "slot %u: jit %#lx, interpreter %#lx\n", i, a->slot[i], b->slot[i]);
    fprintf(stderr, "pc %#lx %#lx flags %#x %#x fault %d %d cause %#lx %#lx exit %d %d\n", a->pc,
            b->pc, a->fp_flags, b->fp_flags, a->fault.pending, b->fault.pending, a->fault.cause,
            b->fault.cause, a->exit, b->exit);
}

static void one_round(struct test_pair *p)
{
    struct cpu *a = &p->jitted->cpu, *b = &p->plain->cpu;
    uint64_t pc = FAKE_RAM + 4 * test_pick(400);
    void *ram_a = mem_page(a->mem, GPA(FAKE_RAM + DATA)), *ram_b;
    struct err err = {0};

    random_block(&test_block, pc);
    if (ir_verify(&test_block, &err)) {
        ir_print(&test_block, NULL, stderr);
        fail_msg("%s", err.text);
    }
    jit_code_written(p->jit, GPA(FAKE_RAM), GUEST_PAGE_SIZE);
    for (unsigned i = 0; i < GLOBALS; i++)
        a->slot[i] = b->slot[i] = random_value();
    a->pc = b->pc = pc;
    a->context = b->context = test_block.context;
    a->reserved_host = b->reserved_host = 0;
    a->exit = b->exit = CPU_EXIT_NONE;
    a->fault.pending = b->fault.pending = false;
    a->fault.cause = b->fault.cause = a->fault.value = b->fault.value = 0;
    (void)jit_run(p->vcpu);
    run_plain(b);
    ram_b = mem_page(b->mem, GPA(FAKE_RAM + DATA));
    if (!same(a, b) || memcmp(ram_a, ram_b, 3 * GUEST_PAGE_SIZE)) {
        show_difference(p);
        fail_msg("the JIT and the interpreter disagree");
    }
}

static void test_random_blocks(void **state)
{
    const char *seed = getenv("POSADA_SEED"), *rounds = getenv("POSADA_ROUNDS");
    unsigned long n = rounds ? strtoul(rounds, NULL, 0) : 20000;
    struct test_pair p;

    (void)state;
    test_rng_state = seed ? strtoul(seed, NULL, 0) : UINT64_C(0x5eed0001);
    pair_init(&p);
    for (unsigned long i = 0; i < n; i++) {
        uint64_t start = test_rng_state;

        if (getenv("POSADA_VERBOSE"))
            fprintf(stderr, "round %lu POSADA_SEED=%#lx\n", i, start);
        one_round(&p);
    }
    if (n >= 1000)
        assert_true(test_jit_stat(p.jit, "jit_exits_apart") > 0);
    test_pair_done(&p);
}

RUN_TESTS(cmocka_unit_test(test_random_blocks))
