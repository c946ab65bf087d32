/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual CPU as every layer sees it. `struct cpu` is the common head; an ISA (src/cpu/<isa>)
 * embeds it first and adds its system registers. Guest registers live in `slot`: the first
 * ops->global_count slots are architectural (named by ops->globals), the rest are temporaries of
 * the block being executed. The IR, the interpreter and the JIT all speak in slot numbers.
 *
 * The context key is a small integer that holds everything a translation depends on (privilege,
 * MMU mode, floating point on/off, rounding mode...). It changes only in helpers that set
 * cpu->context, and an instruction that may change it ends its block.
 */
#pragma once

#include <posada/err.h>
#include <posada/state.h>
#include <stdbool.h>

struct clock;
struct cpu;
struct ir_block;
struct mem;
struct mmu;

enum { CPU_SLOTS = 256, CPU_HOT_BITS = 10, CPU_TRIAL_BITS = 8, CPU_COVERS = 8 };

enum cpu_access { CPU_FETCH, CPU_LOAD, CPU_STORE };

/* Reasons to leave guest code at the next block boundary; bits of cpu->attention. */
enum cpu_attention {
    ATTENTION_IRQ = 1 << 0,  /* an interrupt input changed: ask ops->interrupt() */
    ATTENTION_KICK = 1 << 1, /* somebody wants the vCPU thread out of run() */
    ATTENTION_CODE = 1 << 2, /* translated code was dropped: links are void */
    /* Code that runs from here on is what all stores before made it, those of other CPUs included.
     */
    ATTENTION_FENCE = 1 << 3,
    ATTENTION_YIELD = 1 << 4, /* it waits in a loop: another vCPU may need this host CPU */
};

/* A synchronous exception on its way to the guest: set by whoever finds it, delivered by
 * ops->raise() once the precise PC is known. */
struct cpu_fault {
    bool pending;
    uint64_t cause; /* the ISA's own number */
    uint64_t value; /* RISC-V tval, x86 error code or CR2, arm64 FAR/ESR */
    uint64_t value2;
};

/* Why run() came back from guest code on the guest's own account (cpu->exit). */
enum cpu_exit {
    CPU_EXIT_NONE,
    CPU_EXIT_HALT,      /* WFI, HLT: sleep until an interrupt is pending */
    CPU_EXIT_HYPERCALL, /* an environment call the board serves (SBI, PSCI, vmcall) */
    CPU_EXIT_DEBUG,     /* breakpoint for the debugger */
};

/* Result of an ISA's page-table walk. */
struct cpu_translation {
    gpa_t gpa;                           /* of the accessed byte */
    uint64_t leaf_size;                  /* of the entry that grants it: 4 KiB, 2 MiB, 1 GiB... */
    uint64_t page_size;                  /* the same, or what protection leaves of it */
    bool readable, writable, executable; /* what may be cached; writable only if already dirty */
    bool global;
};

struct cpu {
    uint64_t slot[CPU_SLOTS];
    uint64_t pc;      /* exact at block boundaries; inside a block see ir_block.insn */
    uint32_t context; /* context key */
    _Atomic uint32_t attention;
    uint32_t fp_flags; /* sticky IEEE flags of finished operations, enum ir_fp_flag */
    enum cpu_exit exit;
    struct cpu_fault fault;
    /* LR/SC, LDXR/STXR: host address of the reserved bytes (0: none) and the value seen there. Not
     * part of the saved state: a resumed guest finds its reservation gone, as after any trap. */
    uintptr_t reserved_host;
    uint64_t reserved_value;
    _Atomic uint64_t irq_inputs; /* levels of the interrupt inputs, by pin */
    uint64_t instret;            /* instructions retired; exact once count_instret is set */
    bool count_instret;          /* the guest reads the counter: keep it exact from now on */
    /* While translated code runs the sticky flags live in the host's FPU: merges them into
     * fp_flags. Whoever reads or writes fp_flags calls it first, through cpu_sync_fp(). */
    void (*sync_fp)(struct cpu *cpu);
    /* Where translated code keeps what it needs of itself (src/jit). */
    struct {
        uint64_t page;  /* guest-virtual page of the running translation */
        uint64_t epoch; /* code_epoch of the code space it runs in */
        uint32_t key;   /* it was made for */
        void *jumps;    /* current jump cache */
        void *places;   /* translations by host address of the guest's code and place_key */
        uint64_t place_key;
        const void *link; /* jump that asked to be linked */
        uint64_t regions; /* entered */
        uint32_t failed;  /* slot of the register whose check failed last */
        uint32_t budget;  /* in lockstep: backward jumps that a region may make */
        /* Of the region that runs, by register whose accesses it has checked in advance: host less
         * guest address, and the greatest and least value that may stand at its head. */
        struct {
            uint64_t addend, most, least;
        } cover[CPU_COVERS];
        uint32_t insn; /* page offset of the instruction in a stub, length << 16 */
    } jit;

