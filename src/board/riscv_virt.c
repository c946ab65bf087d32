/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V board: which devices there are, where they sit and what their wires lead to.
 * Memory map as QEMU's `virt` (hw/riscv/virt.c documents it), so that OpenSBI's generic platform
 * and stock kernels run. A kernel is entered in S mode with the SBI served here; firmware and bare
 * programs are entered in M mode on all harts at once.
 *
 * Invariants: the device set is built in one order and never changes, so state has stable names;
 * the interrupt controller comes first, as settling goes from young to old.
 * Not modelled: flash, fw_cfg, virtio-mmio, IMSIC (so PCI functions use INTx).
 */
#include "board/riscv_virt.h"
#include "base/bits.h"
#include "base/endian.h"
#include "board/kit.h"
#include "board/riscv_sbi.h"
#include "cpu/riscv/riscv.h"
#include "devices/fw/finisher.h"
#include "devices/irqchip/aclint.h"
#include "devices/irqchip/plic.h"
#include "devices/rtc/goldfish_rtc.h"
#include "devices/timer/sstc.h"
#include "devices/uart/ns16550.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct riscv_virt_slot riscv_virt_map[VIRT_REGIONS] = {
    [VIRT_SYSCON] = {"finisher", 0x100000, 0x1000, 0},
    [VIRT_RTC] = {"rtc", 0x101000, 0x1000, 11},
    [VIRT_CLINT] = {"clint", 0x2000000, 0x10000, 0},
    [VIRT_SSWI] = {"sswi", 0x2f00000, 0x4000, 0},
    [VIRT_PLIC] = {"plic", 0xc000000, 0x4000000, 0},
    [VIRT_UART] = {"uart0", 0x10000000, 0x100, 10},
    [VIRT_ECAM] = {"pci", 0x30000000, PCI_ECAM_SIZE, 32},
    [VIRT_PCI_MMIO] = {"pci-window", 0x40000000, 0x40000000, 0},
    [VIRT_RAM] = {"ram", 0x80000000, 0, 0},
};

enum { CLINT_MTIMER = 0x4000 };
enum { UART_DATA = 0, UART_LSR = 5, LSR_DATA_READY = 1, LSR_THR_EMPTY = 0x20 };

/* At the end of low RAM: struct fw_dynamic_info in a page, then the device tree. */
enum { TABLES_SIZE = 0x20000, TABLES_FDT = 0x1000, FDT_SIZE = TABLES_SIZE - TABLES_FDT };
#define LOW_RAM_MAX (UINT64_C(2) << 30) /* kernel, initrd and tables stay below this */
#define MEMORY_MAX  (UINT64_C(1) << 40)
enum { KERNEL_ALIGN = 2 << 20 };

/* OpenSBI include/sbi/fw_dynamic.h: six 64-bit words. */
#define FW_DYNAMIC_MAGIC UINT64_C(0x4942534f)
enum { FW_DYNAMIC_VERSION = 2, FW_DYNAMIC_WORDS = 6 };

struct riscv_virt {
    struct board board; /* must be first */
    struct board_kit kit;
    struct device *plic, *uart, *sstc;
    struct riscv_sbi *sbi;
    bool bare;      /* M mode: the SBI is not ours, all harts are on */
    bool resetting; /* vCPUs stand still and the machine lock is held already */
    uint8_t fdt[FDT_SIZE];
};

static struct riscv_virt *virt_of(struct board *board)
{
    return container_of(board, struct riscv_virt, board);
}

static struct cpu *virt_cpu(const struct riscv_virt *b, unsigned index)
{
    return b->kit.config.engine->ops->vcpu(b->kit.config.engine, index);
}

static uint64_t virt_ram_base(void)
{
    return riscv_virt_map[VIRT_RAM].base;
}

/* --- Wires --- */
static void virt_cpu_input(void *sink, unsigned pin, bool level)
{
    cpu_irq((struct cpu *)sink, pin, level);
}

