/* SPDX-License-Identifier: Apache-2.0 */
/* SBI calls as a guest makes them, most with arguments no honest guest would use. */
#include "base/unit_test.h"
#include "board/riscv_sbi.h"
#include "cpu/riscv/riscv.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include <stdlib.h>
#include <string.h>

enum { HARTS = 3, CONSOLE_ROOM = 300 };
#define RAM      UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x100000)
#define ALL_ONES UINT64_MAX

enum { BASE = 0x10, TIME = 0x54494d45, IPI = 0x735049, RFENCE = 0x52464e43, HSM = 0x48534d };
enum { SRST = 0x53525354, DBCN = 0x4442434e };
enum { NOT_SUPPORTED = -2, INVALID_PARAM = -3, INVALID_ADDRESS = -5, ALREADY_AVAILABLE = -6 };

struct fixture {
    struct engine engine; /* must be first */
    struct cpu *cpu[HARTS];
    struct mem *mem;
    struct clock *clock;
    struct riscv_sbi *sbi;
    pthread_mutex_t lock;
    char out[CONSOLE_ROOM];
    size_t out_len;
    const char *typed;
    uint64_t called; /* mask of the last call_vcpus */
    int power;       /* enum power_action, -1: none */
    unsigned power_code;
    enum board_action action; /* of the last call */
};

static struct cpu *engine_vcpu(struct engine *engine, unsigned index)
{
    return ((struct fixture *)engine)->cpu[index];
}

static const struct engine_ops engine_ops = {.name = "test", .vcpu = engine_vcpu};

static void host_call(void *arg, unsigned caller, uint64_t mask,
                      void (*fn)(struct cpu *cpu, void *fn_arg), void *fn_arg)
{
    struct fixture *f = arg;

    assert_int_equal(pthread_mutex_trylock(&f->lock), 0); /* must not be held */
    pthread_mutex_unlock(&f->lock);
    f->called = mask;
    for (unsigned i = 0; i < HARTS; i++)
        if (mask >> i & 1)
            fn(f->cpu[i], fn_arg);
}

static void power(void *arg, enum power_action action, unsigned code)
{
    struct fixture *f = arg;

    f->power = (int)action;
    f->power_code = code;
}

static bool put(void *arg, uint8_t byte)
{
    struct fixture *f = arg;

    if (f->out_len == CONSOLE_ROOM)
        return false;
    f->out[f->out_len++] = (char)byte;
    return true;
}

static int get(void *arg)
{
    struct fixture *f = arg;

    return f->typed && *f->typed ? *f->typed++ : -1;
}

static struct cpu *make_cpu(struct fixture *f, unsigned index)
{
    struct cpu *cpu = calloc(1, riscv_cpu_ops.instance_size);
    struct err err;

    assert_non_null(cpu);
    cpu->ops = &riscv_cpu_ops;
    cpu->index = index;
    cpu->mem = f->mem;
    cpu->clock = f->clock;
    cpu->mmu = mmu_new(cpu);
    assert_int_equal(riscv_cpu_ops.init(cpu, "max", &err), 0);
    riscv_cpu_ops.reset(cpu);
    riscv_boot(cpu, RISCV_S, RAM, index, 0, true);
    return cpu;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct riscv_sbi_config config = {.harts = HARTS, .put = put, .get = get, .arg = f};
    struct err err;

    assert_non_null(f);
    pthread_mutex_init(&f->lock, NULL);
    f->engine.ops = &engine_ops;
    f->mem = mem_new();
    f->clock = clock_new(NULL);
    f->power = -1;
    assert_int_equal(mem_add_ram(f->mem, GPA(RAM), RAM_SIZE, &err), 0);
    for (unsigned i = 0; i < HARTS; i++)
        f->cpu[i] = make_cpu(f, i);
    config.engine = &f->engine;
    config.mem = f->mem;
    config.host = (struct board_host){.lock = &f->lock, .call_vcpus = host_call, .arg = f};
    config.power = (struct power_sink){.request = power, .arg = f};
    f->sbi = riscv_sbi_new(&config);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    riscv_sbi_free(f->sbi);
    for (unsigned i = 0; i < HARTS; i++) {
        riscv_cpu_ops.done(f->cpu[i]);
        mmu_free(f->cpu[i]->mmu);
        free(f->cpu[i]);
    }
    clock_free(f->clock);
    mem_free(f->mem);
    free(f);
    return 0;
}

