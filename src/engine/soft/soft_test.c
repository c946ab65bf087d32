/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software engine on a toy ISA of 16-bit instructions (r: bits 11..8, i: signed bits 7..0):
 *   0000 halt       1rii r += i           2rii if r, pc += 2 * i    3r0a store half r at a
 *   4000 hypercall  5r00 jump to r        6000 trap
 */
#include "engine/soft/internal.h"

#include "base/unit_test.h"
#include "engine/dirty.h"
#include "engine/soft/soft.h"
#include "mmu/fake_cpu.h"
#include <stdlib.h>
#include <string.h>

enum { TRAP_VECTOR_SLOT = 31 };
#define PAGE ((uint64_t)GUEST_PAGE_SIZE)

static uint64_t toy_exit(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    cpu->exit = (enum cpu_exit)a;
    return 0;
}

static void toy_leave(struct ir_block *b, enum cpu_exit exit)
{
    ir_slot t = ir_temp(b);

    ir_emit_imm(b, IR_IMM, IR_64, t, 0, exit);
    ir_call(b, toy_exit, t, t, 0, 0);
}

/* True when the instruction ended the block. */
static bool toy_lift_one(struct ir_block *b, uint64_t pc, uint16_t bits)
{
    unsigned r = bits >> 8 & 15;
    int8_t i = (int8_t)bits;

    switch (bits >> 12) {
    case 0: toy_leave(b, CPU_EXIT_HALT); break;
    case 1: ir_emit_imm(b, IR_ADD, IR_64, (ir_slot)r, (ir_slot)r, i); return false;
    case 2: ir_branch(b, IR_NE, (ir_slot)r, 0, pc + 2 * (uint64_t)(int64_t)i); break;
    case 3: ir_store(b, (ir_slot)r, bits & 15, 0, IR_MEM_16); return false;
    case 4: toy_leave(b, CPU_EXIT_HYPERCALL); break;
    case 5: ir_jump(b, (ir_slot)r, IR_JUMP_PLAIN); return true;
    default: ir_trap(b, 6, 0); return true;
    }
    ir_exit(b, pc + 2);
    return true;
}

static void toy_lift(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                     struct ir_block *b)
{
    uint16_t bits;

    ir_begin(b, pc, cpu->context, 32);
    for (unsigned n = 0; n < max_insns; n++, pc += 2) {
        if (!fetch->half(fetch, pc, &bits)) {
            cpu->fault.pending = false;
            break;
        }
        if (!ir_next_insn(b, pc, 2))
            break;
        if (toy_lift_one(b, pc, bits))
            return;
    }
    ir_exit(b, pc);
}

static int toy_init(struct cpu *cpu, const char *model, struct err *err)
{
    fake_map(container_of(cpu, struct fake, cpu), 0, 0, 0, UINT64_C(1) << 40, "rwx");
    return 0;
}

static void toy_reset(struct cpu *cpu)
{
    cpu->pc = FAKE_RAM;
}

static void toy_raise(struct cpu *cpu)
{
    cpu->pc = cpu->slot[TRAP_VECTOR_SLOT];
}

static bool toy_interrupt(struct cpu *cpu)
{
    cpu->slot[15]++;
    return true;
}

struct rig {
    struct cpu_ops ops;
    struct mem *mem;
    struct engine *engine;
    struct cpu *cpu;
};

static struct rig *rig_new(unsigned vcpus, size_t cache)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct engine_config config = {.vcpus = vcpus, .code_cache = cache, .cpu_ops = &r->ops};

    r->ops = fake_cpu_ops;
    r->ops.instance_size = sizeof(struct fake);
    r->ops.init = toy_init;
    r->ops.reset = toy_reset;
    r->ops.lift = toy_lift;
    r->ops.raise = toy_raise;
    r->ops.interrupt = toy_interrupt;
    r->mem = config.mem = mem_new();
    assert_int_equal(mem_add_ram(r->mem, GPA(FAKE_RAM), 1024 * PAGE, NULL), 0);
    assert_int_equal(engine_interp_ops.create(&config, &r->engine, NULL), 0);
    r->cpu = engine_interp_ops.vcpu(r->engine, 0);
    return r;
}

static void rig_free(struct rig *r)
{
    engine_interp_ops.destroy(r->engine);
    mem_free(r->mem);
    free(r);
}