/* Output n of dev drives this pin of hart n. */
static void virt_connect_harts(struct riscv_virt *b, struct device *dev, unsigned pin)
{
    for (unsigned i = 0; i < b->kit.config.cpus; i++)
        irq_connect(dev->ops->irq(dev, i), virt_cpu_input, virt_cpu(b, i), pin);
}

static void virt_connect_plic_outputs(struct riscv_virt *b)
{
    for (unsigned i = 0; i < b->kit.config.cpus; i++) {
        irq_connect(plic_ops.irq(b->plic, 2 * i), virt_cpu_input, virt_cpu(b, i), RISCV_IRQ_MEI);
        irq_connect(plic_ops.irq(b->plic, 2 * i + 1), virt_cpu_input, virt_cpu(b, i),
                    RISCV_IRQ_SEI);
    }
}

static void virt_connect_plic_input(struct riscv_virt *b, struct device *dev,
                                    enum riscv_virt_region region)
{
    irq_connect(dev->ops->irq(dev, 0), plic_ops.input, b->plic, riscv_virt_map[region].irq);
}

static void virt_timer_changed(void *arg, unsigned hart, uint64_t stimecmp)
{
    struct riscv_virt *b = (struct riscv_virt *)arg;

    if (b->resetting) {
        sstc_set(b->sstc, hart, stimecmp);
        return;
    }
    pthread_mutex_lock(b->kit.config.host.lock);
    sstc_set(b->sstc, hart, stimecmp);
    pthread_mutex_unlock(b->kit.config.host.lock);
}

/* --- Making devices --- */
static int virt_add_plic(struct riscv_virt *b, struct err *err)
{
    int r = board_kit_new(&b->kit, &plic_ops, "plic", &b->plic, err);

    if (!r)
        r = plic_setup(b->plic, VIRT_PLIC_SOURCES, 2 * b->kit.config.cpus, err);
    if (r)
        return r;
    virt_connect_plic_outputs(b);
    return board_kit_place(&b->kit, b->plic, riscv_virt_map[VIRT_PLIC].base, err);
}

static int virt_add_mswi(struct riscv_virt *b, struct err *err)
{
    struct device *dev;
    int r = board_kit_new(&b->kit, &aclint_mswi_ops, "mswi", &dev, err);

    if (!r)
        r = aclint_mswi_setup(dev, b->kit.config.cpus, err);
    if (r)
        return r;
    virt_connect_harts(b, dev, RISCV_IRQ_MSI);
    return board_kit_place(&b->kit, dev, riscv_virt_map[VIRT_CLINT].base, err);
}

static int virt_add_mtimer(struct riscv_virt *b, struct err *err)
{
    struct device *dev;
    int r = board_kit_new(&b->kit, &aclint_mtimer_ops, "mtimer", &dev, err);

    if (!r)
        r = aclint_mtimer_setup(dev, b->kit.config.cpus, RISCV_TIMEBASE_HZ, err);
    if (r)
        return r;
    virt_connect_harts(b, dev, RISCV_IRQ_MTI);
    return board_kit_place(&b->kit, dev, riscv_virt_map[VIRT_CLINT].base + CLINT_MTIMER, err);
}

static int virt_add_sswi(struct riscv_virt *b, struct err *err)
{
    struct device *dev;
    int r = board_kit_new(&b->kit, &aclint_sswi_ops, "sswi", &dev, err);

    if (!r)
        r = aclint_sswi_setup(dev, b->kit.config.cpus, err);
    if (r)
        return r;
    virt_connect_harts(b, dev, RISCV_IRQ_SSI);
    return board_kit_place(&b->kit, dev, riscv_virt_map[VIRT_SSWI].base, err);
}

static int virt_add_sstc(struct riscv_virt *b, struct err *err)
{
    int r = board_kit_new(&b->kit, &sstc_ops, "sstc", &b->sstc, err);

    if (!r)
        r = sstc_setup(b->sstc, b->kit.config.cpus, RISCV_TIMEBASE_HZ, err);
    if (r)
        return r;
    virt_connect_harts(b, b->sstc, RISCV_IRQ_STI);
    for (unsigned i = 0; i < b->kit.config.cpus; i++) {
        riscv_of(virt_cpu(b, i))->timer_changed = virt_timer_changed;
        riscv_of(virt_cpu(b, i))->timer_arg = b;
    }
    return device_init(b->sstc, err);
}

