/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platform-level interrupt controller ("sifive,plic-1.0.0", "riscv,plic0").
 * Spec: "RISC-V Platform-Level Interrupt Controller Specification" 1.0.0, sections 3 (memory map)
 * to 10 (completion).
 *
 * Every source has a level gateway: while its wire is high and no earlier request is being handled
 * (claimed and not yet completed), one request is pending. A request stays pending when the wire
 * falls before the claim, as section 6 wants it. Invariant, restored by plic_settle():
 * level & ~claimed is a subset of pending.
 *
 * Input levels are state, so that loading makes no edge. Not modelled: edge-triggered gateways,
 * source numbers above PLIC_SOURCES_MAX.
 */
#include "devices/irqchip/plic.h"
#include <errno.h>

enum { SOURCES = PLIC_SOURCES_MAX + 1, WORDS = SOURCES / 32 }; /* source 0 does not exist */
enum {
    PRIORITY = 0x0,
    PENDING = 0x1000,
    ENABLE = 0x2000,
    CONTEXT = 0x200000,
    PLIC_SIZE = 0x4000000,
    ENABLE_STRIDE = 0x80,
    CONTEXT_STRIDE = 0x1000,
    CONTEXT_THRESHOLD = 0,
    CONTEXT_CLAIM = 4,
};

struct plic {
    struct device dev; /* must be first */
    struct irq_line output[PLIC_CONTEXTS_MAX];
    unsigned sources, contexts;
    uint8_t priority[SOURCES];
    uint32_t level[WORDS], pending[WORDS], claimed[WORDS];
    uint32_t enable[PLIC_CONTEXTS_MAX * WORDS];
    uint8_t threshold[PLIC_CONTEXTS_MAX];
};

static const struct state_field plic_state[] = {
    STATE_FIELD(struct plic, priority, uint8_t[SOURCES], STATE_TYPE_U8, SOURCES, PLIC_PRIORITY_MAX),
    STATE_U32_ARRAY(struct plic, level, WORDS),
    STATE_U32_ARRAY(struct plic, pending, WORDS),
    STATE_U32_ARRAY(struct plic, claimed, WORDS),
    STATE_U32_ARRAY(struct plic, enable, PLIC_CONTEXTS_MAX *WORDS),
    STATE_FIELD(struct plic, threshold, uint8_t[PLIC_CONTEXTS_MAX], STATE_TYPE_U8,
                PLIC_CONTEXTS_MAX, PLIC_PRIORITY_MAX),
    STATE_END,
};

static uint32_t source_bit(unsigned source)
{
    return UINT32_C(1) << (source % 32);
}

/* Of the pending sources a context has enabled: highest priority, lowest number; 0 if none.
 * Priority 0 never interrupts. */
static unsigned plic_best(const struct plic *s, unsigned context)
{
    unsigned best = 0, best_priority = 0;

    for (unsigned w = 0; w < WORDS; w++) {
        uint32_t candidates = s->pending[w] & s->enable[context * WORDS + w];

        for (; candidates; candidates &= candidates - 1) {
            unsigned source = w * 32 + (unsigned)__builtin_ctz(candidates);

            if (s->priority[source] > best_priority) {
                best = source;
                best_priority = s->priority[source];
            }
        }
    }
    return best;
}

static void plic_settle(struct device *dev)
{
    struct plic *s = container_of(dev, struct plic, dev);

    for (unsigned w = 0; w < WORDS; w++)
        s->pending[w] |= s->level[w] & ~s->claimed[w];
    for (unsigned c = 0; c < s->contexts; c++)
        irq_set(&s->output[c], s->priority[plic_best(s, c)] > s->threshold[c]);
}

static void plic_input(void *sink, unsigned pin, bool level)
{
    struct plic *s = container_of(sink, struct plic, dev);

    if (!pin || pin > s->sources)
        return;
    if (level)
        s->level[pin / 32] |= source_bit(pin);
    else
        s->level[pin / 32] &= ~source_bit(pin);
    plic_settle(&s->dev);
}

static uint32_t plic_claim(struct plic *s, unsigned context)
{
    unsigned source = plic_best(s, context);

    if (!source)
        return 0;
    s->pending[source / 32] &= ~source_bit(source);
    s->claimed[source / 32] |= source_bit(source);
    plic_settle(&s->dev);
    return source;
}

/* A completion for a source that the context has not enabled is ignored (section 10). */
static void plic_complete(struct plic *s, unsigned context, uint64_t source)
{
    uint32_t bit = source_bit((unsigned)source);
    size_t word = source / 32;

    if (word >= WORDS || !(s->enable[(size_t)context * WORDS + word] & bit))
        return;
    s->claimed[word] &= ~bit;
    plic_settle(&s->dev);
}

/* Where an offset leads: region and the indices inside it. */
struct plic_place {
    enum { PLIC_NOWHERE, PLIC_PRIORITY, PLIC_PENDING, PLIC_ENABLE, PLIC_THRESHOLD, PLIC_CLAIM } reg;
    unsigned context, index; /* index: source or word */
};

static struct plic_place plic_find_context(const struct plic *s, uint32_t off)
{
    struct plic_place place = {.context = off / CONTEXT_STRIDE};

