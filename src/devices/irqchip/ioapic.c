/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC: 82093AA data sheet, section 3, with the EOI register of later ones (version 0x20).
 * A pin's message is what a device would send by MSI: SDM volume 3, 11.11. A level-triggered pin
 * sends once and waits (remote IRR) until its vector is ended. What may have been sent before a
 * state load is not sent again: a request stays in `irr` only until then.
 * Not modelled: delivery mode ExtINT (the 8259 has a wire of its own), the arbitration register.
 */
#include "devices/irqchip/ioapic.h"
#include "base/bits.h"

enum { INDEX = 0x00, DATA = 0x10, END = 0x40, SIZE = 0x1000 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };
enum { RTE_LOGICAL = 11, RTE_STATUS = 12, RTE_REMOTE_IRR = 14, RTE_LEVEL = 15, RTE_MASK = 16 };
enum { RTE_DESTINATION = 56, MODE_EXTINT = 7, VERSION = 0x20 };
#define RTE_WRITABLE                                                                               \
    ((UINT64_C(0xff) << RTE_DESTINATION) |                                                         \
     (bits_mask(17) & ~(BIT(RTE_STATUS) | BIT(RTE_REMOTE_IRR))))
#define MESSAGE_ADDRESS UINT64_C(0xfee00000)

struct ioapic {
    struct device dev; /* must be first */
    struct ioapic_sink sink;
    unsigned missing; /* pins that it does not have */
    uint32_t index, id;
    uint32_t level; /* of the pins */
    uint32_t irr;   /* edges and levels not yet sent */
    uint64_t table[IOAPIC_PINS];
};

static const struct state_field ioapic_state[] = {
    STATE_U32_MAX(struct ioapic, index, 0xff),
    STATE_U32_MAX(struct ioapic, id, 15),
    STATE_U32_MAX(struct ioapic, level, (1 << IOAPIC_PINS) - 1),
    STATE_U32_MAX(struct ioapic, irr, (1 << IOAPIC_PINS) - 1),
    STATE_U64_ARRAY(struct ioapic, table, IOAPIC_PINS),
    STATE_END,
};

static struct ioapic *ioapic_of(struct device *dev)
{
    return container_of(dev, struct ioapic, dev);
}

static bool rte_bit(uint64_t rte, unsigned bit)
{
    return rte >> bit & 1;
}

static uint64_t rte_address(uint64_t rte)
{
    return MESSAGE_ADDRESS | bits_get(rte, RTE_DESTINATION, 8) << 12 |
           (uint64_t)rte_bit(rte, RTE_LOGICAL) << 2;
}

/* Vector and delivery mode; trigger mode in bit 15, and asserted. */
static uint32_t rte_data(uint64_t rte)
{
    return (uint32_t)((rte & 0x7ff) | BIT(14) | (rte & BIT(RTE_LEVEL)));
}

static bool rte_masked(uint64_t rte)
{
    return rte_bit(rte, RTE_MASK) || bits_get(rte, 8, 3) == MODE_EXTINT;
}

static void ioapic_send(struct ioapic *s, unsigned pin)
{
    uint64_t *rte = &s->table[pin];
    bool level = rte_bit(*rte, RTE_LEVEL);

    if (!(s->irr >> pin & 1) || rte_masked(*rte) || (level && rte_bit(*rte, RTE_REMOTE_IRR)))
        return;
    if (level)
        *rte |= BIT(RTE_REMOTE_IRR);
    else
        s->irr &= ~(1u << pin);
    if (s->sink.message)
        s->sink.message(s->sink.arg, rte_address(*rte), rte_data(*rte));
}

static void ioapic_tell_route(struct ioapic *s, unsigned pin)
{
    uint64_t rte = s->table[pin];

    if (s->sink.route)
        s->sink.route(s->sink.arg, pin, rte_masked(rte), rte_address(rte), rte_data(rte));
}

static void ioapic_settle(struct device *dev)
{
    struct ioapic *s = ioapic_of(dev);

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if (rte_bit(s->table[pin], RTE_LEVEL)) /* a level is as it is, whatever was noted */
            s->irr = (uint32_t)bits_set(s->irr, pin, 1, s->level >> pin & 1);
        ioapic_tell_route(s, pin);
        ioapic_send(s, pin);
    }
}

