/* SPDX-License-Identifier: Apache-2.0 */
/* Small IR programs by hand: control, precise faults, helpers, atomics. */
#include "interp/interp.h"

#include "base/unit_test.h"
#include "interp/code.h"
#include "ir/random_block.h"
#include "mmu/fake_cpu.h"
#include <stdlib.h>

static struct ir_block block;

static enum interp_leave run(struct fake *f)
{
    struct err err = {0};

    if (ir_verify(&block, &err) < 0)
        fail_msg("%s", err.text);
    return interp_run_block(&f->cpu, &block);
}

static void begin(void)
{
    ir_begin(&block, 0x1000, 0, 32);
    assert_true(ir_next_insn(&block, 0x1000, 4));
}

static void test_branch_taken_and_not(void **state)
{
    struct fake *f = fake_new();

    begin();
    ir_emit_imm(&block, IR_ADD, IR_64, 1, 1, -1);
    assert_true(ir_next_insn(&block, 0x1004, 2));
    ir_branch(&block, IR_NE, 1, 0, 0x1000);
    ir_exit(&block, 0x1006);
    f->cpu.slot[1] = 2;
    assert_int_equal(run(f), INTERP_NEXT);
    assert_int_equal(f->cpu.pc, 0x1000);
    assert_int_equal(run(f), INTERP_NEXT);
    assert_int_equal(f->cpu.pc, 0x1006);
    assert_int_equal(f->cpu.instret, 4);
    fake_free(f);
}

static void test_fault_is_precise(void **state)
{
    struct fake *f = fake_new();

    begin();
    ir_emit_imm(&block, IR_ADD, IR_64, 1, 1, 5);
    assert_true(ir_next_insn(&block, 0x1004, 4));
    ir_load(&block, 2, 3, 8, IR_MEM_32 | IR_MEM_SIGNED);
    assert_true(ir_next_insn(&block, 0x1008, 4));
    ir_emit_imm(&block, IR_ADD, IR_64, 1, 1, 5);
    ir_exit(&block, 0x100c);
    f->cpu.slot[2] = 77;
    f->cpu.slot[3] = UINT64_C(1) << 41;
    assert_int_equal(run(f), INTERP_FAULT);
    assert_int_equal(f->cpu.pc, 0x1004);
    assert_int_equal(f->cpu.slot[1], 5);
    assert_int_equal(f->cpu.slot[2], 77);
    assert_int_equal(f->cpu.instret, 1);
    assert_int_equal(f->cpu.fault.value, (UINT64_C(1) << 41) + 8);
    fake_free(f);
}

static void test_loads_extend(void **state)
{
    struct fake *f = fake_new();

    begin();
    ir_store(&block, 1, 2, 0, IR_MEM_64);
    ir_load(&block, 3, 2, 0, IR_MEM_16);
    ir_exit(&block, 0x1004);
    block.op[1].aux = IR_MEM_16 | IR_MEM_SIGNED;
    f->cpu.slot[1] = 0xffff8000;
    f->cpu.slot[2] = FAKE_RAM;
    assert_int_equal(run(f), INTERP_NEXT);
    assert_int_equal(f->cpu.slot[3], (uint64_t)-0x8000);
    block.op[1].aux = IR_MEM_16;
    assert_int_equal(run(f), INTERP_NEXT);
    assert_int_equal(f->cpu.slot[3], 0x8000);
    fake_free(f);
}

static uint64_t helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    if (a == 1)
        cpu->exit = CPU_EXIT_HALT;
    if (a == 2)
        cpu->exit = CPU_EXIT_DEBUG;
    if (a == 3)
        cpu->fault = (struct cpu_fault){.pending = true, .cause = 9};
    return a + b + c;
}

