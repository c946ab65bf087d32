/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random loops under the JIT's second tier and under the interpreter: registers, RAM, retired
 * instructions and the way out must agree. Programs are of a small ISA of their own: arithmetic,
 * accesses by pointers that move (across pages, into pages that are read-only or missing, into the
 * program's own page), tables, jumps forward at random and backward while there is fuel.
 * POSADA_SEED and POSADA_ROUNDS repeat or lengthen a run.
 */
#include "jit/test_pair.h"

#include "base/unit_test.h"
#include "interp/interp.h"
#include "ir/ir.h"
#include <posada/engine.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GLOBALS = 24, FUEL = 23, INSNS = 96, SPLIT = 7 };
enum { CODE = 0x100, DATA_PAGE = 4, READONLY_PAGE = 9, MAPPED_PAGES = 10 };

enum kind {
    ADDI,
    ADD,
    SUB,
    XOR,
    ANDI,
    SHLI,
    SHRI,
    ADDW,
    SLT,
    BYTE,
    LOAD,
    STORE,
    BRANCH,
    LOOP,
    STOP,
    KINDS
};

struct insn {
    uint8_t kind, dst, a, b, aux; /* aux: memory operand kind, condition */
    uint16_t target;
    int32_t imm;
};

static struct insn program[INSNS];
static unsigned program_insns;

/* --- The ISA --- */

static uint64_t pc_of(unsigned n)
{
    return FAKE_RAM + CODE + 4 * n;
}

/* True: the block ends here. */
static bool lift_insn(struct ir_block *b, const struct insn *i, unsigned n, unsigned branches)
{
    ir_slot t;

    switch (i->kind) {
    case ADDI: ir_emit_imm(b, IR_ADD, IR_64, i->dst, i->a, i->imm); break;
    case ADD: ir_emit(b, IR_ADD, IR_64, i->dst, i->a, i->b); break;
    case SUB: ir_emit(b, IR_SUB, IR_64, i->dst, i->a, i->b); break;
    case XOR: ir_emit(b, IR_XOR, IR_64, i->dst, i->a, i->b); break;
    case ANDI: ir_emit_imm(b, IR_AND, IR_64, i->dst, i->a, i->imm); break;
    case SHLI: ir_emit_imm(b, IR_SHL, IR_64, i->dst, i->a, i->imm & 63); break;
    case SHRI: ir_emit_imm(b, IR_SHR, IR_64, i->dst, i->a, i->imm & 63); break;
    case ADDW:
        t = ir_temp(b);
        ir_emit(b, IR_ADD, IR_32, t, i->a, i->b);
        ir_emit(b, IR_EXTS, IR_64, i->dst, t, 0)->aux = 2;
        break;
    case SLT: ir_emit(b, IR_SETCC, IR_64, i->dst, i->a, i->b)->aux = IR_LTU; break;
    case BYTE: ir_emit(b, IR_EXTU, IR_64, i->dst, i->a, 0)->aux = 0; break;
    case LOAD: ir_load(b, i->dst, i->a, i->imm, i->aux); break;
    case STORE: ir_store(b, i->b, i->a, i->imm, i->aux); break;
    case BRANCH:
        ir_branch(b, (enum ir_cc)i->aux, i->a, i->b, pc_of(i->target));
        if (branches < SPLIT)
            return false;
        ir_exit(b, pc_of(n + 1));
        return true;
    case LOOP:
        ir_emit_imm(b, IR_ADD, IR_64, FUEL, FUEL, -1);
        ir_branch(b, IR_NE, FUEL, 0, pc_of(i->target));
        ir_emit_imm(b, IR_IMM, IR_64, FUEL, 0, 1); /* every other loop turns once */
        break;
    default:
        ir_call(b, test_stop, ir_temp(b), 0, 0, 0);
        ir_exit(b, pc_of(n + 1));
        return true;
    }
    return false;
}

static void test_lift(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                      struct ir_block *b)
{
    unsigned n = (unsigned)(pc - FAKE_RAM - CODE) / 4, branches = 0;
    uint16_t bits;

    ir_begin(b, pc, cpu->context, GLOBALS);
    if (fetch)
        (void)fetch->half(fetch, pc, &bits);
    for (unsigned k = 0; k < max_insns; k++, n++) {
        const struct insn *i = &program[n < program_insns ? n : program_insns - 1];

        if (!ir_next_insn(b, pc_of(n), 4))
            break;
        branches += i->kind == BRANCH || i->kind == LOOP;
        if (lift_insn(b, i, n, branches))
            return;
        if (branches > SPLIT) {
            n++;
            break;
        }
    }
    ir_exit(b, pc_of(n));
}

static unsigned test_rounding(uint32_t context)
{
    (void)context;
    return IR_RNE;
}

/* --- Programs --- */

/* Registers by use: 1..7 any value, 8..12 pointers, 13..15 indices into tables; 16..22 any again,
 * without host registers of their own. */
static unsigned any(void)
{
    return test_pick(3) ? 1 + test_pick(7) : 16 + test_pick(7);
}

static unsigned pointer(void)
{
    return 8 + test_pick(5);
}

static struct insn random_access(void)
{
    unsigned size = test_pick(4);
    bool store = !test_pick(3);

    return (struct insn){
        .kind = store ? STORE : LOAD,
        .dst = (uint8_t)any(),
        .a = (uint8_t)pointer(),
        .b = (uint8_t)any(),
        .aux = (uint8_t)(size | (!store && size < 3 && test_pick(2) ? IR_MEM_SIGNED : 0)),
        .imm = test_pick(6) ? (int)test_pick(64) - 24 : (int)test_pick(4000) - 2000,
    };
}

static struct insn random_insn(unsigned n)
{
    static const uint8_t plain[] = {ADDI, ADD, SUB, XOR, ANDI, SHLI, SHRI, ADDW, SLT, BYTE};
    struct insn i = {.kind = plain[test_pick(ARRAY_LEN(plain))],
                     .dst = (uint8_t)any(),
                     .a = (uint8_t)(test_pick(8) ? any() : pointer()),
                     .b = (uint8_t)any(),
                     .imm = (int)test_pick(200) - 100};

    switch (test_pick(12)) {
    case 0:
    case 1: /* a pointer moves */
        i.kind = ADDI;
        i.dst = i.a = (uint8_t)pointer();
        i.imm = test_pick(4) ? 1 << test_pick(6) : -(1 << test_pick(5));
        break;
    case 2: /* an index, and what it points to */
        i.kind = test_pick(2) ? BYTE : ANDI;
        i.imm = (1 << test_pick(10)) - 1;
        i.dst = (uint8_t)(13 + test_pick(3));
        if (!test_pick(3)) {
            i.kind = test_pick(2) ? SHLI : SHRI;
            i.a = i.kind == SHLI ? i.dst : i.a;
            i.imm = i.kind == SHLI ? 1 + (int)test_pick(5) : 50 + (int)test_pick(14);
        }
        break;
    case 3:
        i.kind = ADD;
        i.dst = (uint8_t)pointer();
        i.a = (uint8_t)pointer();
        i.b = (uint8_t)(13 + test_pick(3));
        if (test_pick(3)) { /* mostly not itself */
            i.a = 8;
            i.dst = 12;
        }
        break;
    case 4:
    case 5:
    case 6: return random_access();
    case 7:
        i.kind = BRANCH;
        i.aux = (uint8_t)test_pick(6);
        i.target = (uint16_t)(n + 1 + test_pick(8));
        break;
    default: break;
    }
    return i;
}

static void random_program(void)
{
    unsigned loops = 1 + test_pick(4);

    program_insns = 6 + test_pick(INSNS - 6);
    for (unsigned n = 0; n + 1 < program_insns; n++)
        program[n] = random_insn(n);
    for (unsigned k = 0; k < loops; k++) {
        unsigned n = 1 + test_pick(program_insns - 2);

        program[n] =
            (struct insn){.kind = LOOP, .target = (uint16_t)(n - 1 - test_pick(n < 40 ? n : 40))};
    }
    program[program_insns - 1] = (struct insn){.kind = STOP};
}

static void print_program(void)
{
    static const char *const name[KINDS] = {"addi", "add",   "sub",    "xor",  "andi",
                                            "shli", "shri",  "addw",   "slt",  "byte",
                                            "load", "store", "branch", "loop", "stop"};

    for (unsigned n = 0; n < program_insns; n++) {
        const struct insn *i = &program[n];

        fprintf(stderr, "%3u %#lx %-6s dst %u a %u b %u aux %u target %u imm %d\n", n, pc_of(n),
                name[i->kind], i->dst, i->a, i->b, i->aux, i->target, i->imm);
    }
}

/* --- Both engines --- */

static void claim(void *arg, gpa_t page)
{
    struct cpu *cpu = arg;

    atomic_fetch_or(mem_page_flags(cpu->mem, page), PAGE_CODE);
    (void)mmu_protect_code(cpu->mmu, page);
}

static void note(void *arg, gpa_t page, unsigned first, unsigned last)
{
    (void)arg, (void)page, (void)first, (void)last;
}

static void pair_map(struct fake *f)
{
    const uint64_t page = GUEST_PAGE_SIZE, low = FAKE_RAM + READONLY_PAGE * page;

    fake_map(f, 0, FAKE_RAM, FAKE_RAM, READONLY_PAGE * page, "rwx");
    fake_map(f, 1, low, low, (MAPPED_PAGES - READONLY_PAGE) * page, "r");
    fake_map(f, 2, FAKE_DEVICE, FAKE_DEVICE, page, "rw");
}

static const char *const names[GLOBALS] = {"g0",  "g1",  "g2",  "g3",  "g4",  "g5",  "g6",  "g7",
                                           "g8",  "g9",  "g10", "g11", "g12", "g13", "g14", "g15",
                                           "g16", "g17", "g18", "g19", "g20", "g21", "g22", "g23"};

static void pair_init(struct test_pair *p, unsigned stress)
{
    static const uint8_t hot[] = {2, 1, 8, 9, 10, 11, 12, 13, 14, 15};

    test_pair_init(p);
    p->ops.lift = test_lift;
    p->ops.hot_globals = hot;
    p->ops.hot_global_count = ARRAY_LEN(hot);
    p->ops.slot_0_is_zero = true;
    p->ops.globals = names;
    p->ops.rounding = test_rounding;
    p->jitted->cpu.mmu->tiny = stress & STRESS_TLB;
    pair_map(p->jitted);
    pair_map(p->plain);
    test_pair_jit(p, stress, &(struct jit_pages){claim, note, &p->jitted->cpu});
}

static void run_plain(struct cpu *cpu)
{
    static struct ir_block block;
    enum interp_leave leave;

    do {
        test_lift(cpu, NULL, cpu->pc, 48, &block);
        leave = interp_run_block(cpu, &block);
    } while (leave == INTERP_NEXT);
}

static void run_jitted(struct test_pair *p)
{
    struct cpu *cpu = &p->jitted->cpu;
    enum jit_exit exit;

    do {
        atomic_store(&cpu->attention, 0);
        exit = jit_run(p->vcpu);
        assert_int_not_equal(exit, JIT_EXIT_MISS);
    } while (exit == JIT_EXIT_ATTENTION);
}

static void start(struct test_pair *p)
{
    struct cpu *a = &p->jitted->cpu, *b = &p->plain->cpu;
    bool count = !test_pick(4);

    for (unsigned i = 1; i < GLOBALS; i++)
        a->slot[i] = test_rng() >> test_pick(64);
    for (unsigned i = 8; i < 13; i++) {
        uint64_t page = test_pick(16)  ? DATA_PAGE + test_pick(MAPPED_PAGES - DATA_PAGE)
                        : test_pick(4) ? 0
                                       : 12;

        a->slot[i] = FAKE_RAM + page * GUEST_PAGE_SIZE +
                     (test_pick(2) ? test_pick(GUEST_PAGE_SIZE) : GUEST_PAGE_SIZE - test_pick(80));
        if (!test_pick(64))
            a->slot[i] =
                test_pick(2) ? FAKE_DEVICE + test_pick(64) : 0 - (uint64_t)test_pick(40000);
    }
    a->slot[FUEL] = 1 + test_pick(test_pick(8) ? 100 : 5000);
    memcpy(b->slot, a->slot, GLOBALS * sizeof(a->slot[0]));
    a->pc = b->pc = pc_of(0);
    a->instret = b->instret = 0;
    a->count_instret = b->count_instret = count;
    a->exit = b->exit = CPU_EXIT_NONE;
    a->fault = b->fault = (struct cpu_fault){0};
}

static bool same(const struct test_pair *p)
{
    const struct cpu *a = &p->jitted->cpu, *b = &p->plain->cpu;
    const void *ram_a = mem_page(a->mem, GPA(FAKE_RAM)), *ram_b = mem_page(b->mem, GPA(FAKE_RAM));

    return !memcmp(a->slot, b->slot, GLOBALS * sizeof(a->slot[0])) && a->pc == b->pc &&
           (!a->count_instret || a->instret == b->instret) &&
           a->fault.pending == b->fault.pending && a->fault.cause == b->fault.cause &&
           a->fault.value == b->fault.value && a->exit == b->exit &&
           !memcmp(ram_a, ram_b, FAKE_PAGES * GUEST_PAGE_SIZE) &&
           p->jitted->device_writes == p->plain->device_writes;
}

static void show_difference(const struct test_pair *p)
{
    const struct cpu *a = &p->jitted->cpu, *b = &p->plain->cpu;

    print_program();
    for (unsigned i = 0; i < GLOBALS; i++)
        if (a->slot[i] != b->slot[i])
            fprintf(stderr, "slot %u: jit %#lx, interpreter %#lx\n", i, a->slot[i], b->slot[i]);
    fprintf(stderr, "pc %#lx %#lx instret %lu %lu fault %d %d cause %#lx %#lx value %#lx %#lx\n",
            a->pc, b->pc, a->instret, b->instret, a->fault.pending, b->fault.pending,
            a->fault.cause, b->fault.cause, a->fault.value, b->fault.value);
}

/* A program, from several starts: regions that were made for one meet the next. */
static void one_program(struct test_pair *p)
{
    random_program();
    jit_code_written(p->jit, GPA(FAKE_RAM), GUEST_PAGE_SIZE);
    for (unsigned i = 0; i < 4; i++) {
        start(p);
        run_plain(&p->plain->cpu);
        run_jitted(p);
        if (same(p))
            continue;
        show_difference(p);
        fail_msg("the second tier and the interpreter disagree");
    }
}

static void random_programs(unsigned stress)
{
    const char *seed = getenv("POSADA_SEED"), *rounds = getenv("POSADA_ROUNDS");
    unsigned long n = rounds ? strtoul(rounds, NULL, 0) : 400;
    struct test_pair p;

    test_rng_state = seed ? strtoul(seed, NULL, 0) : UINT64_C(0x10095eed) + stress;
    pair_init(&p, stress);
    for (unsigned long i = 0; i < n; i++) {
        uint64_t start_state = test_rng_state;

        if (getenv("POSADA_VERBOSE"))
            fprintf(stderr, "stress %#x round %lu POSADA_SEED=%#lx\n", stress, i, start_state);
        one_program(&p);
    }
    if (n >= 100 && stress & STRESS_TIER2)
        assert_true(test_jit_stat(p.jit, "jit_regions_made") > n / 2 &&
                    test_jit_stat(p.jit, "jit_region_entries") > n);
    if (n >= 100 && !stress) /* found by counting, tried and judged */
        assert_true(test_jit_stat(p.jit, "jit_regions_made") > 0 &&
                    test_jit_stat(p.jit, "jit_exits_hot") > 0 &&
                    test_jit_stat(p.jit, "jit_exits_judge") > 0);
    test_pair_done(&p);
}

static void test_loops(void **state)
{
    (void)state;
    random_programs(STRESS_TIER2);
}

/* A loop that writes to its own page runs as it was at most until it jumps back: here it would for
 * hours. */
static void change_code(void *arg, gpa_t gpa, uint64_t len)
{
    jit_code_written(arg, gpa, len);
    program[3].kind = STOP;
}

static void test_loop_that_ends_itself(void **state)
{
    struct test_pair p;

    (void)state;
    program[0] = (struct insn){.kind = ADDI, .dst = 1, .a = 1, .imm = 1};
    program[1] = (struct insn){.kind = BRANCH, .a = 1, .b = 2, .aux = IR_NE, .target = 3};
    program[2] = (struct insn){.kind = STORE, .a = 8, .b = 1, .aux = IR_MEM_64};
    program[3] = (struct insn){.kind = LOOP, .target = 0};
    program[4] = (struct insn){.kind = STOP};
    program_insns = 5;
    pair_init(&p, 0);
    mem_on_code_write(p.jitted->cpu.mem, change_code, p.jit);
    start(&p);
    p.jitted->cpu.slot[1] = 0;
    p.jitted->cpu.slot[2] = 100000;
    p.jitted->cpu.slot[8] = pc_of(3);
    p.jitted->cpu.slot[FUEL] = UINT64_C(1) << 42;
    run_jitted(&p);
    assert_int_equal(p.jitted->cpu.exit, CPU_EXIT_DEBUG);
    assert_int_equal(p.jitted->cpu.slot[1], 100001); /* once more through the head */
    assert_int_equal(test_jit_stat(p.jit, "jit_regions_dropped"), 1);
    test_pair_done(&p);
}

static void test_hot_loops(void **state)
{
    (void)state;
    random_programs(0);
}

static void test_interrupted_loops(void **state)
{
    (void)state;
    random_programs(STRESS_TIER2 | STRESS_IRQ);
}

static void test_loops_with_tiny_tlb(void **state)
{
    (void)state;
    random_programs(STRESS_TIER2 | STRESS_TLB | STRESS_LINKS);
}

static void test_loops_in_lockstep(void **state)
{
    (void)state;
    random_programs(STRESS_TIER2 | STRESS_LOCKSTEP);
}

RUN_TESTS(cmocka_unit_test(test_loops), cmocka_unit_test(test_hot_loops),
          cmocka_unit_test(test_loop_that_ends_itself), cmocka_unit_test(test_interrupted_loops),
          cmocka_unit_test(test_loops_with_tiny_tlb), cmocka_unit_test(test_loops_in_lockstep))
