/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two Intel 8259A, the slave on the master's pin 2, with the edge/level registers of later chip
 * sets (ELCR). Spec: Intel 8259A data sheet (1988); 82371AB, "Edge/Level Control Register".
 * Its own register space puts the three windows one behind the other: 0-1, 2-3, 4-5.
 * Not modelled: MCS-80 mode, buffered mode, poll command's effect on the other chip.
 */
#include "devices/irqchip/i8259.h"
#include "base/bits.h"
#include "devices/core/device.h"

enum { CHIPS = 2, PINS = 8, CASCADE = 2, ELCR_AT = 4, SIZE = 6, SPURIOUS = 7 };
enum { ICW1 = 0x10, ICW1_NEEDS_ICW4 = 1, ICW1_SINGLE = 2, ICW4_AUTO_EOI = 2, ICW4_NESTED = 0x10 };
enum { OCW3 = 8, OCW3_POLL = 4, OCW3_READ = 2, OCW3_READ_ISR = 1 };
enum { OCW3_SMM_SET = 0x40, OCW3_SMM = 0x20 };
enum { OCW2_EOI = 0x20, OCW2_SPECIFIC = 0x40, OCW2_ROTATE = 0x80 };

struct i8259_chip {
    uint8_t level; /* of the inputs as they are */
    uint8_t irr, isr, imr;
    uint8_t vector, lowest; /* base; pin of lowest priority */
    uint8_t elcr;
    uint8_t init; /* next ICW: 2, 3, 4; 0: none */
    bool needs_icw4, single, auto_eoi, rotate_on_auto_eoi, special_nested, special_mask;
    bool read_isr, poll;
};

struct i8259 {
    struct device dev;   /* must be first */
    struct irq_line irq; /* derived */
    struct i8259_chip chip[CHIPS];
};

#define CHIP_STATE(n)                                                                              \
    STATE_U8(struct i8259, chip[n].level), STATE_U8(struct i8259, chip[n].irr),                    \
        STATE_U8(struct i8259, chip[n].isr), STATE_U8(struct i8259, chip[n].imr),                  \
        STATE_U8(struct i8259, chip[n].vector),                                                    \
        STATE_U8_MAX(struct i8259, chip[n].lowest, PINS - 1),                                      \
        STATE_U8(struct i8259, chip[n].elcr), STATE_U8_MAX(struct i8259, chip[n].init, 4),         \
        STATE_BOOL(struct i8259, chip[n].needs_icw4), STATE_BOOL(struct i8259, chip[n].single),    \
        STATE_BOOL(struct i8259, chip[n].auto_eoi),                                                \
        STATE_BOOL(struct i8259, chip[n].rotate_on_auto_eoi),                                      \
        STATE_BOOL(struct i8259, chip[n].special_nested),                                          \
        STATE_BOOL(struct i8259, chip[n].special_mask),                                            \
        STATE_BOOL(struct i8259, chip[n].read_isr), STATE_BOOL(struct i8259, chip[n].poll)

static const struct state_field i8259_state[] = {CHIP_STATE(0), CHIP_STATE(1), STATE_END};

static struct i8259 *i8259_of(struct device *dev)
{
    return container_of(dev, struct i8259, dev);
}

/* --- Priorities: the pin behind `lowest` is the highest --- */
static unsigned chip_rank(const struct i8259_chip *c, unsigned pin)
{
    return (pin - c->lowest - 1u) % PINS;
}

/* The pin of highest priority among these; PINS: none. */
static unsigned chip_highest(const struct i8259_chip *c, uint8_t pins)
{
    unsigned best = PINS;

    for (unsigned pin = 0; pin < PINS; pin++)
        if (pins >> pin & 1 && (best == PINS || chip_rank(c, pin) < chip_rank(c, best)))
            best = pin;
    return best;
}