/* A call from hart 0; the value is in a1. */
static int64_t sbi(struct fixture *f, uint64_t id, uint64_t function, uint64_t a0, uint64_t a1,
                   uint64_t a2)
{
    uint64_t *x = f->cpu[0]->slot;

    x[10] = a0;
    x[11] = a1;
    x[12] = a2;
    x[13] = ALL_ONES; /* size of a fence: everything */
    x[16] = function;
    x[17] = id;
    f->action = riscv_sbi_call(f->sbi, f->cpu[0]);
    return (int64_t)x[10];
}

static uint64_t value(const struct fixture *f)
{
    return f->cpu[0]->slot[11];
}

static void base_tells_what_there_is(void **state)
{
    static const uint64_t there[] = {BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, 0, 1, 2, 8};
    struct fixture *f = *state;

    assert_int_equal(sbi(f, BASE, 0, 0, 0, 0), 0);
    assert_int_equal(value(f), 0x02000000);
    for (size_t i = 0; i < ARRAY_LEN(there); i++) {
        assert_int_equal(sbi(f, BASE, 3, there[i], 0, 0), 0);
        assert_int_equal(value(f), 1);
    }
    assert_int_equal(sbi(f, BASE, 3, 0x504d55, 0, 0), 0); /* PMU */
    assert_int_equal(value(f), 0);
    assert_int_equal(sbi(f, BASE, 99, 0, 0, 0), NOT_SUPPORTED);
    assert_int_equal(sbi(f, ALL_ONES, 0, 0, 0, 0), NOT_SUPPORTED);
    assert_int_equal(value(f), 0);
}

static void ipi_reaches_named_harts_only(void **state)
{
    struct fixture *f = *state;
    const uint64_t bit = 1u << RISCV_IRQ_SSI;

    assert_int_equal(sbi(f, IPI, 0, 1, 2, 0), 0);
    assert_false(f->cpu[0]->irq_inputs & bit);
    assert_false(f->cpu[1]->irq_inputs & bit);
    assert_true(f->cpu[2]->irq_inputs & bit);
    assert_int_equal(sbi(f, IPI, 0, 0, ALL_ONES, 0), 0);
    assert_true(f->cpu[0]->irq_inputs & bit);
    assert_int_equal(sbi(f, IPI, 0, 8, 0, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, IPI, 0, 2, 2, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, IPI, 0, 1, 3, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, IPI, 0, 1, ALL_ONES - 1, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, IPI, 1, 1, 0, 0), NOT_SUPPORTED);
}

static void fences_wait_for_named_harts(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(sbi(f, RFENCE, 0, 6, 0, 0), 0);
    assert_int_equal(f->called, 6);
    assert_false(f->cpu[0]->attention & ATTENTION_FENCE);
    assert_true(f->cpu[1]->attention & f->cpu[2]->attention & ATTENTION_FENCE);
    assert_int_equal(sbi(f, RFENCE, 1, 0, ALL_ONES, 0), 0);
    assert_int_equal(f->called, 7);
    f->called = 0;
    assert_int_equal(sbi(f, RFENCE, 1, 8, 0, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, RFENCE, 3, 1, 0, 0), NOT_SUPPORTED);
    f->cpu[0]->slot[13] = 0;
    assert_int_equal(f->called, 0);
}

