/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware for PCs must find at 00:00.0 and 00:1f.0. Specs: Intel 3 Series Express Chipset
 * data sheet, 5.1 (PCIEXBAR, PAM, SMRAM); ICH9 data sheet, 13.1 (PMBASE, ACPI_CNTL, PIRQ routes,
 * RCBA). Shadowing is not modelled: memory below 1 MiB is RAM whatever the PAM registers say, so
 * they only remember. Neither is SMM. Contract: q35.h.
 */
#include "devices/bus/q35.h"
#include "base/bits.h"
#include "base/endian.h"
#include <string.h>

enum { VENDOR_INTEL = 0x8086, DEVICE_MCH = 0x29c0, DEVICE_LPC = 0x2918 };
enum { CLASS_HOST = 0x060000, CLASS_ISA = 0x060100, CONFIG_INTERRUPT_PIN = 0x3d };
enum { MCH_PCIEXBAR = 0x60, MCH_PAM = 0x90, MCH_PAMS = 7, MCH_SMRAM = 0x9d };
enum { LPC_PMBASE = 0x40, LPC_ACPI_CONTROL = 0x44, LPC_PIRQ_A = 0x60, LPC_PIRQ_E = 0x68 };
enum { LPC_GPIO = 0x48, LPC_RCBA = 0xf0, IO_SPACE = 1, ACPI_ENABLED = 0x80, PIRQ_OFF = 0x80 };
#define PCIEXBAR_BASE UINT64_C(0xffc000000) /* with 64 MiB as the least size */

static struct pci_function *q35_function_new(const char *name, uint16_t device, uint32_t class_code)
{
    const struct pci_id id = {.vendor = VENDOR_INTEL, .device = device, .class_code = class_code};
    struct pci_function *fn = pci_function_new(name, &id);

    if (fn)
        fn->fixed[CONFIG_INTERRUPT_PIN] = 0;
    return fn;
}

/* After configuration writes, a reset and a state load: the ECAM lies where the register says. */
static void host_settled(struct pci_function *fn, bool bus_master)
{
    uint64_t val = ld_le64(fn->config + MCH_PCIEXBAR);

    if (fn->host)
        pci_host_place_ecam(fn->host, val & PCIEXBAR_BASE, val & 1);
}

static const struct pci_function_hooks host_hooks = {.bus_master = host_settled};

struct pci_function *q35_host_new(const char *name)
{
    struct pci_function *fn = q35_function_new(name, DEVICE_MCH, CLASS_HOST);

    if (!fn)
        return NULL;
    memset(fn->writable + MCH_PCIEXBAR, 0xff, 8);
    memset(fn->writable + MCH_PAM, 0x33, MCH_PAMS);
    fn->writable[MCH_SMRAM] = 0x7f;
    memcpy(fn->config, fn->fixed, sizeof(fn->config));
    fn->hooks = &host_hooks;
    return fn;
}

struct pci_function *q35_lpc_new(const char *name, uint16_t pm_port)
{
    struct pci_function *fn = q35_function_new(name, DEVICE_LPC, CLASS_ISA);

    if (!fn)
        return NULL;
    st_le32(fn->fixed + LPC_PMBASE, (uint32_t)pm_port | IO_SPACE); /* it cannot be moved */
    fn->fixed[LPC_ACPI_CONTROL] = ACPI_ENABLED;
    for (unsigned i = 0; i < 4; i++) {
        fn->fixed[LPC_PIRQ_A + i] = fn->fixed[LPC_PIRQ_E + i] = PIRQ_OFF;
        fn->writable[LPC_PIRQ_A + i] = fn->writable[LPC_PIRQ_E + i] = 0x8f;
    }
    memset(fn->writable + LPC_GPIO, 0xff, 2);
    memset(fn->writable + LPC_RCBA, 0xff, 4);
    memcpy(fn->config, fn->fixed, sizeof(fn->config));
    return fn;
}