static void test_helpers_leave(void **state)
{
    struct fake *f = fake_new();
    const struct {
        enum interp_leave leave;
        uint64_t pc, instret, result;
    } want[] = {{INTERP_NEXT, 0x2000, 1, 20},
                {INTERP_STOP, 0x1004, 1, 0},
                {INTERP_STOP, 0x1000, 0, 0},
                {INTERP_FAULT, 0x1000, 0, 0}};

    begin();
    ir_call(&block, helper, 4, 1, 2, 2);
    ir_exit(&block, 0x2000);
    f->cpu.slot[2] = 10;
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        f->cpu.slot[1] = i;
        f->cpu.slot[4] = f->cpu.instret = f->cpu.exit = 0;
        assert_int_equal(run(f), want[i].leave);
        assert_int_equal(f->cpu.pc, want[i].pc);
        assert_int_equal(f->cpu.instret, want[i].instret);
        assert_int_equal(f->cpu.slot[4], want[i].result);
    }
    fake_free(f);
}

static void test_trap_and_jump(void **state)
{
    struct fake *f = fake_new();

    begin();
    ir_trap(&block, 42, 1);
    f->cpu.slot[1] = 0xabc;
    assert_int_equal(run(f), INTERP_FAULT);
    assert_int_equal(f->cpu.fault.cause, 42);
    assert_int_equal(f->cpu.fault.value, 0xabc);
    f->cpu.fault.pending = false;
    begin();
    ir_jump(&block, 1, IR_JUMP_RETURN);
    assert_int_equal(run(f), INTERP_NEXT);
    assert_int_equal(f->cpu.pc, 0xabc);
    fake_free(f);
}

static uint64_t amo(struct fake *f, enum ir_amo kind, unsigned aux, uint64_t old, uint64_t val,
                    uint64_t *ret_old)
{
    uint64_t *word = mem_page(f->cpu.mem, GPA(FAKE_RAM));

    *word = old;
    begin();
    ir_emit(&block, IR_AMO, IR_64, 3, 2, 1)->aux = (uint8_t)aux;
    block.op[0].c = (ir_slot)kind;
    ir_exit(&block, 0x1004);
    f->cpu.slot[1] = val;
    f->cpu.slot[2] = FAKE_RAM;
    assert_int_equal(run(f), INTERP_NEXT);
    *ret_old = f->cpu.slot[3];
    return *word;
}

static void test_amo(void **state)
{
    struct fake *f = fake_new();
    const unsigned w = IR_MEM_32 | IR_MEM_SIGNED, d = IR_MEM_64;
    uint64_t old;

    assert_int_equal(amo(f, IR_AMOADD, w, 0x1ffffffff, 2, &old), 0x100000001);
    assert_int_equal(old, UINT64_MAX);
    assert_int_equal(amo(f, IR_MIN, w, 0x80000000, 1, &old), 0x80000000);
    assert_int_equal(amo(f, IR_MINU, w, 0x80000000, 1, &old), 1);
    assert_int_equal(amo(f, IR_MAX, w, 0x80000000, 1, &old), 1);
    assert_int_equal(amo(f, IR_MAXU, w, 0x80000000, UINT64_MAX << 32 | 1, &old), 0x80000000);
    assert_int_equal(amo(f, IR_MAX, d, UINT64_MAX, 0, &old), 0);
    assert_int_equal(amo(f, IR_MAXU, d, UINT64_MAX, 0, &old), UINT64_MAX);
    assert_int_equal(amo(f, IR_SWAP, d, 5, 7, &old), 7);
    assert_int_equal(old, 5);
    assert_int_equal(amo(f, IR_AMOXOR, d, 5, 7, &old), 2);
    assert_int_equal(amo(f, IR_AMOAND, d, 5, 6, &old), 4);
    assert_int_equal(amo(f, IR_AMOOR, d, 5, 6, &old), 7);
    fake_free(f);
}