static void harts_start_once(void **state)
{
    struct fixture *f = *state;

    assert_true(riscv_sbi_hart_on(f->sbi, 0));
    assert_false(riscv_sbi_hart_on(f->sbi, 1));
    assert_int_equal(sbi(f, HSM, 0, HARTS, RAM, 7), INVALID_PARAM);
    assert_int_equal(sbi(f, HSM, 0, ALL_ONES, RAM, 7), INVALID_PARAM);
    assert_int_equal(sbi(f, HSM, 0, 1, RAM + RAM_SIZE, 7), INVALID_ADDRESS);
    assert_int_equal(sbi(f, HSM, 0, 1, RAM + 1, 7), INVALID_ADDRESS);
    assert_int_equal(sbi(f, HSM, 0, 1, RAM + 0x100, 7), 0);
    assert_true(riscv_sbi_hart_on(f->sbi, 1));
    assert_int_equal(f->cpu[1]->pc, RAM + 0x100);
    assert_int_equal(f->cpu[1]->slot[10], 1);
    assert_int_equal(f->cpu[1]->slot[11], 7);
    assert_int_equal(riscv_of(f->cpu[1])->scounteren, 7); /* programs may read the time */
    assert_int_equal(sbi(f, HSM, 0, 1, RAM, 7), ALREADY_AVAILABLE);
    assert_int_equal(sbi(f, HSM, 2, 1, 0, 0), 0);
    assert_int_equal(value(f), 0);
    assert_int_equal(sbi(f, HSM, 2, HARTS, 0, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, HSM, 1, 0, 0, 0), 0);
    assert_int_equal(f->action, BOARD_HALT);
    assert_false(riscv_sbi_hart_on(f->sbi, 0));
    riscv_sbi_reset(f->sbi);
    assert_true(riscv_sbi_hart_on(f->sbi, 0));
    assert_false(riscv_sbi_hart_on(f->sbi, 1));
}

static void power_goes_to_the_machine(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(sbi(f, SRST, 0, 3, 0, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, SRST, 0, 0, 2, 0), INVALID_PARAM);
    assert_int_equal(f->power, -1);
    (void)sbi(f, SRST, 0, 1, 0, 0);
    assert_int_equal(f->power, POWER_RESET);
    (void)sbi(f, SRST, 0, 0, 1, 0);
    assert_int_equal(f->power, POWER_OFF);
    assert_int_equal(f->power_code, 1);
    assert_int_equal(f->action, BOARD_HALT);
}

static void console_writes_what_is_in_ram(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mem_fill(f->mem, GPA(RAM), 'a', 0x1000), 0);
    assert_int_equal(sbi(f, DBCN, 0, 5, RAM, 0), 0);
    assert_int_equal(value(f), 5);
    assert_memory_equal(f->out, "aaaaa", 5);
    assert_int_equal(f->out_len, 5);
    assert_int_equal(sbi(f, DBCN, 0, 0, RAM, 0), 0);
    assert_int_equal(value(f), 0);
    assert_int_equal(sbi(f, DBCN, 0, 0x1000, RAM, 0), 0); /* the console fills up */
    assert_int_equal(value(f), CONSOLE_ROOM - 5);
    assert_int_equal(sbi(f, DBCN, 2, 'x', 0, 0), -1);
    assert_int_equal(sbi(f, DBCN, 0, 5, RAM, 1), INVALID_PARAM);
    assert_int_equal(sbi(f, DBCN, 0, 5, RAM - 2, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, DBCN, 0, 5, RAM + RAM_SIZE - 4, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, DBCN, 0, ALL_ONES, RAM, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, DBCN, 0, 2, ALL_ONES, 0), INVALID_PARAM);
    assert_int_equal(sbi(f, DBCN, 3, 0, 0, 0), NOT_SUPPORTED);
}

static void console_reads_what_was_typed(void **state)
{
    struct fixture *f = *state;
    char back[4] = "";

    assert_int_equal(sbi(f, DBCN, 1, 4, RAM, 0), 0);
    assert_int_equal(value(f), 0);
    f->typed = "hi";
    assert_int_equal(sbi(f, DBCN, 1, 4, RAM + 0x10, 0), 0);
    assert_int_equal(value(f), 2);
    assert_int_equal(mem_read(f->mem, GPA(RAM + 0x10), back, 3), 0);
    assert_string_equal(back, "hi");
    f->typed = "z";
    f->cpu[0]->slot[11] = 77;
    assert_int_equal(sbi(f, 2, 0, 0, 77, 0), 'z'); /* legacy: a1 is the guest's */
    assert_int_equal(value(f), 77);
    assert_int_equal(sbi(f, 2, 0, 0, 0, 0), -1);
    assert_int_equal(sbi(f, 1, 0, 'q', 0, 0), 0);
    assert_memory_equal(f->out, "q", 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

RUN_TESTS(TEST(base_tells_what_there_is), TEST(ipi_reaches_named_harts_only),
          TEST(fences_wait_for_named_harts), TEST(harts_start_once),
          TEST(power_goes_to_the_machine), TEST(console_writes_what_is_in_ram),
          TEST(console_reads_what_was_typed))
