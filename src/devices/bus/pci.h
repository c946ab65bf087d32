/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI Express host with one bus: configuration space by ECAM, one 32-bit memory window, INTx
 * swizzled to four interrupt lines, and messages (MSI-X) where the board has a target for them.
 *
 * For the board: the host is one device with two windows on the MMIO bus, the ECAM and the memory
 * window (at the address the guest puts into the BARs, so without translation). Functions are
 * devices too: wire, init, reset and save them, and the devices behind them, like all others.
 * Slot s's pin A drives line s % 4, as the usual swizzle of an FDT interrupt-map has it.
 *
 *     host = pci_host_new("pci", GPA(0x40000000), 0x40000000);
 *     mmio_bus_add(bus, GPA(0x30000000), &host->dev, err);
 *     mmio_bus_add_window(bus, host->window_base, &host->window, &host->dev, err);
 *     for (i = 0; i < PCI_INTX_LINES; i++)
 *         pci_host_connect_intx(host, i, plic_set, plic, 32 + i);
 *     disk = virtio_blk_new("disk0", blockdev, "disk0", 1);
 *     fn = virtio_pci_new("disk0.pci", disk);
 *     pci_add(host, 1, fn, err);
 *     wire and init &host->dev, &disk->dev, &fn->dev
 */
#pragma once

#include "mmio.h"

#include <posada/device.h>
#include <posada/doorbell.h>

enum {
    PCI_SLOTS = 32,
    PCI_INTX_LINES = 4,
    PCI_BARS = 6,
    PCI_CONFIG_SIZE = 256,       /* what is kept; the extended space above reads as zeroes */
    PCI_ECAM_FUNCTION = 4096,    /* bytes of configuration space a function has in ECAM */
    PCI_ECAM_SIZE = 1024 * 1024, /* bus 0 only: FDT bus-range <0 0> */
    PCI_MSIX_MAX = 32,           /* vectors of a function */
};

struct pci_function;

/* Where messages go: a memory write of the device, seen by the board's interrupt controller. */
typedef void (*pci_msi_fn)(void *arg, uint64_t address, uint32_t data);

struct pci_host {
    struct device dev; /* must be first: the ECAM */
    struct mmio_window window;
    gpa_t window_base;
    struct pci_function *function[PCI_SLOTS];
    struct irq_line intx[PCI_INTX_LINES];
    uint32_t asserted[PCI_INTX_LINES]; /* slots that pull the line: derived */
    pci_msi_fn msi;
    void *msi_arg;
    struct doorbell_maker doorbells;
    uint64_t ecam; /* a second place of the ECAM, inside the memory window: derived */
    bool has_ecam;
};

struct pci_bar {
    uint32_t size;         /* power of two, 4096 or more; 0: no such BAR */
    struct device *target; /* its register space is the BAR's contents */
};

/* MSI-X of a function (pci_msix.h): part of it, not a device of the machine's set. */
struct pci_msix {
    struct device dev; /* must be first: what stands behind the BAR */
    struct pci_function *fn;
    unsigned bar, vectors; /* 0 vectors: the function has none */
    uint8_t capability;    /* offset in configuration space; 0 while there is no MSI target */
    uint8_t table[PCI_MSIX_MAX * 16];
    uint32_t pending; /* vectors signalled while masked */
};

struct pci_id {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: class, subclass, interface */
    uint8_t revision;
};

struct pci_function_hooks { /* each optional */
    /* The bus-master bit as it is now: after each configuration write and on settle(), with all
     * other registers as they are now. */
    void (*bus_master)(struct pci_function *fn, bool on);
    /* Serves a configuration read (true), or notes what a write has changed. */
    bool (*config_read)(struct pci_function *fn, unsigned off, unsigned size, uint32_t *ret_val);
    void (*config_written)(struct pci_function *fn, unsigned off, unsigned size);
    /* Its BARs, or others that may lie in front of them, have moved: see pci_bar_at(). */
    void (*moved)(struct pci_function *fn);
};

/* One function (always number 0 of its slot). `config` is what the guest sees; bits outside
 * `writable` are those of `fixed`, whatever a guest or a loaded state says. */
struct pci_function {
    struct device dev; /* must be first; no register space of its own */
    struct pci_host *host;
    unsigned slot;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t fixed[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE];
    uint8_t capability_end; /* next free byte */
    uint8_t capability_last;
    struct pci_bar bar[PCI_BARS];
    struct pci_msix msix;
    bool intx;                    /* level the device asks for: derived */
    uint8_t placed[4 * PCI_BARS]; /* BARs as moved() was last told of: derived */
    uint16_t decodes;

    const struct pci_function_hooks *hooks; /* optional */
    void *arg;
};

extern const struct device_ops pci_host_ops, pci_function_ops;

/* NULL without memory. */
struct pci_host *pci_host_new(const char *name, gpa_t window_base, uint32_t window_size);
void pci_host_connect_intx(struct pci_host *host, unsigned line,
                           void (*set)(void *sink, unsigned pin, bool level), void *sink,
                           unsigned pin);
/* Puts the ECAM at an address of the memory window as well, in front of all BARs, or takes it away:
 * a host bridge's register says so. */
void pci_host_place_ecam(struct pci_host *host, uint64_t base, bool there);
/* Call before pci_add(); without it no function shows an MSI-X capability. */
void pci_host_connect_msi(struct pci_host *host, pci_msi_fn msi, void *arg);
/* Call before pci_add(), for functions whose devices can use doorbells. */
void pci_host_connect_doorbells(struct pci_host *host, const struct doorbell_maker *maker);

struct pci_function *pci_function_new(const char *name, const struct pci_id *id);
/* Appends a capability of len bytes (2 header bytes included, filled in here) and returns its
 * offset. Our own bug when it does not fit. */
unsigned pci_add_capability(struct pci_function *fn, uint8_t id, unsigned len);
/* Target's register space becomes BAR `index`; its size is rounded up to a power of two. */
void pci_set_bar(struct pci_function *fn, unsigned index, struct device *target);
/* Puts fn into a slot: -EINVAL for a bad slot, -EBUSY for a used one. */
int must_use pci_add(struct pci_host *host, unsigned slot, struct pci_function *fn,
                     struct err *err);

/* The address at which the guest reaches byte off of the BAR; 0: it does not now. */
uint64_t pci_bar_at(const struct pci_function *fn, unsigned bar, uint32_t off);
bool pci_bus_master(const struct pci_function *fn);
/* The device's interrupt request on pin A. */
void pci_set_intx(struct pci_function *fn, bool level);
