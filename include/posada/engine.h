/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine executes vCPUs of one machine: in software (interpreter, JIT), by KVM, on a bare
 * hypervisor. The board around it is the same whichever it is. All state a snapshot needs is in
 * the vCPU's `struct cpu`, in the ISA's own layout, whenever run() is not active.
 */
#pragma once

#include <posada/cpu.h>
#include <posada/err.h>

struct engine;

enum engine_exit {
    ENGINE_EXIT_KICK,      /* ATTENTION_KICK was seen, and cleared; nothing else happened */
    ENGINE_EXIT_HALT,      /* the guest waits for an interrupt */
    ENGINE_EXIT_HYPERCALL, /* environment call: arguments are in the registers, pc is behind it */
    ENGINE_EXIT_DEBUG,     /* breakpoint or single step; pc is exact */
    ENGINE_EXIT_FAILED,    /* the engine cannot go on: err says why */
};

/* Ways to make rare paths common, for tests; slower, never wrong. */
enum engine_stress {
    STRESS_TLB = 1 << 0,      /* a TLB of two entries */
    STRESS_CACHE = 1 << 1,    /* room for one translation */
    STRESS_LINKS = 1 << 2,    /* no links, no jump caches: every block asks the dispatcher */
    STRESS_IRQ = 1 << 3,      /* look for interrupts at every block that can */
    STRESS_FALLBACK = 1 << 4, /* every op by the interpreter */
    STRESS_LOCKSTEP = 1 << 5, /* every block interpreted as well; a difference aborts (one vCPU) */
    STRESS_TIER2 = 1 << 6,    /* everything in regions, from its first execution on */
    STRESS_TIER1 = 1 << 7,    /* no regions */
    STRESS_LOG = 1 << 8,      /* KVM: written pages by the log, where a ring would do */
};

struct engine_config {
    struct mem *mem;
    struct clock *clock;
    const struct cpu_ops *cpu_ops;
    const char *cpu_model; /* "max" or a named model */
    /* What ops->cpu_record() said when the guest was first started; NULL: it is now. Kept to, or
     * refused with -EOPNOTSUPP; of no meaning for another model. */
    const char *cpu_record;
    unsigned vcpus;
    size_t code_cache;   /* bytes, 0: default */
    bool perf_map;       /* write /tmp/perf-PID.map, so that perf names translated code */
    const char *symbols; /* names of guest functions for it, see src/jit/symbols.h; NULL: none */
    unsigned stress;     /* enum engine_stress */
};

/* Debugger's wishes for one vCPU, read at the start of run(). */
struct engine_debug {
    bool single_step;
    const uint64_t *breakpoints; /* guest-virtual, sorted */
    unsigned breakpoint_count;
};

/* One number of `posada stats`: name is stable, value cumulative unless gauge. */
struct engine_stat {
    const char *name;
    uint64_t value;
    bool gauge;
};

/*
 * Interrupt messages on x86, for engines that have their CPUs' local APICs inside (KVM). All any
 * thread; address and data are those of a PCI message.
 */
struct engine_apic_ops {
    void (*message)(struct engine *engine, uint64_t address, uint32_t data);
    /* Says what an I/O APIC pin sends while it is not masked; level: its end is to be reported. */
    void (*route)(struct engine *engine, unsigned pin, bool masked, uint64_t address,
                  uint32_t data);
    /* fn runs on the vCPU's thread, machine lock not held, when a level-triggered vector ends. */
    void (*on_eoi)(struct engine *engine, void (*fn)(void *arg, uint8_t vector), void *arg);
};