static int virt_add_uart(struct riscv_virt *b, struct err *err)
{
    int r = board_kit_new(&b->kit, &ns16550_ops, "uart0", &b->uart, err);

    if (r)
        return r;
    ns16550_attach(b->uart, b->kit.config.console);
    virt_connect_plic_input(b, b->uart, VIRT_UART);
    return board_kit_place(&b->kit, b->uart, riscv_virt_map[VIRT_UART].base, err);
}

static int virt_add_rtc(struct riscv_virt *b, struct err *err)
{
    struct device *dev;
    int r = board_kit_new(&b->kit, &goldfish_rtc_ops, "rtc", &dev, err);

    if (r)
        return r;
    virt_connect_plic_input(b, dev, VIRT_RTC);
    return board_kit_place(&b->kit, dev, riscv_virt_map[VIRT_RTC].base, err);
}

static int virt_add_finisher(struct riscv_virt *b, struct err *err)
{
    struct device *dev;
    int r = board_kit_new(&b->kit, &finisher_ops, "finisher", &dev, err);

    return r ? r : board_kit_place(&b->kit, dev, riscv_virt_map[VIRT_SYSCON].base, err);
}

/* --- PCI --- */
static int virt_add_pci_host(struct riscv_virt *b, struct err *err)
{
    const struct riscv_virt_slot *ecam = &riscv_virt_map[VIRT_ECAM];
    const struct riscv_virt_slot *mmio = &riscv_virt_map[VIRT_PCI_MMIO];
    const struct board_kit_pci pci = {
        .ecam = ecam->base,
        .window = mmio->base,
        .window_size = (uint32_t)mmio->size,
        .input = plic_ops.input,
        .sink = b->plic,
        .irq = ecam->irq,
    };

    return board_kit_add_pci(&b->kit, &pci, err);
}

static int virt_add_virtio_devices(struct riscv_virt *b, struct err *err)
{
    return board_kit_add_virtio(&b->kit, err);
}

/* --- The SBI's console: through the UART's registers, as firmware would --- */
static bool virt_put(void *arg, uint8_t byte)
{
    struct device *uart = ((struct riscv_virt *)arg)->uart;

    if (!(ns16550_ops.read(uart, UART_LSR, 1) & LSR_THR_EMPTY))
        return false;
    ns16550_ops.write(uart, UART_DATA, 1, byte);
    return true;
}

static int virt_get(void *arg)
{
    struct device *uart = ((struct riscv_virt *)arg)->uart;

    if (!(ns16550_ops.read(uart, UART_LSR, 1) & LSR_DATA_READY))
        return -1;
    return (uint8_t)ns16550_ops.read(uart, UART_DATA, 1);
}

static int virt_add_sbi(struct riscv_virt *b, struct err *err)
{
    const struct riscv_sbi_config config = {
        .engine = b->kit.config.engine,
        .mem = b->kit.config.mem,
        .harts = b->kit.config.cpus,
        .host = b->kit.config.host,
        .power = b->kit.config.power,
        .put = virt_put,
        .get = virt_get,
        .arg = b,
    };

    b->sbi = riscv_sbi_new(&config);
    return b->sbi ? 0 : err_set(err, -ENOMEM, "no memory for the board");
}

/* --- Life --- */
static int virt_build(struct riscv_virt *b, struct err *err)
{
    static int (*const steps[])(struct riscv_virt *, struct err *) = {
        virt_add_plic,     virt_add_mswi,           virt_add_mtimer, virt_add_sswi,
        virt_add_sstc,     virt_add_uart,           virt_add_rtc,    virt_add_finisher,
        virt_add_pci_host, virt_add_virtio_devices, virt_add_sbi,
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        int r = steps[i](b, err);

        if (r)
            return r;
    }
    board_kit_open(&b->kit);
    return 0;
}

