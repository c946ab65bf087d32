/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86-64 CPU as an object: its saved form and its state after power-on. Spec: Intel SDM volume
 * 3, table 10-1 "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT"; APIC
 * registers: 11.4.7.1. Contract: x86.h.
 */
#include "base/endian.h"
#include "cpu/x86/internal.h"
#include <stdatomic.h>

#define X86_MSR_ROW(field, num, value)                                                             \
    {.name = #field,                                                                               \
     .number = (num),                                                                              \
     .offset = offsetof(struct x86_cpu, msr.field),                                                \
     .reset = (value)},
const struct x86_msr x86_msrs[X86_MSR_COUNT] = {X86_MSRS(X86_MSR_ROW)};

static const char *const x86_slot_names[X86_SLOTS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                      "r12", "r13", "r14", "r15"};

/* --- Saved form --- */
#define X86_SLOTS_FIELD(label)                                                                     \
    {                                                                                              \
        .name = (label), .type = STATE_TYPE_U64, .count = X86_SLOTS, .max = UINT64_MAX,            \
        .offset = (uint32_t)offsetof(struct x86_cpu, cpu.slot)                                     \
    }
#define X86_STATE_MSR(field, num, value) STATE_U64(struct x86_cpu, msr.field),
#define X86_CPUID_FIELD                                                                            \
    {                                                                                              \
        .name = "cpuid", .type = STATE_TYPE_U32, .count = X86_CPUID_MAX * X86_CPUID_WORDS,         \
        .max = UINT32_MAX, .offset = (uint32_t)offsetof(struct x86_cpu, cpuid.row)                 \
    }

_Static_assert(sizeof(struct x86_cpuid) == X86_CPUID_WORDS * sizeof(uint32_t), "a row is words");

static const struct state_field x86_state[] = {
    X86_SLOTS_FIELD("r"),
    STATE_U64(struct x86_cpu, cpu.pc),
    STATE_U64(struct x86_cpu, rflags),
    STATE_U32_ARRAY(struct x86_cpu, seg_selector, X86_SEGMENTS),
    STATE_U32_ARRAY(struct x86_cpu, seg_limit, X86_SEGMENTS),
    STATE_U32_ARRAY(struct x86_cpu, seg_attributes, X86_SEGMENTS),
    STATE_U64_ARRAY(struct x86_cpu, seg_base, X86_SEGMENTS),
    STATE_U64(struct x86_cpu, gdt_base),
    STATE_U64(struct x86_cpu, idt_base),
    STATE_U16(struct x86_cpu, gdt_limit),
    STATE_U16(struct x86_cpu, idt_limit),
    STATE_U64(struct x86_cpu, cr0),
    STATE_U64(struct x86_cpu, cr2),
    STATE_U64(struct x86_cpu, cr3),
    STATE_U64(struct x86_cpu, cr4),
    STATE_U64(struct x86_cpu, cr8),
    STATE_U64(struct x86_cpu, efer),
    STATE_U64(struct x86_cpu, xcr0),
    STATE_U64(struct x86_cpu, apic_base),
    STATE_U64_ARRAY(struct x86_cpu, dr, 4),
    STATE_U64(struct x86_cpu, dr6),
    STATE_U64(struct x86_cpu, dr7),
    X86_MSRS(X86_STATE_MSR) STATE_BYTES(struct x86_cpu, xsave, X86_XSAVE_SIZE),
    STATE_BYTES(struct x86_cpu, lapic, X86_LAPIC_SIZE),
    STATE_U64(struct x86_cpu, lapic_count_ns),
    STATE_U32_MAX(struct x86_cpu, lapic_errors, 0xff),
    STATE_U8_MAX(struct x86_cpu, activity, X86_ACTIVITIES - 1),
    STATE_BOOL(struct x86_cpu, exception.pending),
    STATE_BOOL(struct x86_cpu, exception.injected),
    STATE_BOOL(struct x86_cpu, exception.has_error),
    STATE_U8_MAX(struct x86_cpu, exception.vector, 31),
    STATE_U32(struct x86_cpu, exception.error),
    STATE_BOOL(struct x86_cpu, interrupt.injected),
    STATE_U8(struct x86_cpu, interrupt.vector),
    STATE_BOOL(struct x86_cpu, interrupt_soft),
    STATE_U8_MAX(struct x86_cpu, interrupt_shadow, 3),
    STATE_BOOL(struct x86_cpu, nmi_pending),
    STATE_BOOL(struct x86_cpu, nmi_injected),
    STATE_BOOL(struct x86_cpu, nmi_masked),
    STATE_BOOL(struct x86_cpu, in_smm),
    STATE_U32_MAX(struct x86_cpu, sipi_vector, 255),
    STATE_U64(struct x86_cpu, pv_clock_ns),
    STATE_U32(struct x86_cpu, tsc_khz),
    STATE_U32_MAX(struct x86_cpu, cpuid.count, X86_CPUID_MAX),
    X86_CPUID_FIELD,
    STATE_END,
};

