/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86-64 board: which devices there are, where they sit and what their wires lead to. A PC
 * without its ballast: PCI Express by ECAM with virtio functions, and on ports only what kernels
 * and firmware cannot do without - 8259s, 8254, RTC, UART, reset, ACPI's fixed hardware.
 *
 * ISA interrupts reach both the 8259s and the I/O APIC (the timer at its pin 2); PCI's INTx reach
 * the I/O APIC alone, MSI-X no chip at all. Local APICs are the engine's.
 * Invariants: the device set is built in one order and never changes; interrupt controllers come
 * first, as settling goes from young to old.
 * With firmware it has more of a PC (x86_pc_firmware.c), and PCI lies where the firmware puts it.
 * Not modelled: DMA controllers, keyboard, VGA, HPET, floppy, IDE, hot plug.
 */
#include "board/x86_pc.h"
#include "base/bits.h"
#include "board/kit.h"
#include "board/x86_pc_firmware.h"
#include "cpu/x86/x86.h"
#include "devices/bus/pci_ports.h"
#include "devices/fw/acpi_pm.h"
#include "devices/fw/pc_control.h"
#include "devices/irqchip/i8259.h"
#include "devices/irqchip/ioapic.h"
#include "devices/rtc/mc146818.h"
#include "devices/timer/i8254.h"
#include "devices/uart/ns16550.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdlib.h>

struct x86_pc {
    struct board board; /* must be first */
    struct board_kit kit;
    struct mmio_bus *ports;
    struct device *pic, *ioapic, *pit, *uart, *pm, *rtc, *reset;
    struct pc_firmware firmware;  /* when there is one */
    uint8_t tables[PC_ACPI_SIZE]; /* for the moment of writing them */
};

static struct x86_pc *pc_of(struct board *board)
{
    return container_of(board, struct x86_pc, board);
}

static struct engine *pc_engine(const struct x86_pc *b)
{
    return b->kit.config.engine;
}

static bool pc_has_firmware(const struct x86_pc *b)
{
    return b->kit.config.firmware_size;
}

static struct x86_cpu *pc_cpu(const struct x86_pc *b, unsigned index)
{
    return x86_of(pc_engine(b)->ops->vcpu(pc_engine(b), index));
}

/* --- Interrupts --- */
static void pc_message(void *arg, uint64_t address, uint32_t data)
{
    struct engine *engine = pc_engine((struct x86_pc *)arg);

    engine->ops->apic->message(engine, address, data);
}

static void pc_route(void *arg, unsigned pin, bool masked, uint64_t address, uint32_t data)
{
    struct engine *engine = pc_engine((struct x86_pc *)arg);

    engine->ops->apic->route(engine, pin, masked, address, data);
}

static void pc_eoi(void *arg, uint8_t vector)
{
    struct x86_pc *b = (struct x86_pc *)arg;

    pthread_mutex_lock(b->kit.config.host.lock);
    ioapic_end(b->ioapic, vector);
    pthread_mutex_unlock(b->kit.config.host.lock);
}

static uint8_t pc_acknowledge(void *arg)
{
    struct x86_pc *b = (struct x86_pc *)arg;
    uint8_t vector;

    pthread_mutex_lock(b->kit.config.host.lock);
    vector = i8259_acknowledge(b->pic);
    pthread_mutex_unlock(b->kit.config.host.lock);
    return vector;
}

static bool pc_triple_fault(void *arg)
{
    struct x86_pc *b = (struct x86_pc *)arg;

    pthread_mutex_lock(b->kit.config.host.lock);
    b->kit.config.power.request(b->kit.config.power.arg, POWER_RESET, 0);
    pthread_mutex_unlock(b->kit.config.host.lock);
    return true;
}

/* An ISA interrupt: both controllers see it. */
static void pc_isa_input(void *sink, unsigned irq, bool level)
{
    struct x86_pc *b = (struct x86_pc *)sink;

    i8259_ops.input(b->pic, irq, level);
    ioapic_ops.input(b->ioapic, irq == PC_IRQ_TIMER ? PC_GSI_TIMER : irq, level);
}

