/* SPDX-License-Identifier: Apache-2.0 */
/* Page-table walk and PMP by direct calls: what a program cannot see or would need long to. */
#include "cpu/riscv/test_cpu.h"

#include "base/unit_test.h"
#include "cpu/riscv/csr.h"

#include <errno.h>

enum { R = 2, W = 4, X = 8, U = 16, A = 64, D = 128, V = 1 };
enum { ROOT = 0x10000, MIDDLE = 0x11000, LEAF = 0x12000, PAGE = 0x20000 };

static uint64_t pte(uint64_t offset, unsigned flags)
{
    return (TEST_RAM + offset) >> 12 << 10 | flags | V;
}

/* Sv39, S mode, va 0x1000 -> PAGE. */
static struct riscv_cpu *walk_cpu(unsigned flags)
{
    struct riscv_cpu *rv = test_cpu_new("max");

    riscv_boot(&rv->cpu, RISCV_S, TEST_RAM, 0, 0, true);
    test_write64(rv, TEST_RAM + ROOT, pte(MIDDLE, 0));
    test_write64(rv, TEST_RAM + MIDDLE, pte(LEAF, 0));
    test_write64(rv, TEST_RAM + LEAF + 8, pte(PAGE, flags));
    assert_true(riscv_csr_poke(rv, CSR_satp, 8ull << 60 | (TEST_RAM + ROOT) >> 12));
    return rv;
}

static int walk(struct riscv_cpu *rv, uint64_t va, enum cpu_access access,
                struct cpu_translation *t)
{
    rv->cpu.fault.pending = false;
    return riscv_translate(&rv->cpu, GVA(va), access, false, t);
}

static void test_leaf(void **state)
{
    struct riscv_cpu *rv = walk_cpu(R | W | A);
    struct cpu_translation t;

    assert_int_equal(walk(rv, 0x1234, CPU_LOAD, &t), 0);
    assert_int_equal(t.gpa.v, TEST_RAM + PAGE + 0x234);
    assert_int_equal(t.page_size, 4096);
    assert_true(t.readable);
    assert_false(t.writable); /* not dirty yet: the first store must walk */
    assert_false(t.executable);
    assert_int_equal(walk(rv, 0x1234, CPU_STORE, &t), 0);
    assert_true(t.writable);
    assert_int_equal(test_read64(rv, TEST_RAM + LEAF + 8), pte(PAGE, R | W | A | D));
    assert_int_equal(walk(rv, 0x1234, CPU_FETCH, &t), -EFAULT);
    assert_int_equal(rv->cpu.fault.cause, CAUSE_FETCH_PAGE);
    assert_int_equal(rv->cpu.fault.value, 0x1234);
    test_cpu_free(rv);
}

/* The walk's own store marks the table's page dirty and reports it if code was made from it. */
static void test_walk_store_is_seen(void **state)
{
    struct riscv_cpu *rv = walk_cpu(R | W);
    _Atomic uint8_t *flags = mem_page_flags(rv->cpu.mem, GPA(TEST_RAM + LEAF));
    struct cpu_translation t;

    *flags = 0;
    assert_int_equal(walk(rv, 0x1000, CPU_LOAD, &t), 0);
    assert_true(*flags & PAGE_DIRTY);
    test_cpu_free(rv);
}

static void test_probe(void **state)
{
    struct riscv_cpu *rv = walk_cpu(R | U);
    struct cpu_translation t;

    assert_int_equal(riscv_translate(&rv->cpu, GVA(0x1000), CPU_STORE, true, &t), 0);
    assert_int_equal(test_read64(rv, TEST_RAM + LEAF + 8), pte(PAGE, R | U));
    assert_int_equal(riscv_translate(&rv->cpu, GVA(0x5000), CPU_LOAD, true, &t), -EFAULT);
    assert_false(rv->cpu.fault.pending);
    test_cpu_free(rv);
}

static void test_tables_outside_ram(void **state)
{
    struct riscv_cpu *rv = walk_cpu(R | A);
    struct cpu_translation t;

    test_write64(rv, TEST_RAM + MIDDLE, (0x1000ull >> 12) << 10 | V);
    assert_int_equal(walk(rv, 0x1000, CPU_STORE, &t), -EFAULT);
    assert_int_equal(rv->cpu.fault.cause, CAUSE_STORE_ACCESS);
    test_cpu_free(rv);
}

static void test_bare(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");
    struct cpu_translation t;

    assert_int_equal(walk(rv, TEST_RAM + 5, CPU_FETCH, &t), 0);
    assert_int_equal(t.gpa.v, TEST_RAM + 5);
    assert_true(t.page_size >= 1 << 30);
    assert_int_equal(walk(rv, 1ull << 56, CPU_LOAD, &t), -EFAULT);
    assert_int_equal(rv->cpu.fault.cause, CAUSE_LOAD_ACCESS);
    assert_int_equal(walk(rv, UINT64_MAX, CPU_LOAD, &t), -EFAULT);
    test_cpu_free(rv);
}

/* A cached translation must not reach over a PMP border. */
static void test_pmp_limits_page_size(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");

    riscv_pmpaddr_write(rv, 0, (TEST_RAM + 0x3000) >> 2);
    riscv_pmpaddr_write(rv, 1, (TEST_RAM + 0x200000) >> 2);
    riscv_pmpaddr_write(rv, 2, UINT64_MAX);
    riscv_pmpcfg_write(rv, 0, 0x1f090f); /* TOR RWX, TOR R, NAPOT RWX */
    assert_int_equal(riscv_pmp(rv, GPA(TEST_RAM), RISCV_S).size, 4096);
    assert_false(riscv_pmp(rv, GPA(TEST_RAM + 0x3000), RISCV_S).writable);
    assert_true(riscv_pmp(rv, GPA(TEST_RAM + 0x2fff), RISCV_S).writable);
    assert_int_equal(riscv_pmp(rv, GPA(TEST_RAM + 0x200000), RISCV_S).size, 1 << 21);
    assert_int_equal(riscv_pmp(rv, GPA(0x10000000), RISCV_S).size, 1 << 30);
    assert_true(riscv_pmp(rv, GPA(TEST_RAM + 0x3000), RISCV_M).writable);
    test_cpu_free(rv);
}

RUN_TESTS(cmocka_unit_test(test_leaf), cmocka_unit_test(test_walk_store_is_seen),
          cmocka_unit_test(test_probe), cmocka_unit_test(test_tables_outside_ram),
          cmocka_unit_test(test_bare), cmocka_unit_test(test_pmp_limits_page_size))
