/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control and status registers: riscv.csr is the table (made into csr.gen.h), this file has the
 * registers that are more than a field with a mask, the checks of who may access what, and the one
 * helper behind all six CSR instructions. Spec: ISA manual, volume II, "CSR Listing", "Machine-
 * Level ISA", "Supervisor-Level ISA", "Sstc".
 * Not modelled: triggers (tselect and its registers are zero), event counters, cycle counts (one
 * cycle is one instruction), big-endian modes, XLEN changes.
 */
#include "cpu/riscv/internal.h"

#include "mmu/mmu.h"

#include <assert.h>
#include <posada/clock.h>
#include <stdatomic.h>

enum csr_flag {
    CSR_END = 1 << 0,     /* a write ends the block */
    CSR_COUNT = 1 << 1,   /* alone in its block */
    CSR_GDB = 1 << 2,     /* shown to the debugger (gdb.c) */
    CSR_FP = 1 << 3,      /* needs mstatus.FS */
    CSR_COUNTER = 1 << 4, /* needs mcounteren, scounteren */
    CSR_SSTC = 1 << 5,    /* needs menvcfg.STCE and mcounteren.TM */
    CSR_TVM = 1 << 6,     /* mstatus.TVM refuses S mode */
};

struct csr_row {
    const char *name;
    uint16_t number, flags;
    uint16_t field; /* offset in struct riscv_cpu; 0: none */
    uint64_t constant, mask;
    uint64_t (*read)(struct riscv_cpu *rv, unsigned number);
    void (*write)(struct riscv_cpu *rv, unsigned number, uint64_t val);
};

#define CSR_FIELD(f)                                                                               \
    (offsetof(struct riscv_cpu, f) +                                                               \
     sizeof(char[sizeof(((struct riscv_cpu *)0)->f) == 8 ? 1 : -1]) - 1)

/* --- Floating point --- */

static uint64_t csr_read_fflags(struct riscv_cpu *rv, unsigned number)
{
    cpu_sync_fp(&rv->cpu);
    return rv->cpu.fp_flags & 0x1f;
}

static uint64_t csr_read_frm(struct riscv_cpu *rv, unsigned number)
{
    return rv->frm;
}

static uint64_t csr_read_fcsr(struct riscv_cpu *rv, unsigned number)
{
    return (uint64_t)rv->frm << 5 | csr_read_fflags(rv, number);
}

static void csr_fp_written(struct riscv_cpu *rv)
{
    rv->mstatus |= MSTATUS_FS;
    riscv_settle_fp(rv);
}

static void csr_write_fflags(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    cpu_sync_fp(&rv->cpu);
    rv->cpu.fp_flags = val & 0x1f;
    csr_fp_written(rv);
}

static void csr_write_frm(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->frm = val & 7;
    csr_fp_written(rv);
}

static void csr_write_fcsr(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->frm = val >> 5 & 7;
    csr_write_fflags(rv, number, val);
}

/* --- Counters and time --- */

static uint64_t csr_read_time(struct riscv_cpu *rv, unsigned number)
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

static uint64_t csr_read_mcycle(struct riscv_cpu *rv, unsigned number)
{
    return rv->mcycle_base + csr_cycles(rv);
}

static void csr_write_mcycle(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->mcycle_base = val - csr_cycles(rv);
}

/* Engines count exactly only from the first access on. */
static uint64_t csr_retired(struct riscv_cpu *rv)
{
    rv->cpu.count_instret = true;
    return rv->mcountinhibit & INHIBIT_IR ? 0 : rv->cpu.instret;
}

static uint64_t csr_read_minstret(struct riscv_cpu *rv, unsigned number)
{
    return rv->minstret_base + csr_retired(rv);
}

/* The counter reads val after the writing instruction, which will be counted, has retired. */
static void csr_write_minstret(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    bool counts = !(rv->mcountinhibit & INHIBIT_IR);

    rv->minstret_base = val - csr_retired(rv) - (counts ? 1 : 0);
}

static void csr_write_mcountinhibit(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    uint64_t cycle = csr_read_mcycle(rv, 0), instret = csr_read_minstret(rv, 0);

    rv->mcountinhibit = val & (INHIBIT_CY | INHIBIT_IR);
    csr_write_mcycle(rv, 0, cycle);
    csr_write_minstret(rv, 0, instret + 1);
}

static void csr_write_stimecmp(struct riscv_cpu *rv, unsigned number, uint64_t val)
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

static uint64_t csr_read_mstatus(struct riscv_cpu *rv, unsigned number)
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

static void csr_write_mstatus(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_status_write(rv, val, MSTATUS_WRITABLE);
}

static uint64_t csr_read_sstatus(struct riscv_cpu *rv, unsigned number)
{
    return csr_read_mstatus(rv, 0) & (SSTATUS_WRITABLE | MSTATUS_UXL | MSTATUS_SD);
}

