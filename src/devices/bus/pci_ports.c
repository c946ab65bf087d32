/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI Local Bus 3.0, 3.2.2.3.2: configuration mechanism 1. The address register takes dwords only;
 * other widths at its ports belong to other devices. Contract: pci_ports.h.
 */
#include "devices/bus/pci_ports.h"
#include "base/bits.h"
#include "devices/core/device.h"

enum { ADDRESS = 0, BESIDE = 1, DATA = 4, SIZE = 8, ADDRESS_BITS = 0x00fffffc };
#define ADDRESS_ENABLE UINT32_C(0x80000000)

struct pci_ports {
    struct device dev; /* must be first */
    struct pci_host *host;
    struct device *beside;
    uint32_t address;
};

static const struct state_field ports_state[] = {STATE_U32(struct pci_ports, address), STATE_END};

static struct pci_ports *ports_of(struct device *dev)
{
    return container_of(dev, struct pci_ports, dev);
}

/* The place in ECAM that the address register and a data port name; false: none. */
static bool ports_ecam(const struct pci_ports *s, uint32_t off, unsigned size, uint32_t *ret_off)
{
    uint32_t bus_function = (uint32_t)bits_get(s->address, 8, 16);

    *ret_off = bus_function << 12 | (s->address & 0xfc) | (off & 3);
    return s->host && s->address & ADDRESS_ENABLE && off >= DATA &&
           mmio_access_ok(&pci_host_ops.mmio, *ret_off, size);
}

static uint64_t ports_read(struct device *dev, uint32_t off, unsigned size)
{
    struct pci_ports *s = ports_of(dev);
    uint32_t at;

    if (off == ADDRESS && size == 4)
        return s->address;
    if (off == BESIDE && size == 1 && s->beside)
        return s->beside->ops->read(s->beside, 0, 1);
    return ports_ecam(s, off, size, &at) ? pci_host_ops.read(&s->host->dev, at, size) : UINT64_MAX;
}

static void ports_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct pci_ports *s = ports_of(dev);
    uint32_t at;

    if (off == ADDRESS && size == 4)
        s->address = (uint32_t)val & (ADDRESS_ENABLE | ADDRESS_BITS);
    else if (off == BESIDE && size == 1 && s->beside)
        s->beside->ops->write(s->beside, 0, 1, val);
    else if (ports_ecam(s, off, size, &at))
        pci_host_ops.write(&s->host->dev, at, size, val);
}

static void ports_reset(struct device *dev)
{
    ports_of(dev)->address = 0;
}

void pci_ports_beside(struct device *dev, struct device *beside)
{
    ports_of(dev)->beside = beside;
}

void pci_ports_connect(struct device *dev, struct pci_host *host)
{
    ports_of(dev)->host = host;
}

const struct device_ops pci_ports_ops = {
    .type = "pci-ports",
    .instance_size = sizeof(struct pci_ports),
    .mmio = {.size = SIZE, .access_min = 1, .access_max = 4},
    .reset = ports_reset,
    .read = ports_read,
    .write = ports_write,
    .state_version = 1,
    .state = ports_state,
};