const uint8_t pc_gsi_pci[PC_PCI_LINES] = {5, 6, 7, 10};

static void pc_pci_input(void *sink, unsigned line, bool level)
{
    const struct x86_pc *b = (const struct x86_pc *)sink;

    ioapic_ops.input(b->ioapic, pc_gsi_pci[line % PC_PCI_LINES], level);
}

static void pc_cpu_input(void *sink, unsigned pin, bool level)
{
    cpu_irq((struct cpu *)sink, pin, level);
}

static void pc_connect_isa(struct x86_pc *b, struct device *dev, unsigned irq)
{
    irq_connect(dev->ops->irq(dev, 0), pc_isa_input, b, irq);
}

static int pc_add_controllers(struct x86_pc *b, struct err *err)
{
    const struct ioapic_sink sink = {.message = pc_message, .route = pc_route, .arg = b};
    int r = board_kit_new(&b->kit, &i8259_ops, "pic", &b->pic, err);

    if (!r)
        r = board_kit_new(&b->kit, &ioapic_ops, "ioapic", &b->ioapic, err);
    if (r)
        return r;
    irq_connect(i8259_ops.irq(b->pic, 0), pc_cpu_input, &pc_cpu(b, 0)->cpu, X86_IRQ_EXTINT);
    pc_cpu(b, 0)->acknowledge = pc_acknowledge;
    pc_cpu(b, 0)->acknowledge_arg = b;
    for (unsigned i = 0; i < b->kit.config.cpus; i++) {
        pc_cpu(b, i)->triple_fault = pc_triple_fault;
        pc_cpu(b, i)->triple_fault_arg = b;
    }
    ioapic_connect(b->ioapic, &sink);
    ioapic_set_pins(b->ioapic, PC_GSIS);
    pc_engine(b)->ops->apic->on_eoi(pc_engine(b), pc_eoi, b);
    return board_kit_place(&b->kit, b->ioapic, PC_IOAPIC, err);
}

/* --- Ports --- */
static int pc_ports_add(struct x86_pc *b, unsigned port, struct device *dev,
                        const struct mmio_window *window, struct err *err)
{
    return window ? mmio_bus_add_window(b->ports, GPA(port), window, dev, err)
                  : mmio_bus_add(b->ports, GPA(port), dev, err);
}

/* A device whose register space stands at one port, without wires. */
static int pc_add_port_device(struct x86_pc *b, const struct device_ops *ops, const char *name,
                              unsigned port, struct device **ret_dev, struct err *err)
{
    int r = board_kit_new(&b->kit, ops, name, ret_dev, err);

    if (!r)
        r = device_init(*ret_dev, err);
    return r ? r : pc_ports_add(b, port, *ret_dev, NULL, err);
}

static int pc_add_pic_ports(struct x86_pc *b, struct err *err)
{
    static const uint16_t ports[I8259_WINDOWS] = {0x20, 0xa0, 0x4d0};
    int r = device_init(b->pic, err);

    for (unsigned i = 0; i < I8259_WINDOWS && !r; i++)
        r = pc_ports_add(b, ports[i], b->pic, &i8259_windows[i], err);
    return r;
}

static int pc_add_timer(struct x86_pc *b, struct err *err)
{
    int r = board_kit_new(&b->kit, &i8254_ops, "pit", &b->pit, err);

    if (r)
        return r;
    pc_connect_isa(b, b->pit, PC_IRQ_TIMER);
    r = device_init(b->pit, err);
    if (!r)
        r = pc_ports_add(b, 0x40, b->pit, &i8254_window, err);
    return r ? r : pc_ports_add(b, 0x61, b->pit, &i8254_speaker_window, err);
}

static int pc_add_uart(struct x86_pc *b, struct err *err)
{
    int r = board_kit_new(&b->kit, &ns16550_ops, "uart0", &b->uart, err);

    if (r)
        return r;
    ns16550_attach(b->uart, b->kit.config.console);
    pc_connect_isa(b, b->uart, PC_IRQ_UART);
    r = device_init(b->uart, err);
    return r ? r : pc_ports_add(b, 0x3f8, b->uart, NULL, err);
}

