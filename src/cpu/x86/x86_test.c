/* SPDX-License-Identifier: Apache-2.0 */
/* CPU models, the page-table walk in its four formats, reset, GDB's registers. */
#include "base/endian.h"
#include "base/unit_test.h"
#include "cpu/x86/x86.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- Models --- */
/* What a processor of level 3 with AES offers. */
static struct x86_cpuid_table offered(void)
{
    return (struct x86_cpuid_table){
        .count = 13,
        .row = {
            {.leaf = 0, .reg = {0x20, 0x756e6547, 0x6c65746e, 0x49656e69}},
            {.leaf = 1, .reg = {0x306c3, 0x800, 0x7eda3203 | 1u << 31, 0x078bfbff}},
            {.leaf = 4, .subleaf = 0, .indexed = 1, .reg = {0x1c004121, 0, 0, 0}},
            {.leaf = 4, .subleaf = 3, .indexed = 1, .reg = {0x1c03c163, 0, 0, 0}},
            {.leaf = 5, .reg = {0x40, 0x40, 3, 0}},
            {.leaf = 6, .reg = {4, 0, 0, 0}},
            {.leaf = 7, .indexed = 1, .reg = {0, 0x1 | 1 << 3 | 1 << 5 | 1 << 8, 4, 0}},
            {.leaf = 0xa, .reg = {0x07300404, 0, 0, 0x603}},
            {.leaf = 0xd, .indexed = 1, .reg = {0x2e7, 0x988, 0x988, 0}},
            {.leaf = 0xd, .subleaf = 2, .indexed = 1, .reg = {0x100, 0x240, 0, 0}},
            {.leaf = 0x40000000, .reg = {0x40000001, 0, 0, 0}},
            {.leaf = 0x80000001, .reg = {0, 0, 0x21, 0x2c100800}},
            {.leaf = 0x80000008, .reg = {0x3028, 0, 0, 0}},
        }};
}

static bool shows(struct x86_cpuid_table *t, uint32_t leaf, unsigned reg, unsigned bit)
{
    const struct x86_cpuid *row = x86_cpuid_find(t, leaf, 0);

    return row && row->reg[reg] >> bit & 1;
}

static void levels_show_what_they_name(void **state)
{
    struct x86_cpuid_table t = offered();
    struct err err;

    assert_int_equal(x86_model_apply("x86-64-v1", &t, &err), 0);
    assert_false(shows(&t, 1, X86_ECX, 20)); /* SSE4.2 */
    assert_true(shows(&t, 1, X86_EDX, 26));  /* SSE2 */
    assert_null(x86_cpuid_find(&t, 0xd, 0)); /* no XSAVE, no leaf */
    t = offered();
    assert_int_equal(x86_model_apply("x86-64-v3", &t, &err), 0);
    assert_true(shows(&t, 7, X86_EBX, 5));   /* AVX2 */
    assert_false(shows(&t, 1, X86_ECX, 25)); /* AES is of no level */
    assert_int_equal(x86_cpuid_find(&t, 0xd, 0)->reg[X86_EAX], 7);
    assert_int_equal(x86_cpuid_find(&t, 0xd, 2)->reg[X86_EAX], 0x100);
    t = offered();
    assert_int_equal(x86_model_apply("host,-avx2,-avx", &t, &err), 0);
    assert_false(shows(&t, 7, X86_EBX, 5));
    assert_true(shows(&t, 1, X86_ECX, 25));
    assert_int_equal(x86_cpuid_find(&t, 0xd, 0)->reg[X86_EAX], 3);
}

