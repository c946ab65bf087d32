/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and plans of the x86 board; iasl reads the DSDT back where it is installed. */
#include "base/endian.h"
#include "base/unit_test.h"
#include "board/x86_pc.h"
#include "cpu/x86/x86.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t table[PC_ACPI_SIZE];

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;

    while (len--)
        s = (uint8_t)(s + *p++);
    return s;
}

/* The table that `address` points at, checked for its sum. */
static const uint8_t *at(uint64_t address, const char *signature)
{
    const uint8_t *t = table + (address - PC_ACPI);

    assert_true(address >= PC_ACPI && address < PC_ACPI + PC_ACPI_SIZE);
    assert_memory_equal(t, signature, 4);
    if (strcmp(signature, "FACS") != 0)
        assert_int_equal(sum(t, ld_le32(t + 4)), 0);
    return t;
}

static void acpi_tables_lead_to_each_other(void **state)
{
    const uint8_t *xsdt, *fadt, *madt, *mcfg;
    struct err err;
    unsigned cpus = 0;

    assert_int_equal(pc_acpi_tables(3, false, table, sizeof(table), PC_ACPI, NULL, &err), 0);
    assert_memory_equal(table, "RSD PTR ", 8);
    assert_int_equal(sum(table, 20), 0);
    assert_int_equal(sum(table, 36), 0);
    xsdt = at(ld_le64(table + 24), "XSDT");
    fadt = at(ld_le64(xsdt + 36), "FACP");
    madt = at(ld_le64(xsdt + 44), "APIC");
    mcfg = at(ld_le64(xsdt + 52), "MCFG");
    (void)at(ld_le32(fadt + 36), "FACS");
    (void)at(ld_le64(fadt + 140), "DSDT");
    assert_int_equal(ld_le32(fadt + 40), ld_le64(fadt + 140));
    assert_int_equal(ld_le64(mcfg + 44), PC_ECAM);
    for (size_t i = 44; i < ld_le32(madt + 4); i += madt[i + 1]) {
        assert_int_not_equal(madt[i + 1], 0);
        cpus += madt[i] == 0;
    }
    assert_int_equal(cpus, 3);
    for (size_t i = 44; i < ld_le32(madt + 4); i += madt[i + 1]) /* all inside the I/O APIC */
        assert_true(madt[i] != 2 || ld_le32(madt + i + 4) < PC_GSIS);
    assert_int_equal(pc_acpi_tables(VM_CPUS_MAX, false, table, sizeof(table), PC_ACPI, NULL, &err),
                     0);
    for (size_t room = 0; room < 2500; room += 61) /* too little: said, and nothing overrun */
        assert_int_equal(pc_acpi_tables(3, false, table, room, PC_ACPI, NULL, &err), -ENOSPC);
}

static int run_iasl(const char *folder, const char *name)
{
    char command[256];

    snprintf(command, sizeof(command),
             "cd %s && iasl -d %s.aml >/dev/null 2>&1 && iasl -we %s.dsl >%s.log 2>&1", folder,
             name, name, name);
    return system(command); // NOLINT: a fixed command in a folder of ours
}

static void write_table(const char *folder, const char *name, const uint8_t *t)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s.aml", folder, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(t, ld_le32(t + 4), 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

/* What iasl disassembles must compile again without an error or warning. */
static void iasl_accepts_them(void **state)
{
    char folder[] = "/tmp/posada-acpi-XXXXXX", command[64];
    const uint8_t *xsdt, *fadt;
    struct err err;
    int bad = 0;

    if (system("command -v iasl >/dev/null 2>&1")) // NOLINT: a fixed command
        skip();
    assert_non_null(mkdtemp(folder));
    assert_int_equal(pc_acpi_tables(2, false, table, sizeof(table), PC_ACPI, NULL, &err), 0);
    xsdt = at(ld_le64(table + 24), "XSDT");
    fadt = at(ld_le64(xsdt + 36), "FACP");
    write_table(folder, "dsdt", at(ld_le64(fadt + 140), "DSDT"));
    write_table(folder, "facp", fadt);
    write_table(folder, "apic", at(ld_le64(xsdt + 44), "APIC"));
    write_table(folder, "mcfg", at(ld_le64(xsdt + 52), "MCFG"));
    bad = run_iasl(folder, "dsdt") || run_iasl(folder, "facp") || run_iasl(folder, "apic") ||
          run_iasl(folder, "mcfg");
    if (bad)
        (void)!system(
            (snprintf(command, sizeof(command), "cat %s/*.log", folder), command));   // NOLINT
    (void)!system((snprintf(command, sizeof(command), "rm -r %s", folder), command)); // NOLINT
    assert_false(bad);
}