static int pc_add_clocks(struct x86_pc *b, struct err *err)
{
    int r = pc_add_port_device(b, &mc146818_ops, "rtc", 0x70, &b->rtc, err);

    if (r)
        return r;
    pc_connect_isa(b, b->rtc, PC_IRQ_RTC);
    r = pc_add_port_device(b, &acpi_pm_ops, "pm", PC_PORT_PM, &b->pm, err);
    if (!r)
        pc_connect_isa(b, b->pm, PC_IRQ_SCI);
    return r;
}

static int pc_add_control(struct x86_pc *b, struct err *err)
{
    struct device *dev;
    int r = board_kit_new(&b->kit, &i8042_ops, "i8042", &dev, err);

    if (!r)
        r = pc_ports_add(b, 0x60, dev, &i8042_data_window, err);
    if (!r)
        r = pc_ports_add(b, 0x64, dev, &i8042_command_window, err);
    if (!r)
        r = pc_add_port_device(b, &port92_ops, "port92", 0x92, &dev, err);
    if (!r)
        r = pc_add_port_device(b, &pvpanic_ops, "pvpanic", PC_PORT_PANIC, &dev, err);
    if (!r)
        r = pc_add_port_device(b, &debug_exit_ops, "debug-exit", PC_PORT_DEBUG_EXIT, &dev, err);
    if (!r)
        r = board_kit_new(&b->kit, &reset_control_ops, "reset", &b->reset, err);
    if (!r)
        r = device_init(b->reset, err);
    if (r || pc_has_firmware(b)) /* then it stands in the middle of the configuration ports */
        return r;
    return pc_ports_add(b, PC_PORT_RESET, b->reset, NULL, err);
}

/* --- PCI --- */
static int pc_add_pci(struct x86_pc *b, struct err *err)
{
    struct board_kit_pci pci = {
        .ecam = PC_ECAM,
        .window = PC_PCI_WINDOW,
        .window_size = PC_PCI_WINDOW_SIZE,
        .input = pc_pci_input,
        .sink = b,
        .msi = pc_message,
        .msi_arg = b,
    };

    if (pc_has_firmware(b)) {
        pci.no_ecam = true;
        pci.window = PC_FIRMWARE_WINDOW;
        pci.window_size = (uint32_t)(PC_IOAPIC - pci.window);
    }
    return board_kit_add_pci(&b->kit, &pci, err);
}

static int pc_add_firmware(struct x86_pc *b, struct err *err)
{
    if (!pc_has_firmware(b))
        return pc_firmware_add_fw_cfg(&b->firmware, &b->kit, b->ports, err);
    return pc_firmware_build(&b->firmware, &b->kit, b->ports, b->rtc, b->reset, err);
}

static int pc_add_virtio(struct x86_pc *b, struct err *err)
{
    return board_kit_add_virtio(&b->kit, err);
}

/* Index of the clock's registers; selector and upper half of the address of fw_cfg. Not the one of
 * PCI's configuration: the reset control stands in the middle of it. */
static void pc_latch_ports(const struct x86_pc *b)
{
    static const struct {
        uint16_t port;
        uint8_t size;
    } latches[] = {{0x70, 1}, {0x510, 2}, {0x514, 4}};
    struct engine *engine = pc_engine(b);

    for (size_t i = 0; i < ARRAY_LEN(latches) && engine->ops->latch; i++)
        engine->ops->latch(engine, latches[i].port, latches[i].size);
}

/* --- Life --- */
static int pc_build(struct x86_pc *b, struct err *err)
{
    static int (*const steps[])(struct x86_pc *, struct err *) = {
        pc_add_controllers, pc_add_pic_ports, pc_add_timer,    pc_add_uart,   pc_add_clocks,
        pc_add_control,     pc_add_pci,       pc_add_firmware, pc_add_virtio,
    };
    struct mem_io ports;

    b->ports = mmio_bus_new(b->kit.config.host.lock);
    if (!b->ports)
        return err_set(err, -ENOMEM, "no memory for the board");
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        int r = steps[i](b, err);

        if (r)
            return r;
    }
    board_kit_open(&b->kit);
    ports = mmio_bus_io(b->ports);
    mem_set_ports(b->kit.config.mem, &ports);
    pc_latch_ports(b);
    return 0;
}