static void ioapic_input(void *sink, unsigned pin, bool level)
{
    struct ioapic *s = ioapic_of((struct device *)sink);
    bool was;

    if (pin >= IOAPIC_PINS)
        return;
    was = s->level >> pin & 1;
    s->level = (uint32_t)bits_set(s->level, pin, 1, level);
    if (rte_bit(s->table[pin], RTE_LEVEL))
        s->irr = (uint32_t)bits_set(s->irr, pin, 1, level);
    else if (level && !was)
        s->irr |= 1u << pin;
    ioapic_send(s, pin);
}

void ioapic_end(struct device *dev, uint8_t vector)
{
    struct ioapic *s = ioapic_of(dev);

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t rte = s->table[pin];

        if ((uint8_t)rte != vector || !rte_bit(rte, RTE_LEVEL))
            continue;
        s->table[pin] &= ~BIT(RTE_REMOTE_IRR);
        ioapic_send(s, pin);
    }
}

/* --- Registers --- */
static unsigned ioapic_pins(const struct ioapic *s)
{
    return IOAPIC_PINS - s->missing;
}

static uint64_t ioapic_read_data(struct ioapic *s)
{
    uint32_t pin = (s->index - REG_TABLE) / 2;

    switch (s->index) {
    case REG_ID:
    case REG_ARBITRATION: return s->id << 24;
    case REG_VERSION: return VERSION | (ioapic_pins(s) - 1) << 16;
    default: break;
    }
    if (s->index < REG_TABLE || pin >= ioapic_pins(s))
        return guest_error_read(&s->dev, s->index);
    return (uint32_t)(s->table[pin] >> (s->index & 1) * 32);
}

static void ioapic_write_table(struct ioapic *s, unsigned pin, bool high, uint32_t val)
{
    uint64_t old = s->table[pin], rte = bits_set(old, high * 32, 32, val);

    s->table[pin] = (rte & RTE_WRITABLE) | (old & BIT(RTE_REMOTE_IRR));
    if (!rte_bit(rte, RTE_LEVEL)) { /* as the chip: going to edge and back frees a stuck pin */
        s->table[pin] &= ~BIT(RTE_REMOTE_IRR);
        if (rte_bit(old, RTE_LEVEL))
            s->irr &= ~(1u << pin);
    } else {
        s->irr = (uint32_t)bits_set(s->irr, pin, 1, s->level >> pin & 1);
    }
    ioapic_tell_route(s, pin);
    ioapic_send(s, pin);
}

static void ioapic_write_data(struct ioapic *s, uint32_t val)
{
    uint32_t pin = (s->index - REG_TABLE) / 2;

    if (s->index == REG_ID)
        s->id = val >> 24 & 15;
    else if (s->index >= REG_TABLE && pin < ioapic_pins(s))
        ioapic_write_table(s, pin, s->index & 1, val);
    else
        guest_error_write(&s->dev, s->index, val);
}

static uint64_t ioapic_read(struct device *dev, uint32_t off, unsigned size)
{
    struct ioapic *s = ioapic_of(dev);

    switch (off) {
    case INDEX: return s->index;
    case DATA: return ioapic_read_data(s);
    default: return guest_error_read(dev, off);
    }
}

static void ioapic_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct ioapic *s = ioapic_of(dev);

    switch (off) {
    case INDEX: s->index = (uint8_t)val; break;
    case DATA: ioapic_write_data(s, (uint32_t)val); break;
    case END: ioapic_end(dev, (uint8_t)val); break;
    default: guest_error_write(dev, off, val); break;
    }
}

static void ioapic_reset(struct device *dev)
{
    struct ioapic *s = ioapic_of(dev);

    s->index = s->id = s->irr = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        s->table[pin] = BIT(RTE_MASK);
}

void ioapic_set_pins(struct device *dev, unsigned pins)
{
    ioapic_of(dev)->missing = IOAPIC_PINS - pins;
}

void ioapic_connect(struct device *dev, const struct ioapic_sink *sink)
{
    ioapic_of(dev)->sink = *sink;
}

const struct device_ops ioapic_ops = {
    .type = "intel,ioapic",
    .instance_size = sizeof(struct ioapic),
    .mmio = {.size = SIZE, .access_min = 4, .access_max = 4},
    .reset = ioapic_reset,
    .settle = ioapic_settle,
    .read = ioapic_read,
    .write = ioapic_write,
    .input = ioapic_input,
    .state_version = 1,
    .state = ioapic_state,
};
