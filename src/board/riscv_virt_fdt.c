/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device tree of the RISC-V board, as Linux expects of "riscv-virtio". Spec: Devicetree
 * Specification 0.4; bindings in Linux Documentation/devicetree/bindings: riscv/cpus.yaml,
 * riscv/extensions.yaml, interrupt-controller/sifive,plic-1.0.0.yaml, timer/sifive,clint.yaml,
 * pci/host-generic-pci.yaml, power/reset/syscon-*.yaml. Frequencies are told here, so a guest has
 * nothing to calibrate. PCI devices are not listed: the guest enumerates them.
 * Invariant: libfdt remembers the first error, so only the end of each step is checked.
 */
#include "board/riscv_virt.h"
#include "cpu/riscv/riscv.h"
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

enum { FDT_CELLS = 2, FDT_BLOCK_SIZE = 64, FDT_UART_HZ = 3686400 };
enum { SYSCON_POWEROFF = 0x5555, SYSCON_REBOOT = 0x7777 };
enum { PHANDLE_PLIC = 1, PHANDLE_SYSCON = 2, PHANDLE_INTC = 0x100, PHANDLE_CPU = 0x200 };
enum { PCI_SPACE_IO = 0x01000000, PCI_SPACE_MEM32 = 0x02000000 };
enum { FDT_ISA_TEXT = 1024 };

/* The tree under construction; r is the first error, and later calls do nothing after it. */
struct fdt_out {
    void *fdt;
    int r;
};

static void fdt_open(struct fdt_out *o, const char *name)
{
    o->r = o->r ? o->r : fdt_begin_node(o->fdt, name);
}

static void fdt_open_at(struct fdt_out *o, const char *name, uint64_t address)
{
    char full[48];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    fdt_open(o, full);
}

static void fdt_close_node(struct fdt_out *o)
{
    o->r = o->r ? o->r : fdt_end_node(o->fdt);
}

static void fdt_bytes(struct fdt_out *o, const char *name, const void *data, size_t len)
{
    o->r = o->r ? o->r : fdt_property(o->fdt, name, data, (int)len);
}

static void fdt_text(struct fdt_out *o, const char *name, const char *text)
{
    fdt_bytes(o, name, text, strlen(text) + 1);
}

static void fdt_flag(struct fdt_out *o, const char *name)
{
    fdt_bytes(o, name, NULL, 0);
}

static void fdt_u32(struct fdt_out *o, const char *name, uint32_t val)
{
    o->r = o->r ? o->r : fdt_property_u32(o->fdt, name, val);
}

static void fdt_u64(struct fdt_out *o, const char *name, uint64_t val)
{
    o->r = o->r ? o->r : fdt_property_u64(o->fdt, name, val);
}

/* An array of 32-bit cells. */
static void fdt_cells(struct fdt_out *o, const char *name, const uint32_t *cell, unsigned count)
{
    void *to;

    o->r =
        o->r ? o->r : fdt_property_placeholder(o->fdt, name, (int)(count * sizeof(uint32_t)), &to);
    if (o->r)
        return;
    for (unsigned i = 0; i < count; i++)
        fdt32_st((char *)to + i * sizeof(uint32_t), cell[i]);
}

