/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI Express host bridge, generic ECAM kind ("pci-host-ecam-generic"): PCI Local Bus 3.0, chapter
 * 6 (configuration space), PCI Express Base 3.0, 7.2.2 (ECAM).
 * One bus, 32 slots of one function, memory BARs of 32 bits. An address with nothing behind it
 * reads as all ones and swallows writes, as on a real bus: that is no guest error.
 * Not modelled: bridges, further buses, I/O space, power management, error reporting, expansion
 * ROMs, type 1 configuration.
 */
#include "pci.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "devices/core/device.h"
#include "pci_msix.h"

#include <assert.h>
#include <errno.h>

enum { /* configuration space */
       CONFIG_VENDOR = 0x00,
       CONFIG_DEVICE = 0x02,
       CONFIG_COMMAND = 0x04,
       CONFIG_STATUS = 0x06,
       CONFIG_REVISION = 0x08,
       CONFIG_CACHE_LINE = 0x0c,
       CONFIG_BAR = 0x10,
       CONFIG_SUBSYSTEM_VENDOR = 0x2c,
       CONFIG_SUBSYSTEM = 0x2e,
       CONFIG_CAPABILITIES = 0x34,
       CONFIG_INTERRUPT_LINE = 0x3c,
       CONFIG_INTERRUPT_PIN = 0x3d,
       CONFIG_HEADER_END = 0x40,
};

enum { COMMAND_MEMORY = 1 << 1, COMMAND_BUS_MASTER = 1 << 2, COMMAND_INTX_DISABLE = 1 << 10 };
enum { COMMAND_PARITY = 1 << 6, COMMAND_SERR = 1 << 8 };
enum { STATUS_INTERRUPT = 1 << 3, STATUS_CAPABILITIES = 1 << 4 };
enum { BAR_SIZE_MIN = 4096 }; /* a page each, so that no page holds two devices */

/* --- Functions --- */
static struct pci_function *function_of(struct device *dev)
{
    return container_of(dev, struct pci_function, dev);
}

static uint16_t command(const struct pci_function *fn)
{
    return ld_le16(fn->config + CONFIG_COMMAND);
}

bool pci_bus_master(const struct pci_function *fn)
{
    return command(fn) & COMMAND_BUS_MASTER;
}

/* The line is the OR of its slots; the function's status bit shows the request itself. */
static void update_intx(struct pci_function *fn)
{
    struct pci_host *host = fn->host;
    bool level = fn->intx && !(command(fn) & COMMAND_INTX_DISABLE);
    unsigned line;

    fn->config[CONFIG_STATUS] = (uint8_t)bits_set(fn->config[CONFIG_STATUS], 3, 1, fn->intx);
    if (!host)
        return;
    line = fn->slot % PCI_INTX_LINES;
    host->asserted[line] = (uint32_t)bits_set(host->asserted[line], fn->slot, 1, level);
    irq_set(&host->intx[line], host->asserted[line] != 0);
}

void pci_set_intx(struct pci_function *fn, bool level)
{
    fn->intx = level;
    update_intx(fn);
}

/* Where a BAR lies, or what lies in front of it, may have changed. */
static void host_moved(struct pci_host *host)
{
    for (unsigned i = 0; host && i < PCI_SLOTS; i++) {
        struct pci_function *fn = host->function[i];

        if (fn && fn->hooks && fn->hooks->moved)
            fn->hooks->moved(fn);
    }
}

/* Derives everything that follows from configuration space. */
static void function_settle(struct device *dev)
{
    struct pci_function *fn = function_of(dev);

    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        fn->config[i] =
            (uint8_t)((fn->fixed[i] & ~fn->writable[i]) | (fn->config[i] & fn->writable[i]));
    update_intx(fn);
    pci_msix_flush(fn);
    if (fn->hooks && fn->hooks->bus_master)
        fn->hooks->bus_master(fn, pci_bus_master(fn));
    if (memcmp(fn->placed, fn->config + CONFIG_BAR, sizeof(fn->placed)) != 0 ||
        fn->decodes != (command(fn) & COMMAND_MEMORY)) {
        memcpy(fn->placed, fn->config + CONFIG_BAR, sizeof(fn->placed));
        fn->decodes = command(fn) & COMMAND_MEMORY;
        host_moved(fn->host);
    }
}