static void csr_write_sstatus(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_status_write(rv, val, SSTATUS_WRITABLE);
}

static uint64_t csr_read_misa(struct riscv_cpu *rv, unsigned number)
{
    /* MXL = 64 bits; letters A C D F I M S U. */
    return 2ull << 62 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 12 | 1 << 18 | 1 << 20;
}

static uint64_t csr_read_mhartid(struct riscv_cpu *rv, unsigned number)
{
    return rv->hartid;
}

/* --- Interrupts --- */

#define MIP_SOFT                                                                                   \
    (1ull << RISCV_IRQ_SSI | 1ull << RISCV_IRQ_STI | 1ull << RISCV_IRQ_SEI) /* M may write */

static uint64_t csr_read_mip(struct riscv_cpu *rv, unsigned number)
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

static void csr_write_mip(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_mip_write(rv, val, MIP_SOFT);
}

static uint64_t csr_read_sip(struct riscv_cpu *rv, unsigned number)
{
    return riscv_mip(rv) & rv->mideleg;
}

static void csr_write_sip(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    csr_mip_write(rv, val, rv->mideleg & 1ull << RISCV_IRQ_SSI);
}

static uint64_t csr_read_sie(struct riscv_cpu *rv, unsigned number)
{
    return rv->mie & rv->mideleg;
}

static void csr_write_sie(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->mie = (rv->mie & ~rv->mideleg) | (val & rv->mideleg);
    riscv_recheck_irq(rv);
}

/* Direct and vectored; a reserved mode keeps the old register. */
static void csr_write_stvec(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    if ((val & 3) < 2)
        rv->stvec = val;
}

static void csr_write_mtvec(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    if ((val & 3) < 2)
        rv->mtvec = val;
}

/* --- Memory --- */

static void csr_write_satp(struct riscv_cpu *rv, unsigned number, uint64_t val)
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

static void csr_write_senvcfg(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    rv->senvcfg = csr_envcfg(rv->senvcfg, val, csr_envcfg_mask(rv));
}

static void csr_write_menvcfg(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    uint64_t mask = csr_envcfg_mask(rv), old = rv->menvcfg;

    if (riscv_has(rv, RISCV_EXT_Svadu))
        mask |= MENVCFG_ADUE;
    if (riscv_has(rv, RISCV_EXT_Sstc))
        mask |= MENVCFG_STCE;
    rv->menvcfg = csr_envcfg(old, val, mask);
    if ((old ^ rv->menvcfg) & MENVCFG_ADUE)
        riscv_flush_all(rv);
    if ((old ^ rv->menvcfg) & MENVCFG_STCE) {
        riscv_timer_settle(rv);
        riscv_recheck_irq(rv);
    }
}

static uint64_t csr_read_pmpcfg(struct riscv_cpu *rv, unsigned number)
{
    unsigned first = (number & 0xf) * 4;
    uint64_t val = 0;

    for (unsigned i = 8; i-- > 0;)
        val = val << 8 | rv->pmpcfg[first + i];
    return val;
}

static void csr_write_pmpcfg(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    riscv_pmpcfg_write(rv, (number & 0xf) * 4, val);
}

static uint64_t csr_read_pmpaddr(struct riscv_cpu *rv, unsigned number)
{
    return riscv_pmpaddr_read(rv, number & 0xf);
}

static void csr_write_pmpaddr(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    riscv_pmpaddr_write(rv, number & 0xf, val);
}

#include "cpu/riscv/csr.gen.h"

static_assert(ARRAY_LEN(csr_rows) < 255, "csr_index holds row + 1 in a byte");

/* --- Access --- */

static const struct csr_row *csr_find(unsigned number)
{
    unsigned at = csr_index[number & 0xfff];

    return at ? &csr_rows[at - 1] : NULL;
}

static uint64_t csr_read(struct riscv_cpu *rv, const struct csr_row *row)
{
    if (row->read)
        return row->read(rv, row->number);
    if (row->field)
        return *(const uint64_t *)(const void *)((const char *)rv + row->field);
    return row->constant;
}

static void csr_write(struct riscv_cpu *rv, const struct csr_row *row, uint64_t val)
{
    uint64_t *field = (uint64_t *)(void *)((char *)rv + row->field);

    if (row->write)
        row->write(rv, row->number, val);
    else if (row->field && row->mask)
        *field = (*field & ~row->mask) | (val & row->mask);
    if (row->flags & CSR_END && !row->write)
        riscv_recheck_irq(rv);
}

static bool csr_counter_visible(const struct riscv_cpu *rv, unsigned number)
{
    uint64_t bit = 1ull << (number & 0x1f);

    if (rv->privilege < RISCV_M && !(rv->mcounteren & bit))
        return false;
    return rv->privilege > RISCV_U || (rv->scounteren & bit);
}

