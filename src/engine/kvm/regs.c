/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state of a vCPU, between the kernel's structures and struct x86_cpu. Spec: Linux
 * Documentation/virt/kvm/api.rst, section 4. The order of a push matters: the CPUID table decides
 * what the rest may be, the special registers hold the APIC's address and mode, the deadline
 * timer's MSR means something only once the APIC is in that mode, and events come last.
 * An MSR that this host's KVM does not have keeps its reset value; any other is an error.
 */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include <errno.h>
#include <posada/clock.h>
#include <string.h>

_Static_assert(sizeof(struct kvm_lapic_state) == X86_LAPIC_SIZE, "the first KiB of the page");
_Static_assert(sizeof(struct kvm_xsave) == X86_XSAVE_SIZE, "the standard format's first page");

/* A list as the kernel takes it: head and entries in one piece. */
union msr_list {
    struct kvm_msrs head;
    uint8_t room[sizeof(struct kvm_msrs) + X86_MSR_COUNT * sizeof(struct kvm_msr_entry)];
};

static int regs_error(const struct kvm_vcpu *v, const char *what, int r, struct err *err)
{
    return err_set(err, r, "kvm: vCPU %u: cannot %s: %s", v->x86->cpu.index, what, strerror(-r));
}

/* --- General registers --- */
/* The kernel's structure is in alphabetical order of its own: rax rbx rcx rdx rsi rdi rsp rbp r8..
 */
static __u64 *regs_slot(struct kvm_regs *r, unsigned slot)
{
    __u64 *const low[] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi};

    return slot < 8 ? low[slot] : &r->r8 + (slot - 8);
}

static int regs_pull_general(struct kvm_vcpu *v)
{
    struct x86_cpu *x = v->x86;
    struct kvm_regs regs;
    int r = kvm_ioctl(v->fd, KVM_GET_REGS, &regs);

    for (unsigned i = 0; i < X86_SLOTS && !r; i++)
        x->cpu.slot[i] = *regs_slot(&regs, i);
    if (!r) {
        x->cpu.pc = regs.rip;
        x->rflags = regs.rflags;
    }
    return r;
}

static int regs_push_general(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = v->x86;
    struct kvm_regs regs = {.rip = x->cpu.pc, .rflags = x->rflags};

    for (unsigned i = 0; i < X86_SLOTS; i++)
        *regs_slot(&regs, i) = x->cpu.slot[i];
    return kvm_ioctl(v->fd, KVM_SET_REGS, &regs);
}

/* --- Segments and control registers --- */
static void segment_pull(struct x86_cpu *x, unsigned n, const struct kvm_segment *s)
{
    x->seg_selector[n] = s->selector;
    x->seg_base[n] = s->base;
    x->seg_limit[n] = s->limit;
    x->seg_attributes[n] = (uint32_t)(s->type | s->s << 4 | s->dpl << 5 | s->present << 7 |
                                      s->avl << 12 | s->l << 13 | s->db << 14 | s->g << 15) |
                           (s->unusable ? X86_SEG_UNUSABLE : 0u);
}

static struct kvm_segment segment_push(const struct x86_cpu *x, unsigned n)
{
    uint32_t a = x->seg_attributes[n];

    return (struct kvm_segment){
        .base = x->seg_base[n],
        .limit = x->seg_limit[n],
        .selector = (uint16_t)x->seg_selector[n],
        .type = a & 15,
        .s = a >> 4 & 1,
        .dpl = a >> 5 & 3,
        .present = a >> 7 & 1,
        .avl = a >> 12 & 1,
        .l = a >> 13 & 1,
        .db = a >> 14 & 1,
        .g = a >> 15 & 1,
        .unusable = (a & X86_SEG_UNUSABLE) != 0,
    };
}

static struct kvm_segment *segment_of(struct kvm_sregs *s, unsigned n)
{
    struct kvm_segment *const all[X86_SEGMENTS] = {
        [X86_ES] = &s->es, [X86_CS] = &s->cs, [X86_SS] = &s->ss,    [X86_DS] = &s->ds,
        [X86_FS] = &s->fs, [X86_GS] = &s->gs, [X86_LDTR] = &s->ldt, [X86_TR] = &s->tr,
    };

    return all[n];
}