static void function_reset(struct device *dev)
{
    struct pci_function *fn = function_of(dev);

    memcpy(fn->config, fn->fixed, sizeof(fn->config));
    pci_msix_reset(fn);
}

static const struct state_field function_state[] = {
    STATE_BYTES(struct pci_function, config, PCI_CONFIG_SIZE),
    STATE_BYTES(struct pci_function, msix.table, PCI_MSIX_MAX * 16),
    STATE_U32(struct pci_function, msix.pending),
    STATE_END,
};

const struct device_ops pci_function_ops = {
    .type = "pci-function",
    .instance_size = sizeof(struct pci_function),
    .reset = function_reset,
    .settle = function_settle,
    .state_version = 2,
    .state = function_state,
};

struct pci_function *pci_function_new(const char *name, const struct pci_id *id)
{
    struct device *dev = device_new(&pci_function_ops, name);
    struct pci_function *fn;

    if (!dev)
        return NULL;
    fn = function_of(dev);
    st_le16(fn->fixed + CONFIG_VENDOR, id->vendor);
    st_le16(fn->fixed + CONFIG_DEVICE, id->device);
    st_le32(fn->fixed + CONFIG_REVISION, id->class_code << 8 | id->revision);
    st_le16(fn->fixed + CONFIG_SUBSYSTEM_VENDOR, id->subsystem_vendor);
    st_le16(fn->fixed + CONFIG_SUBSYSTEM, id->subsystem);
    fn->fixed[CONFIG_INTERRUPT_PIN] = 1;
    st_le16(fn->writable + CONFIG_COMMAND, COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_PARITY |
                                               COMMAND_SERR | COMMAND_INTX_DISABLE);
    fn->writable[CONFIG_CACHE_LINE] = fn->writable[CONFIG_INTERRUPT_LINE] = 0xff;
    fn->capability_end = CONFIG_HEADER_END;
    fn->capability_last = CONFIG_CAPABILITIES - 1; /* its "next" field is the list's head */
    memcpy(fn->config, fn->fixed, sizeof(fn->config));
    return fn;
}

unsigned pci_add_capability(struct pci_function *fn, uint8_t id, unsigned len)
{
    uint8_t at = fn->capability_end;

    assert(len >= 2 && at + len <= PCI_CONFIG_SIZE - 4);
    fn->fixed[at] = id;
    fn->fixed[fn->capability_last + 1] = at;
    fn->fixed[CONFIG_STATUS] |= STATUS_CAPABILITIES;
    fn->capability_last = at;
    fn->capability_end = (uint8_t)align_up(at + len, 4);
    memcpy(fn->config, fn->fixed, sizeof(fn->config));
    return at;
}

void pci_set_bar(struct pci_function *fn, unsigned index, struct device *target)
{
    uint32_t size = BAR_SIZE_MIN;

    while (size < target->ops->mmio.size)
        size *= 2;
    fn->bar[index] = (struct pci_bar){.size = size, .target = target};
    st_le32(fn->writable + CONFIG_BAR + 4 * (size_t)index, ~(size - 1));
}

int pci_add(struct pci_host *host, unsigned slot, struct pci_function *fn, struct err *err)
{
    if (slot >= PCI_SLOTS)
        return err_set(err, -EINVAL, "device '%s': PCI slot %u does not exist, the bus has %d",
                       fn->dev.name, slot, PCI_SLOTS);
    if (host->function[slot])
        return err_set(err, -EBUSY, "device '%s': PCI slot %u already holds '%s'", fn->dev.name,
                       slot, host->function[slot]->dev.name);
    host->function[slot] = fn;
    fn->host = host;
    fn->slot = slot;
    if (fn->msix.vectors && host->msi)
        pci_msix_show(fn);
    return 0;
}

