/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two functions of a PC's chip set that firmware looks for before it looks for anything else: a
 * host bridge that says where configuration space lies, and the bridge to the ports with the
 * place of the power management registers. Nothing hangs on them: what they stand for is the
 * board's own.
 */
#pragma once

#include "devices/bus/pci.h"

enum { Q35_HOST_SLOT = 0, Q35_LPC_SLOT = 31 };

/* The host bridge: its PCIEXBAR register moves host's ECAM (pci_host_place_ecam()). NULL: no
 * memory. */
struct pci_function *q35_host_new(const char *name);
/* The LPC bridge, power management registers at this port. */
struct pci_function *q35_lpc_new(const char *name, uint16_t pm_port);
