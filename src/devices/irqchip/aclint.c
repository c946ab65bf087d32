/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RISC-V ACLINT software interrupts and machine timer.
 * Spec: "RISC-V Advanced Core Local Interruptor Specification" 1.0-rc4, sections 2 (MTIMER),
 * 3 (MSWI) and 4 (SSWI).
 *
 * mtime is the guest clock in ticks, the same number as the time CSR. Not modelled: writing mtime
 * (time is told to the guest, not set by it; a write is a guest error), registers of harts that the
 * machine does not have (guest errors, read as zero).
 */
#include "devices/irqchip/aclint.h"
#include "base/bits.h"
#include "devices/timer/comparator.h"
#include <errno.h>

enum { ACLINT_HARTS = COMPARATOR_HARTS, SWI_SIZE = 0x4000 };
enum { MTIMER_SIZE = 0x8000, MTIME = 0x7ff8 };

static int aclint_check_harts(unsigned harts, struct err *err)
{
    if (harts && harts <= ACLINT_HARTS)
        return 0;
    return err_set(err, -EINVAL, "ACLINT: %u harts; 1 to %d are possible", harts, ACLINT_HARTS);
}

/* --- Machine software interrupts: one bit a hart --- */
struct aclint_mswi {
    struct device dev; /* must be first */
    struct irq_line line[ACLINT_HARTS];
    unsigned harts;
    bool pending[ACLINT_HARTS];
};

static const struct state_field mswi_state[] = {
    STATE_BOOL_ARRAY(struct aclint_mswi, pending, ACLINT_HARTS),
    STATE_END,
};

static void mswi_settle(struct device *dev)
{
    struct aclint_mswi *s = container_of(dev, struct aclint_mswi, dev);

    for (unsigned i = 0; i < s->harts; i++)
        irq_set(&s->line[i], s->pending[i]);
}

static uint64_t mswi_read(struct device *dev, uint32_t off, unsigned size)
{
    struct aclint_mswi *s = container_of(dev, struct aclint_mswi, dev);

    return off / 4 < s->harts ? s->pending[off / 4] : guest_error_read(dev, off);
}

static void mswi_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct aclint_mswi *s = container_of(dev, struct aclint_mswi, dev);

    if (off / 4 >= s->harts) {
        guest_error_write(dev, off, val);
        return;
    }
    s->pending[off / 4] = val & 1;
    irq_set(&s->line[off / 4], val & 1);
}

static void mswi_reset(struct device *dev)
{
    struct aclint_mswi *s = container_of(dev, struct aclint_mswi, dev);

    for (unsigned i = 0; i < ACLINT_HARTS; i++)
        s->pending[i] = false;
}

static struct irq_line *mswi_irq(struct device *dev, unsigned n)
{
    struct aclint_mswi *s = container_of(dev, struct aclint_mswi, dev);

    return n < s->harts ? &s->line[n] : NULL;
}

static int mswi_init(struct device *dev, struct err *err)
{
    struct aclint_mswi *s = container_of(dev, struct aclint_mswi, dev);

    s->harts = s->harts ? s->harts : 1;
    return 0;
}

int aclint_mswi_setup(struct device *dev, unsigned harts, struct err *err)
{
    container_of(dev, struct aclint_mswi, dev)->harts = harts;
    return aclint_check_harts(harts, err);
}

const struct device_ops aclint_mswi_ops = {
    .type = "riscv,aclint-mswi",
    .instance_size = sizeof(struct aclint_mswi),
    .mmio = {.size = SWI_SIZE, .access_min = 4, .access_max = 4},
    .init = mswi_init,
    .reset = mswi_reset,
    .settle = mswi_settle,
    .read = mswi_read,
    .write = mswi_write,
    .irq = mswi_irq,
    .state_version = 1,
    .state = mswi_state,
};

/* --- Supervisor software interrupts: stateless, a write of 1 is an edge --- */
struct aclint_sswi {
    struct device dev; /* must be first */
    struct irq_line line[ACLINT_HARTS];
    unsigned harts;
};

static uint64_t sswi_read(struct device *dev, uint32_t off, unsigned size)
{
    struct aclint_sswi *s = container_of(dev, struct aclint_sswi, dev);

    return off / 4 < s->harts ? 0 : guest_error_read(dev, off);
}