/* --- Configuration accesses; off and size lie in the 256 bytes, aligned --- */
static uint32_t load(const uint8_t *bytes, unsigned size)
{
    return size == 1 ? bytes[0] : size == 2 ? ld_le16(bytes) : ld_le32(bytes);
}

static uint32_t function_config_read(struct pci_function *fn, unsigned off, unsigned size)
{
    uint32_t val;

    if (fn->hooks && fn->hooks->config_read && fn->hooks->config_read(fn, off, size, &val))
        return val;
    return load(fn->config + off, size);
}

static void function_config_write(struct pci_function *fn, unsigned off, unsigned size,
                                  uint32_t val)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = fn->writable[off + i], byte = (uint8_t)(val >> (8 * i));

        fn->config[off + i] = (uint8_t)((fn->config[off + i] & ~mask) | (byte & mask));
    }
    if (fn->hooks && fn->hooks->config_written)
        fn->hooks->config_written(fn, off, size);
    function_settle(&fn->dev);
}

/* --- ECAM: bus << 20 | slot << 15 | function << 12 | register --- */
static struct pci_host *host_of(struct device *dev)
{
    return container_of(dev, struct pci_host, dev);
}

/* The function a configuration access is for, NULL when nobody answers. */
static struct pci_function *ecam_function(struct pci_host *host, uint32_t off)
{
    unsigned slot = (unsigned)bits_get(off, 15, 5), number = (unsigned)bits_get(off, 12, 3);

    return number ? NULL : host->function[slot];
}

static uint64_t host_read(struct device *dev, uint32_t off, unsigned size)
{
    struct pci_function *fn = ecam_function(host_of(dev), off);
    unsigned reg = off % PCI_ECAM_FUNCTION;

    if (!fn)
        return bits_mask(8 * size);
    return reg < PCI_CONFIG_SIZE ? function_config_read(fn, reg, size) : 0;
}

static void host_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct pci_function *fn = ecam_function(host_of(dev), off);
    unsigned reg = off % PCI_ECAM_FUNCTION;

    if (fn && reg < PCI_CONFIG_SIZE)
        function_config_write(fn, reg, size, (uint32_t)val);
}

/* --- The memory window --- */
static const struct pci_bar *function_decode(const struct pci_function *fn, uint64_t addr,
                                             uint32_t *ret_off)
{
    if (!(command(fn) & COMMAND_MEMORY))
        return NULL;
    for (unsigned i = 0; i < PCI_BARS; i++) {
        uint32_t base = ld_le32(fn->config + CONFIG_BAR + 4 * (size_t)i) & ~UINT32_C(0xf);

        if (!fn->bar[i].size || addr - base >= fn->bar[i].size)
            continue;
        *ret_off = (uint32_t)(addr - base);
        return &fn->bar[i];
    }
    return NULL;
}

/* Whether an address of the window belongs to the ECAM that lies there, and where in it. */
static bool window_is_ecam(const struct pci_host *host, uint32_t off, uint32_t *ret_off)
{
    uint64_t at = host->window_base.v + off - host->ecam;

    *ret_off = (uint32_t)at;
    return host->has_ecam && at < PCI_ECAM_SIZE;
}

/* The device behind an address of the window, NULL for none. Of two BARs that overlap, the one
 * in the lower slot answers. */
static struct device *window_target(const struct pci_host *host, uint32_t off, uint32_t *ret_off)
{
    for (unsigned i = 0; i < PCI_SLOTS; i++) {
        const struct pci_function *fn = host->function[i];
        const struct pci_bar *bar =
            fn ? function_decode(fn, host->window_base.v + off, ret_off) : NULL;

        if (bar)
            return bar->target;
    }
    return NULL;
}

uint64_t pci_bar_at(const struct pci_function *fn, unsigned bar, uint32_t off)
{
    const struct pci_host *host = fn->host;
    uint64_t at = (ld_le32(fn->config + CONFIG_BAR + 4 * (size_t)bar) & ~UINT32_C(0xf)) + off;
    uint32_t found;

    if (!host || at - host->window_base.v >= host->window.access.size ||
        window_is_ecam(host, (uint32_t)(at - host->window_base.v), &found) ||
        window_target(host, (uint32_t)(at - host->window_base.v), &found) != fn->bar[bar].target)
        return 0;
    return found == off ? at : 0;
}