    if (place.context >= s->contexts)
        return place;
    if (off % CONTEXT_STRIDE == CONTEXT_THRESHOLD)
        place.reg = PLIC_THRESHOLD;
    else if (off % CONTEXT_STRIDE == CONTEXT_CLAIM)
        place.reg = PLIC_CLAIM;
    return place;
}

static struct plic_place plic_find(const struct plic *s, uint32_t off)
{
    struct plic_place place = {.reg = PLIC_NOWHERE};

    if (off >= CONTEXT)
        return plic_find_context(s, off - CONTEXT);
    if (off >= ENABLE) {
        place.context = (off - ENABLE) / ENABLE_STRIDE;
        place.index = (off - ENABLE) % ENABLE_STRIDE / 4;
        place.reg = place.context < s->contexts ? PLIC_ENABLE : PLIC_NOWHERE;
    } else if (off >= PENDING) {
        place.index = (off - PENDING) % ENABLE_STRIDE / 4;
        place.reg = off < PENDING + ENABLE_STRIDE ? PLIC_PENDING : PLIC_NOWHERE;
    } else {
        place.index = off / 4;
        place.reg = place.index <= s->sources ? PLIC_PRIORITY : PLIC_NOWHERE;
    }
    return place;
}

/* The bits of a word that stand for sources this machine has. */
static uint32_t plic_word_mask(const struct plic *s, unsigned word)
{
    uint32_t mask = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        unsigned source = word * 32 + bit;

        if (source && source <= s->sources)
            mask |= source_bit(bit);
    }
    return mask;
}

static uint64_t plic_read(struct device *dev, uint32_t off, unsigned size)
{
    struct plic *s = container_of(dev, struct plic, dev);
    struct plic_place place = plic_find(s, off);

    switch (place.reg) {
    case PLIC_PRIORITY: return s->priority[place.index];
    case PLIC_PENDING: return place.index < WORDS ? s->pending[place.index] : 0;
    case PLIC_ENABLE:
        return place.index < WORDS ? s->enable[place.context * WORDS + place.index] : 0;
    case PLIC_THRESHOLD: return s->threshold[place.context];
    case PLIC_CLAIM: return plic_claim(s, place.context);
    default: return guest_error_read(dev, off);
    }
}

static void plic_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct plic *s = container_of(dev, struct plic, dev);
    struct plic_place place = plic_find(s, off);

    switch (place.reg) {
    case PLIC_PRIORITY:
        if (place.index) /* source 0 does not exist */
            s->priority[place.index] = val & PLIC_PRIORITY_MAX;
        break;
    case PLIC_ENABLE:
        if (place.index < WORDS)
            s->enable[place.context * WORDS + place.index] =
                (uint32_t)val & plic_word_mask(s, place.index);
        break;
    case PLIC_THRESHOLD: s->threshold[place.context] = val & PLIC_PRIORITY_MAX; break;
    case PLIC_CLAIM: plic_complete(s, place.context, val); return;
    default: guest_error_write(dev, off, val); return;
    }
    plic_settle(dev);
}

/* Levels belong to the wires and stay. */
static void plic_reset(struct device *dev)
{
    struct plic *s = container_of(dev, struct plic, dev);

    for (unsigned i = 0; i < SOURCES; i++)
        s->priority[i] = 0;
    for (unsigned w = 0; w < WORDS; w++)
        s->pending[w] = s->claimed[w] = 0;
    for (unsigned i = 0; i < PLIC_CONTEXTS_MAX * WORDS; i++)
        s->enable[i] = 0;
    for (unsigned c = 0; c < PLIC_CONTEXTS_MAX; c++)
        s->threshold[c] = 0;
}

static struct irq_line *plic_irq(struct device *dev, unsigned n)
{
    struct plic *s = container_of(dev, struct plic, dev);

    return n < s->contexts ? &s->output[n] : NULL;
}

static int plic_init(struct device *dev, struct err *err)
{
    struct plic *s = container_of(dev, struct plic, dev);

    s->sources = s->sources ? s->sources : PLIC_SOURCES_MAX;
    s->contexts = s->contexts ? s->contexts : 2;
    return 0;
}

int plic_setup(struct device *dev, unsigned sources, unsigned contexts, struct err *err)
{
    struct plic *s = container_of(dev, struct plic, dev);

    if (!sources || sources > PLIC_SOURCES_MAX || !contexts || contexts > PLIC_CONTEXTS_MAX)
        return err_set(err, -EINVAL,
                       "PLIC '%s': %u sources and %u contexts; at most %d and %d are possible",
                       dev->name, sources, contexts, PLIC_SOURCES_MAX, PLIC_CONTEXTS_MAX);
    s->sources = sources;
    s->contexts = contexts;
    return 0;
}

const struct device_ops plic_ops = {
    .type = "sifive,plic-1.0.0",
    .instance_size = sizeof(struct plic),
    .mmio = {.size = PLIC_SIZE, .access_min = 4, .access_max = 4},
    .init = plic_init,
    .reset = plic_reset,
    .settle = plic_settle,
    .read = plic_read,
    .write = plic_write,
    .irq = plic_irq,
    .input = plic_input,
    .state_version = 1,
    .state = plic_state,
};
