/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X of a PCI function: the vector table and pending bits as a BAR of their own, and the
 * capability that points there. PCI 3.0, 6.8.2.
 */
#pragma once

#include "pci.h"

enum { PCI_MSIX_PBA = 0x800, PCI_MSIX_SIZE = 0x1000 };

/* Gives fn a table of `vectors` in BAR `bar`; the capability appears when fn is added to a host
 * that has an MSI target. */
void pci_add_msix(struct pci_function *fn, unsigned bar, unsigned vectors);
/* Called by pci_add() and by reset and settle of the function. */
void pci_msix_show(struct pci_function *fn);
void pci_msix_reset(struct pci_function *fn);

bool pci_msix_enabled(const struct pci_function *fn);
/* Sends the message of a vector, or notes it as pending while masked. */
void pci_msix_send(struct pci_function *fn, unsigned vector);
/* Sends what became possible after the guest changed mask bits. */
void pci_msix_flush(struct pci_function *fn);
