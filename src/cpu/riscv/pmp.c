/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory protection: 16 entries at a grain of 4 KiB, so that one page has one verdict and
 * cached translations need no finer check. Spec: ISA manual, volume II, "Physical Memory
 * Protection". A change flushes every cached translation. Smepmp is not modelled.
 */
#include "cpu/riscv/internal.h"

#include "base/bits.h"

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_A_SHIFT = 3, PMP_L = 0x80, PMP_WRITABLE = 0x9f };
enum pmp_match { PMP_OFF, PMP_TOR, PMP_NA4, PMP_NAPOT };
enum { PMP_GRAIN = 10 }; /* the manual's G: 2^(G+2) bytes */
enum { PMP_PAGE = 1 << 12, PMP_2M = 1 << 21, PMP_1G = 1 << 30 };

static enum pmp_match pmp_kind(uint8_t cfg)
{
    return (enum pmp_match)(cfg >> PMP_A_SHIFT & 3);
}

struct pmp_range {
    uint64_t first, last; /* bytes, inclusive; first > last: empty */
};

static struct pmp_range pmp_range(const struct riscv_cpu *rv, unsigned n)
{
    uint64_t addr = rv->pmpaddr[n], bottom = n ? rv->pmpaddr[n - 1] : 0;
    unsigned ones;

    switch (pmp_kind(rv->pmpcfg[n])) {
    case PMP_TOR:
        addr &= ~bits_mask(PMP_GRAIN);
        bottom &= ~bits_mask(PMP_GRAIN);
        return addr > bottom ? (struct pmp_range){bottom << 2, (addr << 2) - 1}
                             : (struct pmp_range){1, 0};
    case PMP_NAPOT:
        addr |= bits_mask(PMP_GRAIN - 1);
        ones = (unsigned)__builtin_ctzll(~addr);
        addr &= ~bits_mask(ones + 1);
        return (struct pmp_range){addr << 2, (addr << 2) + bits_mask(ones + 3)};
    default: return (struct pmp_range){1, 0};
    }
}

static bool pmp_covers(struct pmp_range r, uint64_t gpa, uint64_t size)
{
    uint64_t base = align_down(gpa, size);

    return r.first <= base && base + size - 1 <= r.last;
}

static bool pmp_touches(struct pmp_range r, uint64_t gpa, uint64_t size)
{
    uint64_t base = align_down(gpa, size);

    return r.first <= r.last && r.first <= base + size - 1 && base <= r.last;
}

static uint64_t pmp_smaller(uint64_t size)
{
    return size == PMP_1G ? PMP_2M : PMP_PAGE;
}

static struct pmp_verdict pmp_entry_verdict(uint8_t cfg, unsigned privilege, uint64_t size)
{
    if (privilege == RISCV_M && !(cfg & PMP_L))
        return (struct pmp_verdict){true, true, true, size};
    return (struct pmp_verdict){cfg & PMP_R, cfg & PMP_W, cfg & PMP_X, size};
}

struct pmp_verdict riscv_pmp(const struct riscv_cpu *rv, gpa_t gpa, unsigned privilege)
{
    uint64_t size = PMP_1G;
    bool machine = privilege == RISCV_M;

    if (rv->pmp_open || (machine && !rv->pmp_locked))
        return (struct pmp_verdict){true, true, true, size};
    for (unsigned n = 0; n < RISCV_PMP_COUNT; n++) {
        struct pmp_range r = pmp_range(rv, n);

        while (size > PMP_PAGE && pmp_touches(r, gpa.v, size) && !pmp_covers(r, gpa.v, size))
            size = pmp_smaller(size);
        if (pmp_covers(r, gpa.v, size))
            return pmp_entry_verdict(rv->pmpcfg[n], privilege, size);
    }
    return (struct pmp_verdict){machine, machine, machine, size};
}

void riscv_pmp_settle(struct riscv_cpu *rv)
{
    struct pmp_range all = pmp_range(rv, 0);
    uint8_t rwx = PMP_R | PMP_W | PMP_X;

    rv->pmp_open = (rv->pmpcfg[0] & rwx) == rwx && pmp_kind(rv->pmpcfg[0]) != PMP_OFF &&
                   all.first == 0 && all.last >= (1ull << 56) - 1;
    rv->pmp_locked = false;
    for (unsigned n = 0; n < RISCV_PMP_COUNT; n++)
        rv->pmp_locked |= (rv->pmpcfg[n] & PMP_L) != 0;
    riscv_flush_all(rv);
}

uint64_t riscv_pmpaddr_read(const struct riscv_cpu *rv, unsigned n)
{
    if (pmp_kind(rv->pmpcfg[n]) >= PMP_NA4)
        return rv->pmpaddr[n] | bits_mask(PMP_GRAIN - 1);
    return rv->pmpaddr[n] & ~bits_mask(PMP_GRAIN);
}

void riscv_pmpaddr_write(struct riscv_cpu *rv, unsigned n, uint64_t val)
{
    bool above_locked = n + 1 < RISCV_PMP_COUNT && rv->pmpcfg[n + 1] & PMP_L &&
                        pmp_kind(rv->pmpcfg[n + 1]) == PMP_TOR;

    if (rv->pmpcfg[n] & PMP_L || above_locked)
        return;
    rv->pmpaddr[n] = val & bits_mask(54);
    riscv_pmp_settle(rv);
}

/* NA4 cannot be had at this grain and W without R is reserved: such a write keeps the field. */
static uint8_t pmp_legal(uint8_t old, uint8_t val)
{
    uint8_t a = 3 << PMP_A_SHIFT, rw = PMP_R | PMP_W;

    val &= PMP_WRITABLE;
    if (pmp_kind(val) == PMP_NA4)
        val = (uint8_t)((val & ~a) | (old & a));
    if ((val & rw) == PMP_W)
        val = (uint8_t)((val & ~rw) | (old & rw));
    return val;
}

void riscv_pmpcfg_write(struct riscv_cpu *rv, unsigned first, uint64_t val)
{
    for (unsigned i = 0; i < 8; i++, val >>= 8) {
        uint8_t *cfg = &rv->pmpcfg[first + i];

        if (!(*cfg & PMP_L))
            *cfg = pmp_legal(*cfg, (uint8_t)val);
    }
    riscv_pmp_settle(rv);
}

void riscv_pmp_legalise(struct riscv_cpu *rv)
{
    for (unsigned n = 0; n < RISCV_PMP_COUNT; n++) {
        rv->pmpcfg[n] = pmp_legal(0, rv->pmpcfg[n]);
        rv->pmpaddr[n] &= bits_mask(54);
    }
    riscv_pmp_settle(rv);
}