static void put(struct rig *r, uint64_t gpa, const uint16_t *code, size_t bytes)
{
    assert_int_equal(mem_write(r->mem, GPA(gpa), code, bytes), 0);
}

#define PUT(r, gpa, ...)                                                                           \
    put(r, gpa, (const uint16_t[]){__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}))

static enum engine_exit run_at(struct rig *r, unsigned index, uint64_t pc)
{
    engine_interp_ops.vcpu(r->engine, index)->pc = pc;
    return engine_interp_ops.run(r->engine, index, NULL);
}

static uint64_t stat_of(struct rig *r, const char *name)
{
    struct engine_stat stats[64];
    unsigned n = engine_interp_ops.stats(r->engine, stats, 64);

    for (unsigned i = 0; i < n; i++)
        if (!strcmp(stats[i].name, name))
            return stats[i].value;
    fail_msg("no statistic %s", name);
    return 0;
}

static void test_loop_follows_links(void **state)
{
    struct rig *r = rig_new(1, 0);

    PUT(r, FAKE_RAM, 0x1203, 0x11ff, 0x21fe, 0x0000); /* r2 += 3; r1--; if r1 go to start */
    r->cpu->slot[1] = 1000;
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[2], 3000);
    assert_int_equal(r->cpu->pc, FAKE_RAM + 8);
    assert_int_equal(r->cpu->instret, 3001);
    assert_in_range(stat_of(r, "block_lookups"), 1, 10);
    rig_free(r);
}

static void test_indirect_jumps_stay_in_the_loop(void **state)
{
    struct rig *r = rig_new(1, 0);

    PUT(r, FAKE_RAM, 0x11ff, 0x2102, 0x0000, 0x5300); /* r1--; if r1 skip halt; jump r3 */
    r->cpu->slot[1] = 1000;
    r->cpu->slot[3] = FAKE_RAM;
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    assert_in_range(stat_of(r, "block_lookups"), 1, 10);
    rig_free(r);
}

static void test_traps_and_hypercalls(void **state)
{
    struct rig *r = rig_new(1, 0);

    PUT(r, FAKE_RAM, 0x1101, 0x6000, 0x1110, 0x4000);
    r->cpu->slot[TRAP_VECTOR_SLOT] = FAKE_RAM + 6;
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HYPERCALL);
    assert_int_equal(r->cpu->slot[1], 1);
    assert_int_equal(r->cpu->pc, FAKE_RAM + 8);
    assert_int_equal(r->cpu->instret, 2);
    rig_free(r);
}

static void test_attention(void **state)
{
    struct rig *r = rig_new(1, 0);

    PUT(r, FAKE_RAM, 0x0000);
    r->cpu->attention = ATTENTION_KICK | ATTENTION_IRQ | ATTENTION_YIELD | ATTENTION_FENCE;
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_KICK);
    assert_int_equal(r->cpu->slot[15], 1);
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    rig_free(r);
}

static void test_code_written_by_dma(void **state)
{
    struct rig *r = rig_new(1, 0);

    PUT(r, FAKE_RAM, 0x1101, 0x0000);
    (void)run_at(r, 0, FAKE_RAM);
    PUT(r, FAKE_RAM, 0x1110);
    (void)run_at(r, 0, FAKE_RAM);
    assert_int_equal(r->cpu->slot[1], 0x11);
    assert_int_equal(stat_of(r, "blocks_dropped"), 1);
    rig_free(r);
}

static void test_code_written_by_the_guest(void **state)
{
    struct rig *r = rig_new(1, 0);

    /* r4 becomes the first instruction's bits; the second round runs what was stored. */
    PUT(r, FAKE_RAM, 0x1101, 0x3405, 0x16ff, 0x26fd, 0x0000);
    r->cpu->slot[4] = 0x1140;
    r->cpu->slot[5] = FAKE_RAM;
    r->cpu->slot[6] = 2;
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[1], 0x41);
    rig_free(r);
}

