/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64 virtual CPU: the whole architectural state, in one layout for every engine (hardware,
 * software), and what models of it there are. Specs: Intel SDM volume 3 (2023-06), AMD APM volume
 * 2 (3.41); numbers of MSRs from there. No decoder yet: only engines that execute x86 themselves
 * run it.
 */
#pragma once

#include <posada/cpu.h>

/* Slots: general registers by the number instructions encode. */
enum x86_register {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_SLOTS = 16,
};

enum x86_segment { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_SEGMENTS };

/* Attributes of a segment: bits 8 to 23 of the descriptor's second word, so type in bits 0-3, S 4,
 * DPL 5-6, P 7, AVL 12, L 13, D 14, G 15 - and one of our own for a null selector. */
enum { X86_SEG_UNUSABLE = 1 << 16 };

enum { X86_FLAGS_RESET = 2, X86_RFLAGS_IF = 1 << 9 };
enum { X86_CR0_PE = 1, X86_CR0_ET = 1 << 4, X86_CR0_NE = 1 << 5, X86_CR0_WP = 1 << 16 };
#define X86_CR0_NW (UINT64_C(1) << 29)
#define X86_CR0_CD (UINT64_C(1) << 30)
#define X86_CR0_PG (UINT64_C(1) << 31)
enum { X86_CR4_PSE = 1 << 4, X86_CR4_PAE = 1 << 5, X86_CR4_LA57 = 1 << 12 };
enum { X86_EFER_LME = 1 << 8, X86_EFER_LMA = 1 << 10, X86_EFER_NXE = 1 << 11 };

/* What the vCPU does besides running (names of the SDM's multiprocessor protocol). */
enum x86_activity {
    X86_RUNNING,
    X86_HALTED,
    X86_WAIT_FOR_INIT, /* an application processor after reset */
    X86_WAIT_FOR_SIPI,
    X86_SIPI_RECEIVED,
    X86_ACTIVITIES
};

/* Every MSR that is state of its own: name of the field, number, value after reset. */
#define X86_MSRS(X)                                                                                \
    X(tsc, 0x10, 0)                                                                                \
    X(tsc_adjust, 0x3b, 0)                                                                         \
    X(spec_ctrl, 0x48, 0)                                                                          \
    X(umwait_control, 0xe1, 0)                                                                     \
    X(tsx_ctrl, 0x122, 0)                                                                          \
    X(misc_features, 0x140, 0)                                                                     \
    X(sysenter_cs, 0x174, 0)                                                                       \
    X(sysenter_esp, 0x175, 0)                                                                      \
    X(sysenter_eip, 0x176, 0)                                                                      \
    X(mcg_status, 0x17a, 0)                                                                        \
    X(misc_enable, 0x1a0, 1)                                                                       \
    X(debugctl, 0x1d9, 0)                                                                          \
    X(power_ctl, 0x1fc, 0)                                                                         \
    X(mtrr_base0, 0x200, 0)                                                                        \
    X(mtrr_mask0, 0x201, 0)                                                                        \
    X(mtrr_base1, 0x202, 0)                                                                        \
    X(mtrr_mask1, 0x203, 0)                                                                        \
    X(mtrr_base2, 0x204, 0)                                                                        \
    X(mtrr_mask2, 0x205, 0)                                                                        \
    X(mtrr_base3, 0x206, 0)                                                                        \
    X(mtrr_mask3, 0x207, 0)                                                                        \
    X(mtrr_base4, 0x208, 0)                                                                        \
    X(mtrr_mask4, 0x209, 0)                                                                        \
    X(mtrr_base5, 0x20a, 0)                                                                        \
    X(mtrr_mask5, 0x20b, 0)                                                                        \
    X(mtrr_base6, 0x20c, 0)                                                                        \
    X(mtrr_mask6, 0x20d, 0)                                                                        \
    X(mtrr_base7, 0x20e, 0)                                                                        \
    X(mtrr_mask7, 0x20f, 0)                                                                        \
    X(mtrr_fix_64k, 0x250, 0)                                                                      \
    X(mtrr_fix_16k_80, 0x258, 0)                                                                   \
    X(mtrr_fix_16k_a0, 0x259, 0)                                                                   \
    X(mtrr_fix_4k_c0, 0x268, 0)                                                                    \
    X(mtrr_fix_4k_c8, 0x269, 0)                                                                    \
    X(mtrr_fix_4k_d0, 0x26a, 0)                                                                    \
    X(mtrr_fix_4k_d8, 0x26b, 0)                                                                    \
    X(mtrr_fix_4k_e0, 0x26c, 0)                                                                    \
    X(mtrr_fix_4k_e8, 0x26d, 0)                                                                    \
    X(mtrr_fix_4k_f0, 0x26e, 0)                                                                    \
    X(mtrr_fix_4k_f8, 0x26f, 0)                                                                    \
    X(pat, 0x277, UINT64_C(0x0007040600070406))                                                    \
    X(mtrr_def_type, 0x2ff, 0)                                                                     \
    X(tsc_deadline, 0x6e0, 0)                                                                      \
    X(xss, 0xda0, 0)                                                                               \
    X(kvm_wall_clock, 0x4b564d00, 0)                                                               \
    X(kvm_system_time, 0x4b564d01, 0)                                                              \
    X(kvm_async_pf, 0x4b564d02, 0)                                                                 \
    X(kvm_steal_time, 0x4b564d03, 0)                                                               \
    X(kvm_eoi, 0x4b564d04, 0)                                                                      \
    X(kvm_poll_control, 0x4b564d05, 1)                                                             \
    X(kvm_async_pf_int, 0x4b564d06, 0)                                                             \
    X(star, 0xc0000081, 0)                                                                         \
    X(lstar, 0xc0000082, 0)                                                                        \
    X(cstar, 0xc0000083, 0)                                                                        \
    X(sfmask, 0xc0000084, 0)                                                                       \
    X(kernel_gs_base, 0xc0000102, 0)                                                               \
    X(tsc_aux, 0xc0000103, 0)                                                                      \
    X(hwcr, 0xc0010015, 0)                                                                         \
    X(virt_ssbd, 0xc001011f, 0)

