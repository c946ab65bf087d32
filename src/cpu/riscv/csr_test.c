/* SPDX-License-Identifier: Apache-2.0 */
/* Rights to CSRs, interrupt inputs, Sstc's hook, save and load, the debugger's view. */
#include "cpu/riscv/test_cpu.h"

#include "base/endian.h"
#include "base/unit_test.h"
#include "cpu/riscv/csr.h"

#include <stdatomic.h>

/* csrrs x5, number, x0 / csrrw x0, number, x5; false when illegal. */
static bool csr_reads(struct riscv_cpu *rv, unsigned number)
{
    rv->cpu.fault.pending = false;
    (void)riscv_csr_helper(&rv->cpu, number << 20 | 0x22f3, 0, 0);
    return !rv->cpu.fault.pending;
}

static bool csr_writes(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->cpu.fault.pending = false;
    (void)riscv_csr_helper(&rv->cpu, number << 20 | 0x1073 | 5 << 15, val, 0);
    return !rv->cpu.fault.pending;
}

/* Whatever the number: never from too low a privilege, never a write to a read-only one. */
static void test_every_number(void **state)
{
    static const uint8_t modes[] = {RISCV_U, RISCV_S, RISCV_M};
    struct riscv_cpu *rv = test_cpu_new("max");

    for (unsigned number = 0; number < 4096; number++) {
        for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
            rv->privilege = modes[m];
            if (modes[m] < (number >> 8 & 3))
                assert_false(csr_reads(rv, number));
            if (number >> 10 == 3)
                assert_false(csr_writes(rv, number, 0));
            if (!riscv_csr_name(number))
                assert_false(csr_reads(rv, number) || csr_writes(rv, number, 0));
        }
    }
    test_cpu_free(rv);
}

static void test_latched_input(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");
    struct cpu *cpu = &rv->cpu;

    cpu_irq(cpu, RISCV_IRQ_SSI, true);
    cpu_irq(cpu, RISCV_IRQ_SSI, false); /* a pulse stays */
    cpu_irq(cpu, RISCV_IRQ_MEI, true);
    assert_true(atomic_load(&cpu->attention) & ATTENTION_IRQ);
    assert_int_equal(riscv_mip(rv), 1 << RISCV_IRQ_SSI | 1 << RISCV_IRQ_MEI);
    cpu_irq(cpu, RISCV_IRQ_MEI, false);
    assert_true(csr_writes(rv, CSR_mip, 0));
    assert_int_equal(riscv_mip(rv), 0);
    test_cpu_free(rv);
}

/* CSRRS must not turn the pin's level into a software bit. */
static void test_set_keeps_level_apart(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");

    cpu_irq(&rv->cpu, RISCV_IRQ_SEI, true);
    (void)riscv_csr_helper(&rv->cpu, (uint64_t)CSR_mip << 20 | 0x2073 | 5 << 15, 2, 0);
    cpu_irq(&rv->cpu, RISCV_IRQ_SEI, false);
    assert_int_equal(riscv_mip(rv), 2);
    test_cpu_free(rv);
}

struct timer_seen {
    unsigned calls;
    uint64_t time;
};

static void test_timer_hook(void *arg, unsigned hart, uint64_t stimecmp)
{
    struct timer_seen *seen = arg;

    seen->calls++;
    seen->time = stimecmp;
}

static void test_timer(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");
    struct timer_seen seen = {0};

    rv->timer_changed = test_timer_hook;
    rv->timer_arg = &seen;
    assert_true(csr_writes(rv, CSR_stimecmp, 1000));
    assert_int_equal(seen.time, UINT64_MAX); /* STCE is off */
    assert_true(csr_writes(rv, CSR_menvcfg, MENVCFG_STCE));
    assert_int_equal(seen.time, 1000);
    cpu_irq(&rv->cpu, RISCV_IRQ_STI, true);
    assert_int_equal(riscv_mip(rv), 1 << RISCV_IRQ_STI);
    riscv_set_timer(&rv->cpu, 2000);
    assert_int_equal(seen.time, 2000);
    test_cpu_free(rv);
}

