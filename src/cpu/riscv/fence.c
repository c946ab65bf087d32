/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address-translation fences and cache-block operations. Address spaces are keyed by satp and
 * privilege (riscv_settle), so a fence for an ASID finds its spaces by the key; global mappings
 * are cached in each space that used them, so a fence without ASID looks into all. SINVAL.VMA does
 * at once what SFENCE.VMA does, which Svinval allows. Memory is coherent: cbo.inval, cbo.clean and
 * cbo.flush only check that the block may be accessed.
 */
#include "cpu/riscv/internal.h"

#include "mmu/mmu.h"

#include <posada/trace.h>
#include <stdatomic.h>

static bool fence_match_asid(void *arg, const uint64_t key[2])
{
    return SATP_ASID(key[0]) == *(const uint64_t *)arg;
}

static void fence_page(struct riscv_cpu *rv, uint64_t va, bool has_asid, uint64_t asid)
{
    mmu_flush_page(rv->cpu.mmu, GVA(va), has_asid ? fence_match_asid : NULL, &asid);
}

static void fence_space(struct riscv_cpu *rv, bool has_asid, uint64_t asid)
{
    if (has_asid)
        mmu_flush_matching(rv->cpu.mmu, fence_match_asid, &asid);
    else
        mmu_flush_all(rv->cpu.mmu);
}

uint64_t riscv_sfence_helper(struct cpu *cpu, uint64_t insn, uint64_t va, uint64_t asid)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    bool has_va = insn >> 15 & 0x1f, has_asid = insn >> 20 & 0x1f;

    if (rv->privilege == RISCV_U || (rv->privilege == RISCV_S && rv->mstatus & MSTATUS_TVM)) {
        cpu_raise(cpu, CAUSE_ILLEGAL, insn);
        return 0;
    }
    asid &= 0xffff;
    if (trace_on(TRACE_MMU))
        trace_put(TRACE_EV_tlb_flush, cpu->index, (has_va ? 1 : 0) | (has_asid ? 2 : 0), va, asid,
                  0, 0);
    if (has_va)
        fence_page(rv, va, has_asid, asid);
    else
        fence_space(rv, has_asid, asid);
    return 0;
}

void riscv_fence_vma(struct cpu *cpu, uint64_t start, uint64_t size, bool has_asid, uint64_t asid)
{
    enum { FENCE_PAGES_MAX = 64 }; /* more are cheaper as a whole */
    struct riscv_cpu *rv = riscv_of(cpu);
    uint64_t last = start + size - 1;

    asid &= 0xffff;
    if (!size || size > (uint64_t)FENCE_PAGES_MAX * GUEST_PAGE_SIZE || last < start) {
        fence_space(rv, has_asid, asid);
        return;
    }
    last >>= GUEST_PAGE_SHIFT;
    for (uint64_t page = start >> GUEST_PAGE_SHIFT; page <= last; page++)
        fence_page(rv, page << GUEST_PAGE_SHIFT, has_asid, asid);
}

/* Zihintpause. A loop that finds what it waits for at once shall not lose its host CPU. */
uint64_t riscv_pause_helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    enum { PATIENCE = 32 };

    if (++riscv_of(cpu)->pauses % PATIENCE == 0)
        atomic_fetch_or_explicit(&cpu->attention, ATTENTION_YIELD, memory_order_relaxed);
    return 0;
}

/* menvcfg governs S and U, senvcfg U (volume I, CMO). */
bool riscv_cbo_enabled(const struct riscv_cpu *rv, unsigned which)
{
    uint64_t bits = which == 4 ? ENVCFG_CBZE : which == 0 ? ENVCFG_CBIE : ENVCFG_CBCFE;

    if (rv->privilege < RISCV_M && !(rv->menvcfg & bits))
        return false;
    return rv->privilege > RISCV_U || rv->senvcfg & bits;
}

uint64_t riscv_cbo_helper(struct cpu *cpu, uint64_t insn, uint64_t va, uint64_t c)
{
    struct riscv_cpu *rv = riscv_of(cpu);
    unsigned which = (unsigned)(insn >> 20);
    struct cpu_translation t;

    if (!riscv_cbo_enabled(rv, which)) {
        cpu_raise(cpu, CAUSE_ILLEGAL, insn);
        return 0;
    }
    if (!riscv_translate(cpu, GVA(va), CPU_LOAD, false, &t))
        return 0;
    /* Faults of block management are a store's. */
    cpu->fault.cause = cpu->fault.cause == CAUSE_LOAD_PAGE ? CAUSE_STORE_PAGE : CAUSE_STORE_ACCESS;
    return 0;
}

uint64_t riscv_fs_dirty_helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    rv->mstatus |= MSTATUS_FS;
    riscv_settle_fp(rv);
    return 0;
}
