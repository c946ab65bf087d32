/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every device type Posada models, sorted by type name. Explicit on purpose: grep finds it, no
 * link order decides anything. The device console, the fuzzers and the state tools walk it.
 */
#include "devices/bus/pci.h"
#include "devices/bus/pci_ports.h"
#include "devices/core/device.h"
#include "devices/flash/cfi_flash.h"
#include "devices/fw/acpi_pm.h"
#include "devices/fw/finisher.h"
#include "devices/fw/fw_cfg.h"
#include "devices/fw/pc_control.h"
#include "devices/irqchip/aclint.h"
#include "devices/irqchip/i8259.h"
#include "devices/irqchip/ioapic.h"
#include "devices/irqchip/plic.h"
#include "devices/rtc/goldfish_rtc.h"
#include "devices/rtc/mc146818.h"
#include "devices/timer/i8254.h"
#include "devices/timer/sstc.h"
#include "devices/uart/ns16550.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"
#include <string.h>

const struct device_ops *const device_registry[] = {
    &acpi_pm_ops,        /* acpi-pm */
    &cfi_flash_ops,      /* cfi-flash */
    &fw_cfg_ops,         /* fw-cfg */
    &goldfish_rtc_ops,   /* google,goldfish-rtc */
    &i8042_ops,          /* i8042 */
    &i8254_ops,          /* intel,i8254 */
    &i8259_ops,          /* intel,i8259 */
    &ioapic_ops,         /* intel,ioapic */
    &debug_exit_ops,     /* isa-debug-exit */
    &mc146818_ops,       /* motorola,mc146818 */
    &ns16550_ops,        /* ns16550a */
    &pci_function_ops,   /* pci-function */
    &pci_host_ops,       /* pci-host-ecam-generic */
    &pci_ports_ops,      /* pci-ports */
    &port92_ops,         /* port92 */
    &pvpanic_ops,        /* pvpanic */
    &reset_control_ops,  /* reset-control */
    &aclint_mswi_ops,    /* riscv,aclint-mswi */
    &aclint_mtimer_ops,  /* riscv,aclint-mtimer */
    &aclint_sswi_ops,    /* riscv,aclint-sswi */
    &sstc_ops,           /* riscv,sstc */
    &plic_ops,           /* sifive,plic-1.0.0 */
    &finisher_ops,       /* sifive,test1 */
    &virtio_blk_ops,     /* virtio-blk */
    &virtio_console_ops, /* virtio-console */
    &virtio_fs_ops,      /* virtio-fs */
    &virtio_net_ops,     /* virtio-net */
    &virtio_rng_ops,     /* virtio-rng */
    &virtio_vsock_ops,   /* virtio-vsock */
    NULL,
};

const struct device_ops *device_type_find(const char *type)
{
    for (const struct device_ops *const *ops = device_registry; *ops; ops++) {
        if (!strcmp((*ops)->type, type))
            return *ops;
    }
    return NULL;
}