/* No M mode under host_sbi: ECALL leaves, everything else traps to S. */
static void test_host_sbi(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");
    struct cpu *cpu = &rv->cpu;

    riscv_boot(cpu, RISCV_S, TEST_RAM, 7, 8, true);
    assert_int_equal(cpu->slot[RISCV_A0], 7);
    (void)riscv_ecall_helper(cpu, 0, 0, 0);
    assert_int_equal(cpu->exit, CPU_EXIT_HYPERCALL);
    cpu->exit = CPU_EXIT_NONE;
    rv->stvec = TEST_RAM + 0x100;
    cpu_raise(cpu, CAUSE_STORE_MISALIGNED, 3);
    riscv_raise(cpu);
    assert_int_equal(rv->privilege, RISCV_S);
    assert_int_equal(cpu->pc, TEST_RAM + 0x100);
    assert_int_equal(rv->scause, CAUSE_STORE_MISALIGNED);
    assert_int_equal(rv->stval, 3);
    rv->privilege = RISCV_U;
    (void)riscv_ecall_helper(cpu, 0, 0, 0);
    assert_int_equal(cpu->exit, CPU_EXIT_NONE);
    assert_int_equal(cpu->fault.cause, CAUSE_ECALL_U);
    assert_false(csr_reads(rv, CSR_mstatus));
    test_cpu_free(rv);
}

/* A loaded state with impossible values comes out legal. */
static void test_load_is_hostile(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");
    struct cpu *cpu = &rv->cpu;

    cpu->slot[0] = 5;
    cpu->pc = 0x80000001;
    rv->privilege = 2;
    rv->satp = 7ull << 60;
    rv->mstatus = UINT64_MAX;
    rv->mip = UINT64_MAX;
    rv->mideleg = UINT64_MAX;
    rv->menvcfg = UINT64_MAX;
    for (unsigned i = 0; i < RISCV_PMP_COUNT; i++) {
        rv->pmpcfg[i] = 0xff;
        rv->pmpaddr[i] = UINT64_MAX;
    }
    riscv_cpu_ops.after_load(cpu);
    assert_int_equal(cpu->slot[0], 0);
    assert_int_equal(cpu->pc, 0x80000000);
    assert_int_equal(rv->privilege, RISCV_U);
    assert_int_equal(rv->satp, 0);
    assert_int_equal(rv->mstatus & MSTATUS_UXL, 0);
    assert_int_equal(rv->mideleg, 0x222);
    assert_int_equal(rv->mip & ~UINT64_C(0x222), 0);
    assert_int_equal(rv->pmpaddr[0] >> 54, 0);
    test_cpu_free(rv);
}

static void test_gdb(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");
    uint8_t buf[16];
    unsigned n = 0;

    while (riscv_gdb_read(&rv->cpu, n, buf))
        n++;
    assert_true(n > 69 && n < 128);
    assert_int_equal(riscv_gdb_write(&rv->cpu, n, buf), 0);
    st_le64(buf, 42);
    assert_int_equal(riscv_gdb_write(&rv->cpu, 10, buf), 8);
    assert_int_equal(rv->cpu.slot[10], 42);
    assert_int_equal(riscv_gdb_write(&rv->cpu, 0, buf), 8);
    assert_int_equal(rv->cpu.slot[0], 0);
    st_le32(buf, 0x65);
    assert_int_equal(riscv_gdb_write(&rv->cpu, 67, buf), 4); /* fcsr */
    assert_int_equal(rv->frm, 3);
    assert_int_equal(rv->cpu.fp_flags, 5);
    assert_non_null(strstr(riscv_gdb_xml(), "org.gnu.gdb.riscv.cpu"));
    test_cpu_free(rv);
}

RUN_TESTS(cmocka_unit_test(test_every_number), cmocka_unit_test(test_latched_input),
          cmocka_unit_test(test_set_keeps_level_apart), cmocka_unit_test(test_timer),
          cmocka_unit_test(test_host_sbi), cmocka_unit_test(test_load_is_hostile),
          cmocka_unit_test(test_gdb))
