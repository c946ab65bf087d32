/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports whose writes need no exit of their own: KVM keeps them in a ring that all vCPUs share, in
 * order, and whoever serves an exit, or parks, hands them to the board first. So the board sees
 * what it would have seen, only later; fit for registers that do nothing until another is accessed.
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.116 (KVM_(UN)REGISTER_COALESCED_MMIO).
 */
#include "engine/kvm/internal.h"
#include "mem/mem.h"
#include <string.h>

static struct kvm_coalesced_mmio_ring *latch_ring(const struct kvm_engine *e)
{
    return (void *)((char *)e->vcpu[0].run + (size_t)e->latch_page * GUEST_PAGE_SIZE);
}

void kvm_latch_init(struct kvm_engine *e)
{
    int page = kvm_ioctl_value(e->kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
    int ports = kvm_ioctl_value(e->kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO);

    if (page > 0 && ports > 0 && ((size_t)page + 1) * GUEST_PAGE_SIZE <= e->run_size)
        e->latch_page = (unsigned)page;
}

void kvm_latch(struct engine *engine, uint16_t port, unsigned size)
{
    struct kvm_engine *e = kvm_of(engine);
    struct kvm_coalesced_mmio_zone zone = {.addr = port, .size = size, .pio = 1};

    if (e->latch_page) /* refused: each write is an exit, as without us */
        (void)kvm_ioctl(e->vm, KVM_REGISTER_COALESCED_MMIO, &zone);
}

static void latch_hand_on(struct kvm_engine *e, const struct kvm_coalesced_mmio *entry)
{
    uint64_t val = 0;

    if (entry->len > sizeof(entry->data) || !entry->pio)
        return; /* the kernel never says so */
    memcpy(&val, entry->data, entry->len);
    (void)mem_port_write(e->mem, (uint16_t)entry->phys_addr, entry->len, val);
}

/* The kernel adds at `last`, we take at `first`; its lock orders what is in between. */
void kvm_latch_drain(struct kvm_engine *e)
{
    enum {
        ENTRIES = (GUEST_PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) /
                  sizeof(struct kvm_coalesced_mmio)
    };
    struct kvm_coalesced_mmio_ring *ring;

    if (!e->latch_page)
        return;
    ring = latch_ring(e);
    if (__atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) ==
        __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
        return;                         /* all there was has been handed on */
    pthread_mutex_lock(&e->latch_lock); /* another vCPU may be handing on what is ours */
    for (__u32 at = ring->first;
         at != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) && at < ENTRIES;) {
        latch_hand_on(e, &ring->coalesced_mmio[at]);
        at = (at + 1) % ENTRIES;
        __atomic_store_n(&ring->first, at, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&e->latch_lock);
}
