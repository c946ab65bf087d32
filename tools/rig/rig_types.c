/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rig can be made of: each type of the registry alone, with what it needs behind it, and
 * "pci", a host bridge with every virtio device on it. prepare() does what a driver does first, so
 * that random accesses meet a device that works.
 */
#include "devices/bus/pci.h"
#include "devices/flash/cfi_flash.h"
#include "devices/fw/fw_cfg.h"
#include "devices/uart/ns16550.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/net.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"
#include "rig.h"
#include <errno.h>
#include <string.h>

enum { QUEUE_SIZE = 8, QUEUE_AREA = 0x1000, BAR_STRIDE = 0x10000 };
enum { /* virtio 1.2, 4.1.4.3 */
       COMMON_DRIVER_SELECT = 0x08,
       COMMON_DRIVER_FEATURE = 0x0c,
       COMMON_QUEUES = 0x12,
       COMMON_STATUS = 0x14,
       COMMON_QUEUE_SELECT = 0x16,
       COMMON_QUEUE_SIZE = 0x18,
       COMMON_QUEUE_ENABLE = 0x1c,
       COMMON_QUEUE_DESC = 0x20,
       COMMON_QUEUE_DRIVER = 0x28,
       COMMON_QUEUE_DEVICE = 0x30,
};

const char *const rig_types[] = {
    "acpi-pm",
    "cfi-flash",
    "fw-cfg",
    "google,goldfish-rtc",
    "i8042",
    "intel,i8254",
    "intel,i8259",
    "intel,ioapic",
    "isa-debug-exit",
    "motorola,mc146818",
    "ns16550a",
    "pci",
    "pci-ports",
    "port92",
    "pvpanic",
    "reset-control",
    "riscv,aclint-mswi",
    "riscv,aclint-mtimer",
    "riscv,aclint-sswi",
    "riscv,sstc",
    "sifive,plic-1.0.0",
    "sifive,test1",
    "virtio-blk",
    "virtio-console",
    "virtio-fs",
    "virtio-net",
    "virtio-rng",
    "virtio-vsock",
    NULL,
};

static const uint8_t rig_mac[NET_MAC_SIZE] = {0x02, 0, 0, 0, 0, 1};

/* --- Virtio --- */
static struct virtio_device *make_virtio(struct rig *rig, const char *type, const char *name)
{
    const struct virtio_console_port_config ports[] = {
        {.chardev = &rig->line[0].chardev},
        {.chardev = &rig->line[1].chardev, .name = "posada.agent.0"},
    };

    if (!strcmp(type, "virtio-blk"))
        return virtio_blk_new(name, &rig->disk.blockdev, "rig", 1);
    if (!strcmp(type, "virtio-console"))
        return virtio_console_new(name, ports, RIG_LINES);
    if (!strcmp(type, "virtio-fs"))
        return virtio_fs_new(name, &rig->share.fsdev, VIRTIO_FS_REQUEST_QUEUES_MAX);
    if (!strcmp(type, "virtio-net"))
        return virtio_net_new(name, &rig->net.netdev, rig_mac, VIRTIO_NET_PAIRS_MAX);
    if (!strcmp(type, "virtio-vsock"))
        return virtio_vsock_new(name, &rig->vsock.vsockdev, 3);
    return virtio_rng_new(name);
}

static struct device *virtio_dev(struct virtio_device *v)
{
    return v ? &v->dev : NULL;
}

static void poke(struct rig *rig, uint64_t at, unsigned size, uint64_t val)
{
    (void)mmio_bus_write(rig->bus, GPA(at), size, val);
}

static void prepare_queue(struct rig *rig, uint64_t regs, uint64_t queue, uint64_t area)
{
    static const struct {
        unsigned reg, offset;
    } areas[] = {
        {COMMON_QUEUE_DESC, 0}, {COMMON_QUEUE_DRIVER, 0x400}, {COMMON_QUEUE_DEVICE, 0x800}};

    poke(rig, regs + COMMON_QUEUE_SELECT, 2, queue);
    poke(rig, regs + COMMON_QUEUE_SIZE, 2, QUEUE_SIZE);
    for (size_t i = 0; i < ARRAY_LEN(areas); i++) {
        poke(rig, regs + areas[i].reg, 4, area + areas[i].offset);
        poke(rig, regs + areas[i].reg + 4, 4, 0);
    }
    poke(rig, regs + COMMON_QUEUE_ENABLE, 2, 1);
}