/* The pin that asks and is not held back by one in service; PINS: none. */
static unsigned chip_pending(const struct i8259_chip *c, bool master)
{
    unsigned ask = chip_highest(c, c->irr & (uint8_t)~c->imr), served;
    uint8_t in_service = c->isr;

    if (ask == PINS)
        return PINS;
    if (c->special_mask)
        in_service &= (uint8_t)~c->imr;
    if (c->special_nested && master)
        in_service &= (uint8_t) ~(1u << CASCADE);
    served = chip_highest(c, in_service);
    return served == PINS || chip_rank(c, ask) < chip_rank(c, served) ? ask : PINS;
}

static void chip_input(struct i8259_chip *c, unsigned pin, bool level)
{
    uint8_t bit = (uint8_t)(1u << pin);
    bool rose = level && !(c->level & bit);

    c->level = (uint8_t)bits_set(c->level, pin, 1, level);
    if (c->elcr & bit)
        c->irr = (uint8_t)bits_set(c->irr, pin, 1, level);
    else if (rose)
        c->irr |= bit;
    else if (!level)
        c->irr &= (uint8_t)~bit; /* an edge must stay high until it is acknowledged */
}

static void i8259_settle(struct device *dev)
{
    struct i8259 *s = i8259_of(dev);

    chip_input(&s->chip[0], CASCADE, chip_pending(&s->chip[1], false) != PINS);
    irq_set(&s->irq, chip_pending(&s->chip[0], true) != PINS);
}

static void i8259_input(void *sink, unsigned pin, bool level)
{
    struct i8259 *s = i8259_of((struct device *)sink);

    if (pin >= CHIPS * PINS || pin == CASCADE)
        return;
    chip_input(&s->chip[pin / PINS], pin % PINS, level);
    i8259_settle(&s->dev);
}

/* --- Acknowledging and ending --- */
static unsigned chip_acknowledge(struct i8259_chip *c, bool master)
{
    unsigned pin = chip_pending(c, master);

    if (pin == PINS)
        return SPURIOUS; /* no bit in service: it needs no end */
    if (!(c->elcr >> pin & 1))
        c->irr &= (uint8_t) ~(1u << pin);
    if (!c->auto_eoi)
        c->isr |= (uint8_t)(1u << pin);
    else if (c->rotate_on_auto_eoi)
        c->lowest = (uint8_t)pin;
    return pin;
}

uint8_t i8259_acknowledge(struct device *dev)
{
    struct i8259 *s = i8259_of(dev);
    unsigned pin = chip_acknowledge(&s->chip[0], true), vector;

    if (pin == CASCADE)
        vector = s->chip[1].vector + chip_acknowledge(&s->chip[1], false);
    else
        vector = s->chip[0].vector + pin;
    i8259_settle(dev);
    return (uint8_t)vector;
}

static void chip_ocw2(struct i8259_chip *c, uint8_t val)
{
    unsigned pin = val & OCW2_SPECIFIC ? val & 7u : chip_highest(c, c->isr);

    switch (val & (OCW2_ROTATE | OCW2_SPECIFIC | OCW2_EOI)) {
    case 0: c->rotate_on_auto_eoi = false; return;
    case OCW2_ROTATE: c->rotate_on_auto_eoi = true; return;
    case OCW2_SPECIFIC: return; /* no operation */
    case OCW2_ROTATE | OCW2_SPECIFIC: c->lowest = (uint8_t)pin; return;
    default: break;
    }
    if (pin == PINS)
        return;
    c->isr &= (uint8_t) ~(1u << pin);
    if (val & OCW2_ROTATE)
        c->lowest = (uint8_t)pin;
}

/* --- Registers --- */
static void chip_icw1(struct i8259_chip *c, uint8_t val)
{
    uint8_t elcr = c->elcr, level = c->level;

    *c = (struct i8259_chip){.elcr = elcr, .level = level, .lowest = PINS - 1, .init = 2};
    c->irr = level & elcr;
    c->needs_icw4 = val & ICW1_NEEDS_ICW4;
    c->single = val & ICW1_SINGLE;
}

static void chip_command(struct i8259_chip *c, uint8_t val)
{
    if (val & ICW1) {
        chip_icw1(c, val);
        return;
    }
    if (!(val & OCW3)) {
        chip_ocw2(c, val);
        return;
    }
    c->poll = val & OCW3_POLL;
    if (val & OCW3_READ)
        c->read_isr = val & OCW3_READ_ISR;
    if (val & OCW3_SMM_SET)
        c->special_mask = val & OCW3_SMM;
}

