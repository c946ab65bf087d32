/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V CPU as an object: reset, boot, models, and what is derived from its registers - the
 * context key, the MMU's address-space keys, the effective mip. Everything derived is settled by
 * riscv_settle() after each change, so nothing else has to know what depends on what.
 */
#include "cpu/riscv/internal.h"

#include "ir/ir.h"
#include "mmu/mmu.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static_assert(RISCV_EXT_COUNT <= 32, "extensions are bits of a 32-bit word");

/* --- Derived state --- */

static bool cpu_is_bare(const struct riscv_cpu *rv, unsigned privilege)
{
    return privilege == RISCV_M || SATP_MODE(rv->satp) == SATP_BARE;
}

/* key[0]: satp, 0 while addresses are physical. key[1]: privilege and what bends its permissions.
 * Physical S and U share PMP's view, M has its own. */
static void cpu_space_key(const struct riscv_cpu *rv, unsigned privilege, bool data,
                          uint64_t key[2])
{
    key[0] = 0;
    key[1] = privilege == RISCV_M ? RISCV_M : RISCV_S;
    if (cpu_is_bare(rv, privilege))
        return;
    key[0] = rv->satp;
    key[1] = privilege;
    if (data && privilege == RISCV_S && rv->mstatus & MSTATUS_SUM)
        key[1] |= 1 << 2;
    if (data && rv->mstatus & MSTATUS_MXR)
        key[1] |= 1 << 3;
}

static uint32_t cpu_context_key(const struct riscv_cpu *rv)
{
    uint32_t key = rv->privilege;

    if (!cpu_is_bare(rv, rv->privilege))
        key |= CONTEXT_MMU;
    if (rv->mstatus & MSTATUS_FS) {
        bool dirty = (rv->mstatus & MSTATUS_FS) == MSTATUS_FS;

        key |= (uint32_t)(dirty ? CONTEXT_FS_DIRTY : CONTEXT_FS_CLEAN) << CONTEXT_FS_SHIFT;
        key |= (uint32_t)rv->frm << CONTEXT_FRM_SHIFT;
    }
    if (riscv_cbo_enabled(rv, 4))
        key |= CONTEXT_CBZE;
    return key;
}

void riscv_settle_fp(struct riscv_cpu *rv)
{
    rv->cpu.context = cpu_context_key(rv);
}

void riscv_settle(struct riscv_cpu *rv)
{
    uint64_t data[2], code[2];

    riscv_settle_fp(rv);
    if (!rv->cpu.mmu)
        return;
    cpu_space_key(rv, riscv_data_privilege(rv), true, data);
    cpu_space_key(rv, rv->privilege, false, code);
    mmu_switch(rv->cpu.mmu, data, code);
}

void riscv_flush_all(struct riscv_cpu *rv)
{
    if (rv->cpu.mmu)
        mmu_flush_all(rv->cpu.mmu);
}

uint64_t riscv_mip(const struct riscv_cpu *rv)
{
    uint64_t pins = atomic_load_explicit(&rv->cpu.irq_inputs, memory_order_acquire);
    uint64_t sti = 1ull << RISCV_IRQ_STI;

    if (rv->menvcfg & MENVCFG_STCE)
        return pins | (rv->mip & ~sti);
    return (pins & ~sti) | rv->mip;
}

void riscv_recheck_irq(struct riscv_cpu *rv)
{
    if (riscv_mip(rv) & rv->mie)
        atomic_fetch_or_explicit(&rv->cpu.attention, ATTENTION_IRQ, memory_order_relaxed);
}

void riscv_timer_settle(struct riscv_cpu *rv)
{
    if (rv->timer_changed)
        rv->timer_changed(rv->timer_arg, rv->cpu.index,
                          rv->menvcfg & MENVCFG_STCE ? rv->stimecmp : UINT64_MAX);
}

void riscv_set_timer(struct cpu *cpu, uint64_t time)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    rv->stimecmp = time;
    riscv_timer_settle(rv);
}

/* --- Life --- */

#define EXT(name) (1u << RISCV_EXT_##name)
#define EXT_GC    (EXT(I) | EXT(M) | EXT(A) | EXT(F) | EXT(D) | EXT(C) | EXT(Zicsr) | EXT(Zifencei))

static const struct cpu_model {
    const char *name;
    uint32_t extensions;
} cpu_models[] = {
    {"max", (uint32_t)((1ull << RISCV_EXT_COUNT) - 1)},
    {"rv64gc", EXT_GC | EXT(Zicntr)},
};

static int cpu_init(struct cpu *cpu, const char *model, struct err *err)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    for (unsigned i = 0; i < ARRAY_LEN(cpu_models); i++) {
        if (strcmp(model, cpu_models[i].name) != 0)
            continue;
        rv->extensions = cpu_models[i].extensions;
        rv->hartid = cpu->index;
        return 0;
    }
    return err_set(err, -EINVAL, "CPU model '%s' of riscv64 is unknown: use 'max' or 'rv64gc'",
                   model);
}

