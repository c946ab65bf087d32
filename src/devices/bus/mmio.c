/* SPDX-License-Identifier: Apache-2.0 */
/* Register bus: a sorted array of regions and a last-hit hint. Contract: mmio.h. */
#include "devices/bus/mmio.h"
#include "base/bits.h"
#include "base/checked.h"
#include <errno.h>
#include <inttypes.h>
#include <posada/trace.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MMIO_REGIONS_MAX = 128 };

struct mmio_region {
    uint64_t base;
    struct mmio_window window;
    struct device *dev;
};

struct mmio_bus {
    pthread_mutex_t *lock;
    unsigned count;
    atomic_uint hint; /* region of the last hit; relaxed, any value in range is right */
    struct mmio_region region[MMIO_REGIONS_MAX]; /* sorted by base, disjoint */
};

struct mmio_bus *mmio_bus_new(pthread_mutex_t *lock)
{
    struct mmio_bus *bus = calloc(1, sizeof(*bus));

    if (bus)
        bus->lock = lock;
    return bus;
}

void mmio_bus_free(struct mmio_bus *bus)
{
    free(bus);
}

static uint64_t region_last(const struct mmio_region *r)
{
    return r->base + r->window.access.size - 1;
}

/* The first region that ends at or behind addr: the only one that can hold it. */
static unsigned region_search(const struct mmio_bus *bus, uint64_t addr)
{
    unsigned low = 0, high = bus->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (region_last(&bus->region[middle]) < addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int region_check(const struct mmio_bus *bus, const struct mmio_region *new, unsigned place,
                        struct err *err)
{
    uint64_t last;

    if (!new->window.access.size ||
        ckd_add(&last, new->base, (uint64_t) new->window.access.size - 1))
        return err_set(err, -EINVAL,
                       "device '%s': no register window of %" PRIu32 " bytes fits at 0x%" PRIx64,
                       new->dev->name, new->window.access.size, new->base);
    if (bus->count == MMIO_REGIONS_MAX)
        return err_set(err, -ENOSPC, "device '%s': the bus has room for %d register windows",
                       new->dev->name, MMIO_REGIONS_MAX);
    if (place < bus->count && bus->region[place].base <= last)
        return err_set(
            err, -EEXIST, "device '%s' at 0x%" PRIx64 " overlaps device '%s' at 0x%" PRIx64,
            new->dev->name, new->base, bus->region[place].dev->name, bus->region[place].base);
    return 0;
}

int mmio_bus_add_window(struct mmio_bus *bus, gpa_t gpa, const struct mmio_window *window,
                        struct device *dev, struct err *err)
{
    struct mmio_region new = {.base = gpa.v, .window = *window, .dev = dev};
    unsigned place = region_search(bus, gpa.v);
    int r = region_check(bus, &new, place, err);

    if (r)
        return r;
    for (unsigned i = bus->count++; i > place; i--)
        bus->region[i] = bus->region[i - 1];
    bus->region[place] = new;
    return 0;
}

int mmio_bus_add(struct mmio_bus *bus, gpa_t gpa, struct device *dev, struct err *err)
{
    struct mmio_window window = {
        .access = dev->ops->mmio, .read = dev->ops->read, .write = dev->ops->write};

    return mmio_bus_add_window(bus, gpa, &window, dev, err);
}

bool mmio_access_ok(const struct device_mmio *access, uint64_t off, unsigned size)
{
    if (!is_pow2(size) || size < access->access_min || size > access->access_max)
        return false;
    if (!access->unaligned && !is_aligned(off, size))
        return false;
    return range_within(off, size, access->size);
}

static struct mmio_region *region_find(struct mmio_bus *bus, uint64_t addr)
{
    unsigned i = atomic_load_explicit(&bus->hint, memory_order_relaxed);
    struct mmio_region *r = &bus->region[i];

    if (addr - r->base < r->window.access.size)
        return r;
    i = region_search(bus, addr);
    r = &bus->region[i];
    if (i == bus->count || addr < r->base)
        return NULL;
    atomic_store_explicit(&bus->hint, i, memory_order_relaxed);
    return r;
}

/* The region of a legal access; an illegal one is counted against its device. */
static struct mmio_region *region_for_access(struct mmio_bus *bus, uint64_t addr, unsigned size,
                                             const char *what)
{
    struct mmio_region *r = region_find(bus, addr);

    if (!r || mmio_access_ok(&r->window.access, addr - r->base, size))
        return r;
    guest_error(r->dev, "guest %s of %u bytes at 0x%" PRIx64 ", which has no access of this form",
                what, size, addr - r->base);
    return NULL;
}

bool mmio_bus_read(struct mmio_bus *bus, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    struct mmio_region *r = region_for_access(bus, gpa.v, size, "read");
    uint64_t val;

    if (!r)
        return false;
    val = r->window.read(r->dev, (uint32_t)(gpa.v - r->base), size) & bits_mask(size * 8);
    if (trace_on(TRACE_MMIO))
        trace_put(TRACE_EV_mmio_read, TRACE_NO_VCPU, gpa.v, size, val, 0, 0);
    *ret_val = val;
    return true;
}

bool mmio_bus_write(struct mmio_bus *bus, gpa_t gpa, unsigned size, uint64_t val)
{
    struct mmio_region *r = region_for_access(bus, gpa.v, size, "write");

    if (!r)
        return false;
    val &= bits_mask(size * 8);
    if (trace_on(TRACE_MMIO))
        trace_put(TRACE_EV_mmio_write, TRACE_NO_VCPU, gpa.v, size, val, 0, 0);
    r->window.write(r->dev, (uint32_t)(gpa.v - r->base), size, val);
    return true;
}

/* --- From CPUs: with the lock --- */
static void bus_lock(struct mmio_bus *bus)
{
    if (bus->lock)
        (void)pthread_mutex_lock(bus->lock);
}

static void bus_unlock(struct mmio_bus *bus)
{
    if (bus->lock)
        (void)pthread_mutex_unlock(bus->lock);
}

static bool bus_io_read(void *arg, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    struct mmio_bus *bus = arg;
    bool ok;

    bus_lock(bus);
    ok = mmio_bus_read(bus, gpa, size, ret_val);
    bus_unlock(bus);
    return ok;
}

static bool bus_io_write(void *arg, gpa_t gpa, unsigned size, uint64_t val)
{
    struct mmio_bus *bus = arg;
    bool ok;

    bus_lock(bus);
    ok = mmio_bus_write(bus, gpa, size, val);
    bus_unlock(bus);
    return ok;
}

struct mem_io mmio_bus_io(struct mmio_bus *bus)
{
    return (struct mem_io){.read = bus_io_read, .write = bus_io_write, .arg = bus};
}