static int regs_pull_special(struct kvm_vcpu *v)
{
    struct x86_cpu *x = v->x86;
    struct kvm_sregs s;
    int r = kvm_ioctl(v->fd, KVM_GET_SREGS, &s);

    if (r)
        return r;
    for (unsigned i = 0; i < X86_SEGMENTS; i++)
        segment_pull(x, i, segment_of(&s, i));
    x->gdt_base = s.gdt.base;
    x->gdt_limit = s.gdt.limit;
    x->idt_base = s.idt.base;
    x->idt_limit = s.idt.limit;
    x->cr0 = s.cr0;
    x->cr2 = s.cr2;
    x->cr3 = s.cr3;
    x->cr4 = s.cr4;
    x->cr8 = s.cr8;
    x->efer = s.efer;
    x->apic_base = s.apic_base;
    return 0;
}

static int regs_push_special(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = v->x86;
    struct kvm_sregs s = {
        .gdt = {.base = x->gdt_base, .limit = x->gdt_limit},
        .idt = {.base = x->idt_base, .limit = x->idt_limit},
        .cr0 = x->cr0,
        .cr2 = x->cr2,
        .cr3 = x->cr3,
        .cr4 = x->cr4,
        .cr8 = x->cr8,
        .efer = x->efer,
        .apic_base = x->apic_base,
    };

    for (unsigned i = 0; i < X86_SEGMENTS; i++)
        *segment_of(&s, i) = segment_push(x, i);
    return kvm_ioctl(v->fd, KVM_SET_SREGS, &s);
}

/* --- Floating point and vectors --- */
static int regs_pull_fpu(struct kvm_vcpu *v)
{
    struct kvm_xsave xsave;
    struct kvm_xcrs xcrs = {0};
    int r = kvm_ioctl(v->fd, KVM_GET_XSAVE, &xsave);

    if (!r)
        memcpy(v->x86->xsave, &xsave, sizeof(v->x86->xsave));
    if (!r && !kvm_ioctl(v->fd, KVM_GET_XCRS, &xcrs) && xcrs.nr_xcrs)
        v->x86->xcr0 = xcrs.xcrs[0].value; /* -EINVAL where the host has no XSAVE */
    return r;
}

static int regs_push_fpu(struct kvm_vcpu *v)
{
    struct kvm_xsave xsave;
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = v->x86->xcr0}}};
    int r;

    memcpy(&xsave, v->x86->xsave, sizeof(xsave));
    r = kvm_ioctl(v->fd, KVM_SET_XSAVE, &xsave);
    if (!r && x86_cpuid_find(&v->x86->cpuid, 0xd, 0))
        r = kvm_ioctl(v->fd, KVM_SET_XCRS, &xcrs);
    return r;
}

/* --- MSRs --- */
static unsigned msr_fill(const struct kvm_vcpu *v, union msr_list *list, unsigned *ret_index)
{
    unsigned n = 0;

    for (unsigned i = 0; i < X86_MSR_COUNT; i++)
        if (v->engine->msr_there[i]) {
            list->head.entries[n] = (struct kvm_msr_entry){.index = x86_msrs[i].number,
                                                           .data = *x86_msr_field(v->x86, i)};
            ret_index[n++] = i;
        }
    list->head.nmsrs = n;
    return n;
}

static int regs_pull_msrs(struct kvm_vcpu *v)
{
    unsigned index[X86_MSR_COUNT], n;
    union msr_list list = {.room = {0}};
    int r;

    n = msr_fill(v, &list, index);
    r = kvm_ioctl(v->fd, KVM_GET_MSRS, &list);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < n && i < (unsigned)r; i++)
        *x86_msr_field(v->x86, index[i]) = list.head.entries[i].data;
    return (unsigned)r == n ? 0 : -EIO;
}

/* All but the deadline, or the deadline alone. */
static int regs_push_msrs(struct kvm_vcpu *v, bool deadline, struct err *err)
{
    union msr_list list = {.room = {0}};
    unsigned n = 0;
    int r;

    for (unsigned i = 0; i < X86_MSR_COUNT; i++) {
        uint64_t value = *x86_msr_field(v->x86, i);

        if (!v->engine->msr_there[i] && value != x86_msrs[i].reset)
            return err_set(err, -EOPNOTSUPP,
                           "kvm: vCPU %u: the state has MSR %s, which this host's KVM lacks",
                           v->x86->cpu.index, x86_msrs[i].name);
        if (v->engine->msr_there[i] && (i == X86_MSR_tsc_deadline) == deadline)
            list.head.entries[n++] =
                (struct kvm_msr_entry){.index = x86_msrs[i].number, .data = value};
    }
    list.head.nmsrs = n;
    r = n ? kvm_ioctl(v->fd, KVM_SET_MSRS, &list) : 0;
    if (r >= 0 && (unsigned)r < n)
        return err_set(err, -EINVAL, "kvm: vCPU %u: MSR 0x%x does not take 0x%llx",
                       v->x86->cpu.index, list.head.entries[r].index,
                       (unsigned long long)list.head.entries[r].data);
    return r < 0 ? regs_error(v, "set its MSRs", r, err) : 0;
}