static void fdt_reg(struct fdt_out *o, uint64_t base, uint64_t size)
{
    const uint32_t cell[] = {(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                             (uint32_t)size};

    fdt_cells(o, "reg", cell, ARRAY_LEN(cell));
}

static void fdt_cell_counts(struct fdt_out *o, uint32_t address, uint32_t size)
{
    fdt_u32(o, "#address-cells", address);
    fdt_u32(o, "#size-cells", size);
}

static void fdt_open_slot(struct fdt_out *o, const char *name, const struct riscv_virt_slot *slot)
{
    fdt_open_at(o, name, slot->base);
    fdt_reg(o, slot->base, slot->size);
    if (slot->irq) {
        fdt_u32(o, "interrupt-parent", PHANDLE_PLIC);
        fdt_u32(o, "interrupts", slot->irq);
    }
}

/* The list form of the extensions, and the old long string of the same. */
static void fdt_isa(struct fdt_out *o, const struct cpu *cpu)
{
    char text[FDT_ISA_TEXT];
    const char *names[RISCV_ISA_EXTENSIONS_MAX];
    unsigned count = riscv_isa_extensions(cpu, names);
    size_t len = 0;

    riscv_isa_string(cpu, text, sizeof(text));
    fdt_text(o, "riscv,isa", text);
    fdt_text(o, "riscv,isa-base", RISCV_ISA_BASE);
    for (unsigned i = 0; i < count; i++) {
        size_t n = strlen(names[i]) + 1;

        if (n > sizeof(text) - len)
            break; /* our own list: a test compares both forms */
        memcpy(text + len, names[i], n);
        len += n;
    }
    fdt_bytes(o, "riscv,isa-extensions", text, len);
}

static void fdt_cpu(struct fdt_out *o, const struct cpu *cpu, unsigned index)
{
    fdt_open_at(o, "cpu", index);
    fdt_text(o, "device_type", "cpu");
    fdt_text(o, "compatible", "riscv");
    fdt_u32(o, "reg", index);
    fdt_text(o, "status", "okay");
    fdt_isa(o, cpu);
    fdt_text(o, "mmu-type", "riscv,sv57");
    fdt_u32(o, "riscv,cbom-block-size", FDT_BLOCK_SIZE);
    fdt_u32(o, "riscv,cboz-block-size", FDT_BLOCK_SIZE);
    fdt_u32(o, "phandle", PHANDLE_CPU + index);
    fdt_open(o, "interrupt-controller");
    fdt_text(o, "compatible", "riscv,cpu-intc");
    fdt_flag(o, "interrupt-controller");
    fdt_u32(o, "#interrupt-cells", 1);
    fdt_u32(o, "#address-cells", 0); /* dtc asks for it, Linux does not */
    fdt_u32(o, "phandle", PHANDLE_INTC + index);
    fdt_close_node(o);
    fdt_close_node(o);
}

static void fdt_cpus(struct fdt_out *o, const struct riscv_fdt_input *in)
{
    fdt_open(o, "cpus");
    fdt_cell_counts(o, 1, 0);
    fdt_u32(o, "timebase-frequency", RISCV_TIMEBASE_HZ);
    for (unsigned i = 0; i < in->cpus; i++)
        fdt_cpu(o, in->cpu, i);
    fdt_close_node(o);
}

/* interrupts-extended with the same two CPU inputs for every hart. */
static void fdt_hart_irqs(struct fdt_out *o, unsigned cpus, uint32_t first, uint32_t second)
{
    uint32_t cell[VM_CPUS_MAX * 4];

    for (unsigned i = 0; i < cpus; i++) {
        cell[4 * i] = cell[4 * i + 2] = PHANDLE_INTC + i;
        cell[4 * i + 1] = first;
        cell[4 * i + 3] = second;
    }
    fdt_cells(o, "interrupts-extended", cell, cpus * 4);
}

static void fdt_interrupt_controllers(struct fdt_out *o, unsigned cpus)
{
    static const char plic[] = "sifive,plic-1.0.0\0riscv,plic0";
    static const char clint[] = "sifive,clint0\0riscv,clint0";

    fdt_open_slot(o, "interrupt-controller", &riscv_virt_map[VIRT_PLIC]);
    fdt_bytes(o, "compatible", plic, sizeof(plic));
    fdt_flag(o, "interrupt-controller");
    fdt_u32(o, "#interrupt-cells", 1);
    fdt_u32(o, "#address-cells", 0);
    fdt_u32(o, "riscv,ndev", VIRT_PLIC_SOURCES);
    fdt_hart_irqs(o, cpus, RISCV_IRQ_MEI, RISCV_IRQ_SEI);
    fdt_u32(o, "phandle", PHANDLE_PLIC);
    fdt_close_node(o);

    fdt_open_slot(o, "timer", &riscv_virt_map[VIRT_CLINT]);
    fdt_bytes(o, "compatible", clint, sizeof(clint));
    fdt_hart_irqs(o, cpus, RISCV_IRQ_MSI, RISCV_IRQ_MTI);
    fdt_close_node(o);
}

static void fdt_simple_devices(struct fdt_out *o)
{
    static const char syscon[] = "sifive,test1\0sifive,test0\0syscon";

    fdt_open_slot(o, "serial", &riscv_virt_map[VIRT_UART]);
    fdt_text(o, "compatible", "ns16550a");
    fdt_u32(o, "clock-frequency", FDT_UART_HZ);
    fdt_close_node(o);

    fdt_open_slot(o, "rtc", &riscv_virt_map[VIRT_RTC]);
    fdt_text(o, "compatible", "google,goldfish-rtc");
    fdt_close_node(o);

    fdt_open_slot(o, "test", &riscv_virt_map[VIRT_SYSCON]);
    fdt_bytes(o, "compatible", syscon, sizeof(syscon));
    fdt_u32(o, "phandle", PHANDLE_SYSCON);
    fdt_close_node(o);
}

/* Four INTx lines, rotated by slot number; the map covers four slots and the mask folds the rest
 * onto them. Each row: child address (3 cells), pin, controller, source. */
static void fdt_pci_interrupts(struct fdt_out *o, unsigned first_irq)
{
    enum { ROW = 6 };
    static const uint32_t mask[] = {0x1800, 0, 0, 7};
    uint32_t cell[VIRT_PCI_INTX * VIRT_PCI_INTX * ROW], *row = cell;

    for (unsigned slot = 0; slot < VIRT_PCI_INTX; slot++) {
        for (unsigned pin = 0; pin < VIRT_PCI_INTX; pin++, row += ROW) {
            row[0] = slot << 11;
            row[1] = row[2] = 0;
            row[3] = pin + 1;
            row[4] = PHANDLE_PLIC;
            row[5] = first_irq + (slot + pin) % VIRT_PCI_INTX;
        }
    }
    fdt_u32(o, "#interrupt-cells", 1);
    fdt_cells(o, "interrupt-map-mask", mask, ARRAY_LEN(mask));
    fdt_cells(o, "interrupt-map", cell, ARRAY_LEN(cell));
}

static void fdt_pci(struct fdt_out *o)
{
    const struct riscv_virt_slot *ecam = &riscv_virt_map[VIRT_ECAM];
    const struct riscv_virt_slot *mmio = &riscv_virt_map[VIRT_PCI_MMIO];
    const uint32_t base = (uint32_t)mmio->base, size = (uint32_t)mmio->size;
    const uint32_t ranges[] = {PCI_SPACE_MEM32, 0, base, 0, base, 0, size};
    const uint32_t buses[] = {0, (uint32_t)(ecam->size >> 20) - 1};

    fdt_open_at(o, "pci", ecam->base);
    fdt_text(o, "compatible", "pci-host-ecam-generic");
    fdt_text(o, "device_type", "pci");
    fdt_reg(o, ecam->base, ecam->size);
    fdt_cell_counts(o, 3, 2);
    fdt_u32(o, "linux,pci-domain", 0);
    fdt_cells(o, "bus-range", buses, ARRAY_LEN(buses));
    fdt_flag(o, "dma-coherent");
    fdt_cells(o, "ranges", ranges, ARRAY_LEN(ranges));
    fdt_pci_interrupts(o, ecam->irq);
    fdt_close_node(o);
}

static void fdt_syscon_user(struct fdt_out *o, const char *name, const char *compatible,
                            uint32_t value)
{
    fdt_open(o, name);
    fdt_text(o, "compatible", compatible);
    fdt_u32(o, "regmap", PHANDLE_SYSCON);
    fdt_u32(o, "offset", 0);
    fdt_u32(o, "value", value);
    fdt_close_node(o);
}

static void fdt_chosen(struct fdt_out *o, const struct riscv_fdt_input *in)
{
    const struct board_boot *boot = in->boot;
    char uart[64];

    snprintf(uart, sizeof(uart), "/soc/serial@%llx",
             (unsigned long long)riscv_virt_map[VIRT_UART].base);
    fdt_open(o, "aliases");
    fdt_text(o, "serial0", uart);
    fdt_close_node(o);

    fdt_open(o, "chosen");
    fdt_text(o, "stdout-path", uart);
    fdt_bytes(o, "rng-seed", in->seed, sizeof(in->seed));
    if (boot->append && boot->append[0])
        fdt_text(o, "bootargs", boot->append);
    if (boot->initrd_len) {
        fdt_u64(o, "linux,initrd-start", boot->initrd);
        fdt_u64(o, "linux,initrd-end", boot->initrd + boot->initrd_len);
    }
    fdt_close_node(o);
}

static void fdt_root(struct fdt_out *o, const struct riscv_fdt_input *in)
{
    uint64_t ram = riscv_virt_map[VIRT_RAM].base;

    fdt_open(o, "");
    fdt_cell_counts(o, FDT_CELLS, FDT_CELLS);
    fdt_text(o, "compatible", "riscv-virtio");
    fdt_text(o, "model", "riscv-virtio,posada");
    fdt_chosen(o, in);
    fdt_open_at(o, "memory", ram);
    fdt_text(o, "device_type", "memory");
    fdt_reg(o, ram, in->memory);
    fdt_close_node(o);
    fdt_cpus(o, in);
    fdt_open(o, "soc");
    fdt_cell_counts(o, FDT_CELLS, FDT_CELLS);
    fdt_text(o, "compatible", "simple-bus");
    fdt_flag(o, "ranges");
    fdt_interrupt_controllers(o, in->cpus);
    fdt_simple_devices(o);
    fdt_pci(o);
    fdt_close_node(o);
    fdt_syscon_user(o, "poweroff", "syscon-poweroff", SYSCON_POWEROFF);
    fdt_syscon_user(o, "reboot", "syscon-reboot", SYSCON_REBOOT);
    fdt_close_node(o);
}

int riscv_virt_fdt(const struct riscv_fdt_input *in, void *buf, size_t room, struct err *err)
{
    struct fdt_out o = {.fdt = buf};

    o.r = fdt_create(buf, (int)room);
    o.r = o.r ? o.r : fdt_finish_reservemap(buf);
    fdt_root(&o, in);
    o.r = o.r ? o.r : fdt_finish(buf);
    if (o.r)
        return err_set(err, -ENOSPC,
                       "device tree: %s; the kernel command line (--append) is probably too long",
                       fdt_strerror(o.r));
    return 0;
}
