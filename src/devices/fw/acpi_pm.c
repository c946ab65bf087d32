/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI 6.4, 4.8.3: PM1 event (status, enable), PM1 control, power-management timer of 32 bits at
 * 3.579545 MHz. The machine is in ACPI mode from the start (SCI_EN reads as one). Sleep states:
 * S5 alone. Not modelled: general-purpose events, sleep button. The RTC's bit
 * can be enabled, as kernels insist on it, but there is no sleep to wake from.
 */
#include "devices/fw/acpi_pm.h"
#include "base/bits.h"
#include "devices/core/device.h"

enum { STATUS = 0, ENABLE = 2 };
enum { TIMER_CARRY = 1, GLOBAL = 1 << 5, POWER_BUTTON = 1 << 8, RTC = 1 << 10, WAKE = 1 << 15 };
enum { STATUS_BITS = TIMER_CARRY | GLOBAL | POWER_BUTTON | RTC | WAKE };
enum {
    ENABLE_BITS = TIMER_CARRY | GLOBAL | POWER_BUTTON | RTC,
    CONTROL_SCI = 1,
    CONTROL_SLEEP = 1 << 13
};
enum { CONTROL_TYPE = 10, CONTROL_BITS = 7 << CONTROL_TYPE | 2 | 4, TIMER_HZ = 3579545 };

struct acpi_pm {
    struct device dev;   /* must be first */
    struct irq_line irq; /* irq and timer are outputs */
    struct timer timer;
    uint16_t status, enable, control;
    uint64_t carries; /* changes of the timer's top bit that were noticed */
};

static const struct state_field pm_state[] = {
    STATE_U16_MAX(struct acpi_pm, status, STATUS_BITS),
    STATE_U16_MAX(struct acpi_pm, enable, ENABLE_BITS),
    STATE_U16(struct acpi_pm, control),
    STATE_U64(struct acpi_pm, carries),
    STATE_END,
};

static struct acpi_pm *pm_of(struct device *dev)
{
    return container_of(dev, struct acpi_pm, dev);
}

static uint64_t pm_ticks(const struct acpi_pm *s)
{
    return (uint64_t)((unsigned __int128)clock_now_ns(s->dev.clock) * TIMER_HZ / 1000000000u);
}

/* Guest time until the top bit changes next. */
static uint64_t pm_carry_delay(const struct acpi_pm *s)
{
    uint64_t next = (pm_ticks(s) >> 31) + 1, now = clock_now_ns(s->dev.clock);
    unsigned __int128 at = ((unsigned __int128)next << 31) * 1000000000u;

    return (uint64_t)((at + TIMER_HZ - 1) / TIMER_HZ) - now;
}

static void pm_settle(struct device *dev)
{
    struct acpi_pm *s = pm_of(dev);
    uint64_t carries = pm_ticks(s) >> 31;

    if (carries != s->carries)
        s->status |= TIMER_CARRY;
    s->carries = carries;
    irq_set(&s->irq, s->status & s->enable);
    timer_set(&s->timer, s->enable & TIMER_CARRY ? pm_carry_delay(s) : TIMER_OFF);
}

static uint64_t pm_read(struct device *dev, uint32_t off, unsigned size)
{
    struct acpi_pm *s = pm_of(dev);
    uint64_t regs;

    pm_settle(dev);
    if (off >= ACPI_PM_TIMER)
        return (uint32_t)pm_ticks(s) >> (off - ACPI_PM_TIMER) * 8;
    regs = s->status | (uint64_t)s->enable << 16 | (uint64_t)(s->control | CONTROL_SCI) << 32;
    return regs >> off * 8;
}

static void pm_write_control(struct acpi_pm *s, uint16_t val)
{
    s->control = val & CONTROL_BITS;
    if (!(val & CONTROL_SLEEP))
        return;
    if (bits_get(val, CONTROL_TYPE, 3) == ACPI_PM_SLEEP_OFF)
        power_request(&s->dev, POWER_OFF, 0);
    else
        guest_error(&s->dev, "sleep state of type %u, which there is not",
                    (unsigned)bits_get(val, CONTROL_TYPE, 3));
}

static void pm_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct acpi_pm *s = pm_of(dev);
    uint32_t bytes = (uint32_t)(val << off % 4 * 8); /* as in the dword it lies in */
    uint32_t mask = (uint32_t)(bits_mask(size * 8) << off % 4 * 8);

    if (off < ACPI_PM_CONTROL) {
        s->status &= (uint16_t)~bytes; /* ones clear */
        s->enable = (uint16_t)((s->enable & ~(mask >> 16)) | (bytes >> 16 & ENABLE_BITS));
    } else if (off < ACPI_PM_TIMER) {
        pm_write_control(s, (uint16_t)((s->control & ~mask) | bytes));
    } else {
        guest_error_write(dev, off, val);
    }
    pm_settle(dev);
}

void acpi_pm_press_power(struct device *dev)
{
    pm_of(dev)->status |= POWER_BUTTON;
    pm_settle(dev);
}

static void pm_reset(struct device *dev)
{
    struct acpi_pm *s = pm_of(dev);

    s->status = s->enable = s->control = 0;
    s->carries = pm_ticks(s) >> 31;
}

static int pm_init(struct device *dev, struct err *err)
{
    timer_init(&pm_of(dev)->timer, dev->clock, dev);
    return 0;
}

static void pm_done(struct device *dev)
{
    timer_done(&pm_of(dev)->timer);
}

static struct irq_line *pm_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &pm_of(dev)->irq;
}

const struct device_ops acpi_pm_ops = {
    .type = "acpi-pm",
    .instance_size = sizeof(struct acpi_pm),
    .mmio = {.size = ACPI_PM_SIZE, .access_min = 1, .access_max = 4},
    .init = pm_init,
    .done = pm_done,
    .reset = pm_reset,
    .settle = pm_settle,
    .read = pm_read,
    .write = pm_write,
    .irq = pm_irq,
    .quiesce = pm_settle, /* the timer is watched only while it may interrupt */
    .state_version = 1,
    .state = pm_state,
};