static void models_that_cannot_be(void **state)
{
    static const char *const unknown[] = {"x86-64-v5", "x86-64-v", "pentium", "",
                                          "host,aes",  "host,+ae", "host,",   "host,+"};
    struct x86_cpuid_table t = offered();
    struct err err = {0};

    for (unsigned i = 0; i < ARRAY_LEN(unknown); i++)
        assert_int_equal(x86_model_check(unknown[i], &err), -EINVAL);
    assert_int_equal(x86_model_apply("x86-64-v4", &t, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "avx512f"));
    t = offered();
    assert_int_equal(x86_model_apply("x86-64-v2,+sha", &t, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "sha"));
}

/* What cannot be saved is never shown, whatever the host has. */
static void dangerous_features_are_hidden(void **state)
{
    struct x86_cpuid_table t = offered();
    struct err err;

    x86_cpuid_find(&t, 1, 0)->reg[X86_ECX] |= 1u << 5;
    x86_cpuid_find(&t, 7, 0)->reg[X86_EDX] |= 1u << 24;
    x86_cpuid_find(&t, 0xd, 0)->reg[X86_EAX] |= 3u << 17;
    assert_int_equal(x86_model_apply("host", &t, &err), 0);
    assert_false(shows(&t, 1, X86_ECX, 5));
    assert_false(shows(&t, 7, X86_EDX, 24));
    assert_int_equal(x86_cpuid_find(&t, 0xd, 0)->reg[X86_EAX], 7);
    assert_int_equal(x86_cpuid_find(&t, 0xd, 2)->reg[X86_EAX], 0x100);
    assert_null(x86_cpuid_find(&t, 0xa, 0));
}

static void places_differ_between_cpus(void **state)
{
    struct x86_cpuid_table t = offered();
    struct err err;

    assert_int_equal(x86_model_apply("max", &t, &err), 0);
    x86_cpuid_place(&t, 2, 3, 2500000);
    assert_int_equal(x86_cpuid_find(&t, 1, 0)->reg[X86_EBX], 0x02030800);
    assert_int_equal(x86_cpuid_find(&t, 0xb, 1)->reg[X86_EAX], 2);
    assert_int_equal(x86_cpuid_find(&t, 0xb, 1)->reg[X86_EBX], 3);
    assert_int_equal(x86_cpuid_find(&t, 0xb, 0)->reg[X86_EDX], 2);
    assert_int_equal(x86_cpuid_find(&t, 0x40000010, 0)->reg[X86_EAX], 2500000);
    assert_int_equal(x86_cpuid_find(&t, 0x40000000, 0)->reg[X86_EAX], 0x40000010);
    assert_int_equal(x86_cpuid_find(&t, 0x15, 0)->reg[X86_EBX], 2500000);
    assert_int_equal(x86_cpuid_find(&t, 4, 3)->reg[X86_EAX] >> 26, 3);
}

/* --- A CPU with 64 KiB of memory --- */
enum { RAM = 0x10000 };

struct fixture {
    struct x86_cpu *x;
    struct mem *mem;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;

    if (!f || !(f->mem = mem_new()) || !(f->x = calloc(1, sizeof(*f->x))) ||
        mem_add_ram(f->mem, GPA(0), RAM, &err))
        return -1;
    f->x->cpu.ops = &x86_cpu_ops;
    f->x->cpu.mem = f->mem;
    x86_cpu_ops.reset(&f->x->cpu);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mem_free(f->mem);
    free(f->x);
    free(f);
    return 0;
}

static void put(struct fixture *f, uint64_t at, uint64_t val, unsigned size)
{
    uint8_t le[8];

    st_le64(le, val);
    assert_int_equal(mem_write(f->mem, GPA(at), le, size), 0);
}

/* The physical address of va, UINT64_MAX for a fault. */
static uint64_t walk(struct fixture *f, uint64_t va, enum cpu_access access)
{
    struct cpu_translation t;

    f->x->cpu.fault.pending = false;
    return x86_cpu_ops.translate(&f->x->cpu, GVA(va), access, true, &t) ? UINT64_MAX : t.gpa.v;
}

static void walk_without_paging(void **state)
{
    assert_int_equal(walk(*state, 0x12345, CPU_LOAD), 0x12345);
}