/* As firmware does: the tables lie somewhere, pointers get that address added, sums are made. */
static void tables_can_be_moved(void **state)
{
    struct pc_acpi_layout l;
    const uint8_t *xsdt;
    struct err err;

    assert_int_equal(pc_acpi_tables(2, true, table, sizeof(table), 0, &l, &err), 0);
    for (unsigned i = 0; i < l.pointers; i++) {
        uint8_t *p = table + l.pointer[i].at;

        if (l.pointer[i].size == 8)
            st_le64(p, ld_le64(p) + PC_ACPI);
        else
            st_le32(p, ld_le32(p) + PC_ACPI);
    }
    for (unsigned i = 0; i < l.tables; i++) {
        uint8_t *t = table + l.table[i].at;

        assert_true(l.table[i].at + l.table[i].len <= l.len);
        t[PC_ACPI_CHECKSUM] = (uint8_t)(t[PC_ACPI_CHECKSUM] - sum(t, l.table[i].len));
    }
    xsdt = at(ld_le64(table + PC_RSDP_XSDT) + PC_ACPI, "XSDT");
    assert_int_equal(ld_le32(xsdt + 4), 36 + 2 * 8); /* no MCFG: firmware has moved the ECAM */
    (void)at(ld_le64(xsdt + 44), "APIC");
    xsdt = at(ld_le64(xsdt + 36), "FACP");
    (void)at(ld_le32(xsdt + 36), "FACS");
    (void)at(ld_le32(xsdt + 40), "DSDT");
    (void)at(ld_le64(xsdt + 140), "DSDT");
}

static void smbios_has_an_entry_point(void **state)
{
    struct err err;

    assert_int_equal(
        pc_smbios_tables(UINT64_C(1) << 30, 1, table, PC_SMBIOS_SIZE, PC_SMBIOS, NULL, &err), 0);
    assert_memory_equal(table, "_SM3_", 5);
    assert_int_equal(sum(table, 24), 0);
    assert_int_equal(ld_le64(table + 16), PC_SMBIOS + 32);
    assert_int_equal(pc_smbios_tables(1 << 30, 1, table, 64, PC_SMBIOS, NULL, &err), -ENOSPC);
}

/* --- Plans --- */
static const uint8_t setup_header[0x80] = {
    [0x22c - 0x1f1] = 0xff, [0x22d - 0x1f1] = 0xff, [0x22e - 0x1f1] = 0xff, [0x22f - 0x1f1] = 0x7f};

static struct board_files linux_files(uint64_t memory, uint64_t kernel, uint64_t initrd)
{
    return (struct board_files){
        .memory = memory,
        .initrd_len = initrd,
        .append = "quiet",
        .kernel = {.kind = BOARD_IMAGE_LINUX,
                   .entry = 0x200,
                   .text_offset = 0x1000000,
                   .memory_size = kernel,
                   .alignment = 0x200000,
                   .setup = setup_header,
                   .setup_len = sizeof(setup_header)},
    };
}

static void kernels_and_initrds_are_placed(void **state)
{
    struct board_files f = linux_files(UINT64_C(6) << 30, 0x2000000, 5 << 20);
    struct board_boot b;
    struct err err;

    assert_int_equal(pc_plan(&f, &b, &err), 0);
    assert_int_equal(b.kernel_at, 0x1000000);
    assert_int_equal(b.entry, 0x1000200);
    assert_int_equal(b.initrd, 0x80000000 - (5 << 20)); /* the header's own limit */
    f = linux_files(40 << 20, 0x2000000, 0);
    assert_int_equal(pc_plan(&f, &b, &err), 0);
    assert_int_equal(b.kernel_at, 0x200000); /* not where it would like to be */
    f = linux_files(40 << 20, 0x2000000, 8 << 20);
    assert_int_equal(pc_plan(&f, &b, &err), -ENOMEM);
    f = linux_files(40 << 20, UINT64_C(1) << 40, 0);
    assert_int_equal(pc_plan(&f, &b, &err), -ENOMEM);
    f.kernel = (struct board_image){.kind = BOARD_IMAGE_ELF, .end = 0x2000000};
    assert_int_equal(pc_plan(&f, &b, &err), -ENOEXEC);
    assert_non_null(strstr(err.text, "PVH"));
}

