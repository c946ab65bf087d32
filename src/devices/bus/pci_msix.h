/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X of a PCI function: the vector table and pending bits as a BAR of their own, and the
 * capability that points there. PCI 3.0, 6.8.2.
 */
#pragma once

#include "pci.h"

enum { PCI_MSIX_MAX = 16, PCI_MSIX_PBA = 0x800, PCI_MSIX_SIZE = 0x1000 };

struct pci_msix {
    struct device dev; /* must be first */
    struct pci_function *fn;
    unsigned bar, vectors;
    uint8_t capability; /* offset in configuration space; 0 while there is no MSI target */
    uint8_t table[PCI_MSIX_MAX * 16];
    uint32_t pending; /* vectors signalled while masked */
};

extern const struct device_ops pci_msix_ops;

/* Gives fn a table of `vectors` in BAR `bar`; the capability appears when fn is added to a host
 * that has an MSI target. The new device is fn->msix->dev. -ENOMEM. */
int must_use pci_add_msix(struct pci_function *fn, unsigned bar, unsigned vectors);
/* Called by pci_add(). */
void pci_msix_show(struct pci_msix *msix);

bool pci_msix_enabled(const struct pci_function *fn);
/* Sends the message of a vector, or notes it as pending while masked. */
void pci_msix_send(struct pci_function *fn, unsigned vector);
/* Sends what became possible after the guest changed mask bits. */
void pci_msix_flush(struct pci_function *fn);