/* Negotiates VERSION_1 alone, or with all that is offered below bit 32. */
static void prepare_virtio_at(struct rig *rig, uint64_t regs, uint64_t area)
{
    uint64_t queues = 0;

    for (unsigned status = 0; status <= 3; status = status * 2 + 1)
        poke(rig, regs + COMMON_STATUS, 1, status);
    poke(rig, regs + COMMON_DRIVER_SELECT, 4, 1);
    poke(rig, regs + COMMON_DRIVER_FEATURE, 4, 1);
    poke(rig, regs + COMMON_STATUS, 1, 0xb);
    (void)mmio_bus_read(rig->bus, GPA(regs + COMMON_QUEUES), 2, &queues);
    for (uint64_t q = 0; q < queues; q++)
        prepare_queue(rig, regs, q, area + q * QUEUE_AREA);
    poke(rig, regs + COMMON_STATUS, 1, 0xf);
}

static void prepare_virtio(struct rig *rig)
{
    prepare_virtio_at(rig, RIG_REGISTERS, RIG_RAM);
}

/* --- PCI --- */
static void prepare_pci(struct rig *rig)
{
    for (uint64_t slot = 0; slot < 4; slot++) {
        uint64_t config = RIG_REGISTERS + (slot << 15), bar = RIG_WINDOW + slot * BAR_STRIDE;

        poke(rig, config + 0x10, 4, bar);
        poke(rig, config + 0x14, 4, bar + BAR_STRIDE / 2); /* MSI-X */
        poke(rig, config + 0x04, 2, 6);                    /* memory, bus master */
        prepare_virtio_at(rig, bar, RIG_RAM + slot * 8 * QUEUE_AREA);
    }
}

static int add_function(struct rig *rig, struct pci_host *host, unsigned slot, const char *type,
                        struct err *err)
{
    struct virtio_device *v = make_virtio(rig, type, type);
    int r = rig_add(rig, virtio_dev(v), 0, err);
    struct pci_function *fn;
    char name[32];

    if (r)
        return r;
    (void)snprintf(name, sizeof(name), "%s.pci", type);
    fn = virtio_pci_new(name, v);
    r = rig_add(rig, fn ? &fn->dev : NULL, 0, err);
    return r ? r : pci_add(host, slot, fn, err);
}

static void count_message(void *arg, uint64_t address, uint32_t data)
{
    ((struct rig *)arg)->messages++;
}

static int build_pci(struct rig *rig, struct err *err)
{
    static const char *const types[] = {"virtio-blk", "virtio-console", "virtio-rng", "virtio-net"};
    struct pci_host *host = pci_host_new("pci", GPA(RIG_WINDOW), RIG_WINDOW_SIZE);
    int r = rig_add(rig, host ? &host->dev : NULL, RIG_REGISTERS, err);

    if (!r) {
        pci_host_connect_msi(host, count_message, rig);
        r = rig_add_window(rig, &host->dev, RIG_WINDOW, &host->window, err);
    }
    for (unsigned i = 0; !r && i < ARRAY_LEN(types); i++)
        r = add_function(rig, host, i, types[i], err);
    rig->prepare = prepare_pci;
    return r;
}

/* --- All --- */
static int build_alone(struct rig *rig, struct err *err)
{
    const struct device_ops *ops = device_type_find(rig->type);
    struct device *dev;

    if (!ops)
        return err_set(err, -ENOENT, "device type '%s' is unknown", rig->type);
    dev = device_new(ops, "dev");
    if (dev && ops == &ns16550_ops)
        ns16550_attach(dev, &rig->line[0].chardev);
    if (dev && ops == &cfi_flash_ops)
        cfi_flash_connect(dev, &(struct cfi_flash_host){.array = rig->flash, RIG_FLASH_SIZE});
    if (dev && ops == &fw_cfg_ops) /* without memory: a directory of nothing */
        (void)!fw_cfg_add_file(dev, "etc/rig", rig_types, sizeof(rig_types));
    return rig_add(rig, dev, RIG_REGISTERS, err);
}

int rig_build(struct rig *rig, struct err *err)
{
    if (!strcmp(rig->type, "pci"))
        return build_pci(rig, err);
    if (strncmp(rig->type, "virtio-", 7))
        return build_alone(rig, err);
    rig->prepare = prepare_virtio;
    return rig_add(rig, virtio_dev(make_virtio(rig, rig->type, "dev")), RIG_REGISTERS, err);
}
