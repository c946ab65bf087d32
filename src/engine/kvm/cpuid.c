/* SPDX-License-Identifier: Apache-2.0 */
/* What KVM can show of the processor, made into the table of a CPU model and handed back to it.
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.46, 4.20; x86/cpuid.rst. */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include <errno.h>
#include <string.h>

enum { INVARIANT_TSC = 8, DEADLINE_TIMER = 24, ARAT = 2 };

/* A list as the kernel takes it: head and entries in one piece. */
union cpuid_list {
    struct kvm_cpuid2 head;
    uint8_t room[sizeof(struct kvm_cpuid2) + X86_CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
};

static int cpuid_offered(struct kvm_engine *e, struct x86_cpuid_table *ret_table, struct err *err)
{
    union cpuid_list list = {.room = {0}};
    int r;

    list.head.nent = X86_CPUID_OFFERED_MAX;
    r = kvm_ioctl(e->kvm, KVM_GET_SUPPORTED_CPUID, &list);
    if (r < 0)
        return err_set(err, r, "kvm: the host does not say what its processor has: %s",
                       strerror(-r));
    ret_table->count = 0;
    for (uint32_t i = 0; i < list.head.nent; i++) {
        const struct kvm_cpuid_entry2 *from = &list.head.entries[i];

        ret_table->row[ret_table->count++] = (struct x86_cpuid){
            .leaf = from->function,
            .subleaf = from->index,
            .indexed = from->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .reg = {from->eax, from->ebx, from->ecx, from->edx},
        };
    }
    return 0;
}

/* True of every guest here, whatever KVM says: its clock events do not stop in deep sleep, there
 * is a hypervisor, and the local APIC's deadline timer is KVM's (which reports it elsewhere). */
static void cpuid_add_own(struct kvm_engine *e, struct x86_cpuid_table *table)
{
    struct x86_cpuid *leaf1 = x86_cpuid_find(table, 1, 0);
    struct x86_cpuid *leaf6 = x86_cpuid_row(table, 6, 0, false);

    memset(leaf6->reg, 0, sizeof(leaf6->reg)); /* no thermal sensors */
    leaf6->reg[X86_EAX] = BIT(ARAT);
    if (leaf1)
        leaf1->reg[X86_ECX] |= (uint32_t)BIT(31);
    if (leaf1 && kvm_ioctl_value(e->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
        leaf1->reg[X86_ECX] |= (uint32_t)BIT(DEADLINE_TIMER);
}

/* "kvm-clock" stands still while a guest is paused, the TSC does not: so that guests prefer the
 * clock, the TSC is not called invariant unless the model asks for it by name. */
static void cpuid_hide_invariant_tsc(const char *model, struct x86_cpuid_table *table)
{
    struct x86_cpuid *row = x86_cpuid_find(table, 0x80000007, 0);

    if (row && !strstr(model, ",+invtsc"))
        row->reg[X86_EDX] &= ~(uint32_t)BIT(INVARIANT_TSC);
}

/* What the guest saw before, if this host can show it, and we do show such things. */
static int cpuid_from_record(const char *model, const char *record,
                             struct x86_cpuid_table *ret_table, struct err *err)
{
    struct x86_cpuid_table offered = *ret_table;
    int r = x86_model_apply("host", &offered, err);

    if (!r)
        r = x86_cpuid_parse(record, model, ret_table, err);
    return r ? r : x86_cpuid_check(ret_table, &offered, err);
}

int kvm_cpuid_make(struct kvm_engine *e, const struct engine_config *config,
                   struct x86_cpuid_table *ret_table, struct err *err)
{
    const char *model = config->cpu_model;
    int r = cpuid_offered(e, ret_table, err);

    if (r)
        return r;
    cpuid_add_own(e, ret_table);
    if (config->cpu_record && !x86_cpuid_is_of_other(config->cpu_record, model))
        return cpuid_from_record(model, config->cpu_record, ret_table, err);
    r = x86_model_apply(model, ret_table, err);
    if (!r)
        cpuid_hide_invariant_tsc(model, ret_table);
    return r;
}

int kvm_cpuid_push(struct kvm_vcpu *v, struct err *err)
{
    const struct x86_cpuid_table *table = &v->x86->cpuid;
    union cpuid_list list = {.room = {0}};
    int r;

    if (!memcmp(table, &v->shown, sizeof(*table)))
        return 0; /* once a vCPU has run, the kernel takes none any more */
    for (uint32_t i = 0; i < table->count && i < X86_CPUID_MAX; i++) {
        const struct x86_cpuid *from = &table->row[i];

        list.head.entries[list.head.nent++] = (struct kvm_cpuid_entry2){
            .function = from->leaf,
            .index = from->subleaf,
            .flags = from->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = from->reg[X86_EAX],
            .ebx = from->reg[X86_EBX],
            .ecx = from->reg[X86_ECX],
            .edx = from->reg[X86_EDX],
        };
    }
    r = kvm_ioctl(v->fd, KVM_SET_CPUID2, &list);
    if (r < 0)
        return err_set(err, r, "kvm: the host refuses the guest's CPU model: %s", strerror(-r));
    v->shown = *table;
    return 0;
}