static bool csr_allowed(const struct riscv_cpu *rv, const struct csr_row *row, bool write)
{
    if (rv->privilege < (row->number >> 8 & 3) || (write && row->number >> 10 == 3))
        return false;
    if (row->flags & CSR_FP && !(rv->mstatus & MSTATUS_FS))
        return false;
    if (row->flags & CSR_COUNTER && !csr_counter_visible(rv, row->number))
        return false;
    if (row->flags & CSR_TVM && rv->privilege == RISCV_S && rv->mstatus & MSTATUS_TVM)
        return false;
    if (row->flags & CSR_SSTC) {
        if (!riscv_has(rv, RISCV_EXT_Sstc))
            return false;
        return rv->privilege == RISCV_M || (rv->menvcfg & MENVCFG_STCE && rv->mcounteren & 2);
    }
    return true;
}

/* What set and clear start from: for mip the software-written SEIP, not the pin's (volume II,
 * "mip and mie"), so that CSRRS cannot latch a level. */
static uint64_t csr_modify_base(const struct riscv_cpu *rv, const struct csr_row *row, uint64_t val)
{
    uint64_t sei = 1ull << RISCV_IRQ_SEI;

    return row->number == 0x344 ? (val & ~sei) | (rv->mip & sei) : val;
}

uint64_t riscv_csr_helper(struct cpu *cpu, uint64_t insn, uint64_t operand, uint64_t unused)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    const struct csr_row *row = csr_find((unsigned)(insn >> 20));
    unsigned kind = insn >> 12 & 3; /* 1 write, 2 set, 3 clear */
    bool write = kind == 1 || (insn >> 15 & 0x1f);
    uint64_t old = 0;

    if (!row || !csr_allowed(rv, row, write)) {
        cpu_raise(cpu, CAUSE_ILLEGAL, insn);
        return 0;
    }
    if (kind != 1 || (insn >> 7 & 0x1f))
        old = csr_read(rv, row);
    if (!write)
        return old;
    if (kind == 1)
        csr_write(rv, row, operand);
    else if (kind == 2)
        csr_write(rv, row, csr_modify_base(rv, row, old) | operand);
    else
        csr_write(rv, row, csr_modify_base(rv, row, old) & ~operand);
    return old;
}

struct riscv_csr_facts riscv_csr_facts(unsigned number)
{
    const struct csr_row *row = csr_find(number);

    if (!row)
        return (struct riscv_csr_facts){false, false};
    return (struct riscv_csr_facts){row->flags & CSR_END, row->flags & CSR_COUNT};
}

const char *riscv_csr_name(unsigned number)
{
    const struct csr_row *row = csr_find(number);

    return row ? row->name : NULL;
}

bool riscv_csr_peek(struct riscv_cpu *rv, unsigned number, uint64_t *ret_val)
{
    const struct csr_row *row = csr_find(number);

    if (!row)
        return false;
    *ret_val = csr_read(rv, row);
    return true;
}

/* Rewrites register by register what it holds; one whose value cannot be written becomes 0. */
static void csr_rewrite(struct riscv_cpu *rv, unsigned number, uint64_t *field)
{
    uint64_t val = *field;

    *field = 0;
    csr_write(rv, csr_find(number), val);
}

void riscv_csr_legalise(struct riscv_cpu *rv)
{
    uint64_t base[2] = {rv->mcycle_base, rv->minstret_base};

    csr_rewrite(rv, 0x180, &rv->satp);
    csr_rewrite(rv, 0x300, &rv->mstatus);
    csr_rewrite(rv, 0x302, &rv->medeleg);
    csr_rewrite(rv, 0x303, &rv->mideleg);
    csr_rewrite(rv, 0x304, &rv->mie);
    csr_rewrite(rv, 0x305, &rv->mtvec);
    csr_rewrite(rv, 0x105, &rv->stvec);
    csr_rewrite(rv, 0x306, &rv->mcounteren);
    csr_rewrite(rv, 0x106, &rv->scounteren);
    csr_rewrite(rv, 0x30a, &rv->menvcfg);
    csr_rewrite(rv, 0x10a, &rv->senvcfg);
    csr_rewrite(rv, 0x320, &rv->mcountinhibit);
    csr_rewrite(rv, 0x341, &rv->mepc);
    csr_rewrite(rv, 0x141, &rv->sepc);
    rv->mip &= MIP_SOFT;
    rv->mcycle_base = base[0];
    rv->minstret_base = base[1];
}

bool riscv_csr_poke(struct riscv_cpu *rv, unsigned number, uint64_t val)
{
    const struct csr_row *row = csr_find(number);

    if (!row)
        return false;
    csr_write(rv, row, val);
    return true;
}
