/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/riscv/test_cpu.h"

#include <assert.h>
#include <posada/clock.h>
#include <stdlib.h>

static bool test_io_read(void *arg, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    return false;
}

static bool test_io_write(void *arg, gpa_t gpa, unsigned size, uint64_t val)
{
    return false;
}

struct riscv_cpu *test_cpu_new(const char *model)
{
    static const struct mem_io none = {test_io_read, test_io_write, NULL};
    struct riscv_cpu *rv = calloc(1, sizeof(*rv));
    struct err err;
    int r;

    assert(rv);
    rv->cpu.ops = &riscv_cpu_ops;
    rv->cpu.mem = mem_new();
    rv->cpu.clock = clock_new(NULL);
    rv->cpu.mmu = mmu_new(&rv->cpu);
    assert(rv->cpu.mem && rv->cpu.clock && rv->cpu.mmu);
    r = mem_add_ram(rv->cpu.mem, GPA(TEST_RAM), TEST_RAM_SIZE, &err);
    assert(!r);
    mem_set_io(rv->cpu.mem, &none);
    r = riscv_cpu_ops.init(&rv->cpu, model, &err);
    assert(!r);
    riscv_cpu_ops.reset(&rv->cpu);
    return rv;
}

void test_cpu_free(struct riscv_cpu *rv)
{
    mmu_free(rv->cpu.mmu);
    clock_free(rv->cpu.clock);
    mem_free(rv->cpu.mem);
    free(rv);
}

void test_write64(struct riscv_cpu *rv, uint64_t gpa, uint64_t val)
{
    int r = mem_write(rv->cpu.mem, GPA(gpa), &val, sizeof(val));

    assert(!r);
}

uint64_t test_read64(struct riscv_cpu *rv, uint64_t gpa)
{
    uint64_t val = 0;
    int r = mem_read(rv->cpu.mem, GPA(gpa), &val, sizeof(val));

    assert(!r);
    return val;
}

void test_lift(struct riscv_cpu *rv, const uint32_t *code, unsigned words, struct ir_block *block)
{
    struct mmu_fetcher fetcher;
    struct err err;
    int r = mem_write(rv->cpu.mem, GPA(TEST_RAM), code, words * sizeof(*code));

    assert(!r);
    mmu_fetcher_init(&fetcher, &rv->cpu, NULL, NULL);
    riscv_lift(&rv->cpu, &fetcher.fetch, TEST_RAM, words, block);
    r = ir_verify(block, &err);
    assert(!r);
}