static void cpu_done(struct cpu *cpu)
{
}

static void cpu_reset(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    memset(cpu->slot, 0, sizeof(cpu->slot));
    memset(rv->pmpcfg, 0, sizeof(rv->pmpcfg));
    memset(rv->pmpaddr, 0, sizeof(rv->pmpaddr));
    cpu->pc = 0x1000;
    cpu->fp_flags = 0;
    cpu->exit = CPU_EXIT_NONE;
    cpu->fault.pending = false;
    cpu->reserved_host = 0;
    cpu->instret = 0;
    cpu->count_instret = false;
    atomic_fetch_and(&cpu->irq_inputs, ~cpu->ops->latched_inputs);
    rv->privilege = RISCV_M;
    rv->wedged = rv->host_sbi = false;
    rv->frm = 0;
    rv->mstatus = rv->mie = rv->mip = rv->mideleg = rv->medeleg = 0;
    rv->mtvec = rv->mscratch = rv->mepc = rv->mcause = rv->mtval = 0;
    rv->mcounteren = rv->mcountinhibit = 0;
    /* A device tree with svadu and no svade promises this even under firmware that knows neither.
     */
    rv->menvcfg = riscv_has(rv, RISCV_EXT_Svadu) ? MENVCFG_ADUE : 0;
    rv->stvec = rv->scounteren = rv->senvcfg = rv->sscratch = rv->sepc = 0;
    rv->scause = rv->stval = rv->satp = 0;
    rv->stimecmp = UINT64_MAX;
    rv->mcycle_base = rv->minstret_base = 0;
    riscv_pmp_settle(rv);
    riscv_settle(rv);
    riscv_timer_settle(rv);
}

/* What firmware would have left behind for a supervisor. */
static void cpu_open_for_supervisor(struct riscv_cpu *rv)
{
    rv->pmpaddr[0] = (1ull << 54) - 1;
    rv->pmpcfg[0] = 0x1f; /* NAPOT over everything, RWX */
    rv->medeleg = 0xb3ff & ~(1ull << (CAUSE_ECALL_U + RISCV_S));
    rv->mideleg = 1ull << RISCV_IRQ_SSI | 1ull << RISCV_IRQ_STI | 1ull << RISCV_IRQ_SEI;
    rv->mcounteren = rv->scounteren = 7; /* user programs may read the counters too */
    rv->menvcfg = 0;
    if (riscv_has(rv, RISCV_EXT_Zicbom))
        rv->menvcfg |= ENVCFG_CBIE | ENVCFG_CBCFE;
    if (riscv_has(rv, RISCV_EXT_Zicboz))
        rv->menvcfg |= ENVCFG_CBZE;
    if (riscv_has(rv, RISCV_EXT_Svadu))
        rv->menvcfg |= MENVCFG_ADUE;
    rv->menvcfg |= MENVCFG_STCE; /* the SBI's timer uses stimecmp too */
}

void riscv_boot(struct cpu *cpu, unsigned privilege, uint64_t pc, uint64_t a0, uint64_t a1,
                bool host_sbi)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    cpu_reset(cpu);
    rv->privilege = (uint8_t)privilege;
    rv->host_sbi = host_sbi;
    if (host_sbi)
        cpu_open_for_supervisor(rv);
    cpu->pc = pc;
    cpu->slot[RISCV_A0] = a0;
    cpu->slot[RISCV_A1] = a1;
    riscv_pmp_settle(rv);
    riscv_settle(rv);
    riscv_timer_settle(rv);
}

/* --- State --- */

static void cpu_before_save(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    rv->mip |= atomic_load(&cpu->irq_inputs) & cpu->ops->latched_inputs;
}

/* Values that no write could have produced are brought back to legal ones: a snapshot is hostile
 * input. */
static void cpu_after_load(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_of(cpu);

    cpu->slot[0] = 0;
    cpu->pc &= ~1ull;
    if (rv->privilege == 2)
        rv->privilege = RISCV_U;
    riscv_csr_legalise(rv);
    cpu->reserved_host = 0;
    riscv_pmp_legalise(rv);
    riscv_settle(rv);
    riscv_timer_settle(rv);
    riscv_recheck_irq(rv);
}

#define CPU_SLOTS_FIELD(label, first)                                                              \
    {                                                                                              \
        .name = (label), .type = STATE_TYPE_U64, .count = 32, .max = UINT64_MAX,                   \
        .offset = (uint32_t)(offsetof(struct riscv_cpu, cpu.slot) + (first) * sizeof(uint64_t))    \
    }

