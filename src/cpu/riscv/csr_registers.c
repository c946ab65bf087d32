/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control and status registers that are more than a field with a mask: csr_read_NAME() and
 * csr_write_NAME() for the fn:NAME of riscv.csr. Spec: ISA manual, volume II, "Machine-Level ISA",
 * "Supervisor-Level ISA", "Sstc".
 * Not modelled: event counters, cycle counts (one cycle is one instruction), big-endian modes,
 * XLEN changes.
 */
#include "cpu/riscv/csr.h"

#include <posada/clock.h>
#include <stdatomic.h>

/* --- Floating point --- */

uint64_t csr_read_fflags(struct riscv_cpu *rv, unsigned number)
{
    cpu_sync_fp(&rv->cpu);
    return rv->cpu.fp_flags & 0x1f;
}

uint64_t csr_read_frm(struct riscv_cpu *rv, unsigned number)
{
    return rv->frm;
}

uint64_t csr_read_fcsr(struct riscv_cpu *rv, unsigned number)
{
    return (uint64_t)rv->frm << 5 | csr_read_fflags(rv, number);
}

static void csr_fp_written(struct riscv_cpu *rv)
{
    rv->mstatus |= MSTATUS_FS;
    riscv_settle_fp(rv);
}

void csr_write_fflags(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    cpu_sync_fp(&rv->cpu);
    rv->cpu.fp_flags = val & 0x1f;
    csr_fp_written(rv);
}

void csr_write_frm(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->frm = val & 7;
    csr_fp_written(rv);
}

void csr_write_fcsr(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->frm = val >> 5 & 7;
    csr_write_fflags(rv, number, val);
}

/* --- Counters and time --- */

uint64_t csr_read_time(struct riscv_cpu *rv, unsigned number)
{
    return clock_now_ns(rv->cpu.clock) / (1000000000u / RISCV_TIMEBASE_HZ);
}

enum { INHIBIT_CY = 1, INHIBIT_IR = 4 };

/* A cycle is a nanosecond of guest time: programs that read it want something that goes on while
 * they compute, and counting instructions would cost them speed. */
static uint64_t csr_cycles(const struct riscv_cpu *rv)
{
    return rv->mcountinhibit & INHIBIT_CY ? 0 : clock_now_ns(rv->cpu.clock);
}

uint64_t csr_read_mcycle(struct riscv_cpu *rv, unsigned number)
{
    return rv->mcycle_base + csr_cycles(rv);
}

void csr_write_mcycle(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->mcycle_base = val - csr_cycles(rv);
}

/* Engines count exactly only from the first access on. */
static uint64_t csr_retired(struct riscv_cpu *rv)
{
    rv->cpu.count_instret = true;
    return rv->mcountinhibit & INHIBIT_IR ? 0 : rv->cpu.instret;
}

uint64_t csr_read_minstret(struct riscv_cpu *rv, unsigned number)
{
    return rv->minstret_base + csr_retired(rv);
}

/* The counter reads val after the writing instruction, which will be counted, has retired. */
void csr_write_minstret(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    bool counts = !(rv->mcountinhibit & INHIBIT_IR);

    rv->minstret_base = val - csr_retired(rv) - (counts ? 1 : 0);
}

void csr_write_mcountinhibit(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    uint64_t cycle = csr_read_mcycle(rv, 0), instret = csr_read_minstret(rv, 0);

    rv->mcountinhibit = val & (INHIBIT_CY | INHIBIT_IR);
    csr_write_mcycle(rv, 0, cycle);
    csr_write_minstret(rv, 0, instret + 1);
}

void csr_write_stimecmp(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->stimecmp = val;
    riscv_timer_settle(rv);
}

/* --- Status --- */

