/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RISC-V virtual CPU: RV64GC with Zba Zbb Zbs Zicond Zicbom Zicboz Zicbop Zicntr Sstc Svadu Svinval
 * Svnapot Svvptc, Sv39/48/57, modes M, S and U. Specs: RISC-V ISA manual, volumes I and II
 * (20240411).
 */
#pragma once

#include <posada/cpu.h>

#define RISCV_TIMEBASE_HZ 10000000u /* the time CSR: guest ns / 100 */

enum riscv_privilege { RISCV_U = 0, RISCV_S = 1, RISCV_M = 3 };

/* Interrupt pins for cpu_irq(): mip bit numbers. SSI latches a rising edge (the guest clears it in
 * sip); the others are levels. STI counts only while menvcfg.STCE is set (always under host_sbi).
 */
enum riscv_irq {
    RISCV_IRQ_SSI = 1,
    RISCV_IRQ_MSI = 3,
    RISCV_IRQ_STI = 5,
    RISCV_IRQ_MTI = 7,
    RISCV_IRQ_SEI = 9,
    RISCV_IRQ_MEI = 11,
};

/* Slots: x0..x31 (x0 is always zero), then f0..f31. */
enum { RISCV_SLOT_X = 0, RISCV_SLOT_F = 32, RISCV_SLOTS = 64 };
enum { RISCV_A0 = 10, RISCV_A1 = 11, RISCV_A7 = 17 };
enum { RISCV_PMP_COUNT = 16 };
enum { RISCV_CACHE_BLOCK = 64 }; /* bytes that cbo.* works on: FDT riscv,cbo[mz]-block-size */

struct riscv_cpu {
    struct cpu cpu;      /* must be first */
    uint32_t extensions; /* bits of enum riscv_extension, from the model */
    uint64_t hartid;     /* cpu.index unless the board says otherwise */

    uint8_t privilege; /* enum riscv_privilege */
    bool wedged;       /* the trap handler cannot be fetched, and nothing can change that */
    bool host_sbi;     /* no M mode: S-mode ECALLs go to the board, all traps to S */
    uint8_t frm;
    uint64_t mstatus;  /* SD is derived */
    uint64_t mie, mip; /* mip: the software-written bits SSIP STIP SEIP */
    uint64_t mideleg, medeleg, mtvec, mscratch, mepc, mcause, mtval;
    uint64_t mcounteren, mcountinhibit, menvcfg;
    uint64_t stvec, scounteren, senvcfg, sscratch, sepc, scause, stval, satp, stimecmp;
    /* Counters: value = base + (inhibited ? 0 : cpu.instret, or guest time in ns for cycles). */
    uint64_t mcycle_base, minstret_base;
    uint8_t pmpcfg[RISCV_PMP_COUNT];
    uint64_t pmpaddr[RISCV_PMP_COUNT];

    /* Derived; settled by riscv_settle(). */
    bool pmp_open;   /* entry 0 lets everything pass everywhere */
    bool pmp_locked; /* some entry binds M mode too */
    uint32_t pauses; /* PAUSE executed so far: no state, only paces the engine */

    /* Sstc: the time at which the board shall raise pin STI; ~0 is never. Called on the vCPU's
     * thread without the machine lock, after each change and after a state load. */
    void (*timer_changed)(void *arg, unsigned hart, uint64_t stimecmp);
    void *timer_arg;
};

extern const struct cpu_ops riscv_cpu_ops;

static inline struct riscv_cpu *riscv_of(struct cpu *cpu)
{
    return container_of(cpu, struct riscv_cpu, cpu);
}

/* Resets, then says where and how the CPU starts. host_sbi: the board serves the SBI itself; ECALL
 * from S mode leaves with CPU_EXIT_HYPERCALL (pc behind it), everything is delegated to S, and what
 * firmware would have prepared (PMP, counters, Sstc, Svadu, cache operations) is open. */
void riscv_boot(struct cpu *cpu, unsigned privilege, uint64_t pc, uint64_t a0, uint64_t a1,
                bool host_sbi);

/* The SBI's timer: same as writing stimecmp. */
void riscv_set_timer(struct cpu *cpu, uint64_t time);
/* The SBI's remote fences, on the CPU's own thread or while it does not run. size 0 or all ones:
 * everything. */
void riscv_fence_vma(struct cpu *cpu, uint64_t start, uint64_t size, bool has_asid, uint64_t asid);

/* For the FDT: "riscv,isa-base", the names for "riscv,isa-extensions" (how many), and the long
 * string for "riscv,isa" (its length; the text is cut at size). */
#define RISCV_ISA_BASE "rv64i"
enum { RISCV_ISA_EXTENSIONS_MAX = 32 };
unsigned riscv_isa_extensions(const struct cpu *cpu, const char *names[RISCV_ISA_EXTENSIONS_MAX]);
size_t riscv_isa_string(const struct cpu *cpu, char *buf, size_t size);