static void virt_destroy(struct board *board)
{
    struct riscv_virt *b;

    if (!board)
        return;
    b = virt_of(board);
    riscv_sbi_free(b->sbi);
    board_kit_done(&b->kit);
    free(b);
}

static int virt_create(const struct board_config *config, struct board **ret_board, struct err *err)
{
    struct riscv_virt *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return err_set(err, -ENOMEM, "no memory for the board");
    b->board.ops = &riscv_virt_ops;
    r = board_kit_init(&b->kit, config, err);
    if (!r)
        r = mem_add_ram(config->mem, GPA(virt_ram_base()), config->memory, err);
    if (!r)
        r = virt_build(b, err);
    if (r) {
        virt_destroy(&b->board);
        return r;
    }
    *ret_board = &b->board;
    return 0;
}

/* --- Starting --- */
static uint64_t virt_tables(uint64_t memory)
{
    uint64_t low = memory < LOW_RAM_MAX ? memory : LOW_RAM_MAX;

    return align_down(virt_ram_base() + low - TABLES_SIZE, GUEST_PAGE_SIZE);
}

/* Places an Image and the initrd: the kernel low, the initrd below the tables. */
static int virt_place_files(const struct board_files *files, uint64_t *ret_kernel,
                            uint64_t *ret_initrd, struct err *err)
{
    bool is_linux = files->kernel.kind == BOARD_IMAGE_LINUX;
    uint64_t kernel_len = is_linux ? files->kernel.memory_size : 0, room;
    uint64_t kernel = virt_ram_base() + KERNEL_ALIGN, end = virt_tables(files->memory);

    if (is_linux && files->kernel.text_offset > KERNEL_ALIGN)
        kernel = virt_ram_base() + files->kernel.text_offset;
    if (files->memory <= TABLES_SIZE || end <= kernel)
        return err_set(err, -ENOMEM,
                       "%llu MiB of memory are too few for this board; give more "
                       "with --memory",
                       (unsigned long long)(files->memory >> 20));
    room = end - kernel;
    if (kernel_len > room || align_up(files->initrd_len, GUEST_PAGE_SIZE) > room - kernel_len)
        return err_set(err, -ENOMEM,
                       "kernel (%llu MiB) and initrd (%llu MiB) do not fit the guest's %llu MiB of "
                       "memory; give more with --memory",
                       (unsigned long long)(kernel_len >> 20),
                       (unsigned long long)(files->initrd_len >> 20),
                       (unsigned long long)(files->memory >> 20));
    *ret_kernel = kernel;
    *ret_initrd = align_down(end - files->initrd_len, GUEST_PAGE_SIZE);
    return 0;
}

/* There are three ways in: a Linux kernel in S mode, the SBI being served here; firmware in M
 * mode, with or without a kernel to go on to; a bare ELF program in M mode. A vmlinux (an ELF file
 * linked below RAM) is a kernel. */
static int virt_plan(const struct board_files *files, struct board_boot *ret_boot, struct err *err)
{
    const struct board_image *kernel = &files->kernel, *firmware = &files->firmware;
    bool bare_kernel = kernel->kind == BOARD_IMAGE_ELF && kernel->lowest >= virt_ram_base();
    struct board_boot b = {.initrd_len = files->initrd_len, .append = files->append};
    uint64_t place = 0, kernel_entry;
    int r = virt_place_files(files, &place, &b.initrd, err);

    if (r)
        return r;
    b.firmware_at = firmware->kind == BOARD_IMAGE_RAW ? virt_ram_base() : 0;
    b.kernel_at = bare_kernel ? 0 : place;
    kernel_entry = b.kernel_at + kernel->entry;
    if (firmware->kind) {
        b.entry = b.firmware_at + firmware->entry;
        b.next = kernel->kind ? kernel_entry : 0;
    } else {
        b.entry = kernel_entry;
    }
    b.bare = bare_kernel || firmware->kind;
    *ret_boot = b;
    return 0;
}