    const struct cpu_ops *ops;
    struct mmu *mmu;
    struct mem *mem;
    struct clock *clock;
    unsigned index; /* 0 is the boot CPU */
    /* Wakes the thread if it sleeps or runs; set by the vCPU loop. */
    void (*wake)(struct cpu *cpu);
    void *owner; /* the vCPU loop's */
    /* Translated code's, counted down: backward jumps; of a region: entries and turns, while it is
     * tried, and checks that failed one after the other. */
    int32_t hot[1 << CPU_HOT_BITS];
    struct {
        int32_t entries, turns, fails;
    } trial[1 << CPU_TRIAL_BITS];
};

/* Reads instruction bytes for the decoder: 2 bytes at pc. False: fetch faulted (cpu->fault says
 * how). Implemented by src/mmu; pages crossed are noted by the caller of lift(). */
struct cpu_fetch {
    bool (*half)(struct cpu_fetch *fetch, uint64_t pc, uint16_t *ret_bits);
    struct cpu *cpu;
};

struct cpu_ops {
    const char *isa; /* "riscv64" */
    size_t instance_size;
    unsigned global_count;
    const char *const *globals; /* names of the architectural slots, global_count of them */
    const char *context_name;   /* what the key's bits mean, for traces */
    /* For the JIT: the slots worth a host register, hottest first, and the rounding mode (enum
     * ir_round) that most code under a context key uses. */
    const uint8_t *hot_globals;
    unsigned hot_global_count;
    bool slot_0_is_zero; /* never written: RISC-V's x0 */
    unsigned (*rounding)(uint32_t context);
    /* Interrupt inputs that latch a rising edge: lowering does nothing, the ISA clears them. */
    uint64_t latched_inputs;

    int must_use (*init)(struct cpu *cpu, const char *model, struct err *err);
    void (*done)(struct cpu *cpu);
    void (*reset)(struct cpu *cpu);

    /* Lifts at most max_insns instructions at pc into the empty block for cpu->context. Always
     * yields at least one instruction; a fetch fault at the first becomes a block that raises it,
     * later ones end the block before it. */
    void (*lift)(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                 struct ir_block *block);
    /* Walks the guest page tables. 0, or -EFAULT with cpu->fault filled. probe: no side effects
     * (A/D bits, faults), for debuggers. */
    int must_use (*translate)(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe,
                              struct cpu_translation *ret_t);
    /* Delivers cpu->fault raised by the instruction at cpu->pc: trap state, new pc and context. */
    void (*raise)(struct cpu *cpu);
    /* Takes the highest enabled pending interrupt; false when there is none. */
    bool (*interrupt)(struct cpu *cpu);
    /* True when a halted CPU has a reason to go on (pending, even if not enabled globally). */
    bool (*wakeup_pending)(const struct cpu *cpu);
    /* True when it can never execute anything again, whatever others do: its trap handler cannot be
     * fetched. Asked after a kick, which the ISA gives itself. NULL: the ISA never tells. */
    bool (*wedged)(const struct cpu *cpu);
    /* The generic "access beyond RAM and devices" or misaligned fault, as the ISA numbers it. */
    void (*access_fault)(struct cpu *cpu, gva_t va, enum cpu_access access, bool misaligned);

    /* Full architectural state, engine-neutral: slots and pc by `state`, then the ISA's own.
     * before_save/after_load convert derived state (context key, fp flags, MMU). */
    uint16_t state_version;
    const struct state_field *state;
    void (*before_save)(struct cpu *cpu);
    void (*after_load)(struct cpu *cpu);

    /* GDB remote protocol: register n of the target description. Size in bytes, 0 past the end;
     * buf holds at least 16. */
    unsigned (*gdb_read)(struct cpu *cpu, unsigned n, uint8_t *buf);
    unsigned (*gdb_write)(struct cpu *cpu, unsigned n, const uint8_t *buf);
    const char *(*gdb_xml)(void); /* target.xml */

    /* One instruction as text ("addi sp,sp,-16"); returns its length in bytes, 0 if unknown. */
    unsigned (*disassemble)(const uint8_t *bytes, size_t len, uint64_t pc, char *buf, size_t size);
};

/* Raises or lowers an interrupt input (pins are the ISA's: see src/cpu/<isa>/). Any thread. */
void cpu_irq(struct cpu *cpu, unsigned pin, bool level);
/* Sets attention bits and wakes the vCPU. Any thread. */
void cpu_attend(struct cpu *cpu, uint32_t bits);
static inline void cpu_sync_fp(struct cpu *cpu)
{
    if (cpu->sync_fp)
        cpu->sync_fp(cpu);
}
/* Notes a synchronous exception; the first one of an instruction wins. */
void cpu_raise(struct cpu *cpu, uint64_t cause, uint64_t value);
