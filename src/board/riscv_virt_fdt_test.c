/* SPDX-License-Identifier: Apache-2.0 */
/* The device tree: what Linux looks for is there, and dtc has nothing to say against it. */
#include "base/unit_test.h"
#include "board/riscv_virt.h"
#include "cpu/riscv/riscv.h"
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 0x10000 };

struct fixture {
    struct cpu *cpu;
    uint8_t fdt[ROOM];
};

static const struct board_boot test_boot = {
    .append = "console=ttyS0", .initrd = 0x8f000000, .initrd_len = 0x1234};

static int make(struct fixture *f, unsigned cpus, const struct board_boot *boot, size_t room)
{
    struct riscv_fdt_input in = {.cpus = cpus, .cpu = f->cpu, .memory = 512 << 20, .boot = boot};
    struct err err = {0};

    memset(in.seed, 0xa5, sizeof(in.seed));
    return riscv_virt_fdt(&in, f->fdt, room, &err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;

    assert_non_null(f);
    f->cpu = calloc(1, riscv_cpu_ops.instance_size);
    assert_non_null(f->cpu);
    f->cpu->ops = &riscv_cpu_ops;
    assert_int_equal(riscv_cpu_ops.init(f->cpu, "max", &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    riscv_cpu_ops.done(f->cpu);
    free(f->cpu);
    free(f);
    return 0;
}

static const char *text(const struct fixture *f, const char *path, const char *name)
{
    int node = fdt_path_offset(f->fdt, path);
    const char *value = fdt_getprop(f->fdt, node, name, NULL);

    if (!value)
        fail_msg("%s has no %s", path, name);
    return value;
}

static uint32_t cell(const struct fixture *f, const char *path, const char *name, unsigned index)
{
    int len = 0;
    const void *value = fdt_getprop(f->fdt, fdt_path_offset(f->fdt, path), name, &len);

    if (!value || len < (int)(4 * index + 4))
        fail_msg("%s has no %s[%u]", path, name, index);
    return fdt32_ld((const fdt32_t *)value + index);
}

static void has_what_linux_wants(void **state)
{
    struct fixture *f = *state;
    const char *cpu = "/cpus/cpu@1";

    assert_int_equal(make(f, 2, &test_boot, ROOM), 0);
    assert_string_equal(text(f, "/", "compatible"), "riscv-virtio");
    assert_int_equal(cell(f, "/cpus", "timebase-frequency", 0), 10000000);
    assert_string_equal(text(f, cpu, "riscv,isa-base"), "rv64i");
    assert_string_equal(text(f, cpu, "riscv,isa-extensions"), "i"); /* the first of the list */
    assert_ptr_equal(strstr(text(f, cpu, "riscv,isa"), "rv64imafdc_"), text(f, cpu, "riscv,isa"));
    assert_string_equal(text(f, cpu, "mmu-type"), "riscv,sv57");
    assert_int_equal(cell(f, cpu, "riscv,cboz-block-size", 0), 64);
    assert_int_equal(cell(f, cpu, "riscv,cbom-block-size", 0), 64);
    assert_string_equal(text(f, "/chosen", "bootargs"), "console=ttyS0");
    assert_string_equal(text(f, "/chosen", "stdout-path"), "/soc/serial@10000000");
    assert_int_equal(cell(f, "/chosen", "rng-seed", 0), 0xa5a5a5a5);
    assert_int_equal(cell(f, "/chosen", "linux,initrd-start", 1), 0x8f000000);
    assert_int_equal(cell(f, "/chosen", "linux,initrd-end", 1), 0x8f001234);
    assert_int_equal(cell(f, "/memory@80000000", "reg", 1), 0x80000000);
    assert_int_equal(cell(f, "/memory@80000000", "reg", 3), 512 << 20);
}

static void wires_interrupts(void **state)
{
    struct fixture *f = *state;
    const char *plic = "/soc/interrupt-controller@c000000", *pci = "/soc/pci@30000000";
    uint32_t phandle;

    assert_int_equal(make(f, 2, &test_boot, ROOM), 0);
    phandle = cell(f, plic, "phandle", 0);
    assert_int_equal(cell(f, plic, "interrupts-extended", 1), RISCV_IRQ_MEI);
    assert_int_equal(cell(f, plic, "interrupts-extended", 7), RISCV_IRQ_SEI);
    assert_int_equal(cell(f, plic, "interrupts-extended", 6),
                     cell(f, "/cpus/cpu@1/interrupt-controller", "phandle", 0));
    assert_int_equal(cell(f, "/soc/serial@10000000", "interrupts", 0), 10);
    assert_int_equal(cell(f, "/soc/serial@10000000", "interrupt-parent", 0), phandle);
    assert_int_equal(cell(f, "/soc/rtc@101000", "interrupts", 0), 11);
    /* Row 7 is slot 1, pin D: the last source of the four plus one, that is the first. */
    assert_int_equal(cell(f, pci, "interrupt-map", 7 * 6), 0x800);
    assert_int_equal(cell(f, pci, "interrupt-map", 7 * 6 + 3), 4);
    assert_int_equal(cell(f, pci, "interrupt-map", 7 * 6 + 4), phandle);
    assert_int_equal(cell(f, pci, "interrupt-map", 7 * 6 + 5), 32);
    assert_int_equal(cell(f, pci, "bus-range", 1), 0);
}

static void without_initrd_and_command_line(void **state)
{
    static const struct board_boot bare = {.append = ""};
    struct fixture *f = *state;
    int chosen;

    assert_int_equal(make(f, 1, &bare, ROOM), 0);
    chosen = fdt_path_offset(f->fdt, "/chosen");
    assert_null(fdt_getprop(f->fdt, chosen, "bootargs", NULL));
    assert_null(fdt_getprop(f->fdt, chosen, "linux,initrd-start", NULL));
}

static void too_long_a_command_line(void **state)
{
    struct board_boot boot = test_boot;
    struct fixture *f = *state;
    char *append = calloc(1, ROOM);

    assert_non_null(append);
    memset(append, 'x', ROOM - 1);
    boot.append = append;
    assert_int_equal(make(f, 1, &boot, ROOM), -ENOSPC);
    assert_int_equal(make(f, 1, &test_boot, 64), -ENOSPC);
    assert_int_equal(make(f, VM_CPUS_MAX, &test_boot, ROOM), 0);
    free(append);
}

/* Any output of dtc is a warning or an error. Skipped where it is not installed. */
static void dtc_accepts_it(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/posada-fdt-XXXXXX", command[128], line[256] = "";
    int fd = mkstemp(path);
    FILE *out;

    if (system("command -v dtc >/dev/null 2>&1")) { // NOLINT: a fixed command
        close(fd);
        unlink(path);
        skip();
    }
    assert_int_equal(make(f, 3, &test_boot, ROOM), 0);
    assert_int_equal(write(fd, f->fdt, fdt_totalsize(f->fdt)), fdt_totalsize(f->fdt));
    close(fd);
    snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1", path);
    out = popen(command, "r"); // NOLINT: a fixed command
    assert_non_null(out);
    if (fgets(line, sizeof(line), out))
        print_error("%s", line);
    assert_int_equal(pclose(out), 0);
    assert_string_equal(line, "");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_what_linux_wants),
        cmocka_unit_test(wires_interrupts),
        cmocka_unit_test(without_initrd_and_command_line),
        cmocka_unit_test(too_long_a_command_line),
        cmocka_unit_test(dtc_accepts_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
