/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the KVM engine. A vCPU's state is in the kernel while it runs and in struct x86_cpu
 * while it is parked; `loaded` says that the kernel's is the true one.
 */
#pragma once

#include "cpu/x86/x86.h"
#include "engine/kvm/kvm.h"
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

enum { KVM_VCPUS_MAX = 64, KVM_SLOTS_MAX = 8, KVM_ROM_SLOT = KVM_SLOTS_MAX, KVM_PINS = 24 };
/* Three pages and one that Intel processors without "unrestricted guest" need for themselves. */
enum { KVM_IDENTITY_MAP = 0xfeffc000, KVM_TSS = 0xfeffd000 };

enum kvm_stat { /* exits to us */
                KVM_STAT_PORT,
                KVM_STAT_MMIO,
                KVM_STAT_EOI,
                KVM_STAT_KICK,
                KVM_STAT_WINDOW,
                KVM_STAT_RING,
                KVM_STAT_OTHER,
                KVM_STAT_MESSAGES, /* interrupts sent */
                KVM_STAT_COUNT
};

struct kvm_vcpu {
    struct kvm_engine *engine;
    int fd;
    struct kvm_run *run;
    struct x86_cpu *x86;
    _Atomic int thread;  /* its id, 0 before the first run */
    pthread_t self;      /* the same; before `running` is set */
    atomic_bool running; /* in KVM_RUN, or about to be */
    bool loaded;         /* the kernel has the state */
    bool clock_stopped;  /* parked, and nothing but time was held */
    bool extint;         /* the board's interrupt controller asks, see x86_cpu.acknowledge */
    bool prepared;       /* the thread takes the kick signal */
    struct engine_debug debug;
    struct kvm_dirty_gfn *ring;   /* NULL: none; under the engine's ring_lock */
    uint32_t ring_at;             /* the entry that comes next, modulo their number */
    struct x86_cpuid_table shown; /* the CPUID table that the kernel has */
    _Atomic uint64_t stat[KVM_STAT_COUNT];
};

struct kvm_slot {
    uint64_t gpa, size;
    void *host;
};

struct kvm_engine {
    struct engine engine; /* must be first */
    struct mem *mem;
    int kvm, vm; /* descriptors */
    int pid;     /* ours: a vCPU's thread may not ask */
    size_t run_size;
    unsigned vcpu_count;
    struct kvm_vcpu vcpu[KVM_VCPUS_MAX];
    struct kvm_slot slot[KVM_SLOTS_MAX];
    unsigned slot_count;
    bool tracking_dirty, manual_dirty;
    bool ring; /* written pages come by rings, not by the log */
    pthread_mutex_t ring_lock;
    unsigned latch_page; /* of the ring of latched writes in a vCPU's mapping; 0: none */
    pthread_mutex_t latch_lock;
    uint32_t xsave_size;
    char *cpu_record; /* what guests are shown, as text */
    bool msr_there[X86_MSR_COUNT];
    bool vcpu_events_payload;
    bool any_length; /* doorbells take writes of every width */
    struct kvm_irq_routing_entry route[KVM_PINS];
    void (*eoi)(void *arg, uint8_t vector);
    void *eoi_arg;
};

static inline struct kvm_engine *kvm_of(struct engine *engine)
{
    return container_of(engine, struct kvm_engine, engine);
}

static inline void kvm_count(struct kvm_vcpu *v, enum kvm_stat stat)
{
    atomic_fetch_add_explicit(&v->stat[stat], 1, memory_order_relaxed);
}

/* ioctl() that starts over after a signal; a negative errno on failure. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
/* The same for requests that take a number. */
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

/* probe.c: opens /dev/kvm and checks version and capabilities; the descriptor. */
int must_use kvm_open(int *ret_fd, struct err *err);
int must_use kvm_probe(struct err *err);
bool kvm_is_hardware(void); /* the processor shows VT-x or AMD-V */

/* regs.c */
int must_use kvm_regs_init(struct kvm_engine *e, struct err *err);
int must_use kvm_regs_pull(struct kvm_vcpu *v, struct err *err); /* kernel to struct x86_cpu */
int must_use kvm_regs_push(struct kvm_vcpu *v, struct err *err);
int must_use kvm_clock_stop(struct kvm_vcpu *v, struct err *err);
int must_use kvm_clock_go(struct kvm_vcpu *v, struct err *err);

/* cpuid.c */
int must_use kvm_cpuid_make(struct kvm_engine *e, const struct engine_config *config,
                            struct x86_cpuid_table *ret_table, struct err *err);
int must_use kvm_cpuid_push(struct kvm_vcpu *v, struct err *err);

/* kvm.c: what the debugger wants. KVM steps from where the guest is at that moment. */
void kvm_debug_push(struct kvm_vcpu *v);

/* run.c */
enum engine_exit kvm_run(struct engine *engine, unsigned index, struct err *err);
void kvm_kick(struct engine *engine, unsigned index);
void kvm_begin(struct engine *engine, unsigned index);
int must_use kvm_finish_access(struct kvm_vcpu *v, struct err *err);
int must_use kvm_run_init(struct err *err);

/* memory.c */
int must_use kvm_map(struct engine *engine, struct err *err);
int must_use kvm_track_dirty(struct engine *engine, bool on, struct err *err);
int must_use kvm_sync_dirty(struct engine *engine, struct err *err);

/* ring.c */
bool kvm_ring_enable(struct kvm_engine *e);
int must_use kvm_ring_map(struct kvm_vcpu *v);
void kvm_ring_unmap(struct kvm_vcpu *v);
/* How many entries there were. Any thread. */
int must_use kvm_ring_sync(struct kvm_engine *e);

/* latch.c */
void kvm_latch_init(struct kvm_engine *e); /* once there is a vCPU */
void kvm_latch(struct engine *engine, uint16_t port, unsigned size);
/* Before an exit is served and before a state is taken; machine lock not held. */
void kvm_latch_drain(struct kvm_engine *e);

/* doorbell.c */
int must_use kvm_doorbell(struct engine *engine, gpa_t gpa, int fd, bool there);

/* apic.c */
extern const struct engine_apic_ops kvm_apic_ops;