static const struct state_field cpu_state[] = {
    CPU_SLOTS_FIELD("x", RISCV_SLOT_X),
    CPU_SLOTS_FIELD("f", RISCV_SLOT_F),
    STATE_U64(struct riscv_cpu, cpu.pc),
    STATE_U64(struct riscv_cpu, cpu.instret),
    STATE_U32_MAX(struct riscv_cpu, cpu.fp_flags, 0x1f),
    STATE_U8_MAX(struct riscv_cpu, frm, 7),
    STATE_U8_MAX(struct riscv_cpu, privilege, RISCV_M),
    STATE_BOOL(struct riscv_cpu, host_sbi),
    STATE_U64(struct riscv_cpu, hartid),
    STATE_U64(struct riscv_cpu, mstatus),
    STATE_U64(struct riscv_cpu, mie),
    STATE_U64(struct riscv_cpu, mip),
    STATE_U64(struct riscv_cpu, mideleg),
    STATE_U64(struct riscv_cpu, medeleg),
    STATE_U64(struct riscv_cpu, mtvec),
    STATE_U64(struct riscv_cpu, mscratch),
    STATE_U64(struct riscv_cpu, mepc),
    STATE_U64(struct riscv_cpu, mcause),
    STATE_U64(struct riscv_cpu, mtval),
    STATE_U64(struct riscv_cpu, mcounteren),
    STATE_U64(struct riscv_cpu, mcountinhibit),
    STATE_U64(struct riscv_cpu, menvcfg),
    STATE_U64(struct riscv_cpu, stvec),
    STATE_U64(struct riscv_cpu, scounteren),
    STATE_U64(struct riscv_cpu, senvcfg),
    STATE_U64(struct riscv_cpu, sscratch),
    STATE_U64(struct riscv_cpu, sepc),
    STATE_U64(struct riscv_cpu, scause),
    STATE_U64(struct riscv_cpu, stval),
    STATE_U64(struct riscv_cpu, satp),
    STATE_U64(struct riscv_cpu, stimecmp),
    STATE_U64(struct riscv_cpu, mcycle_base),
    STATE_U64(struct riscv_cpu, minstret_base),
    STATE_BYTES(struct riscv_cpu, pmpcfg, RISCV_PMP_COUNT),
    STATE_U64_ARRAY(struct riscv_cpu, pmpaddr, RISCV_PMP_COUNT),
    STATE_END,
};

const char *const riscv_slot_names[RISCV_SLOTS] = {
    "zero", "ra",  "sp",  "gp",  "tp",  "t0",  "t1",   "t2",   "s0",  "s1",  "a0",   "a1",  "a2",
    "a3",   "a4",  "a5",  "a6",  "a7",  "s2",  "s3",   "s4",   "s5",  "s6",  "s7",   "s8",  "s9",
    "s10",  "s11", "t3",  "t4",  "t5",  "t6",  "ft0",  "ft1",  "ft2", "ft3", "ft4",  "ft5", "ft6",
    "ft7",  "fs0", "fs1", "fa0", "fa1", "fa2", "fa3",  "fa4",  "fa5", "fa6", "fa7",  "fs2", "fs3",
    "fs4",  "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};

/* Hottest first: the argument registers and x8..x15 that compressed forms can name. */
static const uint8_t cpu_hot_slots[] = {15, 10, 14, 2, 8, 13, 11, 9, 12, 1, 18, 16, 19, 17, 20, 6};

static unsigned cpu_rounding(uint32_t context)
{
    unsigned frm = context_frm(context);

    return frm <= IR_RMM ? frm : IR_RNE;
}

const struct cpu_ops riscv_cpu_ops = {
    .isa = "riscv64",
    .instance_size = sizeof(struct riscv_cpu),
    .global_count = RISCV_SLOTS,
    .globals = riscv_slot_names,
    .context_name = "privilege:2 mmu:1 fs:2(off clean dirty) frm:3 cbze:1",
    .hot_globals = cpu_hot_slots,
    .hot_global_count = ARRAY_LEN(cpu_hot_slots),
    .slot_0_is_zero = true,
    .rounding = cpu_rounding,
    .latched_inputs = 1ull << RISCV_IRQ_SSI,
    .init = cpu_init,
    .done = cpu_done,
    .reset = cpu_reset,
    .lift = riscv_lift,
    .translate = riscv_translate,
    .raise = riscv_raise,
    .interrupt = riscv_interrupt,
    .wakeup_pending = riscv_wakeup_pending,
    .wedged = riscv_wedged,
    .access_fault = riscv_access_fault,
    .state_version = 1,
    .state = cpu_state,
    .before_save = cpu_before_save,
    .after_load = cpu_after_load,
    .gdb_read = riscv_gdb_read,
    .gdb_write = riscv_gdb_write,
    .gdb_xml = riscv_gdb_xml,
    .disassemble = riscv_disassemble,
};