static void test_reservation(void **state)
{
    struct fake *f = fake_new();
    uint64_t *word = mem_page(f->cpu.mem, GPA(FAKE_RAM));

    begin();
    ir_emit(&block, IR_LR, IR_64, 3, 2, 0)->aux = IR_MEM_64;
    assert_true(ir_next_insn(&block, 0x1004, 4));
    ir_emit_imm(&block, IR_ADD, IR_64, 4, 3, 1);
    assert_true(ir_next_insn(&block, 0x1008, 4));
    ir_emit(&block, IR_SC, IR_64, 5, 2, 4)->aux = IR_MEM_64;
    assert_true(ir_next_insn(&block, 0x100c, 4));
    ir_emit(&block, IR_SC, IR_64, 6, 2, 4)->aux = IR_MEM_64;
    ir_exit(&block, 0x1010);
    *word = 9;
    f->cpu.slot[2] = FAKE_RAM;
    assert_int_equal(run(f), INTERP_NEXT);
    assert_int_equal(*word, 10);
    assert_int_equal(f->cpu.slot[5], 0);
    assert_int_equal(f->cpu.slot[6], 1); /* the first SC used the reservation up */
    fake_free(f);
}

/* --- The same random block three ways: plain, fast, optimised and fast --- */

struct outcome {
    uint64_t slot[RANDOM_GLOBALS], pc, instret, memory[512];
    enum interp_leave leave;
};

static void start_random(struct fake *f, uint64_t seed)
{
    uint64_t *memory = mem_page(f->cpu.mem, GPA(FAKE_RAM));

    for (unsigned i = 0; i < RANDOM_GLOBALS; i++)
        f->cpu.slot[i] = random_u64(&seed) >> random_u64(&seed) % 64;
    f->cpu.slot[RANDOM_BASE] = FAKE_RAM;
    f->cpu.slot[RANDOM_BAD] = UINT64_C(1) << 50;
    for (unsigned i = 0; i < GUEST_PAGE_SIZE / 8; i++)
        memory[i] = random_u64(&seed);
    f->cpu.instret = 0;
    f->cpu.fault.pending = false;
}

static void record(struct fake *f, enum interp_leave leave, struct outcome *o)
{
    memcpy(o->slot, f->cpu.slot, sizeof(o->slot));
    memcpy(o->memory, mem_page(f->cpu.mem, GPA(FAKE_RAM)), sizeof(o->memory));
    o->pc = f->cpu.pc;
    o->instret = f->cpu.instret;
    o->leave = leave;
}

static void run_fast(struct fake *f, uint64_t seed, struct outcome *o)
{
    struct interp *in = calloc(1, sizeof(*in));
    struct interp_code *code = malloc(interp_code_size(&block));

    in->cpu = &f->cpu;
    interp_code_init(code, &block, NULL);
    start_random(f, seed);
    record(f, interp_run(in, code), o);
    free(code);
    free(in);
}

static void same(const struct outcome *a, const struct outcome *b, const char *what, unsigned n)
{
    if (memcmp(a, b, sizeof(*a)) == 0)
        return;
    ir_print(&block, NULL, stderr);
    for (unsigned i = 0; i < RANDOM_GLOBALS; i++)
        if (a->slot[i] != b->slot[i])
            fprintf(stderr, "g%u: plain %lx, %s %lx\n", i, a->slot[i], what, b->slot[i]);
    fail_msg("block %u differs: pc %lx/%lx instret %lu/%lu", n, a->pc, b->pc, a->instret,
             b->instret);
}

static void test_plain_and_fast_agree(void **state)
{
    struct fake *f = fake_new();
    static struct outcome plain, fast;
    uint64_t seed = 42;

    for (unsigned n = 0; n < 3000; n++) {
        uint64_t start = random_u64(&seed);

        random_block(&block, &seed);
        start_random(f, start);
        record(f, run(f), &plain);
        run_fast(f, start, &fast);
        same(&plain, &fast, "fast", n);
        ir_optimise(&block);
        run_fast(f, start, &fast);
        same(&plain, &fast, "optimised", n);
    }
    fake_free(f);
}

RUN_TESTS(cmocka_unit_test(test_branch_taken_and_not), cmocka_unit_test(test_fault_is_precise),
          cmocka_unit_test(test_loads_extend), cmocka_unit_test(test_helpers_leave),
          cmocka_unit_test(test_trap_and_jump), cmocka_unit_test(test_amo),
          cmocka_unit_test(test_reservation), cmocka_unit_test(test_plain_and_fast_agree))