struct engine_ops {
    const char *name;       /* "interp", "jit", "kvm" */
    const char *technique;  /* "emulate", "hardware", ... */
    const uint32_t *ioctls; /* requests it makes while a machine runs, 0-terminated; NULL: none */
    const char *isa;        /* cpu_ops.isa of its guests; NULL: any whose cpu_ops can lift */
    /* 0 when this host can run it; else -EOPNOTSUPP with the reason and what to do instead. */
    int must_use (*probe)(struct err *err);
    int must_use (*create)(const struct engine_config *config, struct engine **ret_engine,
                           struct err *err);
    void (*destroy)(struct engine *engine);
    /* The vCPU's state; owned by the engine, valid until destroy. */
    struct cpu *(*vcpu)(struct engine *engine, unsigned index);
    void (*reset)(struct engine *engine, unsigned index);
    /* Takes mem's RAM over, once, when the board is complete. NULL: nothing to do. */
    int must_use (*map)(struct engine *engine, struct err *err);
    /* Makes run() return soon after ATTENTION_KICK was set. Any thread. NULL: run() looks by
     * itself. */
    void (*kick)(struct engine *engine, unsigned index);
    /* On the vCPU's thread, before it is locked in: what the engine needs of a thread. NULL:
     * nothing.
     */
    void (*begin)(struct engine *engine, unsigned index);
    /* On the vCPU's thread when it stops running guest code for a while, and before it goes on:
     * struct cpu is the state in between. NULL: it always is. */
    int must_use (*park)(struct engine *engine, unsigned index, bool parked, struct err *err);
    /* Runs guest code on the calling thread until something needs the caller. */
    enum engine_exit (*run)(struct engine *engine, unsigned index, struct err *err);
    /* The vCPU must be parked: what it translated for other wishes is dropped. */
    void (*debug)(struct engine *engine, unsigned index, const struct engine_debug *debug);
    /* Brings struct cpu up to date / takes it over after a change (KVM; software engines: no-op).
     */
    int must_use (*get_state)(struct engine *engine, unsigned index, struct err *err);
    int must_use (*set_state)(struct engine *engine, unsigned index, struct err *err);
    /* What guests see of the host's processor, as text to be kept with the guest; the engine's.
     * NULL, or NULL returned: nothing of it. */
    const char *(*cpu_record)(struct engine *engine);
    unsigned (*stats)(struct engine *engine, struct engine_stat *stats, unsigned room);
    /* For src/engine/dirty.h. Writes by guest code show in mem's PAGE_DIRTY flags: by themselves
     * (both NULL), or once track_dirty() is on and each time after sync_dirty(). */
    int must_use (*track_dirty)(struct engine *engine, bool on, struct err *err);
    int must_use (*sync_dirty)(struct engine *engine, struct err *err);
    /* After flags were cleared, all vCPUs parked: from now on writes set them again. NULL: they do
     * anyway. */
    void (*forget_dirty)(struct engine *engine);
    const struct engine_apic_ops *apic; /* NULL: the board models the local APICs */
    /* Writes to these ports only set what other ports' accesses then use (an index, half of an
     * address): the board may be told of them as late as of the vCPUs' next other access. While the
     * machine is built. NULL: it is told at once. */
    void (*latch)(struct engine *engine, uint16_t port, unsigned size);
    /* From now on (or no longer) a guest's write to gpa signals fd, an eventfd, instead of reaching
     * the register space. Any thread. NULL: all writes do reach it. */
    int must_use (*doorbell)(struct engine *engine, gpa_t gpa, int fd, bool there);
};

struct engine {
    const struct engine_ops *ops;
};

/* "tlb,links" to enum engine_stress; -EINVAL with the names there are. */
int must_use engine_stress_parse(const char *list, unsigned *ret_stress, struct err *err);

/* All engines, the best first, NULL-terminated (src/engine/registry.c). */
extern const struct engine_ops *const engine_registry[];

struct engine_wish {
    const char *technique;         /* NULL: any */
    const char *name;              /* of an engine, NULL or "": any of the technique */
    const struct cpu_ops *cpu_ops; /* of the guest's board */
};
/* The best engine that can run such a guest on this host. -EINVAL for a name that does not exist;
 * -EOPNOTSUPP with what is missing and what to use instead. */
int must_use engine_choose(const struct engine_wish *wish, const struct engine_ops **ret_ops,
                           struct err *err);
/* Whether it runs guests of this ISA at all, on any host. */
bool engine_runs(const struct engine_ops *ops, const struct cpu_ops *cpu_ops);