static void pc_destroy(struct board *board)
{
    struct x86_pc *b;

    if (!board)
        return;
    b = pc_of(board);
    board_kit_done(&b->kit);
    mmio_bus_free(b->ports);
    free(b);
}

static int pc_add_memory(const struct board_config *config, struct err *err)
{
    uint64_t low = pc_low_memory(config->memory, config->firmware_size);
    int r = mem_add_ram(config->mem, GPA(0), low, err);

    if (!r && config->memory > low)
        r = mem_add_ram(config->mem, GPA(PC_HIGH), config->memory - low, err);
    return r;
}

static int pc_create(const struct board_config *config, struct board **ret_board, struct err *err)
{
    struct x86_pc *b;
    int r;

    if (!config->engine->ops->apic)
        return err_set(err, -EOPNOTSUPP, "board x86_pc: engine '%s' brings no local APICs",
                       config->engine->ops->name);
    b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, -ENOMEM, "no memory for the board");
    b->board.ops = &x86_pc_ops;
    r = board_kit_init(&b->kit, config, err);
    if (!r)
        r = pc_add_memory(config, err);
    if (!r)
        r = pc_build(b, err);
    if (r) {
        pc_destroy(&b->board);
        return r;
    }
    *ret_board = &b->board;
    return 0;
}

/* --- Starting --- */
static int pc_write_tables(struct x86_pc *b, struct err *err)
{
    const struct board_config *c = &b->kit.config;
    int r;

    if (pc_has_firmware(b))
        return pc_firmware_reset(&b->firmware, b->tables, err);
    r = pc_firmware_tell(&b->firmware, err);
    if (r)
        return err_set(err, r, "no memory for the board");
    r = pc_acpi_tables(c->cpus, false, b->tables, PC_ACPI_SIZE, PC_ACPI, NULL, err);
    if (!r)
        r = mem_write(c->mem, GPA(PC_ACPI), b->tables, PC_ACPI_SIZE);
    if (!r)
        r = pc_smbios_tables(c->memory, c->cpus, b->tables, PC_SMBIOS_SIZE, PC_SMBIOS, NULL, err);
    if (!r)
        r = mem_write(c->mem, GPA(PC_SMBIOS), b->tables, PC_SMBIOS_SIZE);
    return r == -EFAULT ? err_set(err, -ENOMEM, "no room for tables; give more with --memory") : r;
}

static int pc_reset(struct board *board, const struct board_boot *boot, struct err *err)
{
    struct x86_pc *b = pc_of(board);
    const struct board_config *c = &b->kit.config;
    int r = pc_write_tables(b, err);

    for (unsigned i = 0; i < c->cpus && !r; i++)
        pc_engine(b)->ops->reset(pc_engine(b), i);
    if (!r)
        r = pc_enter(boot, c->memory, c->mem, pc_cpu(b, 0), err);
    if (!r)
        device_reset_all(&b->kit.devices);
    return r;
}

static enum board_action pc_hypercall(struct board *board, struct cpu *cpu)
{
    return BOARD_CONTINUE; /* there are none that leave the engine */
}

/* Waiting for INIT and SIPI is the engine's, with its local APICs. */
static bool pc_vcpu_on(const struct board *board, unsigned index)
{
    return true;
}

static const struct device_set *pc_devices(const struct board *board)
{
    return &((const struct x86_pc *)(const void *)board)->kit.devices;
}

const struct board_ops x86_pc_ops = {
    .name = "x86_pc",
    .arch = ARCH_X86_64,
    .cpu_ops = &x86_cpu_ops,
    .memory_max = PC_MEMORY_MAX,
    .cpus_max = VM_CPUS_MAX,
    .plan = pc_plan,
    .create = pc_create,
    .destroy = pc_destroy,
    .reset = pc_reset,
    .hypercall = pc_hypercall,
    .vcpu_on = pc_vcpu_on,
    .devices = pc_devices,
};
