/* SPDX-License-Identifier: Apache-2.0 */
/* What boards have in common. Contract: kit.h. The slots of PCI functions are the same on every
 * board: a guest that moves to another technique finds its devices where they were. */
#include "board/kit.h"
#include "base/bits.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/net.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"
#include "mem/mem.h"
#include <errno.h>
#include <posada/agent.h>
#include <stdio.h>

enum {
    SLOT_CONSOLE = 1,
    SLOT_RNG = 2,
    SLOT_DISK = 3,
    SLOT_NET = SLOT_DISK + VM_DISKS_MAX,
    SLOT_SHARE = SLOT_NET + VM_NETS_MAX,
    SLOT_VSOCK = SLOT_SHARE + VM_SHARES_MAX,
};

int board_kit_init(struct board_kit *kit, const struct board_config *config, struct err *err)
{
    kit->config = *config;
    kit->bus = mmio_bus_new(config->host.lock);
    return kit->bus ? 0 : err_set(err, -ENOMEM, "no memory for the board");
}

void board_kit_done(struct board_kit *kit)
{
    device_set_free(&kit->devices);
    mmio_bus_free(kit->bus);
}

void board_kit_open(struct board_kit *kit)
{
    struct mem_io io = mmio_bus_io(kit->bus);

    mem_set_io(kit->config.mem, &io);
}

/* --- Devices --- */
int board_kit_adopt(struct board_kit *kit, struct device *dev, struct err *err)
{
    int r;

    if (!dev)
        return err_set(err, -ENOMEM, "no memory for the board's devices");
    dev->clock = kit->config.clock;
    dev->mem = kit->config.mem;
    dev->power = &kit->config.power;
    dev->random = kit->config.random;
    r = device_set_add(&kit->devices, dev, err);
    if (r)
        device_free(dev);
    return r;
}

int board_kit_new(struct board_kit *kit, const struct device_ops *ops, const char *name,
                  struct device **ret_dev, struct err *err)
{
    struct device *dev = device_new(ops, name);
    int r = board_kit_adopt(kit, dev, err);

    if (!r)
        *ret_dev = dev;
    return r;
}

int board_kit_place(struct board_kit *kit, struct device *dev, uint64_t at, struct err *err)
{
    int r = device_init(dev, err);

    return r ? r : mmio_bus_add(kit->bus, GPA(at), dev, err);
}

/* --- PCI --- */
int board_kit_add_pci(struct board_kit *kit, const struct board_kit_pci *pci, struct err *err)
{
    int r;

    kit->pci = pci_host_new("pci", GPA(pci->window), pci->window_size);
    r = board_kit_adopt(kit, kit->pci ? &kit->pci->dev : NULL, err);
    if (r)
        return r;
    for (unsigned i = 0; i < PCI_INTX_LINES; i++)
        pci_host_connect_intx(kit->pci, i, pci->input, pci->sink, pci->irq + i);
    if (pci->msi)
        pci_host_connect_msi(kit->pci, pci->msi, pci->msi_arg);
    pci_host_connect_doorbells(kit->pci, &kit->config.host.doorbells);
    r = pci->no_ecam ? device_init(&kit->pci->dev, err)
                     : board_kit_place(kit, &kit->pci->dev, pci->ecam, err);
    return r ? r
             : mmio_bus_add_window(kit->bus, kit->pci->window_base, &kit->pci->window,
                                   &kit->pci->dev, err);
}

unsigned board_kit_disk_slot(unsigned disk)
{
    return SLOT_DISK + disk;
}

unsigned board_kit_net_slot(unsigned net)
{
    return SLOT_NET + net;
}

int board_kit_add_function(struct board_kit *kit, unsigned slot, struct pci_function *fn,
                           struct err *err)
{
    int r = board_kit_adopt(kit, fn ? &fn->dev : NULL, err);

    if (!r)
        r = pci_add(kit->pci, slot, fn, err);
    return r ? r : device_init(&fn->dev, err);
}

/* Takes a virtio device over and puts it into a slot of the bus. */
static int kit_add_function(struct board_kit *kit, unsigned slot, struct virtio_device *v,
                            struct err *err)
{
    struct pci_function *fn;
    char name[40];
    int r = board_kit_adopt(kit, v ? &v->dev : NULL, err);

    if (r)
        return r;
    snprintf(name, sizeof(name), "%.24s.pci", v->dev.name);
    fn = virtio_pci_new(name, v);
    r = board_kit_adopt(kit, fn ? &fn->dev : NULL, err);
    if (!r)
        r = pci_add(kit->pci, slot, fn, err);
    if (!r)
        virtio_pci_open_doorbells(fn);
    if (!r)
        r = device_init(&v->dev, err);
    return r ? r : device_init(&fn->dev, err);
}

static struct virtio_device *kit_make_disk(const struct board_config *config, unsigned i)
{
    struct virtio_device *v;
    char name[16];

    snprintf(name, sizeof(name), "disk%u", i);
    v = virtio_blk_new(name, config->disk[i], name, config->disk_queues[i]);
    if (v && config->disk_split[i])
        virtio_without(v, VIRTIO_F_RING_PACKED);
    return v;
}

/* A request queue a vCPU, as drivers use them. */
static struct virtio_device *kit_make_share(const struct board_config *config, unsigned i)
{
    unsigned queues =
        config->cpus < VIRTIO_FS_REQUEST_QUEUES_MAX ? config->cpus : VIRTIO_FS_REQUEST_QUEUES_MAX;
    char name[16];

    snprintf(name, sizeof(name), "share%u", i);
    return virtio_fs_new(name, config->share[i], queues);
}

int board_kit_add_virtio(struct board_kit *kit, struct err *err)
{
    const struct virtio_console_port_config ports[] = {
        {.chardev = kit->config.virtio_console},
        {.chardev = kit->config.agent, .name = AGENT_PORT},
    };
    unsigned port_count = kit->config.agent ? 2 : 1;
    unsigned pairs =
        kit->config.cpus < VIRTIO_NET_PAIRS_MAX ? kit->config.cpus : VIRTIO_NET_PAIRS_MAX;
    int r =
        kit_add_function(kit, SLOT_CONSOLE, virtio_console_new("console", ports, port_count), err);

    if (!r)
        r = kit_add_function(kit, SLOT_RNG, virtio_rng_new("rng"), err);
    for (unsigned i = 0; !r && i < kit->config.disk_count; i++)
        r = kit_add_function(kit, SLOT_DISK + i, kit_make_disk(&kit->config, i), err);
    for (unsigned i = 0; !r && i < kit->config.net_count; i++) {
        const struct board_net *net = &kit->config.net[i];
        char name[16];

        snprintf(name, sizeof(name), "net%u", i);
        r = kit_add_function(kit, SLOT_NET + i, virtio_net_new(name, net->backend, net->mac, pairs),
                             err);
    }
    for (unsigned i = 0; !r && i < kit->config.share_count; i++)
        r = kit_add_function(kit, SLOT_SHARE + i, kit_make_share(&kit->config, i), err);
    if (!r && kit->config.vsock)
        r = kit_add_function(kit, SLOT_VSOCK,
                             virtio_vsock_new("vsock", kit->config.vsock, kit->config.vsock_cid),
                             err);
    return r;
}
