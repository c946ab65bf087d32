/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty rings: each vCPU's list of the pages it wrote since they were last protected, in memory
 * shared with the kernel. Cheaper to read than a bitmap of all RAM where little was written, and a
 * vCPU that writes faster than we read stops by itself (KVM_EXIT_DIRTY_RING_FULL).
 * Spec: Linux Documentation/virt/kvm/api.rst, 8.29 (KVM_CAP_DIRTY_LOG_RING).
 *
 * An entry is handed back (its flag), then KVM_RESET_DIRTY_RINGS protects its page again, and only
 * then is the page marked: a write before that is in the page when whoever sees the mark copies it,
 * a later one makes an entry of its own. `ring_lock` keeps that order between a vCPU whose ring is
 * full and the collector.
 */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include "mem/mem.h"
#include <errno.h>
#include <sys/mman.h>

/* The kernel keeps some 600 entries back for itself; 64 KiB a vCPU. */
enum { RING_ENTRIES = 4096, RING_BATCH = 256 };

/* Where the host has it; before the first vCPU is made. False: the log is used. A software KVM
 * (PVM) looks whether a ring is full too rarely, loses pages, and stops at a full ring for ever. */
bool kvm_ring_enable(struct kvm_engine *e)
{
    static const __u32 caps[] = {KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING};
    const __u64 bytes = RING_ENTRIES * sizeof(struct kvm_dirty_gfn);

    for (unsigned i = 0; i < ARRAY_LEN(caps) && kvm_is_hardware(); i++) {
        struct kvm_enable_cap ring = {.cap = caps[i], .args = {bytes}};
        int most = kvm_ioctl_value(e->vm, KVM_CHECK_EXTENSION, caps[i]);

        if (most > 0 && (__u64)most >= bytes && !kvm_ioctl(e->vm, KVM_ENABLE_CAP, &ring))
            return true;
    }
    return false;
}

int kvm_ring_map(struct kvm_vcpu *v)
{
    void *ring;

    if (!v->engine->ring)
        return 0;
    ring = mmap(NULL, RING_ENTRIES * sizeof(struct kvm_dirty_gfn), PROT_READ | PROT_WRITE,
                MAP_SHARED, v->fd, KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)GUEST_PAGE_SIZE);
    if (ring == MAP_FAILED)
        return -errno;
    v->ring = ring;
    return 0;
}

void kvm_ring_unmap(struct kvm_vcpu *v)
{
    if (v->ring)
        munmap(v->ring, RING_ENTRIES * sizeof(struct kvm_dirty_gfn));
}

/* Hands back up to RING_BATCH entries and notes their pages; how many there were. */
static unsigned ring_take(struct kvm_vcpu *v, uint64_t page[RING_BATCH])
{
    struct kvm_engine *e = v->engine;
    unsigned n = 0;

    for (; n < RING_BATCH; v->ring_at++) {
        struct kvm_dirty_gfn *entry = &v->ring[v->ring_at % RING_ENTRIES];

        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
            break;
        page[n++] = entry->slot < e->slot_count
                        ? e->slot[entry->slot].gpa + entry->offset * GUEST_PAGE_SIZE
                        : UINT64_MAX; /* ROM's: nobody writes there */
        __atomic_store_n(&entry->flags, (__u32)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
    }
    return n;
}

static int ring_sync_vcpu(struct kvm_vcpu *v)
{
    uint64_t page[RING_BATCH];
    unsigned n;
    int sum = 0;

    do {
        int r;

        n = ring_take(v, page);
        r = n ? kvm_ioctl(v->engine->vm, KVM_RESET_DIRTY_RINGS, NULL) : 0;
        if (r < 0)
            return r;
        for (unsigned i = 0; i < n; i++) {
            _Atomic uint8_t *flags = mem_page_flags(v->engine->mem, GPA(page[i]));

            if (flags)
                atomic_fetch_or(flags, PAGE_DIRTY);
        }
        sum += (int)n;
    } while (n == RING_BATCH);
    return sum;
}

int kvm_ring_sync(struct kvm_engine *e)
{
    int r = 0, sum = 0;

    pthread_mutex_lock(&e->ring_lock);
    for (unsigned i = 0; i < e->vcpu_count && r >= 0; i++) {
        r = ring_sync_vcpu(&e->vcpu[i]);
        sum += r;
    }
    pthread_mutex_unlock(&e->ring_lock);
    return r < 0 ? r : sum;
}
