/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers as GDB numbers them: in the order of target.xml, which is made from riscv.csr. Writes
 * to CSRs follow the rules of M mode; frm and priv take legal values only.
 */
#include "cpu/riscv/internal.h"

#include "base/endian.h"

#include "cpu/riscv/gdb.gen.h"

enum { GDB_PC = 32, GDB_F = 33, GDB_FFLAGS = 65, GDB_PRIV = 68, GDB_CSR = 69 };

/* fflags, frm and fcsr are CSRs 1 to 3. */
static unsigned gdb_csr_number(unsigned n)
{
    return n < GDB_PRIV ? n - GDB_FFLAGS + 1 : gdb_csrs[n - GDB_CSR];
}

static unsigned gdb_size(unsigned n)
{
    if (n >= GDB_CSR + ARRAY_LEN(gdb_csrs))
        return 0;
    return n >= GDB_FFLAGS && n < GDB_PRIV ? 4 : 8;
}

unsigned riscv_gdb_read(struct cpu *cpu, unsigned n, uint8_t *buf)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    unsigned size = gdb_size(n);
    uint64_t val = 0;

    if (!size)
        return 0;
    if (n < GDB_PC)
        val = cpu->slot[RISCV_SLOT_X + n];
    else if (n == GDB_PC)
        val = cpu->pc;
    else if (n < GDB_FFLAGS)
        val = cpu->slot[RISCV_SLOT_F + n - GDB_F];
    else if (n == GDB_PRIV)
        val = rv->privilege;
    else
        (void)riscv_csr_peek(rv, gdb_csr_number(n), &val);
    if (size == 4)
        st_le32(buf, (uint32_t)val);
    else
        st_le64(buf, val);
    return size;
}

static void gdb_set_privilege(struct riscv_cpu *rv, uint64_t val)
{
    if (val != RISCV_U && val != RISCV_S && val != RISCV_M)
        return;
    rv->privilege = (uint8_t)val;
    riscv_settle(rv);
    riscv_recheck_irq(rv);
}

unsigned riscv_gdb_write(struct cpu *cpu, unsigned n, const uint8_t *buf)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    unsigned size = gdb_size(n);
    uint64_t val;

    if (!size)
        return 0;
    val = size == 4 ? ld_le32(buf) : ld_le64(buf);
    if (n == 0)
        return size;
    if (n < GDB_PC)
        cpu->slot[RISCV_SLOT_X + n] = val;
    else if (n == GDB_PC)
        cpu->pc = val & ~1ull;
    else if (n < GDB_FFLAGS)
        cpu->slot[RISCV_SLOT_F + n - GDB_F] = val;
    else if (n == GDB_PRIV)
        gdb_set_privilege(rv, val);
    else
        (void)riscv_csr_poke(rv, gdb_csr_number(n), val);
    return size;
}

const char *riscv_gdb_xml(void)
{
    return gdb_xml;
}