static void sswi_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct aclint_sswi *s = container_of(dev, struct aclint_sswi, dev);

    if (off / 4 >= s->harts) {
        guest_error_write(dev, off, val);
        return;
    }
    if (val & 1)
        irq_set(&s->line[off / 4], true);
    s->line[off / 4].level = false; /* not a wire: every 1 is an edge of its own */
}

static struct irq_line *sswi_irq(struct device *dev, unsigned n)
{
    struct aclint_sswi *s = container_of(dev, struct aclint_sswi, dev);

    return n < s->harts ? &s->line[n] : NULL;
}

static int sswi_init(struct device *dev, struct err *err)
{
    struct aclint_sswi *s = container_of(dev, struct aclint_sswi, dev);

    s->harts = s->harts ? s->harts : 1;
    return 0;
}

int aclint_sswi_setup(struct device *dev, unsigned harts, struct err *err)
{
    container_of(dev, struct aclint_sswi, dev)->harts = harts;
    return aclint_check_harts(harts, err);
}

const struct device_ops aclint_sswi_ops = {
    .type = "riscv,aclint-sswi",
    .instance_size = sizeof(struct aclint_sswi),
    .mmio = {.size = SWI_SIZE, .access_min = 4, .access_max = 4},
    .init = sswi_init,
    .read = sswi_read,
    .write = sswi_write,
    .irq = sswi_irq,
};

/* --- Machine timer --- */
struct aclint_mtimer {
    struct device dev; /* must be first */
    struct comparators comparators;
    uint64_t mtimecmp[ACLINT_HARTS];
};

static const struct state_field mtimer_state[] = {
    STATE_U64_ARRAY(struct aclint_mtimer, mtimecmp, ACLINT_HARTS),
    STATE_END,
};

static void mtimer_settle(struct device *dev)
{
    struct aclint_mtimer *s = container_of(dev, struct aclint_mtimer, dev);

    comparators_settle(&s->comparators, s->mtimecmp);
}

/* Registers are 64 bits wide; a 4-byte access sees the half it addresses. */
static uint64_t mtimer_read(struct device *dev, uint32_t off, unsigned size)
{
    struct aclint_mtimer *s = container_of(dev, struct aclint_mtimer, dev);
    unsigned shift = (off & 4) * 8;

    if (off >= MTIME)
        return comparators_ticks(&s->comparators) >> shift;
    if (off / 8 < s->comparators.harts)
        return s->mtimecmp[off / 8] >> shift;
    return guest_error_read(dev, off);
}

static void mtimer_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct aclint_mtimer *s = container_of(dev, struct aclint_mtimer, dev);
    uint64_t *reg = &s->mtimecmp[off / 8 % ACLINT_HARTS];

    if (off / 8 >= s->comparators.harts) {
        guest_error_write(dev, off, val);
        return;
    }
    *reg = bits_set(*reg, (off & 4) * 8, size * 8, val);
    mtimer_settle(dev);
}

static void mtimer_reset(struct device *dev)
{
    struct aclint_mtimer *s = container_of(dev, struct aclint_mtimer, dev);

    for (unsigned i = 0; i < ACLINT_HARTS; i++)
        s->mtimecmp[i] = UINT64_MAX;
}

static struct irq_line *mtimer_irq(struct device *dev, unsigned n)
{
    struct aclint_mtimer *s = container_of(dev, struct aclint_mtimer, dev);

    return n < s->comparators.harts ? &s->comparators.line[n] : NULL;
}

static int mtimer_init(struct device *dev, struct err *err)
{
    comparators_init(&container_of(dev, struct aclint_mtimer, dev)->comparators, dev);
    return 0;
}

static void mtimer_done(struct device *dev)
{
    comparators_done(&container_of(dev, struct aclint_mtimer, dev)->comparators);
}

int aclint_mtimer_setup(struct device *dev, unsigned harts, uint64_t hz, struct err *err)
{
    return comparators_setup(&container_of(dev, struct aclint_mtimer, dev)->comparators, harts, hz,
                             err);
}

const struct device_ops aclint_mtimer_ops = {
    .type = "riscv,aclint-mtimer",
    .instance_size = sizeof(struct aclint_mtimer),
    .mmio = {.size = MTIMER_SIZE, .access_min = 4, .access_max = 8},
    .init = mtimer_init,
    .done = mtimer_done,
    .reset = mtimer_reset,
    .settle = mtimer_settle,
    .read = mtimer_read,
    .write = mtimer_write,
    .irq = mtimer_irq,
    .state_version = 1,
    .state = mtimer_state,
};