/* An MSR is there when it can be read and takes back what was read. */
static bool msr_works(struct kvm_vcpu *v, uint32_t number)
{
    union msr_list one = {.room = {0}};

    one.head.nmsrs = 1;
    one.head.entries[0].index = number;
    return kvm_ioctl(v->fd, KVM_GET_MSRS, &one) == 1 && kvm_ioctl(v->fd, KVM_SET_MSRS, &one) == 1;
}

int kvm_regs_init(struct kvm_engine *e, struct err *err)
{
    for (unsigned i = 0; i < X86_MSR_COUNT; i++)
        e->msr_there[i] = msr_works(&e->vcpu[0], x86_msrs[i].number);
    if (!e->msr_there[X86_MSR_star])
        return err_set(err, -EOPNOTSUPP, "kvm: the host cannot run 64-bit guests");
    return 0;
}

/* --- Interrupts and activity --- */
static int regs_pull_events(struct kvm_vcpu *v)
{
    struct x86_cpu *x = v->x86;
    struct kvm_vcpu_events e;
    int r = kvm_ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e);

    if (r)
        return r;
    x->exception = (struct x86_event){.injected = e.exception.injected,
                                      .has_error = e.exception.has_error_code,
                                      .vector = e.exception.nr,
                                      .error = e.exception.error_code};
    x->interrupt = (struct x86_event){.injected = e.interrupt.injected, .vector = e.interrupt.nr};
    x->interrupt_soft = e.interrupt.soft;
    x->interrupt_shadow = e.interrupt.shadow & 3;
    x->nmi_injected = e.nmi.injected;
    x->nmi_pending = e.nmi.pending;
    x->nmi_masked = e.nmi.masked;
    x->sipi_vector = e.sipi_vector & 0xff;
    x->in_smm = (e.flags & KVM_VCPUEVENT_VALID_SMM) && e.smi.smm;
    return 0;
}

static int regs_push_events(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = v->x86;
    struct kvm_vcpu_events e = {
        .exception = {.injected = x->exception.injected,
                      .nr = x->exception.vector,
                      .has_error_code = x->exception.has_error,
                      .error_code = x->exception.error},
        .interrupt = {.injected = x->interrupt.injected,
                      .nr = x->interrupt.vector,
                      .soft = x->interrupt_soft,
                      .shadow = x->interrupt_shadow},
        .nmi = {.injected = x->nmi_injected, .pending = x->nmi_pending, .masked = x->nmi_masked},
        .sipi_vector = x->sipi_vector,
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
                 KVM_VCPUEVENT_VALID_SHADOW,
    };

    return kvm_ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e);
}