static void walk_of_32_bits(void **state)
{
    struct fixture *f = *state;

    f->x->cr0 |= X86_CR0_PG | X86_CR0_PE;
    f->x->cr4 = X86_CR4_PSE;
    f->x->cr3 = 0x1000;
    put(f, 0x1000 + 4 * 3, 0x2000 | 3, 4);
    put(f, 0x1000 + 4 * 4, 0x00c06083, 4); /* 4 MiB, address bits 32 to 34 are 3 */
    put(f, 0x2000 + 4 * 5, 0x9000 | 1, 4);
    assert_int_equal(walk(f, 0x00c05123, CPU_LOAD), 0x9123);
    assert_int_equal(walk(f, 0x01012345, CPU_LOAD), 0x300c12345);
    assert_int_equal(walk(f, 0x00c06000, CPU_LOAD), UINT64_MAX);
}

static void walk_of_pae(void **state)
{
    struct fixture *f = *state;

    f->x->cr0 |= X86_CR0_PG | X86_CR0_PE;
    f->x->cr4 = X86_CR4_PAE;
    f->x->cr3 = 0x1020;
    put(f, 0x1020 + 8 * 3, 0x2000 | 1, 8);
    put(f, 0x2000 + 8 * 1, 0x3000 | 3, 8);
    put(f, 0x2000 + 8 * 2, 0x00400000 | 0x83, 8);
    put(f, 0x3000, 0x7000 | 3, 8);
    assert_int_equal(walk(f, 0xc0200abc, CPU_LOAD), 0x7abc);
    assert_int_equal(walk(f, 0xc0412345, CPU_STORE), 0x412345);
}

static void walk_of_four_and_five_levels(void **state)
{
    struct fixture *f = *state;
    uint64_t va = UINT64_C(0xffff808000201000);

    f->x->cr0 |= X86_CR0_PG | X86_CR0_PE | X86_CR0_WP;
    f->x->cr4 = X86_CR4_PAE;
    f->x->efer = X86_EFER_LMA | X86_EFER_LME | X86_EFER_NXE;
    f->x->cr3 = 0x1000;
    put(f, 0x1000 + 8 * 257, 0x2000 | 3, 8);
    put(f, 0x2000, 0x3000 | 3, 8);
    put(f, 0x2008, UINT64_C(0x8000000040000083), 8); /* 1 GiB, not executable */
    put(f, 0x3008, 0x4000 | 3, 8);
    put(f, 0x4008, 0xa000 | 1, 8);
    assert_int_equal(walk(f, va | 0xfff, CPU_LOAD), 0xafff);
    assert_int_equal(walk(f, va, CPU_STORE), UINT64_MAX);
    assert_int_equal(walk(f, va - 0x201000 + 0x52345678, CPU_LOAD), 0x52345678);
    assert_int_equal(walk(f, va - 0x201000 + 0x52345678, CPU_FETCH), UINT64_MAX);
    put(f, 0x5000 + 8 * 511, 0x1000 | 3, 8);
    f->x->cr4 |= X86_CR4_LA57;
    f->x->cr3 = 0x5000;
    assert_int_equal(walk(f, va, CPU_LOAD), 0xa000);
    put(f, 0x4008, UINT64_C(0x000ffffffffff001), 8); /* tables beyond memory are no crash */
    put(f, 0x3008, UINT64_C(0x000ffffffffff001), 8);
    assert_int_equal(walk(f, va, CPU_LOAD), UINT64_MAX);
}

static void reset_is_the_manuals(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->x->seg_base[X86_CS] + f->x->cpu.pc, 0xfffffff0);
    assert_int_equal(f->x->cr0, 0x60000010);
    assert_int_equal(f->x->activity, X86_RUNNING);
    assert_int_equal(f->x->apic_base, 0xfee00900);
    f->x->cpu.index = 1;
    x86_cpu_ops.reset(&f->x->cpu);
    assert_int_equal(f->x->activity, X86_WAIT_FOR_INIT);
    assert_int_equal(ld_le32(f->x->lapic + 0x20), 0x01000000);
}

