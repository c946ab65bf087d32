/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to control and status registers: riscv.csr is the table (made into csr.gen.h), here are
 * the checks of who may access what, and the one helper behind all six CSR instructions. Registers
 * with a meaning of their own are in csr_registers.c. Spec: ISA manual, volume II, "CSR Listing".
 * Not modelled: triggers (tselect and its registers are zero).
 */
#include "cpu/riscv/csr.h"

#include <assert.h>

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
    csr_read_fn *read;
    csr_write_fn *write;
};

#define CSR_FIELD(f)                                                                               \
    (offsetof(struct riscv_cpu, f) +                                                               \
     sizeof(char[sizeof(((struct riscv_cpu *)0)->f) == 8 ? 1 : -1]) - 1)

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

    return row->number == CSR_mip ? (val & ~sei) | (rv->mip & sei) : val;
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

    csr_rewrite(rv, CSR_satp, &rv->satp);
    csr_rewrite(rv, CSR_mstatus, &rv->mstatus);
    csr_rewrite(rv, CSR_medeleg, &rv->medeleg);
    csr_rewrite(rv, CSR_mideleg, &rv->mideleg);
    csr_rewrite(rv, CSR_mie, &rv->mie);
    csr_rewrite(rv, CSR_mtvec, &rv->mtvec);
    csr_rewrite(rv, CSR_stvec, &rv->stvec);
    csr_rewrite(rv, CSR_mcounteren, &rv->mcounteren);
    csr_rewrite(rv, CSR_scounteren, &rv->scounteren);
    csr_rewrite(rv, CSR_menvcfg, &rv->menvcfg);
    csr_rewrite(rv, CSR_senvcfg, &rv->senvcfg);
    csr_rewrite(rv, CSR_mcountinhibit, &rv->mcountinhibit);
    csr_rewrite(rv, CSR_mepc, &rv->mepc);
    csr_rewrite(rv, CSR_sepc, &rv->sepc);
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