static void test_other_bytes_of_the_page(void **state)
{
    struct rig *r = rig_new(1, 0);

    PUT(r, FAKE_RAM, 0x3405, 0x16ff, 0x26fe, 0x0000);
    r->cpu->slot[5] = FAKE_RAM + 512;
    r->cpu->slot[6] = 10;
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    assert_int_equal(stat_of(r, "blocks_dropped"), 0);
    assert_int_equal(stat_of(r, "code_page_writes"), 10);
    r->cpu->slot[6] = 10000; /* now the page gives its code up from time to time */
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    assert_in_range(stat_of(r, "code_page_purges"), 2, 20);
    rig_free(r);
}

static void test_block_over_two_pages(void **state)
{
    struct rig *r = rig_new(1, 0);
    struct fake *f = container_of(r->cpu, struct fake, cpu);

    fake_map(f, 0, 0x10000, FAKE_RAM + 4 * PAGE, PAGE, "rwx");
    fake_map(f, 1, 0x11000, FAKE_RAM + 7 * PAGE, PAGE, "rwx");
    PUT(r, FAKE_RAM + 5 * PAGE - 2, 0x1101);
    PUT(r, FAKE_RAM + 7 * PAGE, 0x1102, 0x0000);
    PUT(r, FAKE_RAM + 9 * PAGE, 0x1120, 0x0000);
    assert_int_equal(run_at(r, 0, 0x10ffe), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[1], 3);
    PUT(r, FAKE_RAM + 7 * PAGE, 0x1110); /* drops it through its second page */
    assert_int_equal(run_at(r, 0, 0x10ffe), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[1], 0x14);
    fake_map(f, 1, 0x11000, FAKE_RAM + 9 * PAGE, PAGE, "rwx");
    mmu_flush_page(r->cpu->mmu, GVA(0x11000), NULL, NULL);
    assert_int_equal(run_at(r, 0, 0x10ffe), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[1], 0x35);
    rig_free(r);
}

static void test_remapped_page_runs_other_code(void **state)
{
    struct rig *r = rig_new(1, 0);
    struct fake *f = container_of(r->cpu, struct fake, cpu);

    fake_map(f, 0, 0x10000, FAKE_RAM, PAGE, "rwx");
    PUT(r, FAKE_RAM, 0x1101, 0x21ff, 0x0000); /* a loop until r1 is 0 */
    PUT(r, FAKE_RAM + PAGE, 0x1203, 0x0000);
    r->cpu->slot[1] = UINT64_MAX - 5;
    assert_int_equal(run_at(r, 0, 0x10000), ENGINE_EXIT_HALT);
    fake_map(f, 0, 0x10000, FAKE_RAM + PAGE, PAGE, "rwx");
    mmu_flush_all(r->cpu->mmu);
    assert_int_equal(run_at(r, 0, 0x10000), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[2], 3);
    rig_free(r);
}

static void test_debugger(void **state)
{
    struct rig *r = rig_new(1, 0);
    const uint64_t at[] = {FAKE_RAM + 4};

    PUT(r, FAKE_RAM, 0x1101, 0x1101, 0x1101, 0x0000);
    (void)run_at(r, 0, FAKE_RAM);
    engine_interp_ops.debug(r->engine, 0,
                            &(struct engine_debug){.breakpoints = at, .breakpoint_count = 1});
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_DEBUG);
    assert_int_equal(r->cpu->pc, FAKE_RAM + 4);
    assert_int_equal(r->cpu->slot[1], 5);
    engine_interp_ops.debug(r->engine, 0, &(struct engine_debug){.single_step = true});
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_DEBUG);
    assert_int_equal(r->cpu->pc, FAKE_RAM + 2);
    engine_interp_ops.debug(r->engine, 0, &(struct engine_debug){0});
    assert_int_equal(run_at(r, 0, FAKE_RAM + 2), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[1], 8);
    rig_free(r);
}

static void test_bounded_cache(void **state)
{
    struct rig *r = rig_new(1, 1); /* the smallest */
    static uint16_t code[PAGE / 2];

    for (unsigned i = 0; i < ARRAY_LEN(code); i += 2) {
        code[i] = 0x1101;
        code[i + 1] = 0x2001; /* never taken: ends the block */
    }
    for (unsigned page = 0; page < 16; page++)
        put(r, FAKE_RAM + page * PAGE, code, sizeof(code));
    PUT(r, FAKE_RAM + 16 * PAGE, 0x0000);
    for (unsigned round = 0; round < 2; round++)
        assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    assert_int_equal(r->cpu->slot[1], PAGE * 2 * 16 / 4);
    assert_true(stat_of(r, "cache_evictions") > 2);
    assert_true(stat_of(r, "code_bytes") <= SOFT_CACHE_MIN);
    rig_free(r);
}