/* A legal access of the device; 8 bytes reach a 4-byte device as two accesses. */
static unsigned window_width(struct device *target, uint32_t off, unsigned size)
{
    const struct device_mmio *mmio = &target->ops->mmio;

    if (mmio_access_ok(mmio, off, size))
        return size;
    if (size == 8 && mmio_access_ok(mmio, off, 4) && mmio_access_ok(mmio, off + 4, 4))
        return 4;
    guest_error(target, "guest access of %u bytes at 0x%x, which has none of this form", size, off);
    return 0;
}

static uint64_t window_read(struct device *dev, uint32_t off, unsigned size)
{
    struct device *target;
    unsigned width;
    uint32_t at;

    if (window_is_ecam(host_of(dev), off, &at))
        return mmio_access_ok(&pci_host_ops.mmio, at, size) ? host_read(dev, at, size)
                                                            : bits_mask(8 * size);
    target = window_target(host_of(dev), off, &off);
    width = target ? window_width(target, off, size) : 0;
    if (!width)
        return bits_mask(8 * size);
    uint64_t val = target->ops->read(target, off, width);

    return width == size ? val : u64_from(target->ops->read(target, off + 4, 4), val);
}

static void window_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct device *target;
    unsigned width;
    uint32_t at;

    if (window_is_ecam(host_of(dev), off, &at)) {
        if (mmio_access_ok(&pci_host_ops.mmio, at, size))
            host_write(dev, at, size, val);
        return;
    }
    target = window_target(host_of(dev), off, &off);
    width = target ? window_width(target, off, size) : 0;
    if (!width)
        return;
    target->ops->write(target, off, width, val & bits_mask(8 * width));
    if (width < size)
        target->ops->write(target, off + 4, 4, val >> 32);
}

/* --- The host --- */
static void host_settle(struct device *dev)
{
    struct pci_host *host = host_of(dev);

    for (unsigned i = 0; i < PCI_INTX_LINES; i++)
        irq_set(&host->intx[i], host->asserted[i] != 0);
}

static struct irq_line *host_irq(struct device *dev, unsigned n)
{
    return n < PCI_INTX_LINES ? &host_of(dev)->intx[n] : NULL;
}

const struct device_ops pci_host_ops = {
    .type = "pci-host-ecam-generic",
    .instance_size = sizeof(struct pci_host),
    .mmio = {.size = PCI_ECAM_SIZE, .access_min = 1, .access_max = 4},
    .settle = host_settle,
    .read = host_read,
    .write = host_write,
    .irq = host_irq,
};

struct pci_host *pci_host_new(const char *name, gpa_t window_base, uint32_t window_size)
{
    struct device *dev = device_new(&pci_host_ops, name);
    struct pci_host *host;

    if (!dev)
        return NULL;
    host = host_of(dev);
    host->window_base = window_base;
    host->window = (struct mmio_window){
        .access = {.size = window_size, .access_min = 1, .access_max = 8},
        .read = window_read,
        .write = window_write,
    };
    return host;
}

void pci_host_connect_intx(struct pci_host *host, unsigned line,
                           void (*set)(void *sink, unsigned pin, bool level), void *sink,
                           unsigned pin)
{
    irq_connect(&host->intx[line], set, sink, pin);
}

void pci_host_place_ecam(struct pci_host *host, uint64_t base, bool there)
{
    host->ecam = base;
    host->has_ecam = there;
    host_moved(host);
}

void pci_host_connect_doorbells(struct pci_host *host, const struct doorbell_maker *maker)
{
    host->doorbells = *maker;
}

void pci_host_connect_msi(struct pci_host *host, pci_msi_fn msi, void *arg)
{
    host->msi = msi;
    host->msi_arg = arg;
}
