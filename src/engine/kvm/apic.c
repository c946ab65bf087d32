/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts into KVM's local APICs ("split irqchip": the I/O APIC, the 8259s and the 8254 are the
 * board's). A message is sent by KVM_SIGNAL_MSI. The routes of the I/O APIC's pins are told as
 * well, for KVM finds there which level-triggered vectors must report their end.
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.52, 4.71, 7.5 (KVM_CAP_SPLIT_IRQCHIP).
 */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include <string.h>

static void apic_message(struct engine *engine, uint64_t address, uint32_t data)
{
    struct kvm_engine *e = kvm_of(engine);
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};

    kvm_count(&e->vcpu[0], KVM_STAT_MESSAGES);
    /* A message that no APIC takes is the guest's mistake and goes nowhere, as on a real bus. */
    (void)kvm_ioctl(e->vm, KVM_SIGNAL_MSI, &msi);
}

static void apic_route(struct engine *engine, unsigned pin, bool masked, uint64_t address,
                       uint32_t data)
{
    struct kvm_engine *e = kvm_of(engine);
    struct kvm_irq_routing_entry *entry = &e->route[pin % KVM_PINS], before = *entry;
    union {
        struct kvm_irq_routing head;
        uint8_t
            room[sizeof(struct kvm_irq_routing) + KVM_PINS * sizeof(struct kvm_irq_routing_entry)];
    } table = {.room = {0}};

    if (pin >= KVM_PINS)
        return;
    entry->type = masked ? 0 : KVM_IRQ_ROUTING_MSI;
    entry->gsi = pin;
    entry->u.msi.address_lo = (uint32_t)address;
    entry->u.msi.address_hi = (uint32_t)(address >> 32);
    entry->u.msi.data = data;
    if (!memcmp(&before, entry, sizeof(before)))
        return;
    for (unsigned i = 0; i < KVM_PINS; i++)
        if (e->route[i].type)
            table.head.entries[table.head.nr++] = e->route[i];
    (void)kvm_ioctl(e->vm, KVM_SET_GSI_ROUTING, &table);
}

static void apic_on_eoi(struct engine *engine, void (*fn)(void *arg, uint8_t vector), void *arg)
{
    struct kvm_engine *e = kvm_of(engine);

    e->eoi = fn;
    e->eoi_arg = arg;
}

const struct engine_apic_ops kvm_apic_ops = {
    .message = apic_message,
    .route = apic_route,
    .on_eoi = apic_on_eoi,
};