/* --- After power-on --- */
enum { SEG_DATA = 0x93, SEG_CODE = 0x9b, SEG_LDT = 0x82, SEG_TSS = 0x8b };
enum { LAPIC_ID = 0x20, LAPIC_VERSION = 0x30, LAPIC_DFR = 0xe0, LAPIC_SPIV = 0xf0 };
enum { LAPIC_LVT_TIMER = 0x320, LAPIC_LVT_LAST = 0x370, LVT_MASKED = 1 << 16 };
enum { APIC_BASE_BSP = 1 << 8, APIC_BASE_ENABLED = 1 << 11, LAPIC_VERSION_VALUE = 0x50014 };
#define APIC_BASE_ADDRESS UINT64_C(0xfee00000)
enum { FCW_RESET = 0x37f, MXCSR_RESET = 0x1f80, XSAVE_MXCSR = 24, XSAVE_HEADER = 512 };

static void x86_reset_segments(struct x86_cpu *x)
{
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x->seg_selector[i] = 0;
        x->seg_base[i] = 0;
        x->seg_limit[i] = 0xffff;
        x->seg_attributes[i] = SEG_DATA;
    }
    x->seg_attributes[X86_CS] = SEG_CODE;
    x->seg_selector[X86_CS] = 0xf000;
    x->seg_base[X86_CS] = 0xffff0000;
    x->seg_attributes[X86_LDTR] = SEG_LDT;
    x->seg_attributes[X86_TR] = SEG_TSS;
    x->gdt_base = x->idt_base = 0;
    x->gdt_limit = x->idt_limit = 0xffff;
}

void x86_reset_lapic(struct x86_cpu *x)
{
    memset(x->lapic, 0, sizeof(x->lapic));
    st_le32(x->lapic + LAPIC_ID, x->cpu.index << 24);
    st_le32(x->lapic + LAPIC_VERSION, LAPIC_VERSION_VALUE);
    st_le32(x->lapic + LAPIC_DFR, UINT32_MAX);
    st_le32(x->lapic + LAPIC_SPIV, 0xff);
    for (unsigned at = LAPIC_LVT_TIMER; at <= LAPIC_LVT_LAST; at += 0x10)
        st_le32(x->lapic + at, LVT_MASKED);
    x->lapic_count_ns = 0;
    x->lapic_errors = 0;
}

static void x86_reset_fpu(struct x86_cpu *x)
{
    memset(x->xsave, 0, sizeof(x->xsave));
    st_le16(x->xsave, FCW_RESET);
    st_le32(x->xsave + XSAVE_MXCSR, MXCSR_RESET);
    st_le64(x->xsave + XSAVE_HEADER, 3); /* x87 and SSE are there */
    x->xcr0 = 1;
}

static void x86_reset_events(struct x86_cpu *x)
{
    x->exception = x->interrupt = (struct x86_event){0};
    x->interrupt_soft = false;
    x->interrupt_shadow = 0;
    x->nmi_pending = x->nmi_injected = x->nmi_masked = x->in_smm = false;
    x->sipi_vector = 0;
    x->activity = x->cpu.index ? X86_WAIT_FOR_INIT : X86_RUNNING;
}

static void x86_reset(struct cpu *cpu)
{
    struct x86_cpu *x = x86_of(cpu);
    const struct x86_cpuid *leaf1 = x86_cpuid_find(&x->cpuid, 1, 0);

    memset(cpu->slot, 0, X86_SLOTS * sizeof(*cpu->slot));
    cpu->slot[X86_RDX] = leaf1 ? leaf1->reg[X86_EAX] : 0x600; /* family, model, stepping */
    cpu->pc = 0xfff0;
    x->rflags = X86_FLAGS_RESET;
    x86_reset_segments(x);
    x->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
    x->cr2 = x->cr3 = x->cr4 = x->cr8 = x->efer = 0;
    memset(x->dr, 0, sizeof(x->dr));
    x->dr6 = 0xffff0ff0;
    x->dr7 = 0x400;
    for (unsigned i = 0; i < X86_MSR_COUNT; i++)
        *x86_msr_field(x, i) = x86_msrs[i].reset;
    x86_reset_lapic(x);
    x->apic_base = APIC_BASE_ADDRESS | APIC_BASE_ENABLED | (cpu->index ? 0 : APIC_BASE_BSP);
    x86_reset_fpu(x);
    x86_reset_events(x);
    x->pv_clock_ns = 0;
    atomic_store(&cpu->irq_inputs, 0);
}

static int x86_init(struct cpu *cpu, const char *model, struct err *err)
{
    return x86_model_check(model, err);
}

void x86_set_flat(struct x86_cpu *x, enum x86_segment seg, uint16_t selector, uint32_t attributes)
{
    x->seg_selector[seg] = selector;
    x->seg_base[seg] = 0;
    x->seg_limit[seg] = UINT32_MAX;
    x->seg_attributes[seg] = attributes;
}

static bool x86_wakeup_pending(const struct cpu *cpu)
{
    return atomic_load(&cpu->irq_inputs) != 0;
}

const struct cpu_ops x86_cpu_ops = {
    .isa = "x86_64",
    .instance_size = sizeof(struct x86_cpu),
    .global_count = X86_SLOTS,
    .globals = x86_slot_names,
    .context_name = "none",
    .init = x86_init,
    .reset = x86_reset,
    .translate = x86_translate,
    .wakeup_pending = x86_wakeup_pending,
    .state_version = 3,
    .state = x86_state,
    .gdb_read = x86_gdb_read,
    .gdb_write = x86_gdb_write,
    .gdb_xml = x86_gdb_xml,
};
