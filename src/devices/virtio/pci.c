/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over PCI (virtio 1.2, 4.1): the capabilities that say where in BAR 0 the structures of
 * virtio.h lie, and the window into it through configuration space (VIRTIO_PCI_CAP_PCI_CFG).
 * Modern only: device ids 0x1040 + type, revision 1. Functions are conventional ones of the root
 * bus: with a PCI Express capability Linux looks for extended ones about fifty times a function.
 */
#include "pci.h"

#include "base/bits.h"
#include "base/endian.h"
#include "devices/bus/mmio.h"
#include "devices/bus/pci_msix.h"

#include <assert.h>

enum { VENDOR_VIRTIO = 0x1af4, DEVICE_BASE = 0x1040, SUBSYSTEM_BASE = 0x1100, REVISION = 1 };
enum { CAPABILITY_VENDOR = 0x09 };
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI_CFG = 5 };
enum { /* struct virtio_pci_cap */
       CAP_LEN = 2,
       CAP_TYPE = 3,
       CAP_BAR = 4,
       CAP_OFFSET = 8,
       CAP_LENGTH = 12,
       CAP_SIZE = 16,
       CAP_EXTRA = 16, /* notify: multiplier; PCI_CFG: data */
};

/* The window into BAR 0 is the first capability, so its place is known. */
enum { WINDOW = 0x40, WINDOW_DATA = WINDOW + CAP_EXTRA };

/* --- From the device --- */
static bool message(void *arg, uint16_t vector)
{
    struct pci_function *fn = arg;

    if (!pci_msix_enabled(fn))
        return false;
    pci_msix_send(fn, vector); /* NO_VECTOR lies outside every table */
    return true;
}

static void set_intx(void *sink, unsigned pin, bool level)
{
    pci_set_intx(sink, level);
}

/* --- From the function --- */
static void bus_master(struct pci_function *fn, bool on)
{
    virtio_set_dma(fn->arg, on);
}

/* The register access the window is set to; false: not a legal one. */
static bool window_access(const struct pci_function *fn, uint32_t *ret_off, unsigned *ret_size)
{
    const struct virtio_device *v = fn->arg;
    uint32_t size = ld_le32(fn->config + WINDOW + CAP_LENGTH);

    *ret_off = ld_le32(fn->config + WINDOW + CAP_OFFSET);
    *ret_size = size;
    return !fn->config[WINDOW + CAP_BAR] && mmio_access_ok(&v->dev.ops->mmio, *ret_off, size);
}

static bool config_read(struct pci_function *fn, unsigned off, unsigned size, uint32_t *ret_val)
{
    struct virtio_device *v = fn->arg;
    uint32_t at;
    unsigned width;

    if (off != WINDOW_DATA)
        return false;
    *ret_val = window_access(fn, &at, &width) ? (uint32_t)virtio_read(&v->dev, at, width) : 0;
    return true;
}

static void config_written(struct pci_function *fn, unsigned off, unsigned size)
{
    struct virtio_device *v = fn->arg;
    uint32_t at, val = ld_le32(fn->config + WINDOW_DATA);
    unsigned width;

    if (off == WINDOW_DATA && window_access(fn, &at, &width))
        virtio_write(&v->dev, at, width, val & (uint32_t)bits_mask(8 * width));
}

/* --- Doorbells: one a queue that is served, at its notification address --- */
static void bell_settle(struct virtio_bell *b, uint64_t at)
{
    const struct pci_function *fn;

    if (!b->bell || b->at == at) /* without one it has no device either */
        return;
    fn = b->v->transport.arg;
    b->at = fn->host->doorbells.ops->place(b->bell, GPA(at)) ? at : 0;
}

static void bells_settle(struct pci_function *fn)
{
    struct virtio_device *v = fn->arg;

    for (unsigned i = 0; i < v->queue_count; i++) {
        bool on = v->bell[i].bell && virtio_running(v) && v->queue[i].enabled;

        bell_settle(&v->bell[i],
                    on ? pci_bar_at(fn, 0, VIRTIO_REG_NOTIFY + i * VIRTIO_NOTIFY_STRIDE) : 0);
    }
}

static void queues_changed(void *arg)
{
    bells_settle(arg);
}

void virtio_pci_open_doorbells(struct pci_function *fn)
{
    struct virtio_device *v = fn->arg;
    const struct doorbell_maker *maker = &fn->host->doorbells;

    for (unsigned i = 0; i < v->queue_count && v->class->doorbells && maker->ops; i++) {
        v->bell[i].v = v;
        v->bell[i].bell = maker->ops->open(maker->arg, virtio_ring, &v->bell[i]);
        if (!v->bell[i].bell)
            return; /* that queue and those behind it do without */
    }
}

static const struct pci_function_hooks hooks = {
    .bus_master = bus_master,
    .config_read = config_read,
    .config_written = config_written,
    .moved = bells_settle,
};

/* --- Construction --- */
static unsigned add_structure(struct pci_function *fn, uint8_t type, uint32_t offset,
                              uint32_t length, uint8_t extra)
{
    unsigned len = CAP_SIZE + extra, at = pci_add_capability(fn, CAPABILITY_VENDOR, len);
    uint8_t *cap = fn->fixed + at;

    cap[CAP_LEN] = (uint8_t)len;
    cap[CAP_TYPE] = type;
    st_le32(cap + CAP_OFFSET, offset);
    st_le32(cap + CAP_LENGTH, length);
    return at;
}

static void add_capabilities(struct pci_function *fn, const struct virtio_device *v)
{
    uint32_t notify_size = v->queue_count * VIRTIO_NOTIFY_STRIDE;
    unsigned at = add_structure(fn, CAP_PCI_CFG, 0, 0, 4);

    assert(at == WINDOW);
    fn->writable[at + CAP_BAR] = 0xff;
    memset(fn->writable + at + CAP_OFFSET, 0xff, 12); /* offset, length, data */
    (void)add_structure(fn, CAP_COMMON, VIRTIO_REG_COMMON, VIRTIO_COMMON_SIZE, 0);
    (void)add_structure(fn, CAP_ISR, VIRTIO_REG_ISR, 1, 0);
    if (v->config_size)
        (void)add_structure(fn, CAP_DEVICE, VIRTIO_REG_CONFIG, v->config_size, 0);
    at = add_structure(fn, CAP_NOTIFY, VIRTIO_REG_NOTIFY, notify_size, 4);
    st_le32(fn->fixed + at + CAP_EXTRA, VIRTIO_NOTIFY_STRIDE);
    memcpy(fn->config, fn->fixed, sizeof(fn->config));
}

struct pci_function *virtio_pci_new(const char *name, struct virtio_device *v)
{
    struct pci_id id = {
        .vendor = VENDOR_VIRTIO,
        .device = (uint16_t)(DEVICE_BASE + v->class->id),
        .subsystem_vendor = VENDOR_VIRTIO,
        .subsystem = SUBSYSTEM_BASE,
        .class_code = v->class->pci_class,
        .revision = REVISION,
    };
    struct pci_function *fn = pci_function_new(name, &id);

    if (!fn)
        return NULL;
    add_capabilities(fn, v);
    pci_set_bar(fn, 0, &v->dev);
    pci_add_msix(fn, 1, v->queue_count + 1);
    fn->hooks = &hooks;
    fn->arg = v;
    irq_connect(&v->irq, set_intx, fn, 0);
    v->transport = (struct virtio_transport){.message = message,
                                             .arg = fn,
                                             .vectors = fn->msix.vectors,
                                             .queues_changed = queues_changed};
    v->dma = false; /* until the guest sets the bus-master bit */
    return fn;
}
