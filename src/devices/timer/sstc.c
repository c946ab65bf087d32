/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervisor timer comparators: STIP of a hart is high while time >= stimecmp.
 * Spec: RISC-V "Sstc" extension 1.0 (stimecmp; the text on STIP in sip and mip). No registers on
 * the bus. Not modelled: vstimecmp (no H extension).
 */
#include "devices/timer/sstc.h"
#include "devices/timer/comparator.h"

struct sstc {
    struct device dev; /* must be first */
    struct comparators comparators;
    uint64_t stimecmp[COMPARATOR_HARTS];
};

static const struct state_field sstc_state[] = {
    STATE_U64_ARRAY(struct sstc, stimecmp, COMPARATOR_HARTS),
    STATE_END,
};

static void sstc_settle(struct device *dev)
{
    struct sstc *s = container_of(dev, struct sstc, dev);

    comparators_settle(&s->comparators, s->stimecmp);
}

static void sstc_reset(struct device *dev)
{
    struct sstc *s = container_of(dev, struct sstc, dev);

    for (unsigned i = 0; i < COMPARATOR_HARTS; i++)
        s->stimecmp[i] = UINT64_MAX;
}

static int sstc_init(struct device *dev, struct err *err)
{
    comparators_init(&container_of(dev, struct sstc, dev)->comparators, dev);
    return 0;
}

static void sstc_done(struct device *dev)
{
    comparators_done(&container_of(dev, struct sstc, dev)->comparators);
}

static struct irq_line *sstc_irq(struct device *dev, unsigned n)
{
    struct sstc *s = container_of(dev, struct sstc, dev);

    return n < s->comparators.harts ? &s->comparators.line[n] : NULL;
}

int sstc_setup(struct device *dev, unsigned harts, uint64_t hz, struct err *err)
{
    return comparators_setup(&container_of(dev, struct sstc, dev)->comparators, harts, hz, err);
}

void sstc_set(struct device *dev, unsigned hart, uint64_t stimecmp)
{
    struct sstc *s = container_of(dev, struct sstc, dev);

    if (hart >= s->comparators.harts)
        return;
    s->stimecmp[hart] = stimecmp;
    sstc_settle(dev);
}

const struct device_ops sstc_ops = {
    .type = "riscv,sstc",
    .instance_size = sizeof(struct sstc),
    .init = sstc_init,
    .done = sstc_done,
    .reset = sstc_reset,
    .settle = sstc_settle,
    .irq = sstc_irq,
    .state_version = 1,
    .state = sstc_state,
};
