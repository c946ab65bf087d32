/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What boards have in common: devices on register buses, a PCI host, and the virtio devices that
 * every machine has. A board embeds a kit, fills in its configuration, and says where things go.
 */
#pragma once

#include "board/board.h"
#include "devices/bus/mmio.h"
#include "devices/bus/pci.h"
#include "devices/core/device.h"

struct virtio_device;

struct board_kit {
    struct board_config config;
    struct device_set devices; /* in one order that never changes: state has stable names */
    struct mmio_bus *bus;      /* of memory space */
    struct pci_host *pci;
};

/* Buses. -ENOMEM. */
int must_use board_kit_init(struct board_kit *kit, const struct board_config *config,
                            struct err *err);
void board_kit_done(struct board_kit *kit); /* a zeroed one is fine */
/* Lets vCPUs reach the memory bus: when all devices are there. */
void board_kit_open(struct board_kit *kit);

/* Takes dev (NULL: no memory) into the set and wires it to the world. */
int must_use board_kit_adopt(struct board_kit *kit, struct device *dev, struct err *err);
int must_use board_kit_new(struct board_kit *kit, const struct device_ops *ops, const char *name,
                           struct device **ret_dev, struct err *err);
/* Initialises a wired device and puts it at an address of the memory bus. */
int must_use board_kit_place(struct board_kit *kit, struct device *dev, uint64_t at,
                             struct err *err);

struct board_kit_pci {
    uint64_t ecam, window;
    uint32_t window_size;
    void (*input)(void *sink, unsigned pin, bool level); /* INTx: pins irq to irq + 3 */
    void *sink;
    unsigned irq;
    bool no_ecam;   /* the host bridge has it inside the window */
    pci_msi_fn msi; /* NULL: functions have no MSI-X */
    void *msi_arg;
};
int must_use board_kit_add_pci(struct board_kit *kit, const struct board_kit_pci *pci,
                               struct err *err);
/* Slots of the bus. */
unsigned board_kit_disk_slot(unsigned disk);
unsigned board_kit_net_slot(unsigned net);
/* Puts a function that is not virtio's into a slot; NULL: no memory. */
int must_use board_kit_add_function(struct board_kit *kit, unsigned slot, struct pci_function *fn,
                                    struct err *err);
/* Console and agent, randomness, disks, network: as the configuration says. */
int must_use board_kit_add_virtio(struct board_kit *kit, struct err *err);