/* ICW2 to ICW4 after ICW1, else the mask (OCW1). */
static void chip_data(struct i8259_chip *c, uint8_t val)
{
    switch (c->init) {
    case 2:
        c->vector = val & 0xf8;
        c->init = c->single ? c->needs_icw4 ? 4 : 0 : 3;
        break;
    case 3: c->init = c->needs_icw4 ? 4 : 0; break; /* the wiring is fixed */
    case 4:
        c->auto_eoi = val & ICW4_AUTO_EOI;
        c->special_nested = val & ICW4_NESTED;
        c->init = 0;
        break;
    default: c->imr = val; break;
    }
}

static uint8_t chip_read(struct i8259 *s, unsigned n, unsigned off)
{
    struct i8259_chip *c = &s->chip[n];

    if (c->poll) {
        unsigned pin = chip_pending(c, n == 0);

        c->poll = false;
        return pin == PINS ? 0 : (uint8_t)(0x80 | chip_acknowledge(c, n == 0));
    }
    if (off)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t i8259_read(struct device *dev, uint32_t off, unsigned size)
{
    struct i8259 *s = i8259_of(dev);
    uint8_t val = off >= ELCR_AT ? s->chip[off - ELCR_AT].elcr : chip_read(s, off / 2, off % 2);

    i8259_settle(dev);
    return val;
}

/* Pins 0, 1, 2, 8 and 13 are edge-triggered whatever is written. */
static void i8259_write_elcr(struct i8259 *s, unsigned n, uint8_t val)
{
    s->chip[n].elcr = n ? val & 0xde : val & 0xf8;
    s->chip[n].irr |= s->chip[n].level & s->chip[n].elcr;
}

static void i8259_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct i8259 *s = i8259_of(dev);

    if (off >= ELCR_AT)
        i8259_write_elcr(s, off - ELCR_AT, (uint8_t)val);
    else if (off % 2)
        chip_data(&s->chip[off / 2], (uint8_t)val);
    else
        chip_command(&s->chip[off / 2], (uint8_t)val);
    i8259_settle(dev);
}

static void i8259_reset(struct device *dev)
{
    struct i8259 *s = i8259_of(dev);

    for (unsigned i = 0; i < CHIPS; i++)
        s->chip[i] =
            (struct i8259_chip){.level = s->chip[i].level, .lowest = PINS - 1, .imr = 0xff};
}

static struct irq_line *i8259_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &i8259_of(dev)->irq;
}

/* --- Windows: the same registers at three places --- */
static uint64_t i8259_read_slave(struct device *dev, uint32_t off, unsigned size)
{
    return i8259_read(dev, off + 2, size);
}

static void i8259_write_slave(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    i8259_write(dev, off + 2, size, val);
}

static uint64_t i8259_read_levels(struct device *dev, uint32_t off, unsigned size)
{
    return i8259_read(dev, off + ELCR_AT, size);
}

static void i8259_write_levels(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    i8259_write(dev, off + ELCR_AT, size, val);
}

#define WINDOW                                                                                     \
    {                                                                                              \
        .size = 2, .access_min = 1, .access_max = 1                                                \
    }
const struct mmio_window i8259_windows[I8259_WINDOWS] = {
    {.access = WINDOW, .read = i8259_read, .write = i8259_write},
    {.access = WINDOW, .read = i8259_read_slave, .write = i8259_write_slave},
    {.access = WINDOW, .read = i8259_read_levels, .write = i8259_write_levels},
};

const struct device_ops i8259_ops = {
    .type = "intel,i8259",
    .instance_size = sizeof(struct i8259),
    .mmio = {.size = SIZE, .access_min = 1, .access_max = 1},
    .reset = i8259_reset,
    .settle = i8259_settle,
    .read = i8259_read,
    .write = i8259_write,
    .irq = i8259_irq,
    .input = i8259_input,
    .state_version = 1,
    .state = i8259_state,
};