static void gdb_registers(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[16] = {0x78, 0x56, 0x34, 0x12};

    assert_int_equal(x86_cpu_ops.gdb_write(&f->x->cpu, 7, buf), 8);
    assert_int_equal(f->x->cpu.slot[X86_RSP], 0x12345678);
    assert_int_equal(x86_cpu_ops.gdb_read(&f->x->cpu, 16, buf), 8);
    assert_int_equal(ld_le64(buf), 0xfff0);
    assert_int_equal(x86_cpu_ops.gdb_read(&f->x->cpu, 18, buf), 4);
    assert_int_equal(ld_le32(buf), 0xf000);
    assert_int_equal(x86_cpu_ops.gdb_read(&f->x->cpu, 31, buf), 10);
    assert_int_equal(x86_cpu_ops.gdb_read(&f->x->cpu, 40, buf), 0);
    assert_non_null(strstr(x86_cpu_ops.gdb_xml(), "org.gnu.gdb.i386.core"));
}

/* --- Records --- */
static void a_record_says_what_a_host_lacks(void **state)
{
    struct x86_cpuid_table shown = offered(), other = offered(), again = {0};
    struct err err = {0};
    char *text = x86_cpuid_print("host,-avx", &shown);

    assert_non_null(text);
    assert_true(!x86_cpuid_is_of_other(text, "host,-avx"));
    assert_true(x86_cpuid_is_of_other(text, "host"));
    assert_false(x86_cpuid_is_of_other("cpuid 1 ho", "host"));
    assert_false(x86_cpuid_is_of_other("", "host")); /* a damaged one: parse() says so */
    assert_int_equal(x86_cpuid_parse(text, "host,-avx", &again, &err), 0);
    assert_int_equal(again.count, shown.count);
    assert_memory_equal(again.row, shown.row, shown.count * sizeof(shown.row[0]));
    assert_int_equal(x86_cpuid_check(&again, &other, &err), 0);
    x86_cpuid_find(&other, 7, 0)->reg[X86_EBX] |= 1u << 16; /* more does no harm */
    assert_int_equal(x86_cpuid_check(&again, &other, &err), 0);
    x86_cpuid_find(&other, 7, 0)->reg[X86_EBX] &= ~(1u << 5);
    x86_cpuid_find(&other, 1, 0)->reg[X86_ECX] &= ~(1u << 25);
    assert_int_equal(x86_cpuid_check(&again, &other, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "aes, avx2"));
    other = offered();
    other.row[0].reg[X86_EBX] = 0x68747541;
    assert_int_equal(x86_cpuid_check(&again, &other, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "GenuineIntel"));
    text[strlen(text) - 1] = 'x';
    assert_int_equal(x86_cpuid_parse(text, "host,-avx", &again, &err), -EINVAL);
    assert_int_equal(x86_cpuid_parse("cpuid 1 host\n", "host", &again, &err), -EINVAL);
    assert_int_equal(x86_cpuid_parse("", "host", &again, &err), -EINVAL);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_says_what_a_host_lacks),
        cmocka_unit_test(levels_show_what_they_name),
        cmocka_unit_test(models_that_cannot_be),
        cmocka_unit_test(dangerous_features_are_hidden),
        cmocka_unit_test(places_differ_between_cpus),
        cmocka_unit_test_setup_teardown(walk_without_paging, setup, teardown),
        cmocka_unit_test_setup_teardown(walk_of_32_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(walk_of_pae, setup, teardown),
        cmocka_unit_test_setup_teardown(walk_of_four_and_five_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_is_the_manuals, setup, teardown),
        cmocka_unit_test_setup_teardown(gdb_registers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
