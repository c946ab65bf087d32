/* SPDX-License-Identifier: Apache-2.0 */
/* Life of devices, interrupt lines, guest errors and power requests. Contracts: device.h here and
 * include/posada/device.h. */
#include "devices/core/device.h"
#include "base/bits.h"
#include <errno.h>
#include <inttypes.h>
#include <posada/log.h>
#include <posada/trace.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUEST_ERRORS_LOGGED = 16 };

struct device *device_new(const struct device_ops *ops, const char *name)
{
    struct device *dev = calloc(1, ops->instance_size);

    if (!dev)
        return NULL;
    dev->ops = ops;
    (void)snprintf(dev->name, sizeof(dev->name), "%s", name);
    return dev;
}

int device_init(struct device *dev, struct err *err)
{
    return dev->ops->init ? dev->ops->init(dev, err) : 0;
}

void device_free(struct device *dev)
{
    if (!dev)
        return;
    if (dev->ops->done)
        dev->ops->done(dev);
    free(dev);
}

/* --- Sets --- */
int device_set_add(struct device_set *set, struct device *dev, struct err *err)
{
    if (device_set_find(set, dev->name))
        return err_set(err, -EEXIST, "device '%s': the machine already has one of this name",
                       dev->name);
    if (set->count == DEVICE_MAX)
        return err_set(err, -ENOSPC, "device '%s': a machine has at most %d devices", dev->name,
                       DEVICE_MAX);
    set->device[set->count++] = dev;
    return 0;
}

struct device *device_set_find(const struct device_set *set, const char *name)
{
    for (unsigned i = 0; i < set->count; i++) {
        if (!strcmp(set->device[i]->name, name))
            return set->device[i];
    }
    return NULL;
}

void device_set_free(struct device_set *set)
{
    while (set->count)
        device_free(set->device[--set->count]);
}

void device_reset_all(const struct device_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        if (set->device[i]->ops->reset)
            set->device[i]->ops->reset(set->device[i]);
    }
    device_settle_all(set);
}

void device_settle_all(const struct device_set *set)
{
    for (unsigned i = set->count; i-- > 0;) {
        if (set->device[i]->ops->settle)
            set->device[i]->ops->settle(set->device[i]);
    }
}

/* --- Interrupt lines --- */
void irq_connect(struct irq_line *line, void (*set)(void *, unsigned, bool), void *sink,
                 unsigned pin)
{
    *line = (struct irq_line){.set = set, .sink = sink, .pin = pin};
}

void irq_set(struct irq_line *line, bool level)
{
    if (line->level == level)
        return;
    line->level = level;
    if (trace_on(TRACE_IRQ))
        trace_put(TRACE_EV_irq_line, TRACE_NO_VCPU, (uintptr_t)line->sink, line->pin, level, 0, 0);
    if (line->set)
        line->set(line->sink, line->pin, level);
}

/* --- Guest errors: the first few and then every power of two are logged, so that a guest can fill
 * no log and the log still says how many there were. No clock is needed for that. --- */
static bool guest_error_count(struct device *dev)
{
    dev->guest_errors++;
    return (dev->guest_errors <= GUEST_ERRORS_LOGGED || is_pow2(dev->guest_errors)) &&
           log_on(LOG_DEBUG);
}

uint64_t guest_error_read(struct device *dev, uint32_t off)
{
    if (guest_error_count(dev))
        log_debug("device '%s': guest read of 0x%" PRIx32
                  ", where nothing can be read (error %" PRIu64 ")",
                  dev->name, off, dev->guest_errors);
    return 0;
}

void guest_error_write(struct device *dev, uint32_t off, uint64_t val)
{
    if (guest_error_count(dev))
        log_debug("device '%s': guest write of 0x%" PRIx64 " to 0x%" PRIx32
                  ", which takes no such value (error %" PRIu64 ")",
                  dev->name, val, off, dev->guest_errors);
}

void guest_error(struct device *dev, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    if (!guest_error_count(dev))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_debug("device '%s': %s (error %" PRIu64 ")", dev->name, text, dev->guest_errors);
}

void power_request(struct device *dev, enum power_action action, unsigned code)
{
    if (dev->power && dev->power->request)
        dev->power->request(dev->power->arg, action, code);
}