static int virt_write_fdt(struct riscv_virt *b, const struct board_boot *boot, uint64_t at,
                          struct err *err)
{
    struct riscv_fdt_input in = {.cpus = b->kit.config.cpus,
                                 .cpu = virt_cpu(b, 0),
                                 .memory = b->kit.config.memory,
                                 .boot = boot};
    int r;

    for (size_t i = 0; i < sizeof(in.seed); i += sizeof(uint64_t))
        st_le64(in.seed + i, b->kit.config.random());
    memset(b->fdt, 0, sizeof(b->fdt));
    r = riscv_virt_fdt(&in, b->fdt, sizeof(b->fdt), err);
    if (!r && mem_write(b->kit.config.mem, GPA(at), b->fdt, sizeof(b->fdt)))
        r = err_set(err, -ENOMEM, "no room for the device tree; give more with --memory");
    return r;
}

/* Tells fw_dynamic firmware where to go on: in S mode, with any boot hart. */
static int virt_write_fw_info(struct riscv_virt *b, const struct board_boot *boot, uint64_t at,
                              struct err *err)
{
    const uint64_t word[FW_DYNAMIC_WORDS] = {
        FW_DYNAMIC_MAGIC, FW_DYNAMIC_VERSION, boot->next, RISCV_S, 0, 0};
    uint8_t buf[sizeof(word)];

    for (size_t i = 0; i < ARRAY_LEN(word); i++)
        st_le64(buf + 8 * i, word[i]);
    if (mem_write(b->kit.config.mem, GPA(at), buf, sizeof(buf)))
        return err_set(err, -ENOMEM, "no room for the firmware's tables; give more with --memory");
    return 0;
}

static void virt_boot_harts(struct riscv_virt *b, const struct board_boot *boot, uint64_t tables)
{
    for (unsigned i = 0; i < b->kit.config.cpus; i++) {
        struct cpu *cpu = virt_cpu(b, i);

        b->kit.config.engine->ops->reset(b->kit.config.engine, i);
        riscv_boot(cpu, boot->bare ? RISCV_M : RISCV_S, boot->entry, i, tables + TABLES_FDT,
                   !boot->bare);
        if (boot->bare)
            cpu->slot[RISCV_SLOT_X + 12] = tables; /* a2: fw_dynamic's information */
    }
}

static int virt_reset(struct board *board, const struct board_boot *boot, struct err *err)
{
    struct riscv_virt *b = virt_of(board);
    uint64_t tables = virt_tables(b->kit.config.memory);
    int r = virt_write_fdt(b, boot, tables + TABLES_FDT, err);

    if (!r)
        r = virt_write_fw_info(b, boot, tables, err);
    if (r)
        return r;
    b->bare = boot->bare;
    b->resetting = true;
    virt_boot_harts(b, boot, tables);
    device_reset_all(&b->kit.devices);
    b->resetting = false;
    riscv_sbi_reset(b->sbi);
    return 0;
}

static enum board_action virt_hypercall(struct board *board, struct cpu *cpu)
{
    return riscv_sbi_call(virt_of(board)->sbi, cpu);
}

static bool virt_vcpu_on(const struct board *board, unsigned index)
{
    const struct riscv_virt *b = (const struct riscv_virt *)(const void *)board;

    return b->bare || riscv_sbi_hart_on(b->sbi, index);
}

static const struct device_set *virt_devices(const struct board *board)
{
    return &((const struct riscv_virt *)(const void *)board)->kit.devices;
}

const struct board_ops riscv_virt_ops = {
    .name = "riscv_virt",
    .arch = ARCH_RISCV64,
    .cpu_ops = &riscv_cpu_ops,
    .memory_max = MEMORY_MAX,
    .cpus_max = VM_CPUS_MAX,
    .plan = virt_plan,
    .create = virt_create,
    .destroy = virt_destroy,
    .reset = virt_reset,
    .hypercall = virt_hypercall,
    .vcpu_on = virt_vcpu_on,
    .devices = virt_devices,
};
