/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device as a PCI function (virtio 1.2, 4.1, modern): BAR 0 is the register file of
 * virtio.h, BAR 1 the MSI-X table when the host has an MSI target.
 */
#pragma once

#include "devices/bus/pci.h"
#include "virtio.h"

/* Makes the function and connects v's interrupt and memory access to it. v must outlive it.
 * NULL without memory. */
struct pci_function *virtio_pci_new(const char *name, struct virtio_device *v);
/* Gets the doorbells that v can use of fn's host, after pci_add(). */
void virtio_pci_open_doorbells(struct pci_function *fn);