static const uint8_t regs_mp_state[X86_ACTIVITIES] = {
    [X86_RUNNING] = KVM_MP_STATE_RUNNABLE,
    [X86_HALTED] = KVM_MP_STATE_HALTED,
    [X86_WAIT_FOR_INIT] = KVM_MP_STATE_UNINITIALIZED,
    [X86_WAIT_FOR_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
    [X86_SIPI_RECEIVED] = KVM_MP_STATE_SIPI_RECEIVED,
};

static int regs_pull_apic(struct kvm_vcpu *v)
{
    struct kvm_lapic_state lapic;
    struct kvm_mp_state mp = {0};
    int r = kvm_ioctl(v->fd, KVM_GET_LAPIC, &lapic);

    if (!r) {
        memcpy(v->x86->lapic, lapic.regs, sizeof(lapic.regs));
        v->x86->lapic_count_ns = v->x86->cpu.clock ? clock_now_ns(v->x86->cpu.clock) : 0;
    }
    if (!r)
        r = kvm_ioctl(v->fd, KVM_GET_MP_STATE, &mp);
    for (uint8_t i = 0; i < X86_ACTIVITIES && !r; i++)
        if (regs_mp_state[i] == mp.mp_state)
            v->x86->activity = i;
    return r;
}

static int regs_push_apic(struct kvm_vcpu *v)
{
    struct kvm_lapic_state lapic;
    struct kvm_mp_state mp = {.mp_state = regs_mp_state[v->x86->activity]};
    int r;

    memcpy(lapic.regs, v->x86->lapic, sizeof(lapic.regs));
    r = kvm_ioctl(v->fd, KVM_SET_LAPIC, &lapic);
    return r ? r : kvm_ioctl(v->fd, KVM_SET_MP_STATE, &mp);
}

static int regs_pull_debug(struct kvm_vcpu *v)
{
    struct kvm_debugregs d;
    int r = kvm_ioctl(v->fd, KVM_GET_DEBUGREGS, &d);

    for (unsigned i = 0; i < 4 && !r; i++)
        v->x86->dr[i] = d.db[i];
    if (!r) {
        v->x86->dr6 = d.dr6;
        v->x86->dr7 = d.dr7;
    }
    return r;
}

static int regs_push_debug(struct kvm_vcpu *v)
{
    struct kvm_debugregs d = {.dr6 = v->x86->dr6, .dr7 = v->x86->dr7};

    for (unsigned i = 0; i < 4; i++)
        d.db[i] = v->x86->dr[i];
    return kvm_ioctl(v->fd, KVM_SET_DEBUGREGS, &d);
}

/* --- Time: kvm-clock is the machine's, vCPU 0 keeps it --- */
int kvm_clock_stop(struct kvm_vcpu *v, struct err *err)
{
    struct kvm_clock_data clock = {0};
    int r = v->x86->cpu.index ? 0 : kvm_ioctl(v->engine->vm, KVM_GET_CLOCK, &clock);

    if (r < 0)
        return regs_error(v, "read the guest's clock", r, err);
    if (!v->x86->cpu.index)
        v->x86->pv_clock_ns = clock.clock;
    return 0;
}

int kvm_clock_go(struct kvm_vcpu *v, struct err *err)
{
    struct kvm_clock_data clock = {.clock = v->x86->pv_clock_ns};
    int r = v->x86->cpu.index ? 0 : kvm_ioctl(v->engine->vm, KVM_SET_CLOCK, &clock);

    if (r < 0)
        return regs_error(v, "set the guest's clock", r, err);
    /* Tells the guest's watchdog that it was stopped; without kvm-clock there is nobody to tell. */
    (void)kvm_ioctl(v->fd, KVM_KVMCLOCK_CTRL, NULL);
    return 0;
}

/* --- All of it --- */
int kvm_regs_pull(struct kvm_vcpu *v, struct err *err)
{
    static const struct {
        const char *what;
        int (*pull)(struct kvm_vcpu *v);
    } parts[] = {
        {"read its special registers", regs_pull_special},
        {"read its registers", regs_pull_general},
        {"read its floating-point state", regs_pull_fpu},
        {"read its MSRs", regs_pull_msrs},
        {"read its local APIC", regs_pull_apic},
        {"read its pending events", regs_pull_events},
        {"read its debug registers", regs_pull_debug},
    };

    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        int r = parts[i].pull(v);

        if (r < 0)
            return regs_error(v, parts[i].what, r, err);
    }
    return kvm_clock_stop(v, err);
}

static int regs_push_parts(struct kvm_vcpu *v, struct err *err)
{
    static const struct {
        const char *what;
        int (*push)(struct kvm_vcpu *v);
    } parts[] = {
        {"set its special registers", regs_push_special},
        {"set its registers", regs_push_general},
        {"set its floating-point state", regs_push_fpu},
        {"set its debug registers", regs_push_debug},
    };

    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        int r = parts[i].push(v);

        if (r < 0)
            return regs_error(v, parts[i].what, r, err);
    }
    return 0;
}

int kvm_regs_push(struct kvm_vcpu *v, struct err *err)
{
    int r = regs_push_parts(v, err);
    const char *what = "set its local APIC";

    if (!r)
        r = regs_push_msrs(v, false, err);
    if (r)
        return r;
    r = regs_push_apic(v);
    if (!r) {
        what = "set its pending events";
        r = regs_push_events(v);
    }
    if (r < 0)
        return regs_error(v, what, r, err);
    r = regs_push_msrs(v, true, err);
    return r ? r : kvm_clock_go(v, err);
}