static void test_code_of_another_vcpu(void **state)
{
    struct rig *r = rig_new(2, 0);
    struct cpu *other = engine_interp_ops.vcpu(r->engine, 1);

    PUT(r, FAKE_RAM, 0x3405, 0x0000);        /* vCPU 0: store r4 at r5 */
    PUT(r, FAKE_RAM + PAGE, 0x1101, 0x0000); /* vCPU 1: r1++ */
    r->cpu->slot[4] = 0x1101;
    r->cpu->slot[5] = FAKE_RAM + PAGE;
    (void)run_at(r, 0, FAKE_RAM); /* has a write entry for the page */
    (void)run_at(r, 1, FAKE_RAM + PAGE);
    r->cpu->attention = 0; /* as if vCPU 0 had been inside a block: the request comes late */
    r->cpu->slot[4] = 0x1110;
    (void)run_at(r, 0, FAKE_RAM);
    r->cpu->attention = ATTENTION_CODE;
    (void)run_at(r, 0, FAKE_RAM);
    (void)run_at(r, 1, FAKE_RAM + PAGE);
    assert_int_equal(other->slot[1], 0x11);
    r->cpu->slot[4] = 0x1120; /* from now on its stores are reported at once */
    (void)run_at(r, 0, FAKE_RAM);
    (void)run_at(r, 1, FAKE_RAM + PAGE);
    assert_int_equal(other->slot[1], 0x31);
    rig_free(r);
}

static void *run_thread(void *arg)
{
    assert_int_equal(run_at(arg, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    return NULL;
}

/* A device rewrites the loop that a vCPU runs; the last version must be the one that runs. */
static void test_dma_into_running_code(void **state)
{
    struct rig *r = rig_new(1, 0);
    pthread_t thread;

    PUT(r, FAKE_RAM, 0x1101, 0x2fff, 0x0000); /* r1++; loop while r15, which interrupts count */
    r->cpu->slot[15] = 1;
    assert_int_equal(pthread_create(&thread, NULL, run_thread, r), 0);
    for (unsigned i = 0; i < 2000; i++)
        PUT(r, FAKE_RAM, (uint16_t)(0x1101 + (i & 15)));
    PUT(r, FAKE_RAM, 0x0000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(r->cpu->pc, FAKE_RAM + 2);
    rig_free(r);
}

/* A store by way of the TLB's entry marks the page again once somebody has looked. */
static void test_written_pages(void **state)
{
    struct rig *r = rig_new(1, 0);
    struct mem_dirty *set = mem_dirty_new(r->mem);
    gpa_t page;

    (void)state;
    PUT(r, FAKE_RAM, 0x3405, 0x0000); /* store r4 at r5, halt */
    r->cpu->slot[5] = FAKE_RAM + 5 * PAGE;
    assert_int_equal(engine_track_dirty(r->engine, true, NULL), 0);
    assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(engine_collect_dirty(r->engine, set, NULL), 0);
        for (page = GPA(0); mem_dirty_count(set) && mem_dirty_next(set, &page);)
            ;
        assert_int_equal(page.v, FAKE_RAM + 5 * PAGE);
        assert_int_equal(run_at(r, 0, FAKE_RAM), ENGINE_EXIT_HALT);
    }
    mem_dirty_free(set);
    rig_free(r);
}

RUN_TESTS(cmocka_unit_test(test_dma_into_running_code), cmocka_unit_test(test_loop_follows_links),
          cmocka_unit_test(test_indirect_jumps_stay_in_the_loop),
          cmocka_unit_test(test_traps_and_hypercalls), cmocka_unit_test(test_attention),
          cmocka_unit_test(test_code_written_by_dma),
          cmocka_unit_test(test_code_written_by_the_guest),
          cmocka_unit_test(test_other_bytes_of_the_page),
          cmocka_unit_test(test_block_over_two_pages),
          cmocka_unit_test(test_remapped_page_runs_other_code), cmocka_unit_test(test_debugger),
          cmocka_unit_test(test_bounded_cache), cmocka_unit_test(test_code_of_another_vcpu),
          cmocka_unit_test(test_written_pages))