static void firmware_ends_at_4_gib(void **state)
{
    struct board_files f = {.memory = UINT64_C(4) << 30, .append = ""};
    struct pc_memory_range range[PC_MEMORY_RANGES];
    struct board_boot b;
    struct err err;

    f.firmware = (struct board_image){.kind = BOARD_IMAGE_RAW, .memory_size = 256 << 10};
    assert_int_equal(pc_plan(&f, &b, &err), 0);
    assert_int_equal(b.firmware_at, 0xfffc0000);
    assert_true(b.bare);
    f.firmware.memory_size = (256 << 10) + 1;
    assert_int_equal(pc_plan(&f, &b, &err), -ENOEXEC);
    f.firmware.memory_size = 16 << 20; /* it would lie over the local APICs */
    assert_int_equal(pc_plan(&f, &b, &err), -ENOEXEC);
    f.firmware = (struct board_image){.kind = BOARD_IMAGE_ELF, .memory_size = 1 << 20};
    assert_int_equal(pc_plan(&f, &b, &err), -ENOEXEC);
    f = linux_files(64 << 20, 0x1000000, 0);
    f.firmware = (struct board_image){.kind = BOARD_IMAGE_RAW, .memory_size = 256 << 10};
    assert_int_equal(pc_plan(&f, &b, &err), -EINVAL);
    assert_int_equal(pc_memory_map(UINT64_C(4) << 30, true, range), 2);
    assert_int_equal(range[0].size, PC_FIRMWARE_WINDOW);
    assert_int_equal(range[0].size + range[1].size, UINT64_C(4) << 30);
    assert_int_equal(pc_memory_map(PC_FIRMWARE_WINDOW, true, range), 1);
}

static void memory_has_a_hole(void **state)
{
    struct pc_memory_range range[PC_MEMORY_RANGES];
    unsigned n = pc_memory_map(UINT64_C(5) << 30, false, range);

    assert_int_equal(range[n - 1].start, PC_HIGH);
    assert_int_equal(range[n - 1].size, UINT64_C(2) << 30);
    for (unsigned i = 1; i < n; i++)
        assert_true(range[i].start >= range[i - 1].start + range[i - 1].size);
    n = pc_memory_map(128 << 20, false, range);
    assert_int_equal(range[3].start + range[3].size, 128 << 20);
    assert_int_equal(n, 5);
}

static void entering_a_kernel(void **state)
{
    struct x86_cpu *x = calloc(1, sizeof(*x));
    struct mem *mem = mem_new();
    struct board_files f = linux_files(64 << 20, 0x1000000, 0);
    struct cpu_translation t;
    struct board_boot b;
    struct err err;
    uint8_t e820[20];

    assert_non_null(x);
    assert_int_equal(mem_add_ram(mem, GPA(0), 64 << 20, &err), 0);
    x->cpu.ops = &x86_cpu_ops;
    x->cpu.mem = mem;
    x86_cpu_ops.reset(&x->cpu);
    assert_int_equal(pc_plan(&f, &b, &err), 0);
    assert_int_equal(pc_enter(&b, 64 << 20, mem, x, &err), 0);
    assert_int_equal(x->cpu.pc, b.entry);
    assert_int_equal(x86_cpu_ops.translate(&x->cpu, GVA(0xfee00123), CPU_LOAD, true, &t), 0);
    assert_int_equal(t.gpa.v, 0xfee00123); /* the identity map covers 4 GiB */
    assert_int_equal(mem_read(mem, GPA(PC_ZERO_PAGE + 0x2d0), e820, sizeof(e820)), 0);
    assert_int_equal(ld_le64(e820 + 8), PC_LOW_END);
    mem_free(mem);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acpi_tables_lead_to_each_other),
        cmocka_unit_test(iasl_accepts_them),
        cmocka_unit_test(tables_can_be_moved),
        cmocka_unit_test(smbios_has_an_entry_point),
        cmocka_unit_test(firmware_ends_at_4_gib),
        cmocka_unit_test(kernels_and_initrds_are_placed),
        cmocka_unit_test(memory_has_a_hole),
        cmocka_unit_test(entering_a_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
