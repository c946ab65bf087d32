/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X: PCI Local Bus 3.0, 6.8.2. A vector is 16 bytes: address, data, control (bit 0 masks).
 * Signalled while masked (by its own bit or the function's), it waits in the pending bits.
 * Messages are memory writes, so they need the bus-master bit.
 */
#include "pci_msix.h"

#include "base/bits.h"
#include "base/endian.h"

enum { CAPABILITY_MSIX = 0x11, CAPABILITY_SIZE = 12, CONTROL = 2, TABLE = 4, PBA = 8 };
enum { CONTROL_ENABLE = 1 << 15, CONTROL_MASK_ALL = 1 << 14 };
enum { VECTOR_SIZE = 16, VECTOR_DATA = 8, VECTOR_CONTROL = 12, VECTOR_MASKED = 1 };

static struct pci_msix *msix_of(struct device *dev)
{
    return container_of(dev, struct pci_msix, dev);
}

static uint64_t msix_read(struct device *dev, uint32_t off, unsigned size)
{
    struct pci_msix *m = msix_of(dev);

    if (off < m->vectors * VECTOR_SIZE)
        return ld_le32(m->table + off);
    return off == PCI_MSIX_PBA ? m->pending : 0;
}

static void msix_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct pci_msix *m = msix_of(dev);

    if (off >= m->vectors * VECTOR_SIZE) {
        guest_error_write(dev, off, val);
        return;
    }
    if (off % VECTOR_SIZE == VECTOR_CONTROL)
        val &= VECTOR_MASKED;
    st_le32(m->table + off, (uint32_t)val);
    pci_msix_flush(m->fn);
}

static const struct device_ops msix_ops = {
    .type = "pci-msix",
    .instance_size = sizeof(struct pci_msix),
    .mmio = {.size = PCI_MSIX_SIZE, .access_min = 4, .access_max = 4},
    .read = msix_read,
    .write = msix_write,
};

void pci_msix_reset(struct pci_function *fn)
{
    struct pci_msix *m = &fn->msix;

    memset(m->table, 0, sizeof(m->table));
    m->pending = 0;
    for (unsigned i = 0; i < m->vectors; i++)
        m->table[i * VECTOR_SIZE + VECTOR_CONTROL] = VECTOR_MASKED;
}

void pci_add_msix(struct pci_function *fn, unsigned bar, unsigned vectors)
{
    struct pci_msix *m = &fn->msix;

    m->dev.ops = &msix_ops;
    memcpy(m->dev.name, fn->dev.name, sizeof(m->dev.name));
    m->fn = fn;
    m->bar = bar;
    m->vectors = vectors < PCI_MSIX_MAX ? vectors : PCI_MSIX_MAX;
    pci_msix_reset(fn);
}

void pci_msix_show(struct pci_function *fn)
{
    struct pci_msix *m = &fn->msix;
    unsigned at = pci_add_capability(fn, CAPABILITY_MSIX, CAPABILITY_SIZE);

    m->capability = (uint8_t)at;
    pci_set_bar(fn, m->bar, &m->dev);
    st_le16(fn->fixed + at + CONTROL, (uint16_t)(m->vectors - 1));
    st_le32(fn->fixed + at + TABLE, m->bar);
    st_le32(fn->fixed + at + PBA, PCI_MSIX_PBA | m->bar);
    st_le16(fn->writable + at + CONTROL, CONTROL_ENABLE | CONTROL_MASK_ALL);
    memcpy(fn->config, fn->fixed, sizeof(fn->config));
}

static uint16_t msix_control(const struct pci_msix *m)
{
    return m->capability ? ld_le16(m->fn->config + m->capability + CONTROL) : 0;
}

bool pci_msix_enabled(const struct pci_function *fn)
{
    return msix_control(&fn->msix) & CONTROL_ENABLE;
}

static bool vector_ready(const struct pci_msix *m, unsigned vector)
{
    return !(msix_control(m) & CONTROL_MASK_ALL) && pci_bus_master(m->fn) &&
           !(m->table[vector * VECTOR_SIZE + VECTOR_CONTROL] & VECTOR_MASKED);
}

static void vector_fire(struct pci_msix *m, unsigned vector)
{
    const uint8_t *entry = m->table + (size_t)vector * VECTOR_SIZE;
    struct pci_host *host = m->fn->host;

    if (host && host->msi)
        host->msi(host->msi_arg, ld_le64(entry), ld_le32(entry + VECTOR_DATA));
}

void pci_msix_send(struct pci_function *fn, unsigned vector)
{
    struct pci_msix *m = &fn->msix;

    if (vector >= m->vectors)
        return;
    if (vector_ready(m, vector))
        vector_fire(m, vector);
    else
        m->pending |= 1u << vector;
}

void pci_msix_flush(struct pci_function *fn)
{
    struct pci_msix *m = &fn->msix;

    m->pending &= (uint32_t)bits_mask(m->vectors); /* a loaded state may hold more */
    if (!pci_msix_enabled(fn))
        return;
    for (unsigned i = 0; i < m->vectors; i++) {
        if (!(m->pending >> i & 1) || !vector_ready(m, i))
            continue;
        m->pending &= ~(1u << i);
        vector_fire(m, i);
    }
}