#define SSTATUS_WRITABLE                                                                           \
    (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define MSTATUS_WRITABLE                                                                           \
    (SSTATUS_WRITABLE | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM |    \
     MSTATUS_TW | MSTATUS_TSR)

uint64_t csr_read_mstatus(struct riscv_cpu *rv, unsigned number)
{
    uint64_t dirty = (rv->mstatus & MSTATUS_FS) == MSTATUS_FS ? MSTATUS_SD : 0;

    return rv->mstatus | MSTATUS_UXL | MSTATUS_SXL | dirty;
}

static void csr_status_write(struct riscv_cpu *rv, uint64_t val, uint64_t mask)
{
    if ((val & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT == 2) /* no such mode: the old one stays */
        mask &= ~MSTATUS_MPP;
    rv->mstatus = (rv->mstatus & ~mask) | (val & mask);
    riscv_settle(rv);
    riscv_recheck_irq(rv);
}

void csr_write_mstatus(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_status_write(rv, val, MSTATUS_WRITABLE);
}

uint64_t csr_read_sstatus(struct riscv_cpu *rv, unsigned number)
{
    return csr_read_mstatus(rv, 0) & (SSTATUS_WRITABLE | MSTATUS_UXL | MSTATUS_SD);
}

void csr_write_sstatus(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_status_write(rv, val, SSTATUS_WRITABLE);
}

uint64_t csr_read_misa(struct riscv_cpu *rv, unsigned number)
{
    /* MXL = 64 bits; letters A C D F I M S U. */
    return 2ull << 62 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 12 | 1 << 18 | 1 << 20;
}

uint64_t csr_read_mhartid(struct riscv_cpu *rv, unsigned number)
{
    return rv->hartid;
}

/* --- Interrupts --- */

uint64_t csr_read_mip(struct riscv_cpu *rv, unsigned number)
{
    return riscv_mip(rv);
}

static void csr_mip_write(struct riscv_cpu *rv, uint64_t val, uint64_t mask)
{
    uint64_t ssi = 1ull << RISCV_IRQ_SSI;

    if (rv->menvcfg & MENVCFG_STCE) /* STIP then follows stimecmp alone */
        mask &= ~(1ull << RISCV_IRQ_STI);
    rv->mip = (rv->mip & ~mask) | (val & mask);
    if (mask & ssi && !(val & ssi)) /* the pin latched an edge: this is how the guest clears it */
        atomic_fetch_and_explicit(&rv->cpu.irq_inputs, ~ssi, memory_order_acq_rel);
    riscv_recheck_irq(rv);
}

void csr_write_mip(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_mip_write(rv, val, MIP_SOFT);
}

uint64_t csr_read_sip(struct riscv_cpu *rv, unsigned number)
{
    return riscv_mip(rv) & rv->mideleg;
}

void csr_write_sip(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_mip_write(rv, val, rv->mideleg & 1ull << RISCV_IRQ_SSI);
}

uint64_t csr_read_sie(struct riscv_cpu *rv, unsigned number)
{
    return rv->mie & rv->mideleg;
}

void csr_write_sie(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->mie = (rv->mie & ~rv->mideleg) | (val & rv->mideleg);
    riscv_recheck_irq(rv);
}

/* Direct and vectored; a reserved mode keeps the old register. */
void csr_write_stvec(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    if ((val & 3) < 2)
        rv->stvec = val;
}

void csr_write_mtvec(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    if ((val & 3) < 2)
        rv->mtvec = val;
}

/* --- Memory --- */

void csr_write_satp(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    switch (SATP_MODE(val)) {
    case SATP_BARE:
    case SATP_SV39:
    case SATP_SV48:
    case SATP_SV57: break;
    default: return; /* an unknown mode: the write has no effect */
    }
    rv->satp = val;
    riscv_settle(rv);
}

static uint64_t csr_envcfg_mask(const struct riscv_cpu *rv)
{
    uint64_t mask = ENVCFG_FIOM;

    if (riscv_has(rv, RISCV_EXT_Zicbom))
        mask |= ENVCFG_CBIE | ENVCFG_CBCFE;
    if (riscv_has(rv, RISCV_EXT_Zicboz))
        mask |= ENVCFG_CBZE;
    return mask;
}

/* CBIE 2 is reserved: keeps the old field. */
static uint64_t csr_envcfg(uint64_t old, uint64_t val, uint64_t mask)
{
    if ((val & ENVCFG_CBIE) == 2ull << 4)
        mask &= ~ENVCFG_CBIE;
    return (old & ~mask) | (val & mask);
}

void csr_write_senvcfg(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->senvcfg = csr_envcfg(rv->senvcfg, val, csr_envcfg_mask(rv));
    riscv_settle_fp(rv); /* a debugger may write it in U mode */
}

void csr_write_menvcfg(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    uint64_t mask = csr_envcfg_mask(rv), old = rv->menvcfg;

    if (riscv_has(rv, RISCV_EXT_Svadu))
        mask |= MENVCFG_ADUE;
    if (riscv_has(rv, RISCV_EXT_Sstc))
        mask |= MENVCFG_STCE;
    rv->menvcfg = csr_envcfg(old, val, mask);
    riscv_settle_fp(rv);
    if ((old ^ rv->menvcfg) & MENVCFG_ADUE)
        riscv_flush_all(rv);
    if ((old ^ rv->menvcfg) & MENVCFG_STCE) {
        riscv_timer_settle(rv);
        riscv_recheck_irq(rv);
    }
}

uint64_t csr_read_pmpcfg(struct riscv_cpu *rv, unsigned number)
{
    unsigned first = (number & 0xf) * 4;
    uint64_t val = 0;

    for (unsigned i = 8; i-- > 0;)
        val = val << 8 | rv->pmpcfg[first + i];
    return val;
}

void csr_write_pmpcfg(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    riscv_pmpcfg_write(rv, (number & 0xf) * 4, val);
}

uint64_t csr_read_pmpaddr(struct riscv_cpu *rv, unsigned number)
{
    return riscv_pmpaddr_read(rv, number & 0xf);
}

void csr_write_pmpaddr(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    riscv_pmpaddr_write(rv, number & 0xf, val);
}
