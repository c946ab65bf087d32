/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration by a PC's ports 0xcf8 (address) and 0xcfc (data): a second way to what a
 * host's ECAM shows. */
#pragma once

#include "devices/bus/pci.h"

enum { PCI_PORTS = 0xcf8 };

extern const struct device_ops pci_ports_ops;

/* What answers accesses of one byte to the second port, where a PC has its reset register. */
void pci_ports_beside(struct device *dev, struct device *beside);
/* Before the first access; without a host every read floats. */
void pci_ports_connect(struct device *dev, struct pci_host *host);