#define X86_MSR_FIELD(name, number, reset) uint64_t name;
#define X86_MSR_INDEX(name, number, reset) X86_MSR_##name,
enum x86_msr_index { X86_MSRS(X86_MSR_INDEX) X86_MSR_COUNT };

/* OFFERED: rows that an engine may start from, so that there is room for what is added. */
enum { X86_CPUID_MAX = 128, X86_CPUID_OFFERED_MAX = X86_CPUID_MAX - 16, X86_CPUID_WORDS = 7 };
enum { X86_XSAVE_SIZE = 4096, X86_LAPIC_SIZE = 1024 };

/* A row of the CPUID table as guests see it. */
struct x86_cpuid {
    uint32_t leaf, subleaf;
    uint32_t indexed; /* 1: the subleaf counts */
    uint32_t reg[4];  /* EAX, EBX, ECX, EDX */
};
enum { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

struct x86_cpuid_table {
    struct x86_cpuid row[X86_CPUID_MAX];
    uint32_t count;
};

/* An event on its way into the guest, as a saved CPU must not lose it. */
struct x86_event {
    bool pending, injected, has_error;
    uint8_t vector;
    uint32_t error;
};

struct x86_cpu {
    struct cpu cpu; /* must be first */
    uint64_t rflags;
    uint32_t seg_selector[X86_SEGMENTS], seg_limit[X86_SEGMENTS], seg_attributes[X86_SEGMENTS];
    uint64_t seg_base[X86_SEGMENTS];
    uint64_t gdt_base, idt_base;
    uint16_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0, apic_base;
    uint64_t dr[4], dr6, dr7;
    struct {
        X86_MSRS(X86_MSR_FIELD)
    } msr;
    /* XSAVE's standard format; the components' places are CPUID leaf 0xd's. */
    uint8_t xsave[X86_XSAVE_SIZE];
    /* First KiB of the local APIC's register page. */
    uint8_t lapic[X86_LAPIC_SIZE];
    uint64_t lapic_count_ns; /* guest time at which its timer's current count was as it says */
    uint32_t lapic_errors;   /* since its error status was last written */
    uint8_t activity;        /* enum x86_activity */
    struct x86_event exception, interrupt;
    bool interrupt_soft;      /* by INT n */
    uint8_t interrupt_shadow; /* 1: behind STI, 2: behind MOV SS */
    bool nmi_pending, nmi_injected, nmi_masked;
    bool in_smm;
    uint32_t sipi_vector;
    uint64_t pv_clock_ns; /* kvm-clock: of the machine, kept by vCPU 0 */
    uint32_t tsc_khz;     /* of the guest's TSC; told to it, never measured */
    struct x86_cpuid_table cpuid;
    /* The board's. For software interrupt controllers: the vector of pin X86_IRQ_EXTINT. */
    uint8_t (*acknowledge)(void *arg);
    void *acknowledge_arg;
    /* A triple fault; true when the machine will be reset for it. Both without the machine lock. */
    bool (*triple_fault)(void *arg);
    void *triple_fault_arg;
};

/* Interrupt pins for cpu_irq(). */
enum x86_irq { X86_IRQ_EXTINT, X86_IRQ_NMI };

struct x86_msr {
    const char *name;
    uint32_t number;
    uint32_t offset; /* of the uint64_t in struct x86_cpu */
    uint64_t reset;
};

extern const struct x86_msr x86_msrs[X86_MSR_COUNT];
extern const struct cpu_ops x86_cpu_ops;

static inline struct x86_cpu *x86_of(struct cpu *cpu)
{
    return container_of(cpu, struct x86_cpu, cpu);
}

static inline uint64_t *x86_msr_field(struct x86_cpu *x, unsigned index)
{
    return (uint64_t *)(void *)((char *)x + x86_msrs[index].offset);
}

/* The local APIC's registers as after power-on and INIT; IA32_APIC_BASE stays. */
void x86_reset_lapic(struct x86_cpu *x);

/* Loads a flat segment: base 0, limit 4 GiB; attributes as above. */
void x86_set_flat(struct x86_cpu *x, enum x86_segment seg, uint16_t selector, uint32_t attributes);

/* The row for a leaf, NULL when there is none. */
struct x86_cpuid *x86_cpuid_find(struct x86_cpuid_table *table, uint32_t leaf, uint32_t subleaf);
/* The same, made if need be; our own bug when the table is full. */
struct x86_cpuid *x86_cpuid_row(struct x86_cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                                bool indexed);

/*
 * Makes the CPUID table of a model from what the engine supports (in place). Models: "host" or
 * "max" (all of it), "x86-64-v1" to "x86-64-v4", each with ",+FEATURE" or ",-FEATURE" behind.
 * -EINVAL for an unknown model or feature, -EOPNOTSUPP for one that is not supported here.
 */
int must_use x86_model_apply(const char *model, struct x86_cpuid_table *table, struct err *err);
/* Only whether the text is a model; features are looked up, not what a host supports. */
int must_use x86_model_check(const char *model, struct err *err);
/*
 * What a guest has been shown, for its record: as text (heap, NULL without memory), before
 * x86_cpuid_place(). parse: -EINVAL when the text is damaged or of another model than it is for.
 * check: -EOPNOTSUPP with what is missing, when a host that offers `offered` cannot show `wanted`.
 */
char *x86_cpuid_print(const char *model, const struct x86_cpuid_table *table);
bool x86_cpuid_is_of_other(const char *text, const char *model); /* and whole */
int must_use x86_cpuid_parse(const char *text, const char *model, struct x86_cpuid_table *ret_table,
                             struct err *err);
int must_use x86_cpuid_check(const struct x86_cpuid_table *wanted,
                             const struct x86_cpuid_table *offered, struct err *err);
/* Puts in what differs between machines and their vCPUs: APIC id, topology, frequencies. */
void x86_cpuid_place(struct x86_cpuid_table *table, unsigned index, unsigned cpus,
                     uint32_t tsc_khz);
